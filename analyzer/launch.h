/*
 * Starts a program with the profiler's library preloaded, and waits for it.
 *
 * The program gets the caller's terminal, descriptors, signal mask and dispositions as they are.
 * While it runs the caller ignores SIGINT and SIGQUIT (a terminal sends them to both) and passes on
 * SIGTERM and SIGHUP that a process sent to the caller alone. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_LAUNCH_H
#define PERFSHIM_ANALYZER_LAUNCH_H

#include <limits.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "analyzer/output.h"
#include "analyzer/stage.h"

struct launch {
    const char *path;    /* what to execute */
    char **argv;         /* argv[0] as typed */
    const char *library; /* absolute path of libperfshim.so */
    struct output *output;
    struct stage *stage; /* begun; given up again if nothing is started */
    /* results */
    pid_t pid;
    uint64_t start_ticks;
    char profile[PATH_MAX];   /* absolute; may not exist */
    char live[PATH_MAX];      /* what the library writes: the profile, or what stands for it */
    int exec_error;           /* errno of the exec that failed, or 0 */
    int status;               /* as waitpid() gives it */
    struct rusage usage;      /* of the program and the children it waited for */
    uint64_t end_ns;          /* CLOCK_MONOTONIC when it ended */
    char why[PATH_MAX + 200]; /* after an error */
};

/*
 * The library: beside the running program, or in ../lib/perfshim/. 0, or −1 with `to` naming where
 * it was looked for.
 */
int launch_find_library(char to[static PATH_MAX]);

/* Runs it to its end. 0, or −1 with l->why: nothing was started. */
int launch_run(struct launch *l);

#endif
