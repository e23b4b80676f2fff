/*
 * What the parts of the shim share: the control page, the thread's state, the guard.
 *
 * Everything here may run inside an allocation hook or a signal handler of a stranger's process: no
 * allocation from its heap, no stdio, no locks, no errno, no system call on a hot path.
 */
#ifndef PERFSHIM_SHIM_SHIM_H
#define PERFSHIM_SHIM_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"
#include "shim/held.h"
#include "shim/lock_book.h"
#include "shim/sampler.h"
#include "shim/spans.h"
#include "shim/unwind_kept.h"
#include "shim/unwind_memo.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define COLD        __attribute__((cold, noinline))
#define SHIM_HIDDEN                                                                                \
    __attribute__((visibility("hidden"))) /* said where it is declared, else its                   \
                                             address is looked up first */
#define HOT_INLINE static inline __attribute__((always_inline))

enum {
    shim_depth_max = unwind_kept_max, /* frames of a stack */
    shim_own_recorders = 64,          /* live threads with a recorder of their own */
    shim_recorders = 128,             /* the other half is shared, with locked adds */
    shim_accounts_at_hand = 64,       /* of a thread: those it used last */
    shim_names_at_hand = 16,
};

/*
 * The control page. It is MADV_WIPEONFORK: a forked child, however it was made, reads zeros, so
 * that every hook passes straight through there. One page of its own, read-mostly.
 */
struct shim_control {
    uint32_t on;        /* 0 = pass through: forked child, turned off, not set up yet */
    uint32_t tagging;   /* exact allocation mode: blocks carry tags */
    uint32_t sampling;  /* sampled allocation mode */
    uint32_t recording; /* between start and stop */
    uint32_t stops;     /* how often it was stopped */
    uint32_t maps;      /* mappings of the program are counted */
    uint32_t locks;     /* enum pshim_switch: off, on, or waits only */
    uint32_t io;        /* enum io_bit (io_recorder.h): 0 = pass through */
};
extern struct shim_control *shim_control SHIM_HIDDEN; /* never NULL */

struct shim_global {
    struct profile profile;
    uint64_t tag_key;       /* random: mixed into the tags' check bits */
    uint64_t sample_bytes;  /* mean distance of samples */
    uint64_t sample_seed;   /* of this process */
    uint64_t samplers;      /* atomic: seeded so far */
    uint32_t serials;       /* atomic: numbers of threads drawn so far */
    uint64_t map_max_bytes; /* of one mapping of ours: the host keeps most of its limits */
    uint32_t pid;
    uint32_t cpu_hz;
    uint32_t turned_off;  /* for good, in this process and its children */
    uint32_t unwind_mode; /* enum pshim_unwind_mode */
    uint64_t tick_period_ns;
    uint64_t cpu_at_start_ns; /* of the process: an image that exec replaced may have used some */
    uint32_t live_threads;    /* atomic */
};
extern struct shim_global shim SHIM_HIDDEN;

/* What a call of I/O at a stack is booked on, and beside it what holders of a lock do meanwhile. */
enum { io_books = 32 };
struct io_book {
    struct pshim_account *account; /* NULL = no entry */
    struct pshim_account *held;
    uint64_t key; /* stack, 24 bits | enum pshim_call, 8 | index of the lock, 0 = none was held */
};

/*
 * A live thread, in memory of our own. Only its thread writes to it, and its own signal handler.
 * A thread that allocates and locks touches three pages of it: the beginning, the last stack, the
 * books, and one more if it is ticked; shim/thread_memory.py measures that.
 */
struct thread_state {
    uint32_t tid;
    uint32_t recorder;
    uint32_t serial;             /* of the thread, 12 bits: stands in its blocks' tags */
    uint32_t index;              /* of this state, for ever */
    uint32_t next_free;          /* free list of states: index + 1 */
    struct pshim_thread *record; /* in the file; never NULL */
    struct unwind_range stack;
    uintptr_t stack_base; /* from here to stack.hi are frames that end with the thread */
    uint32_t start_node;
    int32_t timer; /* kernel timer id, −1 = none */
    uint32_t destructor_rounds;
    uint64_t ticks;           /* weight received while recording */
    uint64_t paused_ticks;    /* … while paused: not booked, but not "unsampled" either */
    uint64_t pending_ticks;   /* weight that fell inside the shim, booked when it leaves */
    uint64_t cpu_at_start_ns; /* CPU time when the thread was first seen */
    uint64_t clock_ns;        /* its CPU clock when it was settled last */
    int64_t settled_ns;       /* CPU time accounted for so far that no tick caught, signed */
    int64_t booked_ns;        /* … of that, what was booked: the rest fell into a pause */
    int64_t live_delta;       /* bytes not yet added to header.live_bytes */
    int64_t live_step;        /* add them when |live_delta| passes this */
    uint64_t lock_wait;       /* units of the header's clock, as booked, ever */
    const void *last_alloc;   /* freed next = temporary */
    uint64_t alloc_events;    /* allocations recorded, ever: not from 0 in each thread */
    uint64_t alloc_bytes;     /* of them */
    uint64_t told_allocs;     /* atomic: of alloc_events, what the timeline knows */
    uint64_t told_bytes;      /* atomic */
    uint64_t told_units;      /* clock or count when the timeline was told last */
    uint32_t spare_node;      /* a node record handed out, not used: taken by the next insertion */
    uint32_t spare_lock;      /* a lock record likewise */
    uint32_t books_evicted;
    uintptr_t books;            /* what they are booked on */
    uint32_t timed_strata;      /* of its events, those with the timed one drawn: see timing.c */
    uint32_t walk_serial;       /* moves with each walk: tells a nested one */
    uint32_t life;              /* how many threads this state has been of */
    uint32_t memos_asked;       /* recorder.c */
    struct unwind_memos *memos; /* NULL until it pays */
    void *(*start)(void *);     /* the host's start routine and argument, until it runs */
    int (*start_c11)(void *);
    void *start_arg;
    uint64_t created_ns;       /* by its creator: what it waits for its first CPU is its time */
    uint16_t host_blocks_tick; /* its creator's, which a new thread inherits */
    bool record_is_shared;     /* with other threads: there was no room for one of its own */
    struct once_call *once;    /* the initialisation it is about to do */
    struct {                   /* the wait it is in: waits.h */
        enum pshim_wait what;
        uintptr_t sp;   /* of the hook */
        uint64_t ticks; /* weight of those that came meanwhile */
        uint64_t left;  /* units of the lock clock, when it last began to jump in a wait */
    } waiting;
    struct {             /* its ticket while it waits for a lock: blame.h */
        uint32_t number; /* 0 = none */
        const void *lock;
        struct lock_caller caller; /* of the hook */
    } ticket;
    struct { /* accounts of names the program gave, by address and kind */
        uintptr_t key;
        struct pshim_account *account;
    } named[shim_names_at_hand];
    struct { /* allocation accounts that were used last, by node */
        uint32_t node;
        int32_t until_mark; /* calls before the one that is marked */
        struct pshim_account *account;
    } accounts[shim_accounts_at_hand];
    /* The blocks allocated there last, which may be gone: lock_block.h. Apart, so that an account
       is found by a shift. */
    const void *last_blocks[shim_accounts_at_hand];
    struct held held;                   /* the locks it holds */
    struct spans spans;                 /* the regions it is in */
    uintptr_t tick_pcs[shim_depth_max]; /* where a tick's walk is: it may interrupt a hook's */
    struct unwind_kept kept;            /* the last stack of a hook */
    struct lock_book first_books[lock_books] __attribute__((aligned(4096)));
    uintptr_t hook_pcs[shim_depth_max]; /* where a hook's whole walk is written, innermost first */
    struct io_book io_books[io_books];  /* what its I/O is booked on */
};

/* Initial-exec TLS, 64 bytes. */
struct shim_tls {
    struct thread_state *self; /* NULL: not seen yet, or ended */
    uintptr_t guard;           /* stack pointer of the hook at work, 0 = outside of the shim */
    uint16_t host_blocks_tick; /* the host thinks it has the tick's signal blocked */
    uint16_t ended;            /* the thread's end was recorded: do not attach it again */
    int32_t until_timed;       /* events before the one that is timed: timing.h */
    struct sampler sampler;
};
extern __thread struct shim_tls shim_tls SHIM_HIDDEN;

HOT_INLINE uintptr_t shim_sp(void)
{
    uintptr_t sp;
    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

/*
 * The recursion guard holds the hook's stack pointer: a hook that finds it set at a higher address
 * runs nested (a signal handler inside our work) and must pass through; at a lower address it is
 * stale (a siglongjmp left our work) and is taken over, unless this is a handler on an alternate
 * stack that lies above. So it is if it was set on another stack, a coroutine's, and the thread is
 * back on its own. It is never held across a real call.
 */
bool guard_is_left(uintptr_t sp);
HOT_INLINE bool guard_enter(void)
{
    uintptr_t sp = shim_sp();
    if (unlikely(shim_tls.guard) && !guard_is_left(sp))
        return false;
    shim_tls.guard = sp;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return true;
}

void tick_book_pending(struct thread_state *ts, uint32_t node);

/* Leaves; `node` is where ticks that fell inside our work are booked (0 = no stack known). */
HOT_INLINE void guard_leave(struct thread_state *ts, uint32_t node)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(ts && ts->pending_ticks))
        tick_book_pending(ts, node);
    shim_tls.guard = 0;
}

static inline void shim_lost(enum pshim_loss reason)
{
    profile_lost(&shim.profile, reason, 1);
}

/* A clock by its number, in ns, by raw system call: other preloads fake the time of their host. */
uint64_t shim_clock_ns(int clock);
/* CLOCK_MONOTONIC, ns. */
uint64_t shim_now_ns(void);

/* Locked adds are needed where more than one thread writes. */
HOT_INLINE bool account_is_shared(const struct pshim_account *a)
{
    return a->recorder >= shim_own_recorders;
}

/* Counters: plain for an own recorder, locked for a shared one. */
HOT_INLINE void counter_add(uint64_t *counter, uint64_t n, bool shared)
{
    if (unlikely(shared))
        __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
    else
        __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void counter_max(uint64_t *counter, uint64_t value, bool shared)
{
    uint64_t old = pshim_load(counter);
    if (likely(!shared)) {
        if (value > old)
            __atomic_store_n(counter, value, __ATOMIC_RELAXED);
        return;
    }
    while (old < value && !__atomic_compare_exchange_n(counter, &old, value, 0, __ATOMIC_RELAXED,
                                                       __ATOMIC_RELAXED))
        ;
}

#endif
