/*
 * The live line: once a second, what the last second was like, and at the end of a phase what was
 * left of it, so that all lines together are the phase. It reads the workers' histograms while they
 * write, which costs a few milliseconds a second with 100 threads, and nothing if nobody asked.
 */
#ifndef PERFSHIM_STORE_BENCH_LIVE_H
#define PERFSHIM_STORE_BENCH_LIVE_H

#include <stdint.h>
#include <stdio.h>

#include "store/bench/worker.h"

struct live;

/* What a line says. */
struct live_line {
    const char *phase;
    double time_s;          /* since the phase began */
    double interval_s;      /* since the last line */
    uint64_t ops;           /* in the interval, failed ones too */
    uint64_t errors;        /* of these */
    double average;         /* operations a second that did not fail, since the phase began */
    int is_open;            /* whether there is a lag */
    uint64_t lag_ns;        /* by which the next operation to begin is late now */
    double cpu_percent;     /* of one CPU */
    uint64_t rss_bytes;     /* 0: not known */
    double profiled_allocs; /* of the whole process, by perfshim; NaN: it does not count them */
    double written_rate;    /* bytes a second to disks, by the kernel's count; NaN: not known */
    const struct histogram *latency;          /* of the interval */
    const struct engine_statistics *measured; /* counts of the interval, levels as they are */
    uint64_t loaded, keys;                    /* of the load phase, which has nothing else */
    int is_load;
};

/* A line of JSON, perfshim.live/1 (json.c). */
void live_json(FILE *out, const struct live_line *line);

/* NULL if there is no memory. `text` and `json` get lines of that kind; NULL: none. All must
   outlive it. */
struct live *live_new(FILE *text, FILE *json, const struct worker *workers, unsigned count,
                      uint64_t keys);
void live_free(struct live *live);

/* A phase begins now; `name` is shown ("load" shows loaded keys, all others operations). NULL is
   fine for live here and below. */
void live_begin(struct live *live, const char *name);
/* Prints the time since the last call of any of these. */
void live_tick(struct live *live);
/* The phase has ended: prints the rest; in text only what is a tenth of a second or more, behind
   other lines. */
void live_end(struct live *live);

#endif
