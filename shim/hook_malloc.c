/*
 * The allocation hooks. Each is: pass through when off; else ask the real allocator for room for a
 * tag, and book the block under the stack that called. What is cold stands out of line.
 *
 * Order matters: a free is booked, and its tag cleared, before the real free, because the address
 * may be handed out again at once; realloc retires the old block before the call and takes that
 * back when it fails. The guard is never held across a real call.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shim/block_site.h"
#include "shim/blocks.h"
#include "shim/hook_alloc.h"
#include "shim/nodes.h"
#include "shim/real.h"
#include "shim/recorder.h"
#include "shim/samples.h"
#include "shim/tag.h"
#include "shim/thread.h"
#include "shim/unwind_stack.h"

/* A hook's other half: the hook itself needs no frame to get there. */
#define APART __attribute__((noinline, hot))

COLD bool hook_resolve(void)
{
    return real_resolve() == 0;
}

/*
 * Remembers (node, bytes) of a new block: in its tag, or in the table when it has none. A small
 * block in the table loses whatever its last bytes hold, which may be a tag of an earlier block at
 * this address. False: the block is not tracked, and must not be counted either.
 */
HOT_INLINE bool block_note(void *p, size_t n, bool has_tag_room, uint32_t node, uint32_t owner)
{
    if (likely(n < tag_block_limit)) {
        size_t usable = real.malloc_usable_size(p);
        size_t slack = usable - tag_bytes - n;
        if (likely(has_tag_room && slack <= tag_slack_max)) {
            struct tag tag = {.node = node, .slack = (uint32_t)slack, .owner = owner};
            uint64_t word = tag_pack(tag, p, shim.tag_key);
            ((uint8_t *)p)[n] = (uint8_t)word; /* in the slack: for tag_is_overrun() */
            tag_store(p, usable, word);
            return true;
        }
        if (usable >= tag_bytes)
            tag_store(p, usable, tag_of_none(p, shim.tag_key));
    }
    if (n >= unwind_stack_block_bytes)
        unwind_stacks_forget(); /* it may be the stack of a coroutine, where a longer one was */
    if (blocks_put(&blocks_untagged, p, (struct block){.bytes = n, .node = node, .owner = owner}))
        return true;
    shim_lost(PSHIM_LOSS_block_table_full);
    return false;
}

__attribute__((noinline)) uint32_t block_new(void *p, size_t n, bool has_tag_room,
                                             const struct unwind_regs *regs)
{
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return 0;
    }
    struct thread_state *ts = thread_self();
    uint32_t node = 0, owner = likely(ts != NULL) ? ts->serial : 0;
    struct pshim_account *a = NULL;
    if (likely(ts != NULL) && likely(shim_control->recording)) {
        node = recorder_stack(ts, regs);
        a = recorder_account(ts, node);
        if (unlikely(recorder_mark_reached(ts, node)))
            owner |= recorder_mark(ts, node, a, p, n);
        ts->last_blocks[recorder_at_hand(node)] = p;
    }
    if (likely(block_note(p, n, has_tag_room, a ? a->node : 0, owner) && a))
        recorder_alloc(ts, a, n, p);
    guard_leave(ts, node);
    return node;
}

/* One word in 2^16 passes the check by chance: its fields must make sense too. */
HOT_INLINE bool tag_is_plausible(const struct tag *tag, size_t usable)
{
    return tag->slack + tag_bytes <= usable &&
           tag->node < pshim_load(&profile_region(&shim.profile, PSHIM_REGION_NODE)->used);
}

/*
 * Was something written behind the block? Its first byte of slack is a copy of the tag's lowest;
 * with no slack it is that byte itself, and the tag would not be valid.
 */
HOT_INLINE bool tag_is_overrun(uint64_t word, const void *p, size_t bytes)
{
    return ((const uint8_t *)p)[bytes] != (uint8_t)word;
}

/* Told once: the slack is the program's from now on. Returns the tag that says so. */
static COLD uint64_t block_overrun(uint64_t word, const void *p)
{
    struct tag tag;
    tag_unpack(word, p, shim.tag_key, &tag);
    if (tag.owner & tag_given)
        return word;
    site_overrun(tag.node);
    tag.owner |= tag_given;
    return tag_pack(tag, p, shim.tag_key);
}

/* Blocks that may be in the table: their last bytes are the program's own. */
HOT_INLINE bool table_first(const void *p, size_t usable)
{
    return usable >= tag_block_limit || (uintptr_t)p % PSHIM_PAGE_BYTES == 0;
}

HOT_INLINE bool block_retire_tag(void *p, size_t usable, struct old_block *old)
{
    struct tag tag;
    if (unlikely(usable < tag_bytes || usable > tag_usable_max))
        return false;
    uint64_t word = tag_load(p, usable);
    if (unlikely(!tag_unpack(word, p, shim.tag_key, &tag) || !tag_is_plausible(&tag, usable)))
        return false;
    size_t bytes = usable - tag_bytes - tag.slack;
    if (unlikely(tag_is_overrun(word, p, bytes)))
        word = block_overrun(word, p);
    tag_store(p, usable, 0);
    *old = (struct old_block){word, usable, bytes, tag.node, tag.owner};
    return true;
}

HOT_INLINE bool block_retire_table(void *p, size_t usable, struct old_block *old)
{
    struct block block;
    if (!blocks_take(&blocks_untagged, p, &block))
        return false;
    *old = (struct old_block){0, usable, block.bytes, block.node, block.owner};
    return true;
}

HOT_INLINE bool block_retire_overwritten(void *p, size_t usable, struct old_block *old)
{
    struct old_block found; /* apart, so that the one on the way of every free stays in registers */
    if (!site_retire_overwritten(p, usable, &found))
        return false;
    *old = found;
    return true;
}

/*
 * What we know of a block that is given back, and forgets it: the tag is cleared or the table entry
 * removed. False for a block that we never saw. Where a block may be in the table, that is asked
 * first: its last bytes are the program's own and might look like a tag.
 */
HOT_INLINE bool block_retire(void *p, struct old_block *old)
{
    size_t usable = real.malloc_usable_size(p);
    if (likely(!table_first(p, usable)))
        return block_retire_tag(p, usable, old) || block_retire_table(p, usable, old) ||
               block_retire_overwritten(p, usable, old);
    return block_retire_table(p, usable, old) || block_retire_tag(p, usable, old) ||
           block_retire_overwritten(p, usable, old);
}

/* realloc failed: the block is as it was. */
static COLD void block_restore(void *p, const struct old_block *old, const struct block *mark)
{
    struct block block = {.bytes = old->bytes, .node = old->node, .owner = old->owner};
    if (mark)
        marks_put_back(p, *mark);
    if (old->tag_word)
        tag_store(p, old->usable, old->tag_word);
    else if (!blocks_put(&blocks_untagged, p, block))
        shim_lost(PSHIM_LOSS_block_table_full);
}

/* block_freed() of a block that is marked, or another thread's. */
static __attribute__((noinline)) void block_freed_apart(struct thread_state *ts, uint32_t node,
                                                        uint64_t bytes, uint32_t owner, void *p,
                                                        bool release)
{
    struct block mark;
    bool marked = (owner & tag_marked) && marks_take(p, &mark);
    site_freed(ts, marked ? &mark : NULL, node, owner);
    recorder_free(ts, node, bytes, p);
    guard_leave(ts, 0);
    if (!release)
        return;
    uint64_t begun = marked ? lock_clock_in_order() : 0;
    real.free(p);
    if (marked)
        timing_book(node, PSHIM_SITE_FREE_TIME, timing_took(begun), marks_weight(mark));
}

/* A block is given back: books that, and leaves the guard. True: it was released too, if that was
   asked for. */
HOT_INLINE bool block_freed(const struct old_block *old, void *p, bool release)
{
    struct thread_state *ts = thread_self();
    if (likely(ts && old->node)) {
        if (unlikely(old->owner != ts->serial)) {
            block_freed_apart(ts, old->node, old->bytes, old->owner, p, release);
            return true;
        }
        recorder_free(ts, old->node, old->bytes, p);
    }
    guard_leave(ts, 0);
    return false;
}

/* A block is given back: books that, and forgets it. Returns as block_freed(). */
HOT_INLINE bool block_end(void *p, bool release)
{
    struct old_block old;
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return false;
    }
    if (likely(block_retire(p, &old)))
        return block_freed(&old, p, release);
    shim_lost(PSHIM_LOSS_free_foreign);
    guard_leave(shim_tls.self, 0);
    return false;
}

void block_gone(void *p)
{
    block_end(p, false);
}

/* Nothing, a block of the bootstrap arena, or one that has no tag since no block has. */
static APART void free_untagged(void *p)
{
    if (!p || real_is_bootstrap(p) || !resolved())
        return;
    sample_gone(p);
    real.free(p);
}

static APART void free_tagged(void *p)
{
    if (unlikely(!p || real_is_bootstrap(p)))
        return;
    if (likely(!block_end(p, true)))
        real.free(p);
}

EXPORT void free(void *p)
{
    if (likely(tagging()))
        free_tagged(p);
    else
        free_untagged(p);
}

static APART void *malloc_untagged(size_t n)
{
    if (resolved())
        return real.malloc(n);
    return real_bootstrap_alloc(16, n);
}

static COLD void *malloc_timed(size_t n, const struct unwind_regs *regs)
{
    uint64_t begun = lock_clock_in_order();
    void *p = real.malloc(size_with_tag(n));
    if (likely(p != NULL))
        block_new_since(begun, p, n, n < tag_block_limit, regs);
    return p;
}

EXPORT void *malloc(size_t n)
{
    if (unlikely(!tagging())) {
        if (!sample_reached(n))
            return malloc_untagged(n);
        SAMPLE(malloc_untagged(n), n);
    }
    struct unwind_regs regs;
    if (timing_reached()) {
        unwind_capture(&regs);
        return malloc_timed(n, &regs);
    }
    void *p = real.malloc(size_with_tag(n));
    if (likely(p != NULL)) {
        unwind_capture(&regs);
        block_new(p, n, n < tag_block_limit, &regs);
    }
    return p;
}

static __attribute__((noinline)) void *calloc_untagged(size_t count, size_t size)
{
    size_t n;
    if (resolved())
        return real.calloc(count, size);
    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    return real_bootstrap_alloc(16, n); /* the arena is zero, and never reused */
}

EXPORT void *calloc(size_t count, size_t size)
{
    size_t n;
    bool overflow = __builtin_mul_overflow(count, size, &n);
    if (unlikely(!tagging() || overflow)) {
        if (overflow || !sample_reached(n))
            return calloc_untagged(count, size);
        SAMPLE(calloc_untagged(count, size), n);
    }
    uint64_t begun = timing_begin();
    void *p = n < tag_block_limit ? real.calloc(1, n + tag_bytes) : real.calloc(count, size);
    if (likely(p != NULL)) {
        struct unwind_regs regs;
        unwind_capture(&regs);
        block_new_since(begun, p, n, n < tag_block_limit, &regs);
    }
    return p;
}

static COLD void *realloc_bootstrap(void *old, size_t n)
{
    size_t had = real_bootstrap_size(old);
    void *p = resolved() ? real.malloc(n ? n : 1) : real_bootstrap_alloc(16, n);
    if (p)
        memcpy(p, old, had < n ? had : n);
    return p;
}

/* Is what realloc makes of `old` to be looked at? A realloc to nothing is a free. */
HOT_INLINE bool realloc_sample_reached(const void *old, size_t n)
{
    return (!old || (n && !real_is_bootstrap(old))) && sample_reached(n);
}

/* regs: where it was called, if the new block is to be looked at. Else NULL. */
static __attribute__((noinline)) void *realloc_untagged(void *old, size_t n,
                                                        const struct unwind_regs *regs)
{
    if (old && real_is_bootstrap(old))
        return realloc_bootstrap(old, n);
    if (!resolved())
        return real_bootstrap_alloc(16, n);
    if (__atomic_load_n(&shim_control->sampling, __ATOMIC_RELAXED))
        return samples_realloc(old, n, regs);
    return real.realloc(old, n);
}

/*
 * realloc(p, 0) of a live block: one free. The block that some allocators return for it is not
 * counted, nor is its free: it is known, and belongs to no account.
 */
static COLD void *realloc_to_nothing(void *p)
{
    struct old_block old;
    if (guard_enter()) {
        if (block_retire(p, &old))
            block_freed(&old, p, false);
        else
            guard_leave(shim_tls.self, 0);
    }
    void *empty = real.realloc(p, 0);
    if (empty && guard_enter()) {
        block_note(empty, 0, real.malloc_usable_size(empty) >= tag_bytes, 0, 0);
        guard_leave(shim_tls.self, 0);
    }
    return empty;
}

/* As block_freed(), when the address may be another block's by now. */
HOT_INLINE void block_grew_from(const struct old_block *old, const void *p,
                                const struct block *mark)
{
    struct thread_state *ts = thread_self();
    if (likely(ts && old->node)) {
        recorder_free(ts, old->node, old->bytes, p);
        if (unlikely(old->owner != ts->serial))
            site_freed(ts, mark, old->node, old->owner);
    }
    guard_leave(ts, 0);
}

/* realloc of a block we know: both sides are booked once the call has succeeded. */
HOT_INLINE void *realloc_known(void *old_p, size_t n, const struct unwind_regs *regs)
{
    struct old_block old;
    struct block mark;
    bool entered = guard_enter();
    bool known = entered && block_retire(old_p, &old);
    bool marked = known && (old.owner & tag_marked) && marks_take(old_p, &mark);
    if (entered)
        guard_leave(shim_tls.self, 0);
    uint64_t begun = timing_begin();
    void *p = real.realloc(old_p, size_with_tag(n));
    uint64_t took = unlikely(begun) ? timing_took(begun) : 0;
    if (unlikely(!p)) {
        if (known)
            block_restore(old_p, &old, marked ? &mark : NULL);
        return NULL;
    }
    if (likely(known) && guard_enter()) {
        /* Put the word back where it was copied to: had it been the program's own bytes that only
           looked like a tag, nothing may be lost. */
        if (old.tag_word && old.usable <= real.malloc_usable_size(p))
            tag_store(p, old.usable, old.tag_word);
        block_grew_from(&old, old_p, marked ? &mark : NULL);
    } else {
        shim_lost(entered ? PSHIM_LOSS_free_foreign : PSHIM_LOSS_recursion);
    }
    uint32_t node = block_new(p, n, n < tag_block_limit, regs);
    if (known && node && n > old.bytes)
        site_grown(node, p != old_p ? old.bytes : 0);
    if (unlikely(begun))
        timing_book(node, PSHIM_SITE_ALLOC_TIME, took, timing_each);
    return p;
}

static void *realloc_of_nothing(size_t n, const struct unwind_regs *regs)
{
    uint64_t begun = timing_begin();
    void *p = real.malloc(size_with_tag(n));
    if (likely(p != NULL))
        block_new_since(begun, p, n, n < tag_block_limit, regs);
    return p;
}

EXPORT void *realloc(void *old, size_t n)
{
    struct unwind_regs regs;
    if (unlikely(!tagging() || (old && real_is_bootstrap(old)))) {
        if (!realloc_sample_reached(old, n))
            return realloc_untagged(old, n, NULL);
        unwind_capture(&regs);
        return realloc_untagged(old, n, &regs);
    }
    unwind_capture(&regs);
    if (old) {
        if (unlikely(n == 0))
            return realloc_to_nothing(old);
        return realloc_known(old, n, &regs);
    }
    return realloc_of_nothing(n, &regs);
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
    struct unwind_regs regs;
    size_t n;
    if (unlikely(__builtin_mul_overflow(count, size, &n))) {
        errno = ENOMEM;
        return NULL;
    }
    void *p;
    if (unlikely(!tagging())) {
        if (!realloc_sample_reached(old, n)) {
            p = realloc_untagged(old, n, NULL);
        } else {
            unwind_capture(&regs);
            p = realloc_untagged(old, n, &regs);
        }
    } else if (unlikely(old && (n == 0 || real_is_bootstrap(old)))) {
        p = realloc(old, n); /* a free, or nothing to book, which needs no stack */
    } else {
        unwind_capture(&regs); /* here: our own frames must not stand in the stack */
        p = old ? realloc_known(old, n, &regs) : realloc_of_nothing(n, &regs);
    }
    if (unlikely(!p && n))
        errno = ENOMEM; /* mimalloc's realloc does not always say so, its reallocarray does */
    return p;
}

/* C23 sized frees: an allocator must never be told a size that it was not asked for. */
EXPORT void free_sized(void *p, size_t n);
EXPORT void free_sized(void *p, size_t n)
{
    (void)n;
    free(p);
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t n);
EXPORT void free_aligned_sized(void *p, size_t align, size_t n)
{
    (void)align;
    (void)n;
    free(p);
}

/* Never less than was asked for, never the tag. */
static APART size_t usable_untagged(void *p)
{
    if (p && real_is_bootstrap(p))
        return real_bootstrap_size(p);
    return p && resolved() ? real.malloc_usable_size(p) : 0;
}

EXPORT size_t malloc_usable_size(void *p)
{
    struct tag tag;
    struct block block;
    if (unlikely(!tagging() || !p || real_is_bootstrap(p)))
        return usable_untagged(p);
    size_t usable = real.malloc_usable_size(p);
    if (unlikely(usable < tag_bytes || usable > tag_usable_max))
        return usable;
    if (unlikely(table_first(p, usable)) && blocks_find(&blocks_untagged, p, &block))
        return usable;
    uint64_t word = tag_load(p, usable);
    if (unlikely(!tag_unpack(word, p, shim.tag_key, &tag) || !tag_is_plausible(&tag, usable)))
        return usable;
    if (!(tag.owner & tag_given)) { /* what lies behind the bytes asked for may be written to now */
        tag.owner |= tag_given;
        tag_store(p, usable, tag_pack(tag, p, shim.tag_key));
    }
    return usable - tag_bytes;
}
