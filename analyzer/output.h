/*
 * The profile that `perfshim record` is about to have written: its name, and whether it can be.
 *
 * Checked before the program starts, since afterwards it is too late: the directory must exist, be
 * writable and have room for the first pages; an explicit name must be free, or --force removes it.
 */
#ifndef PERFSHIM_ANALYZER_OUTPUT_H
#define PERFSHIM_ANALYZER_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct output {
    char dir[PATH_MAX];      /* absolute, without a / at the end */
    char name[NAME_MAX + 1]; /* may hold %p for the pid; "" = perfshim-PROGRAM-PID.pshim, made
                                unique */
    char program[NAME_MAX + 1];
    bool force;
    char why[PATH_MAX + 200]; /* "FILE: what is wrong" after an error */
};

/*
 * `wanted`: a file, a directory (ending in / or existing), or NULL for the working directory;
 * `program`: path of what is run. 0, or −1 with out->why.
 */
int output_prepare(struct output *out, const char *wanted, bool force, const char *program);

/* The absolute path for process `pid`. 0, or −1 with out->why: the name is taken or too long. */
int output_path(struct output *out, pid_t pid, char to[static PATH_MAX]);

#endif
