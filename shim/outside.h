/*
 * Files of /proc, read without a descriptor in the process's table: a child that shares the memory
 * but not the table reads them (clone with CLONE_VM | CLONE_VFORK, exit signal 0, all signals
 * blocked meanwhile). Some 120 us, and 10 a file; five system calls, and three of the child's for
 * each file. /proc/self is the child
 * there: what is not of the memory alone needs the process's number.
 */
#ifndef PERFSHIM_SHIM_OUTSIDE_H
#define PERFSHIM_SHIM_OUTSIDE_H

#include <stddef.h>
#include <stdint.h>

/* What the child does: opens `path`, reads into `text`, says how many bytes, closes it. */
struct outside_reading {
    const char *path; /* at 0; NULL ends the list */
    char *text;       /* at 8 */
    long size;        /* at 16 */
    long got;         /* at 24: 0 or negative if it could not be read */
};

/* Reads all of the list; its `got` must be 0. 0, or −1: no process may be made. */
int outside_read(struct outside_reading *list);

/* Digits at *at, and one blank (or, at the end of a line, a newline) after them, which are passed.
   −1: there are none. Pure. */
int64_t outside_number(const char *text, size_t n, size_t *at);

#endif
