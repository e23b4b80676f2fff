/*
 * A program to be watched: top_victim MARKS [fork]
 *
 * Counts a progress point now and then and prints when it did ("MILLISECONDS COUNT"), while a
 * thread burns CPU time in burn() and keeps a block of 1000 bytes for each mark. With `fork`, a
 * child that does nothing is there meanwhile: "child PID" is the first line.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim/perfshim.h"

static volatile int over;
static volatile unsigned sum;

static __attribute__((noinline)) void burn(void)
{
    for (unsigned i = 0; i < 100000; i++)
        sum += i;
}

static void *burner(void *unused)
{
    while (!over) {
        burn();
        usleep(1000);
    }
    return unused;
}

int main(int argc, char **argv)
{
    int marks = argc > 1 ? atoi(argv[1]) : 3;
    pid_t child = -1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && strcmp(argv[2], "fork") == 0) {
        child = fork();
        if (child == 0)
            for (;;)
                pause();
        printf("child %d\n", (int)child);
    }
    pthread_t thread;
    pthread_create(&thread, NULL, burner, NULL);
    for (int i = 1; i <= marks; i++) {
        usleep(230000 + (unsigned)i % 7 * 47000);
        char *kept = malloc(1000);
        kept[0] = 1;
        perfshim_progress("mark");
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        printf("%lld %d\n", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, i);
    }
    sleep(1);
    over = 1;
    pthread_join(thread, NULL);
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return 7;
}
