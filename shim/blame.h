/*
 * Whom it made wait who held a lock: waits are charged to the stack that gives the lock back.
 *
 * A waiter opens a ticket (tickets.h) before its real call. Who gives the lock back reads the
 * tickets before the real call, for the waiter may have it at once after, and books them when that
 * is done, without touching the lock. What a waiter waited from when somebody gave the lock back
 * until somebody had it again is charged to nobody: "hand-off", which the analyzer computes.
 *
 * A wait that was left by siglongjmp() or with its thread leaves its ticket behind. It is dropped
 * by the thread's next wait, tick or end; until then holders are charged for a wait that is not.
 *
 * Async-signal-safe. One ticket a thread: of waits within a wait (a signal handler's) the outermost
 * counts. In wait-only mode nobody asks: nothing is done.
 */
#ifndef PERFSHIM_SHIM_BLAME_H
#define PERFSHIM_SHIM_BLAME_H

#include "shim/lock_clock.h"
#include "shim/shim.h"
#include "shim/tickets.h"
#include "shim/unwind.h"

/*
 * The calling thread begins to wait for a lock, in the hook that was called there; `node`: its
 * stack and the call. After wait_begin(), which drops what was left in that hook's frame.
 */
void blame_wait_begin(struct thread_state *ts, const void *lock, uint32_t index, uint32_t node,
                      struct lock_caller caller, uint64_t since);

/* It has ended; in vain, that is by a time-out, if `in_vain` is when, else 0. */
void blame_wait_end(struct thread_state *ts, const void *lock, uint64_t in_vain);

/* The wait was left, for whatever reason: drops its ticket. */
void blame_wait_drop(struct thread_state *ts);

/* The thread is at this place, or in a hook with this frame: drops the ticket of a wait that was
   left, by what is there now. */
void blame_wait_look(struct thread_state *ts, uintptr_t at);
HOT_INLINE void blame_wait_check(struct thread_state *ts, uintptr_t at)
{
    if (unlikely(ts->ticket.number))
        blame_wait_look(ts, at);
}

/*
 * Before the real call of who gives a lock back for good: what is owed. `since`: when the thread
 * got it, 0 = not known.
 */
void blame_claim(struct claims *claims, const struct thread_state *ts, const void *lock,
                 uint64_t since, uint64_t now);

/* After it: books that at the stack that gave it back. With the guard held. */
void blame_book(struct thread_state *ts, const struct claims *claims, uint32_t stack);

#endif
