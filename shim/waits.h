/*
 * What each thread waits for, and how long: its row of the ledger.
 *
 * A hook that may wait says so around its real call. The outermost one counts: what waits within it
 * (a signal handler, a C11 call that ends in a POSIX one) is part of it. The sums stand in the
 * thread's record in the file, so that they are known of a thread that never comes back. A tick
 * that finds the thread in a wait is put there too: the thread ran, in the kernel or spinning.
 *
 * A wait that was left, by siglongjmp() or with its thread, is found by its place in the stack, as
 * the guard is: when the next one begins further out, a tick comes there, or the thread ends. It is
 * in the thread's row then, until it jumped, if that was seen (hook_jump.c), else until that
 * moment, less the half of what the thread has run up to a tick. No stack is known for it any more.
 * Of a thread that waits now, the record says since when.
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

/* The thread is in a wait, by what it says itself, and has its stack pointer at `sp`: has it left
   that wait? What a signal handler waits on an alternate stack is within the wait. */
bool wait_is_left(const struct thread_state *ts, uintptr_t sp);

/* It has left that wait. At `now`, when that is seen, it has run for so long since, or less. */
void wait_left(struct thread_state *ts, uint64_t now, uint64_t ran_ns);

/* The calling thread, which may be NULL, begins to wait for this. */
HOT_INLINE void wait_begin(struct wait_span *w, struct thread_state *ts, enum pshim_wait what)
{
    uintptr_t sp = shim_sp();
    w->ts = NULL;
    if (likely(ts != NULL))
        blame_wait_check(ts, (uintptr_t)__builtin_dwarf_cfa());
    if (likely(ts != NULL) && unlikely(ts->waiting.what != PSHIM_WAIT_RUN) && wait_is_left(ts, sp))
        wait_left(ts, lock_clock(), 0);
    if (likely(ts != NULL) && likely(ts->waiting.what == PSHIM_WAIT_RUN)) {
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
    bool on_own_stack = sp >= ts->stack.lo && sp < ts->stack.hi; /* else it may be a handler's */
    if (unlikely(on_own_stack && wait_is_left(ts, sp - 1))) /* the hook itself is in it still */
        wait_left(ts, lock_clock(), weight * shim.tick_period_ns / 2);
    else
        ts->waiting.ticks += weight;
}

#endif
