/*
 * Lock events in, counters in the file out. Called by the hooks, which have called the real
 * functions before: a mutex is never looked into once it is given back.
 *
 * What is cold stands in lock_recorder.c. Everything sets the guard itself and is async-signal-safe
 * as far as the hooks are: a signal handler that takes a lock inside one passes through.
 *
 * Accounts: of (stack, call, lock), in the recorder of the thread. A free lock that is taken again
 * finds its account in the thread's table of sites; after a wait the stack is always walked.
 */
#ifndef PERFSHIM_SHIM_LOCK_RECORDER_H
#define PERFSHIM_SHIM_LOCK_RECORDER_H

#include <pthread.h>

#include "shim/lock_clock.h"
#include "shim/locks.h"
#include "shim/modules.h"
#include "shim/recorder.h"
#include "shim/thread.h"

/* enum pshim_switch: PSHIM_OFF = pass through: not wanted, forked child, not set up yet. */
HOT_INLINE uint32_t lock_mode(void)
{
    return __atomic_load_n(&shim_control->locks, __ATOMIC_RELAXED);
}

/* Where the exported function that this stands in was called. */
#define LOCK_CALLER()                                                                              \
    ((struct lock_caller){(uintptr_t)__builtin_return_address(0),                                  \
                          (const uintptr_t *)__builtin_dwarf_cfa()})

/* Taken by the calling thread before, and this is one time more? The thread must hold it. */
HOT_INLINE bool lock_is_taken_again(const pthread_mutex_t *m)
{
    enum { kind_mask = 3 };
    return unlikely((m->__data.__kind & kind_mask) == PTHREAD_MUTEX_RECURSIVE_NP) &&
           m->__data.__count > 1;
}

/*
 * What a hook's caller taking this lock is booked on, by a walk from the hook's registers; never
 * NULL. With the guard held.
 */
const struct lock_book *lock_book_walk(struct thread_state *ts, const pthread_mutex_t *m,
                                       enum pshim_call call, const struct unwind_regs *regs,
                                       struct lock_caller caller);

/* The same at a stack that is known. */
const struct lock_book *lock_book_make(struct thread_state *ts, const pthread_mutex_t *m,
                                       enum pshim_call call, uint32_t stack);

/* One more time. With the guard held. */
void lock_taken_again(struct thread_state *ts, const pthread_mutex_t *m);

/* A new hold of the lock with this index; `a` NULL: recording is paused. With the guard held. */
void lock_hold_begin(struct thread_state *ts, const pthread_mutex_t *m, struct pshim_account *a,
                     uint32_t index);

/* A hold that ends at `now` (units of the lock clock) goes into the file. With the guard held. */
void lock_hold_end(struct thread_state *ts, const struct held_lock *held, uint64_t now);

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
    guard_leave(ts, unlikely(ts->pending_ticks) && account ? lock_stack(account) : 0);
}

/*
 * What the exported function that this stands in, taking a lock, is booked on: as kept, or by a
 * walk. With the guard held.
 */
HOT_INLINE const struct lock_book *lock_book_here(struct thread_state *ts, const pthread_mutex_t *m,
                                                  enum pshim_call call)
{
    struct lock_caller caller = LOCK_CALLER();
    const struct lock_site *site = lock_site_slot(ts->sites, caller);
    if (likely(ts->sites_generation == modules_generation() && lock_site_is(site, caller))) {
        const struct lock_book *b = lock_book_slot(ts->books, m, site->stack);
        if (likely(lock_book_is(b, m, site->stack, call, ts->recorder) && lock_is_alive(b->lock)))
            return b;
        return lock_book_make(ts, m, call, site->stack);
    }
    struct unwind_regs regs;
    unwind_capture(&regs);
    return lock_book_walk(ts, m, call, &regs, caller);
}

/* The thread has got a lock that was free. In an exported function: its registers are the site. */
HOT_INLINE void lock_taken(const pthread_mutex_t *m, enum pshim_call call)
{
    struct thread_state *ts = lock_enter();
    if (unlikely(!ts))
        return;
    if (lock_is_taken_again(m)) {
        lock_taken_again(ts, m);
        lock_leave(ts, NULL);
        return;
    }
    struct pshim_account *a = NULL;
    uint32_t index = 0;
    if (likely(shim_control->recording)) {
        const struct lock_book *book = lock_book_here(ts, m, call);
        a = book->account;
        index = book->index;
        counter_add(&a->counter[PSHIM_LOCK_ACQUISITIONS], 1, account_is_shared(a));
    }
    lock_hold_begin(ts, m, a, index);
    lock_leave(ts, a);
}

/* A call had to wait from `since` on. `got`: and has the lock now. */
void lock_waited(const pthread_mutex_t *m, enum pshim_call call, const struct unwind_regs *regs,
                 struct lock_caller caller, uint64_t since, bool got);

/* The thread has given the lock back; it did so at `now`. */
void lock_given_back(const void *mutex, uint64_t now);

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

/* The mutex was initialised by the hook with these registers; was destroyed. */
void lock_made(const pthread_mutex_t *m, const struct unwind_regs *regs);
void lock_destroyed(const pthread_mutex_t *m);

#endif
