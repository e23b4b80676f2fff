/*
 * What the hooks of malloc, of operator new and of jemalloc's functions share. Async-signal-safe,
 * but for what hook_resolve() and hook_new_init() say. Blocks are the allocator's whose
 * malloc_usable_size is in the table of real functions, and of no other.
 */
#ifndef PERFSHIM_SHIM_HOOK_ALLOC_H
#define PERFSHIM_SHIM_HOOK_ALLOC_H

#include <stddef.h>

#include "shim/real.h"
#include "shim/samples.h"
#include "shim/shim.h"
#include "shim/tag.h"
#include "shim/timing.h"

/* Exact allocation mode is on: blocks carry tags. */
HOT_INLINE bool tagging(void)
{
    return likely(__atomic_load_n(&shim_control->tagging, __ATOMIC_RELAXED));
}

/* Is a block of n bytes to be looked at? Sampled allocation mode only; counts it down. */
HOT_INLINE bool sample_reached(size_t n)
{
    return __atomic_load_n(&shim_control->sampling, __ATOMIC_RELAXED) &&
           unlikely(sampler_reached(&shim_tls.sampler, n));
}

/* In a hook: makes a block that was reached and returns it. The stack is the hook's caller's. */
#define SAMPLE(make, n)                                                                            \
    do {                                                                                           \
        struct unwind_regs regs_;                                                                  \
        void *p_ = (make);                                                                         \
        unwind_capture(&regs_);                                                                    \
        samples_new(p_, n, &regs_);                                                                \
        return p_;                                                                                 \
    } while (0)

/* Not tagging, p is about to be given back: in sampled mode its free is booked if it is a sample.
 */
HOT_INLINE void sample_gone(const void *p)
{
    if (__atomic_load_n(&shim_control->sampling, __ATOMIC_RELAXED)) {
        if (unlikely(samples_may_have(p)))
            samples_free(p);
        shim_tls.sampler.last = NULL; /* what was sampled before this free is not freed next */
    }
}

/* Fills the table of real functions. False: allocations are served by the bootstrap arena. */
bool hook_resolve(void);
HOT_INLINE bool resolved(void)
{
    return likely(__atomic_load_n(&real.malloc, __ATOMIC_ACQUIRE) != NULL) || hook_resolve();
}

/* What to ask for: room for a tag below the limit; sizes that would overflow pass unchanged. */
HOT_INLINE size_t size_with_tag(size_t n)
{
    return n < tag_block_limit ? n + tag_bytes : n;
}

/*
 * Aligned blocks. At page alignment a tag would double the block, so those go to the table; pvalloc
 * rounds its size up to a page, so it gets no tag either.
 */
HOT_INLINE bool aligned_has_tag(size_t align, size_t n)
{
    return n < tag_block_limit && align < tag_block_limit;
}

/* While tagging: books a new block of n bytes under the stack of the hook whose registers these
 * are. Returns its node; 0 while paused. */
uint32_t block_new(void *p, size_t n, bool has_tag_room, const struct unwind_regs *regs);

/* The same of a block whose real call began at `begun`: what timing_begin() told before it. */
HOT_INLINE uint32_t block_new_since(uint64_t begun, void *p, size_t n, bool has_tag_room,
                                    const struct unwind_regs *regs)
{
    uint64_t took = unlikely(begun) ? timing_took(begun) : 0;
    uint32_t node = block_new(p, n, has_tag_room, regs);
    if (unlikely(begun))
        timing_book(node, PSHIM_SITE_ALLOC_TIME, took, timing_each);
    return node;
}

/* While tagging: p, not NULL, is about to be given back. Books its free and clears its tag. */
void block_gone(void *p);

/*
 * For the constructor, after real_resolve() and before other threads. The first finds the real
 * operators new and delete and jemalloc's frees, and hides those of ours that have none. The second
 * finds out which of them do not come to our malloc and free: these are booked from then on. It
 * allocates and frees a few small blocks.
 */
void hook_new_init(void);
void hook_new_probe(void);

#endif
