/*
 * How much memory the process has resident, by /proc (outside.h).
 */
#ifndef PERFSHIM_SHIM_RESIDENT_H
#define PERFSHIM_SHIM_RESIDENT_H

#include <stddef.h>
#include <stdint.h>

struct resident {
    uint64_t rss_bytes, anon_bytes; /* anon: without files and shared memory */
};

/* 0, or −1: not to be had (no process may be made, a seccomp filter, no /proc). */
int resident_read(struct resident *to);

/* Reads a line of /proc/PID/statm of n bytes. 0, or −1: it is none. Pure. */
int resident_parse(const char *text, size_t n, struct resident *to);

#endif
