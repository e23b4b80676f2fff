/*
 * Lock events in, counters in the file out. Called by the hooks, which have called the real
 * functions before: a lock is never looked into once it is given back.
 *
 * What is cold stands in lock_recorder.c. Everything sets the guard itself and is async-signal-safe
 * as far as the hooks are: a signal handler that takes a lock inside one passes through.
 *
 * Accounts: of (stack, call, lock), in the recorder of the thread. A free lock that is taken again
 * finds its account in the thread's table of sites.
 */
#ifndef PERFSHIM_SHIM_LOCK_RECORDER_H
#define PERFSHIM_SHIM_LOCK_RECORDER_H

#include <pthread.h>

#include "shim/blame.h"
#include "shim/lock_clock.h"
#include "shim/lock_times.h"
#include "shim/locks.h"
#include "shim/modules.h"
#include "shim/recorder.h"
#include "shim/thread.h"
#include "shim/waits.h"

/* enum pshim_switch: PSHIM_OFF = pass through: not wanted, forked child, not set up yet. */
HOT_INLINE uint32_t lock_mode(void)
{
    return __atomic_load_n(&shim_control->locks, __ATOMIC_RELAXED);
}

/* Where the exported function that this stands in was called. */
#define LOCK_CALLER()                                                                              \
    ((struct lock_caller){(uintptr_t)__builtin_return_address(0),                                  \
                          (const uintptr_t *)__builtin_dwarf_cfa()})

/* The kind of lock that a call takes; that of a wait on a condition is the mutex. */
HOT_INLINE enum pshim_lock_kind lock_kind_of(enum pshim_call call)
{
    if (call >= PSHIM_CALL_RWLOCK_RDLOCK && call <= PSHIM_CALL_RWLOCK_CLOCKWRLOCK)
        return PSHIM_LOCK_RWLOCK;
    if (call == PSHIM_CALL_SPIN_LOCK || call == PSHIM_CALL_SPIN_TRYLOCK)
        return PSHIM_LOCK_SPIN;
    if (call >= PSHIM_CALL_SEM_WAIT && call <= PSHIM_CALL_SEM_CLOCKWAIT)
        return PSHIM_LOCK_SEMAPHORE;
    if (call == PSHIM_CALL_BARRIER_WAIT)
        return PSHIM_LOCK_BARRIER;
    if (call == PSHIM_CALL_ONCE || call == PSHIM_CALL_CALL_ONCE)
        return PSHIM_LOCK_ONCE;
    if (call == PSHIM_CALL_FUTEX)
        return PSHIM_LOCK_FUTEX;
    return PSHIM_LOCK_MUTEX;
}

/* A call that takes a lock of this kind; one register wide. */
struct lock_call {
    enum pshim_lock_kind kind;
    enum pshim_call call;
};
#define LOCK_CALL(call) ((struct lock_call){lock_kind_of(call), (call)})

/* Does who took a lock of this kind hold it, and give it back himself? */
HOT_INLINE bool lock_is_owned(enum pshim_lock_kind kind)
{
    return kind == PSHIM_LOCK_MUTEX || kind == PSHIM_LOCK_RWLOCK || kind == PSHIM_LOCK_SPIN;
}

/* Is it taken together with others, who read? */
HOT_INLINE bool lock_is_read(enum pshim_call call)
{
    return call == PSHIM_CALL_RWLOCK_RDLOCK || call == PSHIM_CALL_RWLOCK_TRYRDLOCK ||
           call == PSHIM_CALL_RWLOCK_TIMEDRDLOCK || call == PSHIM_CALL_RWLOCK_CLOCKRDLOCK;
}

/* Is it held by one thread at a time, which the lock's record names? */
HOT_INLINE bool lock_has_owner(enum pshim_call call)
{
    return lock_is_owned(lock_kind_of(call)) && !lock_is_read(call);
}

/* Taken by the calling thread before, and this is one time more? The thread must hold it. */
HOT_INLINE bool lock_is_taken_again(struct thread_state *ts, const void *lock, enum pshim_call call)
{
    enum { kind_mask = 3 };
    const pthread_mutex_t *m = lock;
    if (lock_is_read(call))
        return held_find(&ts->held, lock) != NULL;
    return lock_kind_of(call) == PSHIM_LOCK_MUTEX &&
           unlikely((m->__data.__kind & kind_mask) == PTHREAD_MUTEX_RECURSIVE_NP) &&
           m->__data.__count > 1;
}

/*
 * What taking this lock at a stack is booked on; never NULL. Where it is kept it is found, else it
 * is made. With the guard held.
 */
struct lock_book *lock_book_at(struct thread_state *ts, const void *lock, struct lock_call call,
                               uint32_t stack);

/* One more time. With the guard held. */
void lock_taken_again(struct thread_state *ts, const void *lock);

/* A new hold of the lock with this index, in an entry of its own; `a` NULL: recording is paused.
   With the guard held. */
HOT_INLINE void lock_hold_fill(struct thread_state *ts, struct held_lock *h, const void *lock,
                               struct pshim_account *a, uint32_t index)
{
    h->address = lock;
    h->account = a;
    h->lock = index;
    h->allocs = ts->alloc_events;
    h->depth = 1;
    h->stops = shim_control->stops;
    h->since = lock_clock(); /* last: our own work is not in it */
}

/* The same where the thread holds other locks. */
void lock_hold_add(struct thread_state *ts, const void *lock, struct pshim_account *a,
                   uint32_t index);
HOT_INLINE void lock_hold_begin(struct thread_state *ts, const void *lock, struct pshim_account *a,
                                uint32_t index)
{
    if (likely(ts->held.count == 0))
        lock_hold_fill(ts, &ts->held.locks[ts->held.count++], lock, a, index);
    else
        lock_hold_add(ts, lock, a, index);
}

/* Likewise, of a hold that the account has counted and that goes into the histogram, for `weight`
   of them; 0 = not there. */
void lock_hold_begin_kept(struct thread_state *ts, const void *lock, struct pshim_account *a,
                          uint32_t index, uint32_t weight);

/* A hold that ends at `now` (units of the lock clock) goes into the file. With the guard held. */
HOT_INLINE void lock_hold_book(struct thread_state *ts, const struct held_lock *held, uint64_t now)
{
    struct pshim_account *a = held->account;
    if (unlikely(!a || !shim_control->recording || held->stops != shim_control->stops))
        return; /* paused: now, or at some time since */
    bool shared = account_is_shared(a);
    uint64_t time = lock_clock_since(held->since, now);
    counter_add(&a->counter[PSHIM_LOCK_HOLD], time, shared);
    counter_max(&a->counter[PSHIM_LOCK_HOLD_MAX], time, shared);
    uint64_t allocs = ts->alloc_events - held->allocs;
    if (allocs)
        counter_add(&a->counter[PSHIM_LOCK_HELD_ALLOCS], allocs, shared);
}

/* Sets the guard. NULL, and counted, if the thread is in one of our hooks, or has ended. */
HOT_INLINE struct thread_state *lock_enter(void)
{
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return NULL;
    }
    struct thread_state *ts = thread_self();
    if (unlikely(!ts))
        guard_leave(NULL, 0);
    return ts;
}

/* Ticks that fell into a hook are booked at the stack of the site. */
uint32_t lock_stack(const struct pshim_account *account);

HOT_INLINE void lock_leave(struct thread_state *ts, const struct pshim_account *account)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(ts->pending_ticks))
        tick_book_pending(ts, account ? lock_stack(account) : 0);
    shim_tls.guard = 0;
}

/* What can be known of a lock before it is taken, so that less has to be done while it is held. */
struct lock_view {
    struct lock_book *book; /* what it is booked on, if that is kept; NULL: the stack is not */
    uint32_t stack;
};
#define LOCK_NO_VIEW ((struct lock_view){NULL, 0})

/*
 * In a hook, about to take a lock. Whether the book is still the lock's is asked when the lock is
 * taken.
 *
 * The first access after a lock waits for its atomic instruction to end. What others may have
 * written since is asked for before it: both are fetched at once.
 */
HOT_INLINE struct lock_view lock_look(const void *lock, enum pshim_call call)
{
    struct lock_view v = LOCK_NO_VIEW;
    struct thread_state *ts = shim_tls.self;
    if (unlikely(!ts || !guard_enter()))
        return v;
    v.stack = recorder_stack_known(ts, __builtin_frame_address(0));
    if (likely(v.stack)) {
        v.book =
            lock_book_likely(__atomic_load_n(&ts->books, __ATOMIC_RELAXED), lock, v.stack, call);
        __builtin_prefetch(v.book->account, 1);
        if (lock_has_owner(call)) /* all x86-64 know prefetchw, or skip it */
            __asm__ volatile("prefetchw %0" ::"m"(v.book->lock->owner));
    }
    guard_leave(ts, v.stack);
    return v;
}

/*
 * What the exported function that this stands in, taking a lock, is booked on: as it was seen
 * before, as kept, or by a walk. With the guard held.
 */
HOT_INLINE struct lock_book *lock_book_here(struct thread_state *ts, const void *lock,
                                            enum pshim_call call, struct lock_view v)
{
    if (likely(v.book != NULL)) {
        if (likely(lock_book_is(v.book, lock, v.stack, call, ts->recorder) &&
                   lock_is_at(v.book->lock, lock)))
            return v.book;
        return lock_book_at(ts, lock, LOCK_CALL(call), v.stack);
    }
    struct unwind_regs regs;
    unwind_capture(&regs);
    return lock_book_at(ts, lock, LOCK_CALL(call), recorder_stack_walk(ts, &regs));
}

/*
 * The thread has got a lock that was free, of which lock_look() said this before. In an exported
 * function: its registers are the site.
 */
HOT_INLINE void lock_taken(const void *lock, enum pshim_call call, struct lock_view view)
{
    struct thread_state *ts = lock_enter();
    if (unlikely(!ts))
        return;
    if (lock_is_taken_again(ts, lock, call)) {
        lock_taken_again(ts, lock);
        lock_leave(ts, NULL);
        return;
    }
    struct lock_book *book = NULL;
    struct pshim_account *a = NULL;
    uint32_t index = 0;
    if (likely(shim_control->recording)) {
        book = lock_book_here(ts, lock, call, view);
        a = book->account;
        index = book->index;
        counter_add(&a->counter[PSHIM_LOCK_ACQUISITIONS], 1, account_is_shared(a));
        if (lock_has_owner(call) && unlikely(book->lock->owner != ts->tid))
            locks_owner_changed(index, ts->tid);
        if (lock_is_owned(lock_kind_of(call)) && unlikely(--book->until_mark < 0)) {
            lock_hold_begin_kept(ts, lock, a, index, lock_times_reached(book));
            lock_leave(ts, book->account);
            return;
        }
    }
    if (lock_is_owned(lock_kind_of(call)))
        lock_hold_begin(ts, lock, a, index);
    /* The book's account, not `a`, which no register would have to hold over the call. */
    lock_leave(ts, book ? book->account : NULL);
}

HOT_INLINE void lock_taken_here(const void *lock, enum pshim_call call)
{
    lock_taken(lock, call, lock_look(lock, call));
}

/* A call that has to wait for a lock, on the hook's stack. */
struct lock_wait {
    const void *lock;
    const struct unwind_regs *regs; /* of the hook */
    struct lock_caller caller;
    enum pshim_call call;
    struct wait_span span;
    struct pshim_account *account; /* NULL: not known yet */
    uint32_t index;                /* of the lock */
};

/* It begins: after the try that said it has to wait and wait_begin(), before the real call. All
   but the last two is set. */
void lock_wait_begin(struct lock_wait *w);

/* It has ended with this code, after wait_end(): 0 or EOWNERDEAD, the thread has the lock;
   ETIMEDOUT, it has waited in vain. Of other codes nothing is booked. */
void lock_wait_end(struct lock_wait *w, int error);

/* The thread has given the lock back; it did so at `now`. */
void lock_given_back_rest(struct thread_state *ts, const void *lock, uint64_t now);
HOT_INLINE void lock_given_back(const void *lock, uint64_t now)
{
    if (unlikely(!guard_enter()))
        return; /* taken in the same signal handler, which was told then */
    struct thread_state *ts = shim_tls.self;
    struct held_lock *h = likely(ts != NULL) ? held_top(&ts->held) : NULL;
    if (likely(h && h->address == lock && h->depth == 1)) {
        lock_hold_book(ts, h, now);
        ts->held.count--;
        guard_leave(ts, 0);
    } else {
        lock_given_back_rest(ts, lock, now);
    }
}

/*
 * The lock is about to be given back at `now`, and there are tickets: what is owed to those that
 * wait for it. Nothing if it stays taken, or if the call will be refused.
 */
void lock_claim(struct claims *claims, const void *lock, enum pshim_lock_kind kind, uint64_t now);

/* It was given back, by the hook with these registers. */
void lock_blame(const struct claims *claims, const struct unwind_regs *regs);

/* A wait on a condition variable: the mutex is given back, and taken again at its end. */
struct lock_pause {
    const pthread_mutex_t *mutex;
    struct pshim_account *account; /* of the new hold; NULL: paused */
    struct held_lock held;         /* the hold that ended, if it was known */
    uint32_t index;                /* of the lock */
    bool active;                   /* false: nothing to do at the end */
    bool was_held, was_overflow;
};

/* It begins, at `now`. */
void lock_pause_begin(struct lock_pause *p, const pthread_mutex_t *m, enum pshim_call call,
                      const struct unwind_regs *regs, struct lock_caller caller, uint64_t now);

/* It ended with this code. */
void lock_pause_end(struct lock_pause *p, int error);

/* The lock was initialised by the hook with these registers; was destroyed. */
void lock_made(const void *lock, enum pshim_lock_kind kind, const struct unwind_regs *regs);
void lock_destroyed(const void *lock);

#endif
