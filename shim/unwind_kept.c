#include "shim/unwind_kept.h"

#include <stdbool.h>
#include <stddef.h>

#include "shim/unwind_rule.h"

enum step { STEP_ON, STEP_ROOT, STEP_STOP };

/* One of the rules that are not quick: plain and based on rsp or rbp, the outermost frame, or none.
 */
static __attribute__((noinline)) CFI_READS_STACK enum step
step_slow(struct unwind_fresh *s, uintptr_t pc, uint32_t generation, uintptr_t hi)
{
    struct unwind_scratch scratch;
    const struct unwind_rule *rule = unwind_rule_find(pc, generation, &scratch);
    if (rule->kind == UNWIND_RULE_ROOT)
        return STEP_ROOT;
    if (rule->kind != UNWIND_RULE_PLAIN ||
        (rule->cfa_reg != UNWIND_RSP && rule->cfa_reg != UNWIND_RBP))
        return STEP_STOP;
    uintptr_t base = rule->cfa_reg == UNWIND_RSP ? s->sp : s->rbp;
    uintptr_t cfa = base + (uintptr_t)(intptr_t)rule->cfa_offset;
    if (cfa <= s->sp || cfa > hi || cfa % 8 || cfa - s->sp < 8u * rule->reach)
        return STEP_STOP;
    s->rbp_at = rule->slot[1] ? (const uintptr_t *)cfa - rule->slot[1] : NULL;
    s->rbp = s->rbp_at ? *s->rbp_at : s->rbp;
    s->rip = ((const uintptr_t *)cfa)[-1];
    s->sp = cfa;
    return STEP_ON;
}

/* Leaves the frame whose pc is given. */
static inline CFI_READS_STACK __attribute__((always_inline)) enum step
step(struct unwind_fresh *s, uintptr_t pc, uint32_t generation, uintptr_t hi)
{
    uint64_t word = unwind_word_find(pc, generation);
    uintptr_t cfa = s->sp + 8 * unwind_word_cfa_words(word);
    unsigned slot = unwind_word_rbp_slot(word);

    if (unwind_word_cfa_words(word) == UNWIND_CFA_BY_RBP)
        cfa = s->rbp + 16;
    /* none, or not quick, or off the stack */
    if (__builtin_expect((int64_t)word <= 0 || cfa <= s->sp || cfa > hi || cfa % 8, 0)) {
        struct unwind_fresh copy = *s; /* so that *s itself may stay in registers */
        enum step how = step_slow(&copy, pc, generation, hi);
        *s = copy;
        return how;
    }
    /* no branch: whether a function saves rbp is hard to foresee */
    const uintptr_t *top = (const uintptr_t *)cfa;
    uintptr_t saved = *(top - (slot ? slot : 1));
    s->rbp = slot ? saved : s->rbp;
    s->rbp_at = slot ? top - slot : NULL;
    s->rip = top[-1];
    s->sp = cfa;
    return STEP_ON;
}

/* Words that stand before those of a frame. */
static inline uint32_t words_before(const struct unwind_kept *kept, unsigned at)
{
    return at ? kept->frame[at - 1].words : 0;
}

/* Puts a frame into its place; its node stays what it is. */
static inline void frame_put(struct unwind_kept *kept, unsigned at, const struct unwind_fresh *s)
{
    struct unwind_frame *to = &kept->frame[at];
    struct unwind_stack_word *word = &kept->word[words_before(kept, at)];
    word->at = (const uintptr_t *)s->sp - 1;
    word->value = s->rip;
    word++;
    word->at = s->rbp_at;
    word->value = s->rbp;
    word += s->rbp_at != NULL;
    to->rip = s->rip;
    to->sp = s->sp;
    to->rbp = s->rbp;
    to->words = (uint32_t)(word - kept->word);
}

/*
 * Which kept frame, from `at` outwards, is the last that is entered as it was: 0, the outermost, if
 * all of them are.
 */
static CFI_READS_STACK unsigned holds_until(const struct unwind_kept *kept, unsigned at)
{
    enum { at_once = 4 };
    const struct unwind_stack_word *word = kept->word + words_before(kept, at);
    /* By fours, as long as all are the same. */
    for (; word >= kept->word + at_once; word -= at_once)
        if (__builtin_expect((*word[-1].at ^ word[-1].value) | (*word[-2].at ^ word[-2].value) |
                                 (*word[-3].at ^ word[-3].value) | (*word[-4].at ^ word[-4].value),
                             0))
            break;
    while (word > kept->word && *word[-1].at == word[-1].value)
        word--;
    uint32_t left = (uint32_t)(word - kept->word);
    if (__builtin_expect(left == 0, 1))
        return 0;
    while (words_before(kept, at) >= left)
        at--;
    return at + 1;
}

static inline bool frame_is(const struct unwind_frame *f, const struct unwind_fresh *s)
{
    return f->sp == s->sp && f->rip == s->rip && f->rbp == s->rbp;
}

/* A kept frame, as a state to go on from. The inner frame's words are found before the frame's. */
static struct unwind_fresh frame_state(const struct unwind_kept *kept, unsigned at)
{
    const struct unwind_frame *f = &kept->frame[at];
    const struct unwind_stack_word *last = &kept->word[f->words - 1];
    bool saved = f->words - words_before(kept, at) == 2;
    return (struct unwind_fresh){f->rip, f->sp, f->rbp, saved ? last->at : NULL};
}

/*
 * More frames than there is room for beside the kept stack: walked to the end, to be counted, and
 * once more into their places. Nothing of the kept stack stays.
 */
static __attribute__((noinline)) CFI_READS_STACK unsigned
walk_whole(struct unwind_kept *kept, const struct unwind_regs *start, uint32_t generation,
           uintptr_t hi)
{
    struct unwind_fresh s = {start->reg[UNWIND_RIP], start->reg[UNWIND_RSP], start->reg[UNWIND_RBP],
                             NULL};
    unsigned depth = 0;
    step(&s, s.rip, generation, hi);
    struct unwind_fresh count = s;
    enum step how = STEP_ON;
    while (how == STEP_ON && count.rip) {
        if (count.rip >> UNWIND_PC_BITS || depth == unwind_kept_max)
            return 0;
        depth++;
        how = step(&count, count.rip - 1, generation, hi);
    }
    if (how == STEP_STOP)
        return 0;
    for (unsigned i = depth; i-- > 0;) {
        kept->frame[i].rip = s.rip;
        kept->frame[i].sp = s.sp;
        kept->frame[i].rbp = s.rbp;
        kept->word[2 * i + 1].at = s.rbp_at; /* a frame has two words at most: none is in its way */
        step(&s, s.rip - 1, generation, hi);
    }
    for (unsigned i = 0; i < depth; i++) {
        struct unwind_frame *f = &kept->frame[i];
        s = (struct unwind_fresh){f->rip, f->sp, f->rbp, kept->word[2 * i + 1].at};
        frame_put(kept, i, &s);
    }
    return depth;
}

CFI_READS_STACK unsigned unwind_kept_walk(struct unwind_kept *kept, unsigned depth,
                                          const struct unwind_regs *start,
                                          struct unwind_range stack, unsigned *shared)
{
    uint32_t generation = unwind_generation_load();
    struct unwind_fresh s = {start->reg[UNWIND_RIP], start->reg[UNWIND_RSP], start->reg[UNWIND_RBP],
                             NULL};
    unsigned joined = kept->walked ? depth : 0, fresh = 0;

    kept->depth = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *shared = 0;
    if (s.sp - stack.lo >= stack.hi - stack.lo || s.sp % 8)
        return 0;
    if (step(&s, s.rip, generation, stack.hi) != STEP_ON)
        return 0;
    while (s.rip) {
        while (joined && kept->frame[joined - 1].sp < s.sp)
            joined--;
        if (joined && frame_is(&kept->frame[joined - 1], &s)) {
            unsigned last = holds_until(kept, --joined);
            if (__builtin_expect(last == 0, 1)) {
                frame_put(kept, joined, &s); /* the inner frame may be another one now */
                *shared = joined + 1;
                break;
            }
            if (fresh + (joined - last) >= unwind_fresh_max)
                return walk_whole(kept, start, generation, stack.hi);
            while (joined > last) {
                kept->fresh[fresh++] = s;
                s = frame_state(kept, --joined);
            }
        }
        if (s.rip >> UNWIND_PC_BITS)
            return 0;
        if (fresh == unwind_fresh_max)
            return walk_whole(kept, start, generation, stack.hi);
        kept->fresh[fresh++] = s;
        enum step how = step(&s, s.rip - 1, generation, stack.hi);
        if (how == STEP_ROOT)
            break;
        if (how == STEP_STOP)
            return 0;
    }
    if (*shared + fresh > unwind_kept_max)
        return 0;
    for (unsigned i = 0; i < fresh; i++)
        frame_put(kept, *shared + i, &kept->fresh[fresh - 1 - i]);
    return *shared + fresh;
}
