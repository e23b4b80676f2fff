/*
 * The rules of the pool advisor: is a pool worth it for what one site allocates, which one, and
 * what would it save? Pure functions of numbers; no name of a function is looked at. All limits
 * stand here.
 *
 * The pool that is meant keeps blocks that were given back for the next use, by size, and cuts new
 * ones from slabs of POOLING_SLAB_BYTES. So it still allocates what slabs are needed for the most
 * that was live at a time, and saves every other call:
 *
 *   saved calls = the share that fits × calls − ceil(live bytes at the peak / POOLING_SLAB_BYTES)
 *   saved time  = saved calls / calls × time in the allocator − saved calls × what the pool takes
 *
 * "Short life" is short beside the run, not a time by itself: by Little's law (J. D. C. Little,
 * 1961) calls / blocks live at a time = run / mean life, which is how often the pool uses each of
 * its blocks. That a pool per thread fails where blocks wander (they pile up with the thread that
 * frees, while the one that allocates never finds any) is Bonwick's case for magazines that are
 * exchanged whole over a depot ("Magazines and Vmem", USENIX 2001).
 */
#ifndef PERFSHIM_ANALYZER_POOLING_H
#define PERFSHIM_ANALYZER_POOLING_H

#include <stdbool.h>
#include <stdint.h>

/* id, JSON word, what it says: first what to use, then why there is nothing to win. */
#define POOLING_VERDICTS(X)                                                                        \
    X(BUFFER, buffer,                                                                              \
      "each block is freed before the next one is asked for: keep one buffer and use it again, "   \
      "or put it on the stack")                                                                    \
    X(THREAD, thread, "the thread that allocates a block frees it: a pool of each thread's own")   \
    X(SHARED, shared,                                                                              \
      "other threads free the blocks than allocate them: pools of each thread's own would run "    \
      "dry in one and pile up in another; let them exchange whole batches, or give a block back "  \
      "to the thread it came from")                                                                \
    X(RARE, rare, "rarely allocated")                                                              \
    X(KEPT, kept, "kept: hardly a block would be used again; allocate many at once instead")       \
    X(GROWN, grown, "grown by realloc: reserve instead (--view=sizes)")                            \
    X(MIXED, mixed,                                                                                \
      "many sizes: no pool fits them; an allocator with caches for threads may help")              \
    X(LARGE, large, "large blocks: what is done with them costs more than to get them")

enum pooling_verdict {
#define X(id, word, text) POOLING_##id,
    POOLING_VERDICTS(X)
#undef X
        POOLING_VERDICT_COUNT
};

#define POOLING_SLAB_BYTES   65536.0
#define POOLING_PER_OP       0.01    /* calls an operation, where operations are counted */
#define POOLING_PER_SECOND   1000.0  /* calls a second; both must be reached */
#define POOLING_REUSE        2.0     /* times each block is used on average: once again at least */
#define POOLING_SIZES        4       /* distinct sizes: a pool for each */
#define POOLING_SIZE_FACTOR  2.0     /* more of them: most lie within this factor … */
#define POOLING_SIZE_SHARE   0.95    /* … which are so many, and the pool's; the others are not */
#define POOLING_BLOCK_MOST   16384.0 /* bytes: a quarter of a slab */
#define POOLING_GROWN_SHARE  0.5     /* of the calls: reallocs that grow a block */
#define POOLING_BUFFER_SHARE 0.99    /* of the calls: freed next by the same thread */
#define POOLING_CROSS_SHARE  0.01    /* of the frees: by another thread than allocated */
#define POOLING_TIMED_LEAST  16.0    /* timed calls that a time must rest on */
/* ns for a get and a put. The store's own pool (store/pool.c), measured beside malloc and free on
   the machine of docs/benchmarks.md; a buffer takes nothing. */
#define POOLING_THREAD_NS 6.0
#define POOLING_SHARED_NS 12.0

struct pooling_evidence {
    double calls, bytes; /* of the run */
    double ops, seconds; /* ops: 0 = not counted */
    double peak_bytes;   /* live when the most was */
    double live_calls;   /* never freed */
    double temporary, grown, cross_frees;
    double allocator_ns;        /* in calls and frees; NaN = not measured */
    double timed;               /* calls that allocator_ns rests on */
    unsigned size_count;        /* distinct sizes; more than POOLING_SIZES: not counted further */
    double size_low, size_high; /* POOLING_SIZE_SHARE of the blocks lie from here to there */
    double size_least, size_max;
};

struct pooling {
    enum pooling_verdict verdict;
    bool worth;         /* one of the first three verdicts; else all that follows but reuse is 0 */
    double reuse;       /* how often each block of the pool would be used */
    double saved_calls; /* of the run */
    double saved_ns;    /* NaN = not known; negative: the allocator is faster than the pool */
};

struct pooling pooling_judge(const struct pooling_evidence *e);

const char *pooling_word(enum pooling_verdict verdict);
const char *pooling_text(enum pooling_verdict verdict);

#endif
