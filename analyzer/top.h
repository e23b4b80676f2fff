/*
 * What `perfshim top` shows: the difference of two readings of one profile.
 *
 * The change is itself a model, of the time between the readings: whatever ranks or prints a model
 * (rank.h, report_json.h) works on it. In it every figure is a difference; `live_*` is by how much
 * more is live, `peak_bytes` is not known. Levels (what is live now, threads) are in the later
 * reading.
 *
 * Pure over the two models, which must be of the same reader, the earlier first. Counters of a
 * profile only grow; where a damaged file's went back, the difference is 0. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_TOP_H
#define PERFSHIM_ANALYZER_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/frames.h"
#include "analyzer/lock.h"
#include "analyzer/model.h"
#include "analyzer/rank.h"

/* id, word of --sort, heading, metric, by flat. METRIC_COUNT: cost or, without CPU time,
 * allocations */
#define TOP_SORTS(X)                                                                               \
    X(CUM, cum, "cost, with what is called", METRIC_COUNT, false)                                  \
    X(FLAT, flat, "cost of its own", METRIC_COUNT, true)                                           \
    X(LOCK, lock, "lock wait", METRIC_LOCK_WAIT_NS, false)                                         \
    X(ALLOCS, allocs, "allocations", METRIC_ALLOC_CALLS, false)

enum top_sort {
#define X(id, word, heading, metric, flat) TOP_SORT_##id,
    TOP_SORTS(X)
#undef X
        TOP_SORT_COUNT
};

struct top_change {
    struct model m;          /* owned; counts of the interval */
    const struct model *now; /* the later reading */
    double seconds;          /* between the readings; ≤ 0 = not known: rates are NaN */
    int64_t ticks;           /* that the functions' CPU time rests on */
    uint64_t threads;        /* alive now */
};

/* before = NULL: since the program started. */
void top_change_build(struct top_change *c, const struct model *before, const struct model *now,
                      double seconds);
void top_change_release(struct top_change *c);

/* n a second; NaN where that makes no sense. */
double top_rate(const struct top_change *c, int64_t n);

/* The metric of an order, or METRIC_COUNT if the profile does not measure it. */
enum metric top_metric(const struct model *m, enum top_sort sort);
const char *top_heading(enum top_sort sort);
/* The next order that the profile has figures for. */
enum top_sort top_sort_next(const struct model *m, enum top_sort sort);

/* Functions of the interval in that order: entry frames and functions without any are left out. */
void top_rank_build(struct rank *rank, const struct top_change *c, struct frames *f,
                    enum top_sort sort);

/* Locks of one name: shards, for example. */
struct top_lock {
    char name[LOCK_NAME_BYTES];
    uint32_t kind;
    size_t locks;
    struct model_lock_counts counts; /* without the longest wait and hold */
};

/* Locks of the interval by name, in the order of the most waited for of each name; at most `room`
   names. Returns how many. */
size_t top_locks(const struct top_change *c, struct frames *f, struct top_lock *rows, size_t room);

#endif
