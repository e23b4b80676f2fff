/*
 * Runs a function in a forked child and tells how it ended: for what must abort.
 *
 *     char said[DEATH_TEXT];
 *     int status = death_of(function, argument, said);  // waitpid's status; said = its stderr
 */
#ifndef PERFSHIM_TESTS_DEATH_H
#define PERFSHIM_TESTS_DEATH_H

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEATH_TEXT = 4096 };

static inline int death_of(void (*function)(void *), void *argument, char said[DEATH_TEXT])
{
    int ends[2], status = -1;
    size_t used = 0;
    said[0] = '\0';
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        function(argument);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n;
         used < DEATH_TEXT - 1 && (n = read(ends[0], said + used, DEATH_TEXT - 1 - used)) > 0;)
        used += (size_t)n;
    said[used] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return status;
}

#endif
