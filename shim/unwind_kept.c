#include "shim/unwind_kept.h"

#include <stdbool.h>
#include <stddef.h>

#include "shim/unwind_rule.h"

enum step { STEP_ON, STEP_ROOT, STEP_STOP };

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ALWAYS      static inline CFI_READS_STACK __attribute__((always_inline))
#define APART       static __attribute__((noinline)) CFI_READS_STACK

ALWAYS uintptr_t word_at(uintptr_t sp, unsigned slot)
{
    return *((const uintptr_t *)sp - slot);
}

/* One of the rules that are not quick: plain and based on rsp or rbp, the outermost frame, or none.
 */
APART enum step step_slow(struct unwind_frame *f, struct unwind_frame *to, uint32_t generation,
                          uintptr_t pc, uintptr_t hi)
{
    struct unwind_scratch scratch;
    const struct unwind_rule *rule = unwind_rule_find(pc, generation, &scratch);
    if (rule->kind == UNWIND_RULE_ROOT)
        return STEP_ROOT;
    if (rule->kind != UNWIND_RULE_PLAIN ||
        (rule->cfa_reg != UNWIND_RSP && rule->cfa_reg != UNWIND_RBP))
        return STEP_STOP;
    uintptr_t base = rule->cfa_reg == UNWIND_RSP ? f->sp : f->rbp;
    uintptr_t cfa = base + (uintptr_t)(intptr_t)rule->cfa_offset;
    if (cfa <= f->sp || cfa > hi || cfa % 8 || cfa - f->sp < 8u * rule->reach)
        return STEP_STOP;
    f->needs_rbp |= rule->cfa_reg == UNWIND_RBP;
    to->rip = word_at(cfa, 1);
    to->sp = cfa;
    to->slot = rule->slot[1];
    to->needs_rbp = 0;
    to->rbp = to->slot ? word_at(cfa, to->slot) : f->rbp;
    return STEP_ON;
}

/* From a frame, executing at pc, to the one that called it; says in *f if its rbp was needed. */
ALWAYS enum step step(struct unwind_frame *f, struct unwind_frame *to, uint32_t generation,
                      uintptr_t pc, uintptr_t hi)
{
    uint64_t word = unwind_word_find(pc, generation);
    bool by_rbp = unwind_word_cfa_words(word) == UNWIND_CFA_BY_RBP;
    uintptr_t cfa = by_rbp ? f->rbp + 16 : f->sp + 8 * unwind_word_cfa_words(word);
    unsigned slot = unwind_word_rbp_slot(word);
    /* none, or not quick, or off the stack */
    if (unlikely((int64_t)word <= 0 || cfa <= f->sp || cfa > hi || cfa % 8))
        return step_slow(f, to, generation, pc, hi);
    f->needs_rbp |= by_rbp;
    /* no branch: whether a function saves rbp is hard to foresee */
    uintptr_t saved = word_at(cfa, slot ? slot : 1);
    to->rip = word_at(cfa, 1);
    to->sp = cfa;
    to->slot = (uint8_t)slot;
    to->needs_rbp = 0;
    to->rbp = slot ? saved : f->rbp;
    return STEP_ON;
}

/* The words read are kept from here downwards, the outermost first. */
ALWAYS struct unwind_stack_word *words_end(struct unwind_kept *kept)
{
    return kept->word + sizeof kept->word / sizeof *kept->word;
}

/*
 * Puts the frame `at`, whose own fields are set, in its place behind the ones further out: does
 * anybody look at its rbp, and which words must hold?
 */
ALWAYS void frame_settle(struct unwind_kept *kept, unsigned at)
{
    struct unwind_frame *f = &kept->frame[at];
    unsigned words = 0;
    if (likely(at)) {
        words = f[-1].words;
        f->needs_rbp |= f[-1].needs_rbp & (f[-1].slot == 0);
    }
    struct unwind_stack_word *w = words_end(kept) - 1 - words;
    w->at = (const uintptr_t *)f->sp - f->slot;
    w->value = f->rbp;
    f->words = (uint16_t)(words + (f->needs_rbp & (f->slot != 0)));
}

/* Is the frame entered as it was, by the words that were read then? */
ALWAYS bool frame_holds(const struct unwind_frame *f)
{
    return word_at(f->sp, 1) == f->rip &&
           (!f->needs_rbp || !f->slot || word_at(f->sp, f->slot) == f->rbp);
}

/* The innermost of frame[0 … at − 1] that is not entered as it was, + 1; 0 if all are. */
ALWAYS unsigned holds_until_each(const struct unwind_frame *frame, unsigned at)
{
    while (at && frame_holds(&frame[at - 1]))
        at--;
    return at;
}

/* The same where no saved rbp matters, or those that do are known to hold. */
ALWAYS unsigned holds_until_fast(const struct unwind_frame *frame, unsigned at)
{
    enum { at_once = 4 };
    const struct unwind_frame *f = frame + at;
    for (; f >= frame + at_once; f -= at_once)
        if (unlikely((word_at(f[-1].sp, 1) ^ f[-1].rip) | (word_at(f[-2].sp, 1) ^ f[-2].rip) |
                     (word_at(f[-3].sp, 1) ^ f[-3].rip) | (word_at(f[-4].sp, 1) ^ f[-4].rip)))
            break;
    while (f > frame && word_at(f[-1].sp, 1) == f[-1].rip)
        f--;
    return (unsigned)(f - frame);
}

/*
 * Of the kept stack, from frame[at − 1] outwards. `elsewhere`: its outer part may be memory that is
 * gone, so a word is read only when those further in have told that its frame is there.
 */
ALWAYS unsigned holds_until(const struct unwind_kept *kept, unsigned at, bool elsewhere)
{
    const struct unwind_stack_word *end = words_end((struct unwind_kept *)kept);
    uintptr_t differ = 0;
    if (unlikely(elsewhere))
        return holds_until_each(kept->frame, at);
    for (const struct unwind_stack_word *w = end - (at ? kept->frame[at - 1].words : 0); w < end;
         w++)
        differ |= *w->at ^ w->value;
    if (unlikely(differ))
        return holds_until_each(kept->frame, at);
    return holds_until_fast(kept->frame, at);
}

/* Of an inner part, all but the leaf. */
ALWAYS bool part_holds(const struct unwind_part *part)
{
    unsigned at = part->count - 1;
    if (unlikely(part->reads_rbp))
        return !holds_until_each(part->frame, at);
    return !holds_until_fast(part->frame, at);
}

/* Same frame, in the same state as far as anybody looks? `kept` says how far. */
ALWAYS bool frame_is(const struct unwind_frame *kept, const struct unwind_frame *f)
{
    return !((kept->sp ^ f->sp) | (kept->rip ^ f->rip) |
             ((kept->rbp ^ f->rbp) & -(uintptr_t)kept->needs_rbp));
}

/* Enters a kept frame from another inner frame, or the same again: *f has its true rbp. */
ALWAYS void frame_enter(struct unwind_kept *kept, unsigned at, const struct unwind_frame *f)
{
    kept->frame[at].rbp = f->rbp;
    kept->frame[at].slot = f->slot;
    frame_settle(kept, at);
}

/*
 * More frames than there is room for beside the kept stack: walked to the end, to be counted, and
 * once more into their places. Nothing of the kept stack stays.
 */
APART unsigned walk_whole(struct unwind_kept *kept, const struct unwind_frame *leaf,
                          uint32_t generation, uintptr_t hi)
{
    struct unwind_frame at[2] = {*leaf};
    unsigned depth = 0;
    enum step how = STEP_ON;
    while (how == STEP_ON && at[0].rip) {
        if (at[0].rip >> UNWIND_PC_BITS || depth == unwind_kept_max)
            return 0;
        depth++;
        how = step(&at[0], &at[1], generation, at[0].rip - 1, hi);
        at[0] = at[1];
    }
    if (how == STEP_STOP)
        return 0;
    kept->frame[depth - 1] = *leaf;
    for (unsigned i = depth; --i > 0;) {
        kept->frame[i - 1] = (struct unwind_frame){0};
        step(&kept->frame[i], &kept->frame[i - 1], generation, kept->frame[i].rip - 1, hi);
    }
    for (unsigned i = 0; i < depth; i++)
        frame_settle(kept, i);
    return depth;
}

#define MIX UINT64_C(0x9e3779b97f4a7c15)

ALWAYS struct unwind_leaf *leaf_of(struct unwind_kept *kept, const struct unwind_frame *f)
{
    uint64_t h = (f->rip ^ f->sp << 16) * MIX;
    return &kept->leaf[h / (UINT64_MAX / unwind_leaves + 1)];
}

/* Where the part with this leaf and these words is to be found: two slots. */
ALWAYS uint8_t *part_slots(struct unwind_kept *kept, const struct unwind_leaf *leaf)
{
    _Static_assert(unwind_leaf_words == 6, "all are looked at");
    const uintptr_t *word = (const uintptr_t *)leaf->sp;
    const uint16_t *at = leaf->at;
    uint64_t h = leaf->rip + (leaf->sp << 8);
    h += word[at[0]] + word[at[1]] * 3 + word[at[2]] * 5 + word[at[3]] * 9 +
         word[at[4]] * (UINT64_C(1) << 20 | 1) + word[at[5]] * (UINT64_C(1) << 28 | 1);
    h = (h ^ h >> 32) * MIX;
    return kept->part_at[h / (UINT64_MAX / unwind_part_sets + 1)];
}

/*
 * Is this the inner part that leads from *f into the kept stack, of `depth` frames, and does all of
 * that hold? Then the kept stack becomes this one, and its depth is returned. Else 0.
 */
ALWAYS unsigned part_take(struct unwind_kept *kept, const struct unwind_part *part, unsigned depth,
                          const struct unwind_frame *f, uintptr_t hi)
{
    unsigned count = part->count, join = part->join;
    if (!count || part->generation != kept->generation || join >= depth)
        return 0;
    struct unwind_frame *to = &kept->frame[join];
    const struct unwind_frame *from = part->frame;
    if (to->node != from->node || to->needs_rbp != from->needs_rbp || !frame_is(from, to) ||
        from->sp > hi || !frame_is(&from[count - 1], f) || !part_holds(part) ||
        holds_until(kept, join, false))
        return 0;
    for (unsigned i = 0; i < count; i++)
        to[i] = from[i];
    if (unlikely(part->reads_rbp))
        for (unsigned i = 0; i < count; i++)
            frame_settle(kept, join + i);
    frame_enter(kept, join + count - 1, f);
    return join + count;
}

/* The same with the part that is looked for, if there is one. */
ALWAYS unsigned part_find(struct unwind_kept *kept, unsigned depth, const struct unwind_frame *f,
                          uintptr_t hi)
{
    const struct unwind_leaf *leaf = leaf_of(kept, f);
    unsigned found = 0;
    if (leaf->rip != f->rip || leaf->sp != f->sp || f->sp + 8u * leaf->most >= hi)
        return 0;
    const uint8_t *slot = part_slots(kept, leaf);
    for (unsigned way = 0; !found && way < unwind_part_ways && slot[way]; way++)
        found = part_take(kept, &kept->part[slot[way] - 1], depth, f, hi);
    return found;
}

/* The place of the return address into a frame further out, or that of the leaf itself if it is too
   far away. */
ALWAYS uint16_t leaf_place(const struct unwind_frame *leaf, const struct unwind_frame *outer)
{
    uintptr_t words = (outer->sp - leaf->sp) / 8 - 1;
    return words < UINT16_MAX ? (uint16_t)words : 0;
}

/* Another place to look at, in turn. */
ALWAYS void leaf_look_at(struct unwind_leaf *leaf, uint16_t place)
{
    for (unsigned i = 0; i < leaf->turn && i < unwind_leaf_words; i++)
        if (leaf->at[i] == place)
            return; /* told apart already: two that fall into the same slots */
    leaf->most = leaf->most > place ? leaf->most : place;
    leaf->at[leaf->turn++ % unwind_leaf_words] = place;
}

/* What is known of this leaf; if nothing is, one place: the next frame's. */
ALWAYS struct unwind_leaf *leaf_get(struct unwind_kept *kept, const struct unwind_frame *f)
{
    struct unwind_leaf *leaf = leaf_of(kept, f);
    /* A thread's memory may have been another's, whose stack went further. */
    if (leaf->rip == f->rip && leaf->sp == f->sp && f->sp + 8u * leaf->most < kept->frame[0].sp)
        return leaf;
    leaf->rip = 0; /* a siglongjmp may leave it half written */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    leaf->sp = f->sp;
    for (unsigned i = 0; i < unwind_leaf_words; i++)
        leaf->at[i] = leaf_place(f, f - 1);
    leaf->most = leaf->at[0];
    leaf->turn = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    leaf->rip = f->rip;
    return leaf;
}

/*
 * Is it worth while to keep another part? Where stacks hardly ever come back, most are left out,
 * which also lets those that are there live longer.
 */
ALWAYS bool part_pays(struct unwind_kept *kept)
{
    enum { patience = 2 * unwind_parts, one_in = 16 };
    if (kept->changes < unwind_changes_before) {
        kept->changes++;
        return false;
    }
    if (kept->misses < patience) {
        kept->misses++;
        return true;
    }
    return ++kept->walks % one_in == 0;
}

/* How many frames, from the leaves outwards, are the same in both: `most` at most. */
ALWAYS unsigned frames_alike(const struct unwind_frame *a, const struct unwind_frame *b,
                             unsigned most)
{
    unsigned n = 0;
    while (n < most && a->rip == b->rip && a->sp == b->sp)
        a--, b--, n++;
    return n;
}

/*
 * The part in these slots that is the inner part of this stack, as far as it goes. Else NULL, and
 * if there is one with the same leaf, the leaf is looked at where they differ from now on.
 */
ALWAYS struct unwind_part *part_same(struct unwind_kept *kept, const uint8_t *slot,
                                     struct unwind_leaf *leaf, unsigned depth)
{
    const struct unwind_frame *f = &kept->frame[depth - 1];
    unsigned differs_at = 0;
    for (unsigned way = 0; way < unwind_part_ways && slot[way]; way++) {
        struct unwind_part *part = &kept->part[slot[way] - 1];
        unsigned most = part->count < depth ? part->count : depth;
        unsigned alike = most ? frames_alike(&part->frame[part->count - 1], f, most) : 0;
        if (alike && alike == most)
            return part;
        differs_at = alike ? alike : differs_at;
    }
    if (differs_at)
        leaf_look_at(leaf, leaf_place(f, f - differs_at));
    return NULL;
}

/* Keeps the inner part of the stack, from frame[join] to the leaf. */
APART void part_keep(struct unwind_kept *kept, unsigned depth, unsigned join)
{
    const struct unwind_frame *f = &kept->frame[depth - 1];
    struct unwind_leaf *leaf = leaf_get(kept, f);
    struct unwind_part *part = part_same(kept, part_slots(kept, leaf), leaf, depth);
    if (part) {
        /* It was known, but not after the stack before: from now on it reaches out to both. */
        if (part->join < join && depth - part->join <= unwind_part_frames)
            join = part->join;
    } else {
        unsigned place = kept->next_part;
        uint8_t *slot = part_slots(kept, leaf);
        kept->next_part = (uint8_t)((place + 1) % unwind_parts);
        part = &kept->part[place];
        slot[1] = slot[0];
        slot[0] = (uint8_t)(place + 1);
    }
    part->count = 0; /* a siglongjmp may leave it half written */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    part->generation = kept->generation;
    part->join = join;
    part->reads_rbp = f->words != (join ? kept->frame[join - 1].words : 0);
    for (unsigned i = join; i < depth; i++)
        part->frame[i - join] = kept->frame[i];
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    part->count = depth - join;
}

/* The walk where neither the leaf nor its inner part is known. joined: frames of the kept stack
   that may still be met. */
APART unsigned walk_on(struct unwind_kept *kept, unsigned joined, const struct unwind_frame *leaf,
                       uintptr_t hi, bool elsewhere, unsigned *shared)
{
    uint32_t generation = unwind_generation_load();
    struct unwind_frame *s = kept->fresh, *end = s + unwind_fresh_max;
    *s = *leaf;
    while (s->rip) {
        while (joined && kept->frame[joined - 1].sp < s->sp)
            joined--;
        if (joined && frame_is(&kept->frame[joined - 1], s)) {
            unsigned last = holds_until(kept, --joined, elsewhere);
            if (likely(last == 0)) {
                frame_enter(kept, joined, s); /* the inner frame may be another one now */
                *shared = joined + 1;
                break;
            }
            if (joined - last >= (unsigned)(end - s))
                return walk_whole(kept, leaf, generation, hi);
            for (; joined > last; s++) {
                s->needs_rbp = kept->frame[joined].needs_rbp;
                s[1] = kept->frame[--joined];
                /* as it is now: if nobody looked at it, it was not compared */
                s[1].rbp = s[1].slot ? word_at(s[1].sp, s[1].slot) : s->rbp;
            }
        }
        if (s->rip >> UNWIND_PC_BITS)
            return 0;
        if (s == end)
            return walk_whole(kept, leaf, generation, hi);
        enum step how = step(s, s + 1, generation, s->rip - 1, hi);
        s++;
        if (how == STEP_ROOT)
            break;
        if (how == STEP_STOP)
            return 0;
    }
    unsigned fresh = (unsigned)(s - kept->fresh);
    if (*shared + fresh > unwind_kept_max)
        return 0;
    for (unsigned i = 0; i < fresh; i++) {
        kept->frame[*shared + i] = kept->fresh[fresh - 1 - i];
        frame_settle(kept, *shared + i);
    }
    return *shared + fresh;
}

/* The frame that called the one with this frame pointer. False if that is not on the stack. */
ALWAYS bool leaf_load(struct unwind_frame *leaf, const uintptr_t *frame, struct unwind_range stack)
{
    enum { above = 2 }; /* words from where a frame pointer points to, to the caller's frame */
    if (unlikely((uintptr_t)frame + 8 * above - stack.lo >= stack.hi - stack.lo ||
                 (uintptr_t)frame % 8))
        return false;
    *leaf = (struct unwind_frame){
        .rip = frame[1], .sp = (uintptr_t)(frame + above), .rbp = frame[0], .slot = above};
    return true;
}

CFI_READS_STACK bool unwind_kept_same(const struct unwind_kept *kept, const uintptr_t *frame,
                                      struct unwind_range stack)
{
    struct unwind_frame leaf;
    unsigned depth = kept->depth;
    if (unlikely(!depth || !kept->walked || !leaf_load(&leaf, frame, stack)))
        return false;
    const struct unwind_frame *f = &kept->frame[depth - 1];
    return frame_is(f, &leaf) && f->slot == leaf.slot && !holds_until(kept, depth - 1, false);
}

ALWAYS unsigned kept_walk(struct unwind_kept *kept, unsigned depth, const struct unwind_regs *start,
                          struct unwind_range stack, bool elsewhere, unsigned *shared)
{
    enum { part_worth = 2 }; /* misses */
    struct unwind_frame leaf;
    unsigned joined = kept->walked ? depth : 0, found;

    kept->depth = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *shared = 0;
    if (unlikely(!leaf_load(&leaf, start->frame, stack)))
        return 0;
    while (joined && kept->frame[joined - 1].sp < leaf.sp)
        joined--;
    if (likely(joined)) {
        const struct unwind_frame *f = &kept->frame[joined - 1];
        if ((joined < depth || f->slot != leaf.slot) && frame_is(f, &leaf) &&
            !holds_until(kept, joined - 1, elsewhere)) {
            frame_enter(kept, joined - 1, &leaf);
            return *shared = joined;
        }
        if (!elsewhere && kept->changes == unwind_changes_before &&
            (found = part_find(kept, joined, &leaf, stack.hi)) != 0) {
            kept->misses -= kept->misses < part_worth ? kept->misses : part_worth;
            return *shared = found;
        }
    }
    return walk_on(kept, joined, &leaf, stack.hi, elsewhere, shared);
}

CFI_READS_STACK unsigned unwind_kept_walk(struct unwind_kept *kept, unsigned depth,
                                          const struct unwind_regs *start,
                                          struct unwind_range stack, unsigned *shared)
{
    return kept_walk(kept, depth, start, stack, false, shared);
}

CFI_READS_STACK unsigned unwind_kept_walk_elsewhere(struct unwind_kept *kept, unsigned depth,
                                                    const struct unwind_regs *start,
                                                    struct unwind_range stack, unsigned *shared)
{
    return kept_walk(kept, depth, start, stack, true, shared);
}

void unwind_kept_settle(struct unwind_kept *kept, unsigned depth, unsigned shared)
{
    if (shared && shared < depth && depth - shared < unwind_part_frames && part_pays(kept))
        part_keep(kept, depth, shared - 1);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    kept->depth = depth;
}
