#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analyzer/cmd.h"
#include "analyzer/memory.h"

static int is_profile_name(const char *name)
{
    static const char suffix[] = ".pshim";
    size_t n = strlen(name);
    return n >= sizeof suffix && strcmp(name + n - (sizeof suffix - 1), suffix) == 0;
}

static int is_newer(const struct stat *a, const struct stat *b)
{
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
        return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
    return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

char *cmd_newest_profile(const char *prog)
{
    DIR *dir = opendir(".");
    char *newest = NULL;
    struct stat newest_st = {0}, st;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!is_profile_name(e->d_name) || stat(e->d_name, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (newest && !is_newer(&st, &newest_st))
            continue;
        free(newest);
        newest = memory_string(e->d_name);
        newest_st = st;
    }
    if (dir)
        closedir(dir);
    if (newest)
        fprintf(stderr, "%s: reading %s, the newest here\n", prog, newest);
    else
        fprintf(stderr, "%s: no profile named, and no *.pshim here\n", prog);
    return newest;
}

int cmd_finish(const char *prog)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CMD_FINE;
    if (errno != EPIPE) /* a pager that was left is no error */
        fprintf(stderr, "%s: stdout: %s\n", prog, strerror(errno));
    return CMD_INPUT;
}
