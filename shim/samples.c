#include "shim/samples.h"

#include "shim/blocks.h"
#include "shim/real.h"
#include "shim/recorder.h"
#include "shim/thread.h"

uint8_t samples_filter[1 << samples_filter_bits];

enum { filter_stuck = UINT8_MAX };

static void filter_add(const void *p)
{
    uint8_t *at = samples_filter_at(p), n = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (n != filter_stuck && !__atomic_compare_exchange_n(at, &n, (uint8_t)(n + 1), 0,
                                                             __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void filter_remove(const void *p)
{
    uint8_t *at = samples_filter_at(p), n = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (n != filter_stuck && n != 0 &&
           !__atomic_compare_exchange_n(at, &n, (uint8_t)(n - 1), 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
        ;
}

static bool table_put(const void *p, struct block block)
{
    if (!blocks_put(&blocks_untagged, p, block)) {
        shim_lost(PSHIM_LOSS_block_table_full);
        return false;
    }
    filter_add(p);
    return true;
}

static bool table_take(const void *p, struct block *block)
{
    if (!samples_may_have(p) || !blocks_take(&blocks_untagged, p, block))
        return false;
    filter_remove(p);
    return true;
}

/* Seeds a thread's sampler when it is first seen. Is the block that was reached a sample? */
static bool is_sample(struct sampler *s, size_t n)
{
    if (likely(s->random))
        return true;
    uint64_t mine = __atomic_add_fetch(&shim.samplers, 1, __ATOMIC_RELAXED);
    sampler_seed(s, shim.sample_seed + mine * 0x632be59bd9b4e019u, shim.sample_bytes);
    return sampler_reached(s, n);
}

/* The node, or 0 if it is not recorded. Room in the table first: what cannot be freed is not
   counted, and the node that an account is charged to is known only then. */
static uint32_t sample_book(struct thread_state *ts, void *p, size_t n, uint32_t weight,
                            const struct unwind_regs *regs)
{
    struct block block = {.bytes = n, .weight = weight}, stale;
    struct sampler *s = &shim_tls.sampler;
    uint32_t node = recorder_stack(ts, regs);
    while (table_take(p, &stale)) /* its free did not pass us */
        ;
    block.node = recorder_account(ts, node)->node;
    if (!table_put(p, block))
        return node;
    recorder_sample(ts, block.node, n, weight);
    s->last = p;
    s->at_last = s->left;
    return node;
}

void samples_new(void *p, size_t n, const struct unwind_regs *regs)
{
    struct sampler *s = &shim_tls.sampler;
    uint32_t node = 0;
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return;
    }
    struct thread_state *ts = thread_self();
    if (likely(ts != NULL) && is_sample(s, n)) {
        uint32_t weight = sampler_hit(s, n, shim.sample_bytes);
        if (p && shim_control->recording)
            node = sample_book(ts, p, n, weight, regs);
    }
    guard_leave(ts, node);
}

/* left: the countdown as it was before whatever is done now. */
static bool is_temporary(const void *p, uint64_t left)
{
    const struct sampler *s = &shim_tls.sampler;
    return s->last == p && s->at_last == left;
}

static void sample_freed(const struct block *block, bool temporary)
{
    struct thread_state *ts = thread_self();
    if (likely(ts != NULL))
        recorder_sample_free(ts, block->node, block->bytes, block->weight, temporary);
}

void samples_free(const void *p)
{
    struct block block;
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return;
    }
    if (table_take(p, &block))
        sample_freed(&block, is_temporary(p, shim_tls.sampler.left));
    guard_leave(shim_tls.self, 0);
}

void *samples_realloc(void *old, size_t n, const struct unwind_regs *regs)
{
    struct sampler *s = &shim_tls.sampler;
    struct block block;
    uint64_t left = regs || (old && !n) ? s->left : s->left + n + PSHIM_SAMPLE_EXTRA;
    bool temporary = old && is_temporary(old, left), known = false;
    if (old && unlikely(samples_may_have(old))) {
        if (guard_enter()) {
            known = table_take(old, &block);
            guard_leave(shim_tls.self, 0);
        } else {
            shim_lost(PSHIM_LOSS_recursion);
        }
    }
    void *p = real.realloc(old, n);
    bool freed = p || (old && !n);
    if (unlikely(known)) {
        if (!guard_enter()) {
            shim_lost(PSHIM_LOSS_recursion);
        } else {
            if (freed)
                sample_freed(&block, temporary);
            else
                table_put(old, block);
            guard_leave(shim_tls.self, 0);
        }
    }
    if (old && freed)
        s->last = NULL;
    if (regs)
        samples_new(p, n, regs);
    return p;
}
