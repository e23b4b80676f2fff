/*
 * What is counted about a stack, a function or a whole run: one list for the model, the views and
 * the JSON keys.
 *
 * Times are in thread-nanoseconds, bytes are the bytes asked for. Values are signed: the difference
 * of two runs and the live bytes of one recorder may be negative. Whether a metric was measured at
 * all is a bit of model.measured; one that was not is null in JSON and absent from a screen.
 */
#ifndef PERFSHIM_ANALYZER_METRICS_H
#define PERFSHIM_ANALYZER_METRICS_H

#include <stdbool.h>
#include <stdint.h>

/* id, JSON key */
#define METRICS(X)                                                                                 \
    X(CPU_NS, cpu_ns)                                                                              \
    X(LOCK_WAIT_NS, lock_wait_ns)                                                                  \
    X(LOCK_HOLD_NS, lock_hold_ns)                                                                  \
    X(LOCK_ACQUISITIONS, lock_acquisitions)                                                        \
    X(LOCK_CONTENTIONS, lock_contentions)                                                          \
    X(IO_WAIT_NS, io_wait_ns)                                                                      \
    X(IDLE_NS, idle_ns)                                                                            \
    X(ALLOC_CALLS, alloc_calls)                                                                    \
    X(ALLOC_BYTES, alloc_bytes)                                                                    \
    X(FREE_CALLS, free_calls)                                                                      \
    X(FREE_BYTES, free_bytes)                                                                      \
    X(LIVE_BLOCKS, live_blocks)                                                                    \
    X(LIVE_BYTES, live_bytes)                                                                      \
    X(PEAK_BYTES, peak_bytes)                                                                      \
    X(TEMPORARY_CALLS, temporary_calls)                                                            \
    X(CROSS_THREAD_FREES, cross_thread_frees) /* freed by another thread than allocated them */    \
    X(GROWN_CALLS, grown_calls)               /* reallocs to more bytes than the block had */      \
    X(MOVED_BYTES, moved_bytes)               /* bytes of grown blocks whose address changed */    \
    X(ALLOCATOR_NS, allocator_ns)             /* in malloc and free, of a sample; part of CPU */   \
    X(OVERRUNS, overruns)                     /* blocks with something written past their end */   \
    X(MAPPED_CALLS, mapped_calls)             /* large anonymous mappings of the program's own */  \
    X(MAPPED_BYTES, mapped_bytes)             /* of them, in whole pages */                        \
    X(MAPPED_LIVE_BYTES, mapped_live_bytes)                                                        \
    X(BLAMED_WAIT_NS, blamed_wait_ns)                                                              \
    X(BLAMED_WAITS, blamed_waits) /* waits in it, or a part of each */                             \
    X(PROFILER_NS, profiler_ns)   /* CPU time inside the profiler: in no other figure */           \
    X(LOCK_CPU_NS, lock_cpu_ns)   /* CPU time in waits for locks: in both figures, by ticks */     \
    X(IO_CPU_NS, io_cpu_ns)       /* in calls of I/O: part of CPU time, and not of io_wait_ns */   \
    X(COST_NS, cost_ns)           /* cpu + lock wait + io wait, what is in both once */

enum metric {
#define X(id, key) METRIC_##id,
    METRICS(X)
#undef X
        METRIC_COUNT
};
_Static_assert(METRIC_COUNT <= 32, "sets of metrics are 32 bits");

static inline bool metric_is_time(enum metric metric)
{
    return metric == METRIC_CPU_NS || metric == METRIC_LOCK_WAIT_NS ||
           metric == METRIC_LOCK_HOLD_NS || metric == METRIC_IO_WAIT_NS ||
           metric == METRIC_IDLE_NS || metric == METRIC_BLAMED_WAIT_NS ||
           metric == METRIC_PROFILER_NS || metric == METRIC_COST_NS ||
           metric == METRIC_ALLOCATOR_NS || metric == METRIC_LOCK_CPU_NS ||
           metric == METRIC_IO_CPU_NS;
}

struct metrics {
    int64_t v[METRIC_COUNT];
};

/* A damaged file may hold any counters: sums and differences wrap instead of being undefined. */
static inline int64_t metric_sum(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static inline int64_t metric_difference(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline void metrics_add(struct metrics *to, const struct metrics *from)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        to->v[i] = metric_sum(to->v[i], from->v[i]);
}

#endif
