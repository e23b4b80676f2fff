#include "shim/unwind_memo.h"

#include <stddef.h>

#include "shim/unwind_rule.h"

#define MIX         UINT64_C(0x9e3779b97f4a7c15)
#define unlikely(x) __builtin_expect(!!(x), 0)
enum { hook_return = 1 }; /* where the return address of the hook itself stands */

#define ALWAYS static inline CFI_READS_STACK __attribute__((always_inline))

ALWAYS uint64_t leaf_hash(uintptr_t rip, const uintptr_t *frame)
{
    return (rip ^ (uintptr_t)frame << 16) * MIX;
}

/* Which set a stack with this leaf is in, by the words at the leaf's places. */
ALWAYS unsigned set_of(const struct unwind_memo_leaf *leaf, const uintptr_t *frame, uint64_t hash)
{
    for (unsigned i = leaf->probes; i--;)
        hash = (hash ^ frame[leaf->probe[i]]) * MIX;
    return (unsigned)(hash >> (64 - unwind_memo_bits));
}

ALWAYS bool words_hold(const struct unwind_memo *m, const uintptr_t *frame)
{
    const uint16_t *at = m->at;
    const uintptr_t *value = m->value;
    for (unsigned i = m->groups; i; i--, at += unwind_memo_group, value += unwind_memo_group)
        if (unlikely((frame[at[0]] ^ value[0]) | (frame[at[1]] ^ value[1]) |
                     (frame[at[2]] ^ value[2]) | (frame[at[3]] ^ value[3])))
            return false;
    return true;
}

ALWAYS bool leaf_is(const struct unwind_memo_leaf *leaf, const uintptr_t *frame, uint64_t era)
{
    return leaf->rip == frame[hook_return] && leaf->frame == frame && leaf->era == era;
}

ALWAYS bool memo_is(const struct unwind_memo *m, const uintptr_t *frame, uint64_t era)
{
    return m->rip == frame[hook_return] && m->frame == frame && m->era == era;
}

CFI_READS_STACK uint32_t unwind_memo_find(struct unwind_memos *memos, const uintptr_t *frame,
                                          uint64_t era)
{
    enum { worth = 2 };
    uint64_t hash = leaf_hash(frame[hook_return], frame);
    const struct unwind_memo_leaf *leaf = &memos->leaf[hash >> (64 - unwind_memo_leaf_bits)];
    if (unlikely(!leaf_is(leaf, frame, era)))
        return 0;
    const struct unwind_memo *m = memos->memo[set_of(leaf, frame, hash)];
    for (unsigned way = 0; way < unwind_memo_ways; way++, m++)
        if (memo_is(m, frame, era) && words_hold(m, frame)) {
            if (unlikely(memos->misses))
                memos->misses -= memos->misses < worth ? memos->misses : worth;
            return m->node;
        }
    return 0;
}

/* The words that the walk has read, innermost first. False: too many, or too far away. */
ALWAYS bool words_note(struct unwind_memo *m, const struct unwind_frame *leaf, unsigned depth,
                       const uintptr_t *frame)
{
    unsigned n = 0;
    const struct unwind_frame *outermost = leaf - (depth - 1);
    if ((const uintptr_t *)outermost->sp - frame > UINT16_MAX)
        return false;
    for (const struct unwind_frame *f = leaf; f >= outermost; f--) {
        uint16_t above = (uint16_t)((const uintptr_t *)f->sp - frame);
        if (unlikely(n + 2 > unwind_memo_words))
            return false;
        if (f != leaf) {
            m->at[n] = (uint16_t)(above - 1);
            m->value[n++] = f->rip;
        }
        m->at[n] = (uint16_t)(above - f->slot);
        m->value[n] = f->rbp;
        n += f->needs_rbp && f->slot;
    }
    for (m->words = (uint16_t)n; n % unwind_memo_group; n++) {
        m->at[n] = hook_return;
        m->value[n] = frame[hook_return];
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
    uint64_t hash = leaf_hash(frame[hook_return], frame);
    struct unwind_memo_leaf *leaf = &memos->leaf[hash >> (64 - unwind_memo_leaf_bits)];
    if (leaf_is(leaf, frame, era))
        return leaf;
    leaf->rip = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *leaf = (struct unwind_memo_leaf){.era = era, .frame = frame};
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    leaf->rip = frame[hook_return];
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

void unwind_memo_enter(struct unwind_memos *memos, const struct unwind_kept *kept, unsigned depth,
                       const uintptr_t *frame, uint64_t era)
{
    const struct unwind_frame *inner = &kept->frame[depth - 1];
    struct unwind_memo *new = &memos->new;
    if (!memo_pays(memos) || !words_note(new, inner, depth, frame))
        return;
    struct unwind_memo_leaf *leaf = leaf_get(memos, frame, era);
    uint64_t hash = leaf_hash(frame[hook_return], frame);
    struct unwind_memo *set = memos->memo[set_of(leaf, frame, hash)];
    for (unsigned way = 0; way < unwind_memo_ways; way++) {
        uint16_t place = memo_is(&set[way], frame, era) ? differ_at(&set[way], new) : 0;
        if (place)
            leaf_look_at(leaf, place);
    }
    struct unwind_memo *m =
        &memos->memo[set_of(leaf, frame, hash)][memos->entered++ % unwind_memo_ways];
    m->rip = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    m->era = era;
    m->frame = frame;
    m->node = inner->node;
    m->groups = new->groups;
    m->words = new->words;
    for (unsigned i = 0; i < new->groups *(unsigned)unwind_memo_group; i++) {
        m->at[i] = new->at[i];
        m->value[i] = new->value[i];
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    m->rip = frame[hook_return];
}
