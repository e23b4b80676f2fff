/*
 * The stacks of a thread's hooks that were walked before, whole, with their nodes: one that comes
 * again needs no walk, whatever came in between.
 *
 * A walk by rules that look at nothing but rsp and rbp reads, from a given return address and place
 * in the stack, one word after the other: the return address of each frame and, where it matters, a
 * saved rbp (unwind_kept.h). If the hook is called at the same place, with its frame at the same
 * place, and each of these words holds what it held, then by induction the walk would read the same
 * again: it is the same stack.
 *
 * Stacks with the same leaf are told apart by the values of a few words further out: places where
 * two of them differed, the innermost in which they did. There the frames inside are the same, so
 * it is the same place in both.
 *
 * Only stacks of the thread's own: their memory is always there. Entries belong to an era: a
 * thread's life and a state of the modules. Not shared, async-signal-safe: what a siglongjmp
 * leaves half written is no entry.
 */
#ifndef PERFSHIM_SHIM_UNWIND_MEMO_H
#define PERFSHIM_SHIM_UNWIND_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/unwind_kept.h"

enum {
    unwind_memo_words = 96, /* of a stack: its frames but for the leaf, and saved rbps */
    unwind_memo_hook = 1,   /* where the return address of the hook itself stands */
    unwind_memo_group = 4,  /* compared at a time */
    unwind_memo_probes = 8, /* places at which stacks with one leaf are told apart */
    unwind_memo_ways = 4,
    unwind_memo_bits = 6, /* 2^6 sets */
    unwind_memo_leaf_bits = 8,
};

struct unwind_memo {
    uint32_t leaf; /* its number; 0 = no entry */
    uint32_t node;
    uint16_t groups;
    uint16_t words;
    uint16_t at[unwind_memo_words]; /* words above `frame`, innermost first */
    uintptr_t value[unwind_memo_words];
};

struct unwind_memo_leaf {
    uint64_t era;
    uintptr_t rip; /* into the hook's caller; 0 = no entry */
    const uintptr_t *frame;
    uint32_t number;                    /* of its own, ever */
    uint16_t probe[unwind_memo_probes]; /* as unwind_memo.at */
    uint16_t probes;
    uint16_t turn; /* which is replaced next */
} __attribute__((aligned(64)));

struct unwind_memos {
    uint32_t misses; /* entries made since one was found, up to a limit */
    uint32_t walks;  /* since then */
    uint32_t entered;
    uint32_t leaves;        /* numbers given */
    struct unwind_memo new; /* being entered */
    struct unwind_memo_leaf leaf[1 << unwind_memo_leaf_bits];
    struct unwind_memo memo[1 << unwind_memo_bits][unwind_memo_ways];
};

static inline uint64_t unwind_memo_hash(const uintptr_t *frame)
{
    return (frame[unwind_memo_hook] ^ (uintptr_t)frame << 16) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline const struct unwind_memo_leaf *unwind_memo_leaf(const struct unwind_memos *memos,
                                                              uint64_t hash)
{
    return &memos->leaf[hash >> (64 - unwind_memo_leaf_bits)];
}

/* Which set a stack with this leaf is in, by the words at the leaf's places. */
static inline unsigned unwind_memo_set(const struct unwind_memo_leaf *leaf, const uintptr_t *frame,
                                       uint64_t hash)
{
    for (unsigned i = leaf->probes; i--;)
        hash = (hash ^ frame[leaf->probe[i]]) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(hash >> (64 - unwind_memo_bits));
}

static inline bool unwind_memo_holds(const struct unwind_memo *m, const uintptr_t *frame)
{
    const uint16_t *at = m->at;
    const uintptr_t *value = m->value;
    for (unsigned i = m->groups; i; i--, at += unwind_memo_group, value += unwind_memo_group)
        if (__builtin_expect((frame[at[0]] ^ value[0]) | (frame[at[1]] ^ value[1]) |
                                 (frame[at[2]] ^ value[2]) | (frame[at[3]] ^ value[3]),
                             0))
            return false;
    return true;
}

/* The node of the stack below *frame, of the thread's own in this era, if it is known. Else 0. */
static inline __attribute__((always_inline)) uint32_t
unwind_memo_find(struct unwind_memos *memos, const uintptr_t *frame, uint64_t era)
{
    enum { worth = 2 };
    uint64_t hash = unwind_memo_hash(frame);
    const struct unwind_memo_leaf *leaf = unwind_memo_leaf(memos, hash);
    if (__builtin_expect(
            leaf->rip != frame[unwind_memo_hook] || leaf->frame != frame || leaf->era != era, 0))
        return 0;
    const struct unwind_memo *m = memos->memo[unwind_memo_set(leaf, frame, hash)];
    for (unsigned way = 0; way < unwind_memo_ways; way++, m++)
        if (m->leaf == leaf->number && unwind_memo_holds(m, frame)) {
            if (__builtin_expect(memos->misses, 0))
                memos->misses -= memos->misses < worth ? memos->misses : worth;
            return m->node;
        }
    return 0;
}

/*
 * Enters the stack below *frame, which has just been walked by unwind_kept_walk() and has nodes, if
 * it is short enough and that is worth while: where stacks hardly ever come back, most are left
 * out. From `base` on nothing changes while the thread lives: that is not looked at.
 */
void unwind_memo_enter(struct unwind_memos *memos, const struct unwind_kept *kept, unsigned depth,
                       const uintptr_t *frame, const uintptr_t *base, uint64_t era);

/* Forgets all stacks with the leaf of the hook's frame: what was entered last is not to be trusted.
 */
void unwind_memo_forget(struct unwind_memos *memos, const uintptr_t *frame);

#endif
