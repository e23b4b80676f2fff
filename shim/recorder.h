/*
 * The recorder: events in, counters in the file out. Called by the hooks with the guard held.
 *
 * Async-signal-safe; per-thread data only, except for locked adds where a recorder is shared.
 */
#ifndef PERFSHIM_SHIM_RECORDER_H
#define PERFSHIM_SHIM_RECORDER_H

#include <stdint.h>

#include "shim/marks.h"
#include "shim/modules.h"
#include "shim/nodes.h"
#include "shim/shim.h"

/* Node of the stack that starts at *regs, a frame of our own hook, which is left out. */
uint32_t recorder_stack_walk(struct thread_state *ts, const struct unwind_regs *regs);

/* The same if the thread's last stack is it, else 0. */
uint32_t recorder_stack_last(struct thread_state *ts, const uintptr_t *frame);

/* The same, by the hook's frame (struct unwind_regs), if the thread has walked it before, else 0.
 */
HOT_INLINE uint32_t recorder_stack_known(struct thread_state *ts, const uintptr_t *frame)
{
    uint64_t era = (uint64_t)ts->life << 32 | modules_generation();
    return likely(ts->memos != NULL) ? unwind_memo_find(ts->memos, frame, era)
                                     : recorder_stack_last(ts, frame);
}

HOT_INLINE uint32_t recorder_stack(struct thread_state *ts, const struct unwind_regs *regs)
{
    uint32_t node = recorder_stack_known(ts, regs->frame);
    return likely(node) ? node : recorder_stack_walk(ts, regs);
}

/* Node of an interrupted stack: all frames, *regs exact. */
uint32_t recorder_tick_stack(struct thread_state *ts, const struct unwind_regs *regs,
                             const struct unwind_range *stacks, unsigned stack_count);

/* Where in the thread's tables of what is at hand a node's stand: nodes of a call's stacks are
   often the same distance apart. */
HOT_INLINE unsigned recorder_at_hand(uint32_t node)
{
    return node * 0x9e3779b1u / (UINT32_MAX / shim_accounts_at_hand + 1);
}

/* Is this call of a node's account, which recorder_account() gave, to be marked (marks.h)? Counts
   it down. While the table of accounts is full another's countdown may be asked: one in 64 still.
 */
HOT_INLINE bool recorder_mark_reached(struct thread_state *ts, uint32_t node)
{
    return --ts->accounts[recorder_at_hand(node)].until_mark < 0;
}

/* If it is: marks_new(), and draws the next. Returns a flag for the block's tag, or 0. */
uint32_t recorder_mark(struct thread_state *ts, uint32_t node, const struct pshim_account *a,
                       const void *p, uint64_t bytes);

/* The calls that are not marked between call number `calls` and the next one that is. */
static inline int32_t recorder_until_mark(uint64_t calls, uint32_t node)
{
    return (int32_t)(marks_next(calls, node) - calls);
}

/* account_get() of the thread's allocations at a node: what it used last is at hand. */
HOT_INLINE struct pshim_account *recorder_account(struct thread_state *ts, uint32_t node)
{
    unsigned at = recorder_at_hand(node);
    struct pshim_account *a = ts->accounts[at].account;
    if (likely(ts->accounts[at].node == node && a))
        return a;
    a = account_get(ts->recorder, PSHIM_KIND_ALLOC, node);
    if (a->node == node) {               /* else the table is full, which is counted each time */
        ts->accounts[at].account = NULL; /* a signal handler may allocate between these */
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        ts->accounts[at].node = node;
        ts->accounts[at].until_mark =
            recorder_until_mark(pshim_load(&a->counter[PSHIM_ALLOC_CALLS]), node);
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

/* The account of what is rarer of the blocks allocated at a node, and a counter of it. */
static inline struct pshim_account *recorder_site(struct thread_state *ts, uint32_t node)
{
    return account_get(ts->recorder, PSHIM_KIND_SITE, node);
}
static inline void recorder_site_add(struct pshim_account *a, enum pshim_site_counter counter,
                                     uint64_t n)
{
    counter_add(&a->counter[counter], n, account_is_shared(a));
}

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
