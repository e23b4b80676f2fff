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

#include "shim/blocks.h"
#include "shim/hook_alloc.h"
#include "shim/nodes.h"
#include "shim/real.h"
#include "shim/recorder.h"
#include "shim/samples.h"
#include "shim/tag.h"
#include "shim/thread.h"

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
HOT_INLINE bool block_note(void *p, size_t n, bool has_tag_room, uint32_t node, uint32_t recorder)
{
    if (likely(n < tag_block_limit)) {
        size_t usable = real.malloc_usable_size(p);
        size_t slack = usable - tag_bytes - n;
        if (likely(has_tag_room && slack <= tag_slack_max)) {
            struct tag tag = {.node = node, .recorder = recorder, .slack = (uint32_t)slack};
            tag_store(p, usable, tag_pack(tag, p, shim.tag_key));
            return true;
        }
        if (usable >= tag_bytes)
            tag_store(p, usable, 0);
    }
    if (blocks_put(p, (struct block){.bytes = n, .node = node}))
        return true;
    shim_lost(PSHIM_LOSS_block_table_full);
    return false;
}

__attribute__((noinline)) void block_new(void *p, size_t n, bool has_tag_room,
                                         const struct unwind_regs *regs)
{
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return;
    }
    struct thread_state *ts = thread_self();
    uint32_t node = 0;
    struct pshim_account *a = NULL;
    if (likely(ts != NULL) && likely(shim_control->recording)) {
        node = recorder_stack(ts, regs);
        a = recorder_account(ts, node);
    }
    if (likely(block_note(p, n, has_tag_room, a ? a->node : 0, ts ? ts->recorder : 0) && a))
        recorder_alloc(ts, a, n, p);
    guard_leave(ts, node);
}

struct old_block {
    uint64_t tag_word; /* 0: it was in the table */
    size_t usable;
    uint64_t bytes;
    uint32_t node;
};

/* One word in 2^16 passes the check by chance: its fields must make sense too. */
HOT_INLINE bool tag_is_plausible(const struct tag *tag, size_t usable)
{
    return tag->slack + tag_bytes <= usable && tag->recorder < shim_recorders &&
           tag->node < pshim_load(&profile_region(&shim.profile, PSHIM_REGION_NODE)->used);
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
    tag_store(p, usable, 0);
    *old = (struct old_block){word, usable, usable - tag_bytes - tag.slack, tag.node};
    return true;
}

HOT_INLINE bool block_retire_table(void *p, size_t usable, struct old_block *old)
{
    struct block block;
    if (!blocks_take(p, &block))
        return false;
    *old = (struct old_block){0, usable, block.bytes, block.node};
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
        return block_retire_tag(p, usable, old) || block_retire_table(p, usable, old);
    return block_retire_table(p, usable, old) || block_retire_tag(p, usable, old);
}

/* realloc failed: the block is as it was. */
static COLD void block_restore(void *p, const struct old_block *old)
{
    if (old->tag_word)
        tag_store(p, old->usable, old->tag_word);
    else if (!blocks_put(p, (struct block){.bytes = old->bytes, .node = old->node}))
        shim_lost(PSHIM_LOSS_block_table_full);
}

HOT_INLINE void block_freed(const struct old_block *old, const void *p)
{
    struct thread_state *ts = thread_self();
    if (likely(ts && old->node))
        recorder_free(ts, old->node, old->bytes, p);
    guard_leave(ts, 0);
}

HOT_INLINE void block_end(void *p)
{
    struct old_block old;
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return;
    }
    if (likely(block_retire(p, &old))) {
        block_freed(&old, p);
    } else {
        shim_lost(PSHIM_LOSS_free_foreign);
        guard_leave(shim_tls.self, 0);
    }
}

void block_gone(void *p)
{
    block_end(p);
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
    block_end(p);
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

EXPORT void *malloc(size_t n)
{
    if (unlikely(!tagging())) {
        if (!sample_reached(n))
            return malloc_untagged(n);
        SAMPLE(malloc_untagged(n), n);
    }
    void *p = real.malloc(size_with_tag(n));
    if (likely(p != NULL)) {
        struct unwind_regs regs;
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
    void *p = n < tag_block_limit ? real.calloc(1, n + tag_bytes) : real.calloc(count, size);
    if (likely(p != NULL)) {
        struct unwind_regs regs;
        unwind_capture(&regs);
        block_new(p, n, n < tag_block_limit, &regs);
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

/* realloc(p, 0) of a live block: one free. What an allocator may return for it is not counted. */
static COLD void *realloc_to_nothing(void *p)
{
    struct old_block old;
    if (guard_enter()) {
        if (block_retire(p, &old))
            block_freed(&old, p);
        else
            guard_leave(shim_tls.self, 0);
    }
    return real.realloc(p, 0);
}

/* realloc of a block we know: both sides are booked once the call has succeeded. */
HOT_INLINE void *realloc_known(void *old_p, size_t n, const struct unwind_regs *regs)
{
    struct old_block old;
    bool entered = guard_enter();
    bool known = entered && block_retire(old_p, &old);
    if (entered)
        guard_leave(shim_tls.self, 0);
    void *p = real.realloc(old_p, size_with_tag(n));
    if (unlikely(!p)) {
        if (known)
            block_restore(old_p, &old);
        return NULL;
    }
    if (likely(known) && guard_enter()) {
        /* Put the word back where it was copied to: had it been the program's own bytes that only
           looked like a tag, nothing may be lost. */
        if (old.tag_word && old.usable <= real.malloc_usable_size(p))
            tag_store(p, old.usable, old.tag_word);
        block_freed(&old, old_p);
    } else {
        shim_lost(entered ? PSHIM_LOSS_free_foreign : PSHIM_LOSS_recursion);
    }
    block_new(p, n, n < tag_block_limit, regs);
    return p;
}

static void *realloc_of_nothing(size_t n, const struct unwind_regs *regs)
{
    void *p = real.malloc(size_with_tag(n));
    if (likely(p != NULL))
        block_new(p, n, n < tag_block_limit, regs);
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
    if (unlikely(!tagging())) {
        if (!realloc_sample_reached(old, n))
            return realloc_untagged(old, n, NULL);
        unwind_capture(&regs);
        return realloc_untagged(old, n, &regs);
    }
    if (unlikely(old && (n == 0 || real_is_bootstrap(old))))
        return realloc(old, n); /* a free, or nothing to book, which needs no stack */
    unwind_capture(&regs);      /* here: our own frames must not stand in the stack */
    return old ? realloc_known(old, n, &regs) : realloc_of_nothing(n, &regs);
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    if (unlikely(!tagging())) {
        if (resolved()) {
            if (!sample_reached(n))
                return real.posix_memalign(out, align, n);
            struct unwind_regs regs;
            int status = real.posix_memalign(out, align, n);
            unwind_capture(&regs);
            samples_new(status == 0 ? *out : NULL, n, &regs);
            return status;
        }
        *out = real_bootstrap_alloc(align, n);
        return *out ? 0 : ENOMEM;
    }
    bool has_tag = aligned_has_tag(align, n);
    int error = real.posix_memalign(out, align, has_tag ? n + tag_bytes : n);
    if (likely(error == 0 && *out != NULL)) {
        struct unwind_regs regs;
        unwind_capture(&regs);
        block_new(*out, n, has_tag, &regs);
    }
    return error;
}

#define ALIGNED_HOOK(name)                                                                         \
    EXPORT void *name(size_t align, size_t n)                                                      \
    {                                                                                              \
        if (unlikely(!tagging())) {                                                                \
            if (!resolved())                                                                       \
                return real_bootstrap_alloc(align, n);                                             \
            if (!sample_reached(n))                                                                \
                return real.name(align, n);                                                        \
            SAMPLE(real.name(align, n), n);                                                        \
        }                                                                                          \
        bool has_tag = aligned_has_tag(align, n);                                                  \
        void *p = real.name(align, has_tag ? n + tag_bytes : n);                                   \
        if (likely(p != NULL)) {                                                                   \
            struct unwind_regs regs;                                                               \
            unwind_capture(&regs);                                                                 \
            block_new(p, n, has_tag, &regs);                                                       \
        }                                                                                          \
        return p;                                                                                  \
    }
ALIGNED_HOOK(memalign)
ALIGNED_HOOK(aligned_alloc)

/* valloc(n) = memalign(page, n); pvalloc also rounds n up to a page. */
#define PAGE_HOOK(name, round)                                                                     \
    EXPORT void *name(size_t n)                                                                    \
    {                                                                                              \
        if (unlikely(!resolved()))                                                                 \
            return real_bootstrap_alloc(PSHIM_PAGE_BYTES, n);                                      \
        void *p = real.name ? real.name(n) : real.memalign(PSHIM_PAGE_BYTES, round);               \
        if (likely(p != NULL && tagging())) {                                                      \
            struct unwind_regs regs;                                                               \
            unwind_capture(&regs);                                                                 \
            block_new(p, n, false, &regs);                                                         \
        } else if (p && sample_reached(n)) {                                                       \
            SAMPLE(p, n);                                                                          \
        }                                                                                          \
        return p;                                                                                  \
    }
PAGE_HOOK(valloc, n)
PAGE_HOOK(pvalloc, (n + PSHIM_PAGE_BYTES - 1) & ~(size_t)(PSHIM_PAGE_BYTES - 1))

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
EXPORT size_t malloc_usable_size(void *p)
{
    struct tag tag;
    struct block block;
    if (unlikely(!p))
        return 0;
    if (unlikely(real_is_bootstrap(p)))
        return real_bootstrap_size(p);
    if (unlikely(!resolved()))
        return 0;
    size_t usable = real.malloc_usable_size(p);
    if (!tagging() || usable < tag_bytes || usable > tag_usable_max)
        return usable;
    if (table_first(p, usable) && blocks_find(p, &block))
        return usable;
    bool tagged =
        tag_unpack(tag_load(p, usable), p, shim.tag_key, &tag) && tag_is_plausible(&tag, usable);
    return tagged ? usable - tag_bytes : usable;
}
