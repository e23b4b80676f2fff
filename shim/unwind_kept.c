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

/* The walk where the leaf is not known. joined: frames of the kept stack that may still be met. */
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
    struct unwind_frame leaf;
    unsigned joined = kept->walked ? depth : 0;

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
