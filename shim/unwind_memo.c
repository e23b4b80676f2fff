#include "shim/unwind_memo.h"

#include <stddef.h>

#include "shim/unwind_rule.h"

#define unlikely(x) __builtin_expect(!!(x), 0)
#define ALWAYS      static inline CFI_READS_STACK __attribute__((always_inline))

/* The words that the walk has read, innermost first. False: too many, or too far away. */
ALWAYS bool words_note(struct unwind_memo *m, const struct unwind_frame *leaf, unsigned depth,
                       const uintptr_t *frame, const uintptr_t *base)
{
    unsigned n = 0;
    const uintptr_t *inner = frame;
    const struct unwind_frame *outermost = leaf - (depth - 1);
    if ((const uintptr_t *)outermost->sp - frame > UINT16_MAX)
        return false;
    for (const struct unwind_frame *f = leaf; f >= outermost; f--) {
        const uintptr_t *sp = (const uintptr_t *)f->sp;
        if (unlikely(n + 2 > unwind_memo_words || sp <= inner || sp - f->slot < frame))
            return false; /* else no stack: a signal handler has walked its own meanwhile */
        inner = sp;
        m->at[n] = (uint16_t)(sp - 1 - frame);
        m->value[n] = f->rip;
        n += f != leaf && sp - 1 < base;
        m->at[n] = (uint16_t)(sp - f->slot - frame);
        m->value[n] = f->rbp;
        n += f->needs_rbp && f->slot && sp - f->slot < base;
    }
    for (m->words = (uint16_t)n; n % unwind_memo_group; n++) {
        m->at[n] = unwind_memo_hook;
        m->value[n] = frame[unwind_memo_hook];
    }
    m->groups = (uint16_t)(n / unwind_memo_group);
    return true;
}

/* Where two stacks with the same leaf differ first; 0: nowhere, or one ends there. */
static uint16_t differ_at(const struct unwind_memo *a, const struct unwind_memo *b)
{
    unsigned n = a->words < b->words ? a->words : b->words;
    for (unsigned i = 0; i < n && a->at[i] == b->at[i]; i++)
        if (a->value[i] != b->value[i])
            return a->at[i];
    return 0;
}

/* Another place to look at, in turn. */
static void leaf_look_at(struct unwind_memo_leaf *leaf, uint16_t place)
{
    for (unsigned i = 0; i < leaf->probes; i++)
        if (leaf->probe[i] == place)
            return; /* told apart already: two that fall into the same set */
    leaf->probe[leaf->turn++ % unwind_memo_probes] = place;
    if (leaf->probes < unwind_memo_probes)
        leaf->probes++;
}

static struct unwind_memo_leaf *leaf_get(struct unwind_memos *memos, const uintptr_t *frame,
                                         uint64_t era)
{
    uint64_t hash = unwind_memo_hash(frame);
    struct unwind_memo_leaf *leaf = &memos->leaf[hash >> (64 - unwind_memo_leaf_bits)];
    if (leaf->rip == frame[unwind_memo_hook] && leaf->frame == frame && leaf->era == era)
        return leaf;
    leaf->rip = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *leaf = (struct unwind_memo_leaf){.era = era, .frame = frame, .number = ++memos->leaves};
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    leaf->rip = frame[unwind_memo_hook];
    return leaf;
}

static bool memo_pays(struct unwind_memos *memos)
{
    enum { patience = 2 * unwind_memo_ways << unwind_memo_bits, one_in = 16 };
    if (memos->misses < patience) {
        memos->misses++;
        return true;
    }
    return ++memos->walks % one_in == 0;
}

void unwind_memo_forget(struct unwind_memos *memos, const uintptr_t *frame)
{
    memos->leaf[unwind_memo_hash(frame) >> (64 - unwind_memo_leaf_bits)].rip = 0;
}

void unwind_memo_enter(struct unwind_memos *memos, const struct unwind_kept *kept, unsigned depth,
                       const uintptr_t *frame, const uintptr_t *base, uint64_t era)
{
    const struct unwind_frame *inner = &kept->frame[depth - 1];
    struct unwind_memo *new = &memos->new;
    if (!memo_pays(memos) || !words_note(new, inner, depth, frame, base))
        return;
    struct unwind_memo_leaf *leaf = leaf_get(memos, frame, era);
    uint64_t hash = unwind_memo_hash(frame);
    struct unwind_memo *set = memos->memo[unwind_memo_set(leaf, frame, hash)];
    for (unsigned way = 0; way < unwind_memo_ways; way++) {
        uint16_t place = set[way].leaf == leaf->number ? differ_at(&set[way], new) : 0;
        if (place)
            leaf_look_at(leaf, place);
    }
    struct unwind_memo *m =
        &memos->memo[unwind_memo_set(leaf, frame, hash)][memos->entered++ % unwind_memo_ways];
    m->leaf = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    m->node = inner->node;
    m->groups = new->groups;
    m->words = new->words;
    for (unsigned i = 0; i < new->groups *(unsigned)unwind_memo_group; i++) {
        m->at[i] = new->at[i];
        m->value[i] = new->value[i];
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    m->leaf = leaf->number;
}
