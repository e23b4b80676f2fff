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
#include "shim/timeline.h"

/* What the thread's stacks that were walked before are of (unwind_memo.h). */
HOT_INLINE uint64_t recorder_era(const struct thread_state *ts)
{
    return (uint64_t)ts->life << 32 | modules_generation();
}

/* Node of the stack that starts at *regs, a frame of our own hook, which is left out. */
uint32_t recorder_stack_walk(struct thread_state *ts, const struct unwind_regs *regs);

/* The same if the thread's last stack is it, else 0. */
uint32_t recorder_stack_last(struct thread_state *ts, const uintptr_t *frame);

/* The same, by the hook's frame (struct unwind_regs), if the thread has walked it before, else 0.
 */
HOT_INLINE uint32_t recorder_stack_known(struct thread_state *ts, const uintptr_t *frame)
{
    return likely(ts->memos != NULL) ? unwind_memo_find(ts->memos, frame, recorder_era(ts))
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

/* Adds what the thread has not yet added to the process-wide live bytes. */
void recorder_flush_live(struct thread_state *ts);

HOT_INLINE void recorder_live(struct thread_state *ts, int64_t bytes)
{
    ts->live_delta += bytes;
    if (unlikely(ts->live_delta > ts->live_step || ts->live_delta < -ts->live_step))
        recorder_flush_live(ts);
}

/*
 * Live at peak: when the process passes its old peak the epoch moves; an account that is touched
 * later keeps what was live until now. Order: saved, epoch, then the change.
 */
void recorder_epoch_moved(struct pshim_account *a, uint64_t epoch);
HOT_INLINE void recorder_touch(struct pshim_account *a)
{
    uint64_t epoch = pshim_load(&shim.profile.header->peak_epoch);
    if (unlikely(pshim_load(&a->counter[PSHIM_ALLOC_PEAK_EPOCH]) != epoch))
        recorder_epoch_moved(a, epoch);
}

/* A block of `bytes` at `address` was allocated: *a is the account of its stack. The block must
   remember a->node, which is not the stack's own when the account table is full. */
HOT_INLINE void recorder_alloc(struct thread_state *ts, struct pshim_account *a, uint64_t bytes,
                               const void *address)
{
    bool shared = account_is_shared(a);
    recorder_touch(a);
    counter_add(&a->counter[PSHIM_ALLOC_CALLS], 1, shared);
    counter_add(&a->counter[PSHIM_ALLOC_BYTES], bytes, shared);
    ts->last_alloc = address;
    ts->alloc_bytes += bytes;
    recorder_live(ts, (int64_t)bytes);
    if (unlikely(++ts->alloc_events % timeline_events == 0))
        timeline_allocs(ts);
}

/* A block of `bytes` that was allocated under `node` is freed by this thread. */
HOT_INLINE void recorder_free(struct thread_state *ts, uint32_t node, uint64_t bytes,
                              const void *address)
{
    struct pshim_account *a = recorder_account(ts, node);
    bool shared = account_is_shared(a);
    recorder_touch(a);
    counter_add(&a->counter[PSHIM_ALLOC_FREE_CALLS], 1, shared);
    counter_add(&a->counter[PSHIM_ALLOC_FREE_BYTES], bytes, shared);
    if (ts->last_alloc == address)
        counter_add(&a->counter[PSHIM_ALLOC_TEMPORARY], 1, shared);
    ts->last_alloc = NULL; /* what was allocated before this free is not freed next any more */
    recorder_live(ts, -(int64_t)bytes);
}

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

#endif
