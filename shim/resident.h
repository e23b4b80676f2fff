/*
 * How much memory the process has resident, by /proc (outside.h).
 */
#ifndef PERFSHIM_SHIM_RESIDENT_H
#define PERFSHIM_SHIM_RESIDENT_H

#include <stddef.h>
#include <stdint.h>

#include "shim/outside.h"

struct resident {
    uint64_t rss_bytes, anon_bytes; /* anon: without files and shared memory */
};

/* What is to be read of the calling process, and what it says then; `text` is where it is read to.
   0, or −1 as below. */
enum { resident_text_bytes = 128 };
struct outside_reading resident_question(char *text);
int resident_answer(const struct outside_reading *reading, struct resident *to);

/* Both, with the reading: 0, or −1: not to be had (no process may be made, a seccomp filter, no
 * /proc). */
int resident_read(struct resident *to);

/* Reads a line of /proc/PID/statm of n bytes. 0, or −1: it is none. Pure. */
int resident_parse(const char *text, size_t n, struct resident *to);

#endif
