/*
 * Sampled blocks, from the allocation to the free. They carry nothing and lie where the allocator
 * put them: their addresses stand in the table of blocks (blocks.h), and before it stands a filter,
 * a count of sampled blocks for each of 64 Ki hashes, so that a free of any other block is one load
 * and one compare. In the table a block keeps its node and its weight: what its free takes back is
 * what its allocation gave, and blocks that are all freed leave nothing live.
 *
 * Lock-free, async-signal-safe as blocks.h is. The guard is taken inside.
 */
#ifndef PERFSHIM_SHIM_SAMPLES_H
#define PERFSHIM_SHIM_SAMPLES_H

#include <stddef.h>

#include "shim/shim.h"
#include "shim/unwind.h"

enum { samples_filter_bits = 16 };
extern uint8_t samples_filter[1 << samples_filter_bits]; /* atomic; what has come to 255 stays */

HOT_INLINE uint8_t *samples_filter_at(const void *p)
{
    uint64_t h = ((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15u;
    return &samples_filter[h >> (64 - samples_filter_bits)];
}

/* False: the block was not sampled. True: samples_free() has a look. */
HOT_INLINE bool samples_may_have(const void *p)
{
    return __atomic_load_n(samples_filter_at(p), __ATOMIC_RELAXED) != 0;
}

/*
 * A block of n bytes for which sampler_reached() said true; NULL: its allocation failed. Regs are
 * those of the hook. Keeps errno, makes no system call but those of thread_attach() and
 * blocks_put().
 */
void samples_new(void *p, size_t n, const struct unwind_regs *regs);

/* Before the real free of p: if it was sampled, books that and forgets it. */
void samples_free(const void *p);

/* The real realloc, with both sides booked. regs: as samples_new(); NULL = not reached. */
void *samples_realloc(void *old, size_t n, const struct unwind_regs *regs);

#endif
