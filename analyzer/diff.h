/*
 * Two sides of runs compared: what a unit of work cost before and after.
 *
 * Each figure is the median over a side's runs of its value per unit (an operation, a second, or
 * the whole run); delta = after − before. Sites are matched by what they say, function and
 * file:line, not by address; what is left over is matched within the same function, since an edit
 * moves lines. Functions are matched by name and file. Not thread-safe.
 *
 * What is exact and what may be noise: counts of exact allocation mode and of locks taken are
 * exact. Lock times are measured, but depend on how threads happen to meet. CPU time comes
 * from ticks, whose own scatter is known; a change within two standard deviations of that, or
 * within 5 %, may be noise. With enough runs a side there is an interval instead.
 */
#ifndef PERFSHIM_ANALYZER_DIFF_H
#define PERFSHIM_ANALYZER_DIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/frames.h"
#include "analyzer/intern.h"
#include "analyzer/model.h"

enum diff_per { DIFF_PER_OP, DIFF_PER_SECOND, DIFF_TOTAL };
enum diff_side { DIFF_A, DIFF_B, DIFF_SIDES };

struct diff_run {
    const char *path;
    struct reader reader;
    struct model model;
    struct frames *frames;
    double unit; /* operations, seconds or 1 */
};

struct diff_runs {
    struct diff_run *runs;
    size_t count;
};

/* A figure on both sides; NaN = not measured there. */
struct diff_value {
    double a, b;
    double delta;     /* b − a; NaN if either is */
    double ratio;     /* b / a; NaN if a is 0 */
    double low, high; /* interval of the ratio, NaN without one */
    bool exact;       /* counted, not sampled, on both sides */
    bool noise;       /* the change may be none */
};

/* id, JSON key, label on the screen, metric, per unit (1) or as it stands (0) */
#define DIFF_TOTALS(X)                                                                             \
    X(ALLOC_CALLS, alloc_calls, "allocations", 1)                                                  \
    X(ALLOC_BYTES, alloc_bytes, "bytes", 1)                                                        \
    X(TEMPORARY_CALLS, temporary_calls, "temporary", 1)                                            \
    X(COST_NS, cost_ns, "cost", 1)                                                                 \
    X(CPU_NS, cpu_ns, "cpu", 1)                                                                    \
    X(LOCK_WAIT_NS, lock_wait_ns, "lock wait", 1)                                                  \
    X(IO_WAIT_NS, io_wait_ns, "io", 1)                                                             \
    X(LOCK_HOLD_NS, lock_hold_ns, "lock hold", 1)                                                  \
    X(LOCK_ACQUISITIONS, lock_acquisitions, "locks taken", 1)                                      \
    X(LOCK_CONTENTIONS, lock_contentions, "locks waited for", 1)                                   \
    X(PROFILER_NS, profiler_ns, "profiler", 1)                                                     \
    X(PEAK_BYTES, peak_bytes, "peak live", 0)                                                      \
    X(LIVE_BLOCKS, live_blocks, "live blocks at exit", 0)                                          \
    X(LIVE_BYTES, live_bytes, "live at exit", 0)

enum diff_total {
#define X(metric, key, label, per_unit) DIFF_##metric,
    DIFF_TOTALS(X)
#undef X
        DIFF_TOTAL_COUNT
};

/* A site or a function on both sides. */
struct diff_item {
    const char *name, *file, *module; /* file: last part of the path; may be NULL */
    uint32_t line;                    /* B's where both have it; 0 = not known */
    bool in_a, in_b;
    struct diff_value calls, bytes; /* allocations: a site's, or a function's own */
    struct diff_value cpu;          /* a function's own CPU time */
    double pool_calls, pool_ns;     /* a site's: what A's pool advisor predicts for B; minus is
                                       less; NaN = nothing */
    double *values;                 /* while building: [metric][side][run] */
};

/*
 * The pool advisor's word and what came of it: predicted over A's sites for which there was a
 * prediction and of whose calls B saves half of that or more; measured over the whole program,
 * since what a pool allocates and costs itself is elsewhere. Changes per unit; NaN = not known.
 */
struct diff_advisor {
    size_t sites; /* 0 = no such site */
    double predicted_calls, predicted_ns;
    double measured_calls, measured_ns; /* of CPU time */
};

/*
 * What A's finding about work under a lock predicts of the whole cost, if B holds that lock for
 * half of the time or less per unit; and what came of it. Changes per unit.
 */
enum { DIFF_LOCK_BYTES = 256 };
struct diff_moved {
    char lock[DIFF_LOCK_BYTES]; /* "" = A has no such finding, or B did not follow it */
    double predicted_ns, measured_ns;
};

struct diff_list {
    struct diff_item *items;
    size_t count, room;
};

struct diff {
    struct diff_runs sides[DIFF_SIDES];
    enum diff_per per;
    const char *progress; /* the common progress point, NULL = none */
    struct diff_value totals[DIFF_TOTAL_COUNT];
    struct diff_value ops, rate, wall_ns; /* rate: operations a second; NaN without progress */
    struct diff_list sites;               /* by size of the change in calls */
    struct diff_list functions;           /* by size of the change in flat CPU time */
    struct diff_advisor advisor;
    struct diff_moved moved;
    struct intern names;
};

/*
 * Reads the profiles and compares them. per: −1 = per operation if both sides have a common
 * progress point, else per second. 0, or −1 with what and where in err; diff_release() either way.
 */
int diff_build(struct diff *d, char *const *a, size_t a_count, char *const *b, size_t b_count,
               int per, char err[static 512]);
void diff_release(struct diff *d);

/*
 * How far sampling alone may carry a value off: relative to it, and by a quantum for each side (the
 * value of one CPU tick: n ticks scatter by the square root of n). All zero = the values are exact.
 */
struct diff_scatter {
    double relative;
    double quantum[DIFF_SIDES];
};

/* Did a site change as its prediction says? By at least half of it, in that direction. Pure. */
bool diff_followed(double predicted_calls, double delta_calls);

/* Is a lock held for half of the time or less? NaN = not known. Pure. */
bool diff_held_less(double a_ns, double b_ns);
/* diff_moved.c: fills d->moved; all else is there. */
void diff_moved_compare(struct diff *d);

/* Compares the values of each side's runs (NaN in any of them = not measured). Pure. */
struct diff_value diff_compare(const double *a, size_t n, const double *b, size_t m,
                               struct diff_scatter scatter);

/* The progress point that every run has and that the first of A counted most, or NULL. */
const char *diff_progress(const struct diff_runs sides[static DIFF_SIDES]);

#endif
