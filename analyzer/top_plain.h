/*
 * `perfshim top` as lines: each begins with the moment its figures were read, so that a log of them
 * can be laid beside another one. And as JSON, one document a line. Both are flushed after each
 * reading. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_TOP_PLAIN_H
#define PERFSHIM_ANALYZER_TOP_PLAIN_H

#include <stdint.h>
#include <stdio.h>

#include "analyzer/top.h"

#define TOP_STAMP 25 /* "2026-11-24T10:51:26.123Z" and a NUL */

/* A moment in ns since 1970, in UTC. */
char *top_stamp(char to[static TOP_STAMP], uint64_t realtime_ns);

#define TOP_LOCKS 5u /* names of locks shown */

/* What is printed of one reading. */
struct top_output {
    struct frames *frames;
    enum top_sort sort;
    size_t limit; /* functions */
};

void top_plain_title(FILE *out, const struct model *m, uint64_t realtime_ns);
void top_plain(FILE *out, const struct top_output *o, const struct top_change *c,
               uint64_t realtime_ns);
void top_plain_end(FILE *out, const struct model *m, uint64_t realtime_ns);

/* Schema "perfshim.top/1" (docs/contract.md). */
void top_json(FILE *out, const struct top_output *o, const struct top_change *c,
              uint64_t realtime_ns);

#endif
