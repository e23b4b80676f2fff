/*
 * The timeline: the moments of a profile (format.h) folded into equal intervals. Their number is
 * bounded, however long the program ran. Pure, but for reading the file; not thread-safe.
 *
 * A moment that lies in two intervals is shared out by time: a run's moments are at most 1/128 of
 * the time before them, so that is little. Sums over all intervals are those over all moments.
 */
#ifndef PERFSHIM_ANALYZER_TIMELINE_H
#define PERFSHIM_ANALYZER_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/model.h"

enum { TIMELINE_INTERVALS_MOST = 120 };

struct timeline_interval {
    int64_t span_ns; /* interval_ns; less in the last one */
    bool recorded;   /* at some time in it; else allocations and CPU time are not known */
    bool live_known; /* recording had begun */
    int64_t allocs, alloc_bytes;
    int64_t cpu_ns;     /* that of the profiler included */
    int64_t live_bytes; /* at its end */
    int64_t live_max_bytes;
};

struct timeline {
    int64_t interval_ns;
    struct timeline_interval *items;
    size_t count; /* 0: the profile has none */
};

/* At most `most` intervals, at least 1. */
void timeline_build(struct timeline *to, const struct model *m, unsigned most);
void timeline_release(struct timeline *t);

/* The shortest interval that reads well, a whole number of moments, of which `most` cover the
   time. */
int64_t timeline_interval_for(int64_t wall_ns, unsigned most);

struct json;
/* The key "timeline"; null if the profile has none. */
void timeline_json(struct json *j, const struct model *m);

#endif
