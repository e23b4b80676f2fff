/*
 * What each thread waits for, and how long: its row of the ledger.
 *
 * A hook that may wait says so around its real call. The outermost one counts: what waits within it
 * (a signal handler, a C11 call that ends in a POSIX one) is part of it. The sums stand in the
 * thread's record in the file, so that they are known of a thread that never comes back. A tick
 * that finds the thread in a wait is put there too: the thread ran, in the kernel or spinning.
 *
 * A wait that was left by siglongjmp() is found by its place in the stack, as the guard is, when
 * the next one begins further out, or a tick comes there; its time is not known then and is not
 * counted. Of a thread that waits now, the record says since when.
 *
 * Async-signal-safe. The guard must not be held across the real call; these take none.
 */
#ifndef PERFSHIM_SHIM_WAITS_H
#define PERFSHIM_SHIM_WAITS_H

#include "shim/blame.h"
#include "shim/lock_clock.h"
#include "shim/shim.h"

/* One wait, on the hook's stack. */
struct wait_span {
    struct thread_state *ts; /* NULL: within another wait, or by no thread that is known */
    uint64_t since;          /* units of the lock clock; also if ts is NULL */
    /* Once it has ended: */
    uint64_t took;  /* units of the lock clock */
    uint64_t ticks; /* weight of the CPU ticks in it; 0 within another wait, which has them */
};

/* The calling thread, which may be NULL, begins to wait for this. */
HOT_INLINE void wait_begin(struct wait_span *w, struct thread_state *ts, enum pshim_wait what)
{
    uintptr_t sp = shim_sp();
    w->ts = NULL;
    if (likely(ts != NULL))
        blame_wait_check(ts, (uintptr_t)__builtin_dwarf_cfa());
    if (likely(ts != NULL) && likely(ts->waiting.what == PSHIM_WAIT_RUN || ts->waiting.sp <= sp)) {
        w->ts = ts;
        ts->waiting.sp = sp;
        ts->waiting.ticks = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        ts->waiting.what = what;
    }
    w->since = lock_clock();
    if (likely(w->ts != NULL) && likely(!ts->record_is_shared))
        __atomic_store_n(&ts->record->waiting, (w->since & ~(uint64_t)3) | what, __ATOMIC_RELAXED);
}

/* It has ended. Returns how long it took; w->ticks says how much of it the thread ran. */
HOT_INLINE uint64_t wait_end(struct wait_span *w)
{
    uint64_t took = lock_clock_since(w->since, lock_clock());
    struct thread_state *ts = w->ts;
    w->took = took;
    w->ticks = 0;
    if (unlikely(!ts))
        return took;
    enum pshim_wait what = ts->waiting.what;
    ts->waiting.what = PSHIM_WAIT_RUN;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    w->ticks = ts->waiting.ticks;
    if (likely(!ts->record_is_shared))
        __atomic_store_n(&ts->record->waiting, 0, __ATOMIC_RELAXED);
    if (unlikely(!shim_control->recording))
        return took;
    bool shared = ts->record_is_shared;
    counter_add(&ts->record->wait[what], took, shared);
    if (unlikely(w->ticks))
        counter_add(&ts->record->wait_ticks[what], w->ticks, shared);
    return took;
}

/* A tick of this weight has come to the thread, where its stack pointer was `sp`. In its handler.
 */
HOT_INLINE void wait_tick(struct thread_state *ts, uint64_t weight, uintptr_t sp)
{
    if (ts->waiting.what == PSHIM_WAIT_RUN)
        return;
    bool on_stack = sp >= ts->stack.lo && sp < ts->stack.hi && ts->waiting.sp >= ts->stack.lo;
    if (unlikely(on_stack && sp > ts->waiting.sp && ts->waiting.sp < ts->stack.hi)) {
        ts->waiting.what = PSHIM_WAIT_RUN; /* it left that wait by siglongjmp() */
        if (!ts->record_is_shared)
            __atomic_store_n(&ts->record->waiting, 0, __ATOMIC_RELAXED);
        return;
    }
    ts->waiting.ticks += weight;
}

#endif
