/*
 * Runs one shell command once and measures it from outside. Linux.
 *
 * The command runs as `/bin/sh -c`, in a process group of its own, with stdin from /dev/null.
 * SIGINT, SIGTERM and SIGHUP that reach us are passed on to that group before we die of them.
 * One command at a time; not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_BENCH_RUN_H
#define PERFSHIM_ANALYZER_BENCH_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct bench_run {
    uint64_t wall_ns; /* from before the fork until the shell was reaped */
    uint64_t user_ns; /* CPU time of the shell and all descendants that were waited for */
    uint64_t sys_ns;
    uint64_t max_rss_bytes; /* of the largest single process among them */
    int status;             /* as from wait(2) */
    bool timed_out;         /* its group was killed; the figures are those up to then */
};

/*
 * out_fd and err_fd become the command's stdout and stderr; −1 is /dev/null. timeout_ns 0 waits for
 * ever. 0, or −1 with errno when no process could be started.
 */
int bench_run(const char *command, int out_fd, int err_fd, uint64_t timeout_ns,
              struct bench_run *run);

/* "exit status 1", "signal 11 (Segmentation fault)"; returns buf. */
char *bench_status_text(int status, char buf[static 64]);

#endif
