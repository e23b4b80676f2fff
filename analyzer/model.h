/*
 * The model: what a profile says, as numbers. Accounts are summed over recorders into one sample a
 * stack; nothing is named yet (frames.h does that) and nothing is formatted.
 *
 * Every free counter is read before every alloc counter, so live counts of a running program are
 * never negative. Not thread-safe. Memory: about 2 bytes a byte of the file's used regions.
 * The reader must outlive the model: strings point into it.
 */
#ifndef PERFSHIM_ANALYZER_MODEL_H
#define PERFSHIM_ANALYZER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/estimate.h"
#include "analyzer/ledger.h"
#include "analyzer/metrics.h"
#include "analyzer/model_histogram.h"
#include "analyzer/reader.h"

/* All that was counted under one stack. */
struct model_sample {
    uint32_t node;                   /* its leaf; 0 = no stack known */
    uint32_t alloc : 1;              /* allocations were counted here */
    uint32_t cpu : 1;                /* CPU time was counted here */
    uint32_t map : 1;                /* the program made mappings of its own here */
    uint32_t lock : 1;               /* locks were taken here; the leaf is the call */
    uint32_t blame : 1;              /* locks that others waited for were given back here */
    int64_t ticks;                   /* weight of the CPU ticks in cpu_ns */
    int64_t booked_ns;               /* CPU time as it was counted, before settle_cpu() */
    uint32_t io : 1;                 /* I/O was done here; the leaf is the call */
    uint32_t idle : 1;               /* … events, time or others were waited for */
    int64_t wait_ns[PSHIM_WAITS];    /* in calls, as counted; locks' stand in lock_wait_ns */
    int64_t wait_ticks[PSHIM_WAITS]; /* by enum pshim_wait: weight of those within its waits */
    int64_t timed;                   /* calls of malloc and free that allocator_ns rests on */
    struct metrics m;
    struct estimate_spread spread; /* of sampled allocations */
};

/* What was counted of a lock, by all or by one of its sites. */
struct model_lock_counts {
    int64_t acquisitions, contentions; /* contentions: also of waits that ended in vain */
    int64_t wait_ns, wait_max_ns;
    int64_t hold_ns, hold_max_ns;
    int64_t held_allocs; /* allocations by the thread that held it */
};

struct model_lock {
    uint32_t record;  /* in the file; 0 = all locks that found no room */
    uint32_t kind;    /* enum pshim_lock_kind */
    uint64_t address; /* 0 with record 0 */
    uint32_t site_node;
    bool initialised; /* site_node initialised it; else it took it first */
    bool in_block;    /* it and all locks that came from site_node lie in blocks that are known: */
    uint32_t block_node;                /* where its block was allocated; 0 = not known */
    uint64_t block_offset, block_bytes; /* of the lock in it; asked for */
    struct model_lock_counts counts;
    int64_t again; /* locks of the same place, one after the other, that it stands for too */
    int64_t owner_changes; /* another thread took it than had it before; −1 = not known */
    int64_t held_cpu_ns;   /* CPU time of its holders meanwhile, by their ticks */
    int64_t blamed_ns;     /* of its waits, what is charged to its holders */
};

/* The record of all conditions, semaphores and such that found no room. */
#define MODEL_LOCK_OTHER_IDLE UINT32_MAX

/* One lock, taken by one call at one stack. */
struct model_lock_site {
    size_t lock;             /* index in model.locks */
    uint32_t node;           /* the call, below the stack that made it */
    uint32_t histogram_node; /* of its waits and holds: model_histogram(); 0 = none */
    struct model_lock_counts counts;
};

/* CPU time on one stack while one lock was held (the one taken last, if several were), without that
   of the profiler. */
struct model_held {
    size_t lock; /* index in model.locks */
    uint32_t node;
    int64_t cpu_ns;
};

/* Who made whom wait for a lock: the stack that gave it back, and the call that waited. */
struct model_blame {
    size_t lock;   /* index in model.locks */
    uint32_t node; /* that gave it back; 0 = not known */
    uint32_t waiter;
    int64_t waits; /* that were charged here, or a part of each */
    int64_t wait_ns, wait_max_ns;
};

/* Calls that wait, or may. */
struct model_wait_counts {
    int64_t calls, bytes, errors;
    int64_t time_ns, time_max_ns; /* in the call, running or not */
};

/* One call at one stack. */
struct model_wait {
    uint32_t node; /* the call, below the stack that made it */
    uint32_t call; /* enum pshim_call */
    struct model_wait_counts counts;
};

/* … while its thread held a lock (the one taken last, if several); also in a model_wait. */
struct model_held_wait {
    size_t lock; /* index in model.locks */
    uint32_t node;
    uint32_t call;
    struct model_wait_counts counts;
};

struct model_thread {
    uint32_t tid;
    char name[17];
    bool ended;
    uint64_t merged; /* further threads summed into this one */
    int64_t wall_ns;
    int64_t cpu_ns; /* while recorded */
    struct ledger ledger;
};

struct model_progress {
    const char *name;
    uint64_t count;
};

/* A part of the program that it names, in all threads. */
struct model_region {
    const char *name;
    int64_t calls, wall_ns, wall_max_ns, cpu_ns;
    int64_t alloc_calls, alloc_bytes, lock_wait_ns;
};

/* A pool of the program's own. */
struct model_pool {
    const char *name;
    int64_t gets, puts;
};

struct model {
    struct reader *reader;
    const struct pshim_header *header;
    const char *exe;
    const char *program; /* last part of exe */
    const char *const *argv;
    uint32_t argc;
    uint32_t end;      /* enum pshim_end; a killed process is PSHIM_END_SIGNAL */
    bool status_known; /* … then status holds the exit status or signal */
    int status;
    int64_t rss_bytes,
        anon_bytes; /* resident at its end, or now; anon: without files; 0 = not known */
    int64_t wall_ns;
    int64_t thread_wall_ns; /* sum over threads */
    uint64_t thread_count;  /* merged ones included */
    struct ledger ledger;   /* of all threads */
    uint32_t measured;      /* bit per enum metric */
    struct metrics totals;
    struct estimate_spread spread; /* of sampled allocations: of the totals */
    int64_t cpu_ticks;
    struct model_sample *samples; /* by first appearance */
    size_t sample_count;
    /* Locks that were taken: most waited for first, then longest held. Behind them, in no count of
       locks and in no cost, what idle threads wait for: conditions, semaphores and futexes. */
    struct model_lock *locks;
    size_t lock_count, idle_lock_count;
    struct model_lock_site *lock_sites; /* by lock; in it, likewise */
    size_t lock_site_count, idle_lock_site_count;
    struct model_held *held; /* by lock; in it, most time first */
    size_t held_count;
    struct model_blame *blames; /* likewise */
    size_t blame_count;
    struct model_wait *waits; /* most time first */
    size_t wait_count;
    struct model_held_wait *held_waits; /* by lock; in it, likewise */
    size_t held_wait_count;
    struct model_histogram *histograms; /* by node */
    size_t histogram_count;
    double clock_unit_ns; /* of the header's clock */
    struct model_thread *threads;
    size_t threads_kept;
    uint64_t lock_waiters;   /* threads in a wait for a lock at the end, or now */
    int64_t lock_waiters_ns; /* how long these waits are, so far; in threads and ledger alone */
    struct model_progress *progress; /* most counted first */
    size_t progress_count;
    struct model_region *regions; /* longest first */
    size_t region_count;
    struct model_pool *pools; /* most used first */
    size_t pool_count;
    uint64_t losses[PSHIM_LOSS_COUNT];
};

/* Reads everything. 0, or −1 with reader->error: a damaged file. */
int model_load(struct model *m, struct reader *r);
void model_release(struct model *m);

/*
 * From what was counted in each sample to what is said about it, and to the totals: settled CPU
 * time, the profiler's part, live blocks, cost. model_load() ends with it, and so does whoever
 * makes a model of his own from counters (top.h). Peak bytes are only added up.
 */
void model_finish(struct model *m);

/* Of the waits for a lock, what no holder answers for: from one who gave it back to the next. */
int64_t model_handoff_ns(const struct model_lock *lock);

/* A time of the header's clock in ns; what a damaged file says is at most 100 years. */
int64_t model_clock_ns(const struct model *m, uint64_t units);

/* Is the stack's leaf the profiler itself: a tick in a hook's own work, or in its code? */
bool model_leaf_is_profiler(const struct model *m, uint32_t node);

static inline bool model_has(const struct model *m, enum metric metric)
{
    return m->measured >> metric & 1;
}

/* Operations done: the count of the most counted progress point; 0 = the program has none. */
static inline uint64_t model_ops(const struct model *m)
{
    return m->progress_count ? m->progress[0].count : 0;
}

/* The header's notes (bad environment values and the like): the i-th, or NULL past the last. */
const char *model_note(const struct model *m, unsigned i);
/* Why the shim turned itself off, or "" if it did not. */
const char *model_off_reason(const struct pshim_header *h);
/* One line that explains a loss. */
const char *model_loss_text(enum pshim_loss loss);
const char *model_loss_name(enum pshim_loss loss);

#endif
