/*
 * The recorder: events in, counters in the file out. Called by the hooks with the guard held.
 *
 * Async-signal-safe; per-thread data only, except for locked adds where a recorder is shared.
 */
#ifndef PERFSHIM_SHIM_RECORDER_H
#define PERFSHIM_SHIM_RECORDER_H

#include <stdint.h>

#include "shim/nodes.h"
#include "shim/shim.h"

/* Node of the stack that starts at *regs, a frame of our own hook, which is left out. */
uint32_t recorder_stack(struct thread_state *ts, const struct unwind_regs *regs);

/* The pcs of the stack that recorder_stack() told last, innermost first, at most `max`. Returns how
   many; 0 if it was not kept. */
unsigned recorder_last_stack(const struct thread_state *ts, uintptr_t *pcs, unsigned max);

/* Node of an interrupted stack: all frames, *regs exact. */
uint32_t recorder_tick_stack(struct thread_state *ts, const struct unwind_regs *regs,
                             const struct unwind_range *stacks, unsigned stack_count);

/* account_get() of the thread's allocations at a node: what it used last is at hand. */
HOT_INLINE struct pshim_account *recorder_account(struct thread_state *ts, uint32_t node)
{
    unsigned at = node % shim_accounts_at_hand;
    struct pshim_account *a = ts->accounts[at].account;
    if (likely(ts->accounts[at].node == node && a))
        return a;
    a = account_get(ts->recorder, PSHIM_KIND_ALLOC, node);
    if (a->node == node) {               /* else the table is full, which is counted each time */
        ts->accounts[at].account = NULL; /* a signal handler may allocate between these */
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        ts->accounts[at].node = node;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        ts->accounts[at].account = a;
    }
    return a;
}

/* A block of `bytes` at `address` was allocated: *a is the account of its stack. The block must
   remember a->node, which is not the stack's own when the account table is full. */
void recorder_alloc(struct thread_state *ts, struct pshim_account *a, uint64_t bytes,
                    const void *address);

/* A block of `bytes` that was allocated under `node` is freed by this thread. */
void recorder_free(struct thread_state *ts, uint32_t node, uint64_t bytes, const void *address);

/* A block of `bytes` was sampled and stands for `weight` of them; `node` is that of its account,
   recorder_account(ts, node)->node, which the block must remember. */
void recorder_sample(struct thread_state *ts, uint32_t node, uint64_t bytes, uint32_t weight);

/* A sampled block is freed; `temporary`: it is the last thing that this thread allocated. */
void recorder_sample_free(struct thread_state *ts, uint32_t node, uint64_t bytes, uint32_t weight,
                          bool temporary);

/* CPU time of this thread. */
void recorder_cpu(struct thread_state *ts, uint32_t node, uint64_t ticks, int64_t extra_ns);

/* CPU ticks at a stack while the thread held this lock; recorder_cpu() has them too. */
void recorder_held(struct thread_state *ts, uint32_t node, uint32_t lock, uint64_t ticks);

/* Adds what the thread has not yet added to the process-wide live bytes. */
void recorder_flush_live(struct thread_state *ts);

#endif
