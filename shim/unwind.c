/* The walk: see unwind.h. */
#include "shim/unwind.h"

#include <ucontext.h>

#include "shim/cfi.h"
#include "shim/unwind_bare.h"
#include "shim/unwind_rule.h"

/* Below rsp these bytes are still valid (psABI §3.2.2): registers just popped are found there. */
#define RED_ZONE 128

/* A stack that runs from one range into another without a signal (code that switches stacks and
 * says so in its tables) may do so this often; garbage could bounce for ever. */
#define SWITCHES 8

int (*unwind_find_stack)(uintptr_t sp, struct unwind_range *out);

/* A frame of a stack found by looking that is larger is taken for garbage. */
#define GROW_BYTES (1u << 20)

#define PC_LIMIT (UINT64_C(1) << UNWIND_PC_BITS)

/* rbp is always tracked: the one register that CFAs are based on everywhere. */
#define RBP_BIT (1u << UNWIND_RBP)
#define OTHER_BITS                                                                                 \
    (1u << UNWIND_RBX | 1u << UNWIND_R12 | 1u << UNWIND_R13 | 1u << UNWIND_R14 | 1u << UNWIND_R15)

struct walk {
    struct unwind_regs regs;
    uint32_t dropped; /* registers that a frame has saved and the first pass did not fetch */
    const struct unwind_range *stacks;
    unsigned stack_count;
    unsigned switches;
    uintptr_t bare_to;        /* as struct unwind_bare's known_to */
    int found;                /* `here` is a stack that was found by looking */
    int exact;                /* regs.reg[UNWIND_RIP] is an instruction that executes */
    struct unwind_range here; /* the range that holds rsp; empty if none does */
    struct unwind_scratch scratch;
};

/* Makes the known range that holds sp the current one. */
static void range_enter(struct walk *w, uintptr_t sp)
{
    w->found = 0;
    for (unsigned i = 0; i < w->stack_count; i++) {
        if (sp >= w->stacks[i].lo && sp <= w->stacks[i].hi) {
            w->here = w->stacks[i];
            return;
        }
    }
    w->here.lo = w->here.hi = 0;
}

/* The same for a stack that somebody runs on, which may be one that is not known yet. */
static __attribute__((noinline)) void range_find(struct walk *w, uintptr_t sp)
{
    range_enter(w, sp);
    w->bare_to = 0;
    if (w->here.hi == 0 && unwind_find_stack)
        w->found = unwind_find_stack(sp, &w->here) == 0;
}

/*
 * Of a stack that was found by looking, what lies further up than was looked so far, or was not
 * there then. 0 if it now reaches up to `to`, or −1.
 */
static __attribute__((noinline)) int range_grow(struct walk *w, uintptr_t to)
{
    struct unwind_range more;

    if (!w->found || to - w->here.hi > GROW_BYTES)
        return -1;
    while (to > w->here.hi) {
        if (unwind_find_stack(w->here.hi, &more) != 0 || more.hi <= w->here.hi)
            return -1;
        w->here.hi = more.hi;
    }
    return 0;
}

/* May the caller's rsp be `to`? Enters its range if that is another. 0, or −1. */
static int stack_move(struct walk *w, uintptr_t to)
{
    uintptr_t sp = w->regs.reg[UNWIND_RSP];

    if (to % 8 || w->here.hi == 0)
        return -1;
    if (to > w->here.hi)
        range_grow(w, to);
    if (to >= w->here.lo && to <= w->here.hi)
        return to > sp || (to == sp && w->exact) ? 0 : -1;
    if (w->switches++ == SWITCHES)
        return -1;
    range_enter(w, to);
    return w->here.hi ? 0 : -1;
}

static struct cfi_stack window_of(const struct walk *w)
{
    uintptr_t sp = w->regs.reg[UNWIND_RSP];
    struct cfi_stack window = {w->stacks, w->stack_count, w->here.lo, w->here.hi};
    if (window.hi && sp - window.lo > RED_ZONE)
        window.lo = sp - RED_ZONE;
    return window;
}

static enum unwind_end end_of_error(int error)
{
    return error == CFI_NO_MEMORY ? UNWIND_END_STACK : UNWIND_END_BAD_CFI;
}

/* The caller's value of one register by its rule. 0; 1 if it has none; or enum cfi_error. */
static int register_find(const struct unwind_row *row, unsigned reg, uintptr_t cfa,
                         const struct unwind_regs *regs, const struct cfi_stack *stack,
                         uintptr_t *out)
{
    int32_t value = row->row.value[reg];
    uintptr_t addr;
    int error;

    switch (row->row.how[reg]) {
    case CFI_UNSPECIFIED:
        if (reg == UNWIND_RSP) {
            *out = cfa;
            return 0;
        }
        /* fall through */
    case CFI_SAME:
        *out = regs->reg[reg];
        return !(regs->known >> reg & 1);
    case CFI_OFFSET:
        return cfi_stack_read(stack, cfa + (uintptr_t)(intptr_t)value, 8, out);
    case CFI_VAL_OFFSET:
        *out = cfa + (uintptr_t)(intptr_t)value;
        return 0;
    case CFI_REGISTER:
        if (value < 0 || value >= UNWIND_REGS)
            return CFI_UNSUPPORTED;
        *out = regs->reg[value];
        return !(regs->known >> value & 1);
    case CFI_EXPRESSION:
        error = cfi_expression_run(unwind_row_expressions(row), value, regs, stack, &cfa, &addr);
        if (error)
            return error;
        /* gcc leaves "at rbp − n" in place after a realigned function has popped rbp itself: a slot
         * outside the frame says that the register has its caller's value again */
        if (!row->signal && (addr >= cfa || addr < stack->lo)) {
            *out = regs->reg[reg];
            return !(regs->known >> reg & 1);
        }
        return cfi_stack_read(stack, addr, 8, out);
    case CFI_VAL_EXPRESSION:
        return cfi_expression_run(unwind_row_expressions(row), value, regs, stack, &cfa, out);
    default: /* CFI_UNDEFINED */
        return 1;
    }
}

/* Leaves the frame by a row. 0, or −1 with the reason. */
static __attribute__((noinline)) int row_try(struct walk *w, const struct unwind_row *row,
                                             enum unwind_end *end)
{
    struct cfi_stack stack = window_of(w);
    struct unwind_regs caller;
    uintptr_t cfa;
    int error;

    *end = UNWIND_END_BAD_CFI;
    if (row->row.cfa_how == CFI_REGISTER) {
        if (!(w->regs.known >> row->row.cfa_reg & 1))
            return -1;
        cfa = w->regs.reg[row->row.cfa_reg] + (uintptr_t)(intptr_t)row->row.cfa_value;
    } else {
        error = cfi_expression_run(unwind_row_expressions(row), row->row.cfa_value, &w->regs,
                                   &stack, NULL, &cfa);
        if (error) {
            *end = end_of_error(error);
            return -1;
        }
    }
    caller.known = 0;
    if (row->row.how[UNWIND_RIP] == CFI_UNSPECIFIED)
        return -1;
    for (unsigned reg = 0; reg < UNWIND_REGS; reg++) {
        error = register_find(row, reg, cfa, &w->regs, &stack, &caller.reg[reg]);
        if (!error) {
            caller.known |= 1u << reg;
        } else if (reg == UNWIND_RIP || reg == UNWIND_RSP) {
            *end = end_of_error(error);
            return -1;
        }
    }
    if (row->signal) {
        range_find(w, caller.reg[UNWIND_RSP]);
    } else if (stack_move(w, caller.reg[UNWIND_RSP]) != 0) {
        *end = UNWIND_END_STACK;
        return -1;
    }
    w->regs = caller;
    w->exact = row->signal;
    return 0;
}

/* The same; what a stack found by looking lacks may lie behind what was looked at so far. */
static int row_leave(struct walk *w, const struct unwind_row *row, enum unwind_end *end)
{
    if (row_try(w, row, end) == 0)
        return 0;
    if (*end != UNWIND_END_STACK || range_grow(w, w->here.hi + 1) != 0)
        return -1;
    return row_try(w, row, end);
}

/*
 * Leaves the frame by a plain rule, fetching all saved registers or just rbp. 0, or −1 with the
 * reason.
 */
static inline CFI_READS_STACK __attribute__((always_inline)) int
plain_leave(struct walk *w, const struct unwind_rule *rule, int all, enum unwind_end *end)
{
    uintptr_t sp = w->regs.reg[UNWIND_RSP];
    uintptr_t floor = sp - w->here.lo > RED_ZONE ? sp - RED_ZONE : w->here.lo;
    uintptr_t cfa = sp + (uintptr_t)(intptr_t)rule->cfa_offset;
    const uintptr_t *slots;

    if (rule->cfa_reg != UNWIND_RSP) {
        if (__builtin_expect(!(w->regs.known >> rule->cfa_reg & 1), 0)) {
            *end = UNWIND_END_BAD_CFI;
            return -1;
        }
        cfa = w->regs.reg[rule->cfa_reg] + (uintptr_t)(intptr_t)rule->cfa_offset;
    }
    /* the return address at CFA − 8 lies at or above rsp, so inside the range */
    if (__builtin_expect(cfa <= sp || cfa > w->here.hi || cfa % 8, 0)) {
        uintptr_t lo = w->here.lo;
        *end = UNWIND_END_STACK;
        if (stack_move(w, cfa) != 0 || cfa - w->here.lo < 8)
            return -1;
        floor = w->here.lo == lo ? floor : w->here.lo;
    }
    slots = (const uintptr_t *)cfa;
    w->regs.known &= ~(uint32_t)rule->known;
    /* else popped so long ago that a signal handler may have overwritten them */
    if (__builtin_expect(cfa - floor >= 8u * rule->reach, 1)) {
        if (all) {
#define X(i, name)                                                                                 \
    if (rule->slot[i])                                                                             \
        w->regs.reg[UNWIND_##name] = slots[-(intptr_t)rule->slot[i]];
            UNWIND_SAVED(X)
#undef X
            w->regs.known |= rule->known;
        } else {
            /* no branch: whether a function saves rbp is hard to foresee */
            const uintptr_t *rbp = slots - rule->slot[1];
            rbp = rule->slot[1] ? rbp : &w->regs.reg[UNWIND_RBP];
            w->regs.reg[UNWIND_RBP] = *rbp;
            w->regs.known |= rule->known & RBP_BIT;
            w->dropped |= rule->known & ~RBP_BIT;
        }
    }
    w->regs.reg[UNWIND_RIP] = slots[-1];
    w->regs.reg[UNWIND_RSP] = cfa;
    w->exact = 0;
    return 0;
}

static void walk_start(struct walk *w, const struct unwind_regs *start, int exact,
                       const struct unwind_range *stacks, unsigned stack_count)
{
    w->regs = *start;
    w->stacks = stacks;
    w->stack_count = stack_count;
    w->dropped = 0;
    w->switches = 0;
    w->bare_to = 0;
    w->exact = exact != 0;
    range_find(w, start->reg[UNWIND_RSP]);
}

static enum unwind_end end_of_rule(const struct unwind_rule *rule)
{
    if (rule->kind == UNWIND_RULE_ROOT)
        return UNWIND_END_ROOT;
    return rule->kind == UNWIND_RULE_BAD_CFI ? UNWIND_END_BAD_CFI : UNWIND_END_NO_CFI;
}

/*
 * Leaves the frame by its rule; *pc, the frame's, is set right if it is a signal frame: nothing was
 * called there, the handler just returns to it. 0, or −1 with the reason.
 */
static inline __attribute__((always_inline)) int frame_leave(struct walk *w,
                                                             const struct unwind_rule *rule,
                                                             int all, uintptr_t *pc,
                                                             enum unwind_end *end)
{
    const struct unwind_row *row;

    if (__builtin_expect(rule->kind == UNWIND_RULE_PLAIN, 1))
        return plain_leave(w, rule, all, end);
    if (rule->kind != UNWIND_RULE_ROW) {
        *end = end_of_rule(rule);
        return -1;
    }
    row = rule->row_index ? &unwind_rows[rule->row_index - 1] : &w->scratch.row;
    if (row->signal)
        *pc = w->regs.reg[UNWIND_RIP];
    return row_leave(w, row, end);
}

/* 0 and *end if no code can be at rip. */
static inline int rip_check(uintptr_t rip, enum unwind_end *end)
{
    if (__builtin_expect(rip - 1 < PC_LIMIT - 1, 1))
        return 1;
    *end = rip ? UNWIND_END_BAD_PC : UNWIND_END_ROOT;
    return 0;
}

/*
 * Leaves frames as long as their rules are quick ones, with all that matters in registers: the next
 * look-up waits for this frame's return address and nothing else. Of rbp just the place is
 * followed. Returns the pcs written in all.
 */
static inline CFI_READS_STACK __attribute__((always_inline)) unsigned
quick_run(struct walk *w, uint32_t generation, uintptr_t *pcs, unsigned written, unsigned max)
{
    uintptr_t rip = w->regs.reg[UNWIND_RIP], sp = w->regs.reg[UNWIND_RSP];
    uintptr_t rbp_at = (uintptr_t)&w->regs.reg[UNWIND_RBP];
    uintptr_t back = !w->exact, hi = w->here.hi;
    uint64_t words = 0;

    if (__builtin_expect(sp % 8, 0))
        return written;
    while (written < max && rip - 1 < PC_LIMIT - 1) {
        uint64_t word = unwind_word_find(rip - back, generation);
        uintptr_t cfa = sp + 8 * unwind_word_cfa_words(word);
        unsigned slot = unwind_word_rbp_slot(word);

        if (unwind_word_cfa_words(word) == UNWIND_CFA_BY_RBP) {
            cfa = *(const uintptr_t *)rbp_at + 16;
            if (__builtin_expect(cfa <= sp || cfa % 8 || !(w->regs.known & RBP_BIT), 0))
                break;
        }
        /* none, or not quick, or off the stack; a quick CFA is above sp, and sp in the range */
        if (__builtin_expect((int64_t)word <= 0 || cfa > hi, 0))
            break;
        pcs[written++] = rip - back;
        rbp_at = slot ? cfa - 8 * slot : rbp_at;
        words |= word;
        rip = ((const uintptr_t *)cfa)[-1];
        sp = cfa;
        back = 1;
    }
    if (!words)
        return written;
    w->regs.reg[UNWIND_RIP] = rip;
    w->regs.reg[UNWIND_RSP] = sp;
    w->regs.reg[UNWIND_RBP] = *(const uintptr_t *)rbp_at;
    if (unwind_word_rbp_slot(words))
        w->regs.known |= RBP_BIT;
    if (words & UNWIND_WORD_OTHERS) {
        w->regs.known &= ~OTHER_BITS;
        w->dropped |= OTHER_BITS;
    }
    w->exact = 0;
    return written;
}

/* Leaves a frame without tables. 0, or −1 with nothing changed. */
static __attribute__((noinline)) int bare_leave(struct walk *w)
{
    struct unwind_bare f = {w->regs.reg[UNWIND_RIP], w->regs.reg[UNWIND_RSP],
                            w->regs.reg[UNWIND_RBP], w->bare_to};

    if (!(w->regs.known & RBP_BIT) || w->here.hi == 0 ||
        unwind_bare_leave(&f, w->exact, w->here) != 0)
        return -1;
    w->regs.reg[UNWIND_RIP] = f.rip;
    w->regs.reg[UNWIND_RSP] = f.sp;
    w->regs.reg[UNWIND_RBP] = f.rbp;
    w->regs.known = 1u << UNWIND_RIP | 1u << UNWIND_RSP | RBP_BIT;
    w->bare_to = f.known_to;
    w->exact = 0;
    return 0;
}

static inline __attribute__((always_inline)) unsigned
walk_run(struct walk *w, int all, uintptr_t *pcs, unsigned max, enum unwind_end *end)
{
    uint32_t generation = unwind_generation_load();
    unsigned written = 0;

    for (;;) {
        const struct unwind_rule *rule;
        uintptr_t pc;
        int left, bare;

        if (!all)
            written = quick_run(w, generation, pcs, written, max);
        if (!rip_check(w->regs.reg[UNWIND_RIP], end))
            break;
        pc = w->regs.reg[UNWIND_RIP] - !w->exact;
        rule = unwind_rule_find(pc, generation, &w->scratch);
        bare = rule->kind == UNWIND_RULE_NO_CODE || rule->kind == UNWIND_RULE_NO_CFI;
        left = bare ? bare_leave(w) : 0;
        /* what executes is code wherever it lies (a JIT's); a return address may be anything */
        if (rule->kind == UNWIND_RULE_NO_CODE && left && !w->exact) {
            *end = UNWIND_END_BAD_PC;
            break;
        }
        if (written == max) {
            *end = UNWIND_END_DEPTH;
            break;
        }
        if (!bare || left)
            left = frame_leave(w, rule, all, &pc, end);
        pcs[written++] = pc;
        if (left)
            break;
    }
    return written;
}

static __attribute__((noinline)) unsigned walk_all(struct walk *w, uintptr_t *pcs, unsigned max,
                                                   enum unwind_end *end)
{
    return walk_run(w, 1, pcs, max, end);
}

/*
 * Nearly every stack can be walked with rsp and rbp alone, and fetching the others costs more than
 * the rest of a frame (each is a branch that is hard to foresee). So the first pass only notes that
 * it dropped some; a frame that needs one (ld.so's, libcrypto's) has the walk begin again.
 */
unsigned unwind_walk(const struct unwind_regs *start, int exact, const struct unwind_range *stacks,
                     unsigned stack_count, uintptr_t *pcs, unsigned max, enum unwind_end *end)
{
    struct walk w;
    unsigned written;

    walk_start(&w, start, exact, stacks, stack_count);
    written = walk_run(&w, 0, pcs, max, end);
    if (__builtin_expect(*end == UNWIND_END_BAD_CFI && w.dropped, 0)) {
        walk_start(&w, start, exact, stacks, stack_count);
        written = walk_all(&w, pcs, max, end);
    }
    return written;
}

CFI_READS_STACK unsigned unwind_walk_fp(const struct unwind_regs *start, int exact,
                                        const struct unwind_range *stacks, unsigned stack_count,
                                        uintptr_t *pcs, unsigned max, enum unwind_end *end)
{
    struct walk w;
    unsigned written = 0;

    walk_start(&w, start, exact, stacks, stack_count);
    while (rip_check(w.regs.reg[UNWIND_RIP], end)) {
        uintptr_t pc = w.regs.reg[UNWIND_RIP] - !w.exact;
        uintptr_t frame = w.regs.reg[UNWIND_RBP];

        if (written == max) {
            *end = UNWIND_END_DEPTH;
            break;
        }
        /* code that executes may not have set rbp up yet, or have put it back already */
        if (w.exact) {
            uint32_t generation = unwind_generation_load();
            const struct unwind_rule *rule;
            int left;
            if (quick_run(&w, generation, pcs, written, written + 1) > written) {
                written++;
                continue;
            }
            rule = unwind_rule_find(pc, generation, &w.scratch);
            left = frame_leave(&w, rule, 0, &pc, end);
            pcs[written++] = pc;
            if (left == 0)
                continue;
        } else {
            pcs[written++] = pc;
        }
        if (frame == 0) {
            *end = UNWIND_END_ROOT;
            break;
        }
        if (frame % 8 || frame < w.regs.reg[UNWIND_RSP] || frame >= w.here.hi ||
            w.here.hi - frame < 16) {
            *end = UNWIND_END_STACK;
            break;
        }
        w.regs.reg[UNWIND_RIP] = ((const uintptr_t *)frame)[1];
        w.regs.reg[UNWIND_RSP] = frame + 16;
        w.regs.reg[UNWIND_RBP] = ((const uintptr_t *)frame)[0];
        w.exact = 0;
    }
    return written;
}

void unwind_from_ucontext(struct unwind_regs *regs, const void *ucontext)
{
    static const uint8_t place[UNWIND_REGS] = {
        [UNWIND_RAX] = REG_RAX, [UNWIND_RDX] = REG_RDX, [UNWIND_RCX] = REG_RCX,
        [UNWIND_RBX] = REG_RBX, [UNWIND_RSI] = REG_RSI, [UNWIND_RDI] = REG_RDI,
        [UNWIND_RBP] = REG_RBP, [UNWIND_RSP] = REG_RSP, [UNWIND_R8] = REG_R8,
        [UNWIND_R9] = REG_R9,   [UNWIND_R10] = REG_R10, [UNWIND_R11] = REG_R11,
        [UNWIND_R12] = REG_R12, [UNWIND_R13] = REG_R13, [UNWIND_R14] = REG_R14,
        [UNWIND_R15] = REG_R15, [UNWIND_RIP] = REG_RIP,
    };
    const ucontext_t *context = ucontext;

    for (unsigned i = 0; i < UNWIND_REGS; i++)
        regs->reg[i] = (uintptr_t)context->uc_mcontext.gregs[place[i]];
    regs->known = (1u << UNWIND_REGS) - 1;
}
