/*
 * Rules of hand-written code on a stack made by hand, and the rule cache: forgetting, filling up,
 * many threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "shim/unwind.h"
#include "shim/unwind_rule.h"

/*
 * Code that nobody runs: one nop with one row of rules each. `root` is the outermost function; the
 * return address root + 1 ends a walk. UNIT(name, directives) is a function of its own.
 */
#define UNIT(name, directives)                                                                     \
    __asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name                          \
            ":\n.cfi_startproc\n" directives "\nnop\nnop\n.cfi_endproc\n.size " #name              \
            ", . - " #name "\n");                                                                  \
    extern const char name[]

UNIT(unit_root, ".cfi_undefined %rip");
UNIT(unit_rsp, ".cfi_def_cfa_offset 24");
UNIT(unit_rbx, ".cfi_def_cfa %rbx, 16");
UNIT(unit_rbp, ".cfi_def_cfa %rbp, 16\n.cfi_offset %rbp, -16");
UNIT(unit_rax, ".cfi_def_cfa %rax, 16");
UNIT(unit_saves_rbx, ".cfi_def_cfa_offset 24\n.cfi_offset %rbx, -16");
UNIT(unit_saves_rbp, ".cfi_def_cfa_offset 40\n.cfi_offset %rbp, -24");
UNIT(unit_saves_rbp_far, ".cfi_def_cfa_offset 80\n.cfi_offset %rbp, -72");
UNIT(unit_rbp_popped, ".cfi_def_cfa_offset 8\n.cfi_offset %rbp, -16");
UNIT(unit_huge, ".cfi_def_cfa_offset 40000");
UNIT(unit_saves_far, ".cfi_def_cfa_offset 400\n.cfi_offset %rbx, -392");
UNIT(unit_popped, ".cfi_def_cfa_offset 8\n.cfi_offset %rbx, -16");
UNIT(unit_popped_long_ago, ".cfi_def_cfa_offset 8\n.cfi_offset %rbx, -200");
UNIT(unit_loses_rbx, ".cfi_undefined %rbx");
UNIT(unit_rbx_in_rax, ".cfi_register %rbx, %rax");
UNIT(unit_rip_in_rdi, ".cfi_def_cfa_offset 0\n.cfi_register %rip, %rdi"); /* vfork */
UNIT(unit_no_rip, ".cfi_register %rip, %xmm0");
UNIT(unit_rip_lower, ".cfi_def_cfa_offset 24\n.cfi_offset %rip, -16");
UNIT(unit_signal, ".cfi_signal_frame\n.cfi_def_cfa_offset 24");
UNIT(unit_val_offset, ".cfi_escape 0x15, 7, 0x7f"); /* rsp = CFA + 8 */
UNIT(unit_rbx_is_cfa, ".cfi_escape 0x15, 3, 2");    /* rbx = CFA − 16 */
/* libcrypto's way: CFA = *(rsp + 16) + 8 */
UNIT(unit_expression, ".cfi_escape 0x0f, 5, 0x77, 16, 0x06, 0x23, 8");
UNIT(unit_expression_outside, ".cfi_escape 0x0f, 3, 0x30, 0x06, 0x06");
UNIT(unit_expression_unknown, ".cfi_escape 0x0f, 2, 0x50, 0x06");
/* gcc's way after a realigned prologue: rbp at *(rbp), CFA = *(rbp − 8) */
UNIT(unit_realigned, ".cfi_escape 0x0f, 3, 0x76, 0x78, 0x06\n.cfi_escape 0x10, 6, 2, 0x76, 0");
/* more nested states than the shim keeps */
UNIT(unit_bad, ".rept 5\n.cfi_remember_state\n.endr\n.rept 5\n.cfi_restore_state\n.endr");

static uintptr_t words[128], others_room[80];
static uintptr_t *const others = others_room + 8;
static struct unwind_range stacks[2];
static unsigned stack_count;
static struct unwind_regs regs;
static uintptr_t pcs[64];
static unsigned depth;
static enum unwind_end end;

static uintptr_t at(unsigned index)
{
    return (uintptr_t)&words[index];
}

/* Interrupted in `unit` with rsp at words[64]; every other register known and 0. */
static int begin(void **state)
{
    (void)state;
    memset(words, 0, sizeof(words));
    memset(others_room, 0, sizeof(others_room));
    memset(&regs, 0, sizeof(regs));
    regs.known = 0x1ffff;
    regs.reg[UNWIND_RSP] = at(64);
    stacks[0] = (struct unwind_range){at(0), at(128)};
    stack_count = 1;
    return 0;
}

static void walk(const char *unit)
{
    regs.reg[UNWIND_RIP] = (uintptr_t)unit;
    depth = unwind_walk(&regs, 1, stacks, stack_count, pcs, 64, &end);
    assert_in_range(depth, 1, 64);
    assert_int_equal(pcs[0], (uintptr_t)unit);
}

/* A return address into `unit`. */
static uintptr_t into(const char *unit)
{
    return (uintptr_t)unit + 1;
}

static void assert_walk(unsigned frames, enum unwind_end how)
{
    assert_int_equal(depth, frames);
    assert_int_equal(end, how);
}

static void assert_reaches_root(unsigned frames)
{
    assert_walk(frames, UNWIND_END_ROOT);
    assert_int_equal(pcs[depth - 1], (uintptr_t)unit_root);
}

static void cfa_may_be_based_on_any_known_register(void **state)
{
    (void)state;
    words[66] = into(unit_root);
    walk(unit_rsp);
    assert_reaches_root(2);
    words[71] = into(unit_root);
    regs.reg[UNWIND_RBX] = regs.reg[UNWIND_RBP] = regs.reg[UNWIND_RAX] = at(70);
    walk(unit_rbx);
    assert_reaches_root(2);
    walk(unit_rbp);
    assert_reaches_root(2);
    walk(unit_rax);
    assert_reaches_root(2);

    regs.known &= ~(1u << UNWIND_RAX);
    walk(unit_rax);
    assert_walk(1, UNWIND_END_BAD_CFI);
    regs.known &= ~(1u << UNWIND_RBX);
    walk(unit_rbx);
    assert_walk(1, UNWIND_END_BAD_CFI);
}

static void saved_registers_reach_the_frame_that_needs_them(void **state)
{
    (void)state;
    words[65] = at(100); /* rbx at CFA − 16 */
    words[66] = into(unit_rbx);
    words[101] = into(unit_root);
    walk(unit_saves_rbx);
    assert_reaches_root(3);

    begin(NULL);
    words[65] = at(100);
    words[64 + 49] = into(unit_rbx);
    words[101] = into(unit_root);
    walk(unit_saves_far);
    assert_walk(2, UNWIND_END_STACK); /* rbx points below */
    words[65] = at(120);
    words[121] = into(unit_root);
    walk(unit_saves_far);
    assert_reaches_root(3);

    begin(NULL); /* popped already: just below rsp, in the red zone */
    words[63] = at(80);
    words[64] = into(unit_rbx);
    words[81] = into(unit_root);
    walk(unit_popped);
    assert_reaches_root(3);
    /* what lies further down may have been overwritten: not read, and not known */
    words[65 - 25] = at(80);
    walk(unit_popped_long_ago);
    assert_walk(2, UNWIND_END_BAD_CFI);
}

static void rules_by_register_value_and_undefined(void **state)
{
    (void)state;
    words[64] = into(unit_rbx);
    words[81] = into(unit_root);
    regs.reg[UNWIND_RBX] = at(80);
    walk(unit_loses_rbx);
    assert_walk(2, UNWIND_END_BAD_CFI);
    regs.reg[UNWIND_RAX] = at(80);
    regs.reg[UNWIND_RBX] = 0;
    walk(unit_rbx_in_rax);
    assert_reaches_root(3);

    /* rbx = CFA − 16 = words[63]: its CFA is below rsp */
    walk(unit_rbx_is_cfa);
    assert_walk(2, UNWIND_END_STACK);

    /* vfork: the return address is in a register, the frame has no bytes */
    regs.reg[UNWIND_RDI] = into(unit_root);
    walk(unit_rip_in_rdi);
    assert_reaches_root(2);
    words[64] = into(unit_rip_in_rdi); /* but only the innermost frame may be empty */
    walk(unit_popped);
    assert_walk(2, UNWIND_END_STACK);

    words[64] = 0;
    words[65] = into(unit_root);
    walk(unit_rip_lower);
    assert_reaches_root(2);
    words[65] = 0;
    walk(unit_no_rip);
    assert_walk(1, UNWIND_END_BAD_CFI);
    walk(unit_bad);
    assert_walk(1, UNWIND_END_BAD_CFI);
    /* a caller whose rsp is not the CFA */
    words[64] = into(unit_popped);
    words[66] = into(unit_root);
    walk(unit_val_offset);
    assert_reaches_root(3);
}

static void callers_of_signal_frames_are_exact(void **state)
{
    words[66] = (uintptr_t)unit_root; /* interrupted at its first instruction */
    walk(unit_signal);
    assert_reaches_root(2);
    words[66] = (uintptr_t)state; /* interrupted in code that is in no module */
    walk(unit_signal);
    assert_walk(2, UNWIND_END_NO_CFI);
    assert_int_equal(pcs[1], (uintptr_t)state);
}

static void expressions_find_the_frame(void **state)
{
    (void)state;
    words[66] = at(90);
    words[90] = into(unit_root);
    walk(unit_expression);
    assert_reaches_root(2);
    words[66] = at(128); /* just outside */
    walk(unit_expression);
    assert_walk(1, UNWIND_END_STACK);
    walk(unit_expression_outside);
    assert_walk(1, UNWIND_END_STACK);
    walk(unit_expression_unknown);
    assert_walk(1, UNWIND_END_BAD_CFI);

    regs.reg[UNWIND_RBP] = at(80);
    words[79] = at(86);
    words[80] = at(90); /* the caller's rbp */
    words[85] = into(unit_rbp);
    words[91] = into(unit_root);
    walk(unit_realigned);
    assert_reaches_root(3);
}

static void frames_must_climb(void **state)
{
    (void)state;
    /* rbp to itself, downwards, off the stack, and not aligned */
    static const int targets[] = {70, 66, 40, 127, 128};
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        begin(NULL);
        regs.reg[UNWIND_RBP] = at(70);
        words[70] = at((unsigned)targets[i]);
        words[71] = into(unit_rbp);
        walk(unit_rbp);
        assert_walk(2, UNWIND_END_STACK);
    }
    regs.reg[UNWIND_RBP] = at(70) + 4;
    walk(unit_rbp);
    assert_walk(1, UNWIND_END_STACK);
}

static void code_may_say_that_it_changed_the_stack_but_not_for_ever(void **state)
{
    uintptr_t other = (uintptr_t)others;

    (void)state;
    stacks[1] = (struct unwind_range){other, other + 64 * sizeof(*others)};
    regs.reg[UNWIND_RBP] = other + 80;
    others[11] = into(unit_root);
    walk(unit_rbp);
    assert_walk(1, UNWIND_END_STACK);
    stack_count = 2;
    walk(unit_rbp);
    assert_reaches_root(2);

    /* at its lowest word there is a return address, but no saved rbp below; at its end neither */
    others[-2] = into(unit_root);
    others[-1] = at(90);
    others[0] = into(unit_rbp);
    words[91] = into(unit_root);
    regs.reg[UNWIND_RBP] = other - 8;
    walk(unit_rbp);
    assert_walk(2, UNWIND_END_BAD_CFI);
    others[-1] = into(unit_root);
    regs.reg[UNWIND_RBP] = other - 16;
    walk(unit_rbp);
    assert_walk(1, UNWIND_END_STACK);

    /* and back: the frames of each stack point into the other */
    regs.reg[UNWIND_RBP] = other + 80;
    others[10] = at(70);
    others[11] = into(unit_rbp);
    words[70] = other + 80;
    words[71] = into(unit_rbp);
    walk(unit_rbp);
    assert_walk(9, UNWIND_END_STACK);
}

static void ranges_are_never_left(void **state)
{
    (void)state;
    /* the return address would be the first word outside */
    regs.reg[UNWIND_RSP] = at(126);
    walk(unit_rsp);
    assert_walk(1, UNWIND_END_STACK);
    regs.reg[UNWIND_RSP] = at(125);
    words[127] = into(unit_root);
    walk(unit_rsp);
    assert_reaches_root(2);
    /* a saved register below the range */
    regs.reg[UNWIND_RSP] = at(0);
    words[0] = into(unit_rbx);
    walk(unit_popped);
    assert_walk(2, UNWIND_END_BAD_CFI);
}

/* The cache. */
static const struct unwind_rule *find(const char *unit, struct unwind_scratch *scratch)
{
    return unwind_rule_find((uintptr_t)unit, unwind_generation_load(), scratch);
}

static unsigned words_used(void)
{
    unsigned used = 0;
    for (unsigned set = 0; set < UNWIND_SETS; set++)
        for (unsigned way = 0; way < UNWIND_WAYS; way++)
            used += unwind_words[set][way] != 0;
    return used;
}

static void frequent_rules_are_in_the_word_itself(void **state)
{
    struct unwind_scratch scratch;
    uint32_t now = unwind_generation_load();
    uint64_t word;

    (void)state;
    find(unit_saves_rbp, &scratch);
    word = unwind_word_find((uintptr_t)unit_saves_rbp, now);
    assert_int_equal(word & UNWIND_WORD_PLACE, 0);
    assert_int_equal(unwind_word_cfa_words(word), 5);
    assert_int_equal(unwind_word_rbp_slot(word), 3);
    assert_int_equal(word & UNWIND_WORD_OTHERS, 0);
    find(unit_saves_rbx, &scratch);
    word = unwind_word_find((uintptr_t)unit_saves_rbx, now);
    assert_int_equal(word & UNWIND_WORD_PLACE, 0);
    assert_int_equal(unwind_word_cfa_words(word), 3);
    assert_int_equal(unwind_word_rbp_slot(word), 0);
    assert_int_not_equal(word & UNWIND_WORD_OTHERS, 0);
    find(unit_rbp, &scratch);
    word = unwind_word_find((uintptr_t)unit_rbp, now);
    assert_int_equal(word & UNWIND_WORD_PLACE, 0);
    assert_int_equal(unwind_word_cfa_words(word), UNWIND_CFA_BY_RBP);
    assert_int_equal(unwind_word_rbp_slot(word), 2);
    /* another register, a slot below rsp, a frame that is too big, a slot that is too far */
    static const char *const placed[] = {unit_rbx, unit_rbp_popped, unit_huge, unit_saves_rbp_far};
    for (size_t i = 0; i < sizeof(placed) / sizeof(*placed); i++) {
        assert_int_equal(find(placed[i], &scratch)->kind, UNWIND_RULE_PLAIN);
        word = unwind_word_find((uintptr_t)placed[i], now);
        assert_int_not_equal(word & UNWIND_WORD_PLACE, 0);
    }
}

static void other_rules_are_kept_once(void **state)
{
    struct unwind_scratch scratch;
    const struct unwind_rule *rule;

    (void)state;
    find(unit_saves_rbp_far, &scratch);
    rule = find(unit_saves_rbp_far, &scratch);
    assert_in_range((uintptr_t)rule, (uintptr_t)unwind_rules,
                    (uintptr_t)(unwind_rules + UNWIND_RULES));
    assert_int_equal(rule->kind, UNWIND_RULE_PLAIN);
    assert_int_equal(rule->cfa_reg, UNWIND_RSP);
    assert_int_equal(rule->cfa_offset, 80);
    assert_int_equal(rule->slot[1], 9);
    assert_int_equal(rule->known, 1u << UNWIND_RBP);
    assert_int_equal(rule->reach, 9);
    find(unit_saves_rbp_far + 1, &scratch);
    assert_ptr_equal(find(unit_saves_rbp_far + 1, &scratch), rule);
    find(unit_rbx, &scratch);
    assert_ptr_not_equal(find(unit_rbx, &scratch), rule);
}

static void flush_forgets_and_the_count_starts_again(void **state)
{
    struct unwind_scratch scratch;
    uintptr_t pc = (uintptr_t)unit_rsp;
    uint32_t before = unwind_generation_load();
    unsigned used;

    (void)state;
    find(unit_rsp, &scratch);
    assert_int_not_equal(unwind_word_find(pc, before), 0);
    used = words_used();
    find(unit_rsp, &scratch);
    assert_int_equal(words_used(), used);
    unwind_flush();
    assert_int_not_equal(unwind_generation_load(), before);
    assert_int_equal(unwind_word_find(pc, unwind_generation_load()), 0);
    find(unit_rsp, &scratch);
    assert_int_not_equal(unwind_word_find(pc, unwind_generation_load()), 0);

    for (unsigned i = 0; i < 5000; i++) {
        unwind_flush();
        assert_in_range(unwind_generation_load(), 1, 4095);
        assert_int_equal(unwind_word_find(pc, unwind_generation_load()), 0);
    }
    assert_int_equal(words_used(), 0);
    find(unit_rsp, &scratch);
    assert_int_not_equal(unwind_word_find(pc, unwind_generation_load()), 0);
}

static void code_that_is_not_mapped_is_not_remembered(void **state)
{
    struct unwind_scratch scratch;
    unsigned used = words_used();
    const struct unwind_rule *rule = find((const char *)words, &scratch);

    (void)state;
    assert_int_equal(rule->kind, UNWIND_RULE_NO_CFI); /* data of a module: that stays so */
    assert_int_equal(words_used(), used + 1);
    rule = find((const char *)&scratch, &scratch);
    assert_int_equal(rule->kind, UNWIND_RULE_NO_CODE);
    assert_int_equal(words_used(), used + 1);
}

/* Two functions with the same expressions, and one whose expressions are too long to be kept. */
#define LONG_EXPRESSION                                                                            \
    "0x10, 3, 60, 0x77, 0x78" /* rbx: at rsp − 8 … and nops */                                 \
    ", 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96"         \
    ", 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96"         \
    ", 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96"         \
    ", 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96"         \
    ", 0x96, 0x96"
UNIT(unit_expression_again, ".cfi_escape 0x0f, 5, 0x77, 16, 0x06, 0x23, 8");
UNIT(unit_long, ".cfi_escape " LONG_EXPRESSION);
UNIT(unit_too_long, ".cfi_escape " LONG_EXPRESSION "\n.cfi_escape 0x10, 12, 60, 0x77, 0x78"
                    "\n.rept 58\n.cfi_escape 0x96\n.endr");

static void rows_keep_their_expressions_if_they_have_room(void **state)
{
    struct unwind_scratch scratch;
    const struct unwind_row *row;

    (void)state;
    find(unit_expression, &scratch);
    find(unit_expression_again, &scratch);
    assert_int_not_equal(find(unit_expression, &scratch)->row_index, 0);
    assert_int_equal(find(unit_expression, &scratch)->row_index,
                     find(unit_expression_again, &scratch)->row_index);
    row = &unwind_rows[find(unit_expression, &scratch)->row_index - 1];
    assert_null(row->tables.lo);
    assert_int_equal(row->row.cfa_value, 0);
    assert_memory_equal(row->expressions, "\x05\x77\x10\x06\x23\x08", 6);

    assert_int_not_equal(find(unit_long, &scratch)->row_index, 0);
    assert_int_equal(find(unit_too_long, &scratch)->kind, UNWIND_RULE_ROW);
    assert_int_equal(find(unit_too_long, &scratch)->row_index, 0);
    assert_non_null(scratch.row.tables.lo);

    static const char *const units[] = {unit_long, unit_too_long};
    for (unsigned i = 0; i < 2; i++) {
        begin(NULL);
        words[63] = at(80); /* rbx */
        words[64] = into(unit_rbx);
        words[81] = into(unit_root);
        walk(units[i]);
        assert_reaches_root(3);
    }
}

/* Threads walk chains of different pcs while one thread forgets all the time. */
UNIT(unit_many, ".rept 2000\n.cfi_adjust_cfa_offset 8\nnop\n.endr");

static int stop;

/* A coverage build counts each of the 2000 instructions with a locked add. */
#ifdef PERFSHIM_COVERAGE
enum { walks = 3000 };
#else
enum { walks = 30000 };
#endif

static void *walk_many(void *seed)
{
    unsigned n = *(unsigned *)seed;
    static __thread uintptr_t frame[2100];
    static __thread uintptr_t found[4];
    unsigned wrong = 0;

    for (unsigned i = 0; i < walks; i++) {
        struct unwind_range range = {(uintptr_t)frame, (uintptr_t)(frame + 2100)};
        struct unwind_regs start = {.known = 1u << UNWIND_RSP | 1u << UNWIND_RIP};
        enum unwind_end how;
        unsigned nth = (n = n * 1103515245 + 12345) / 65536 % 2000, count;
        start.reg[UNWIND_RSP] = (uintptr_t)frame;
        start.reg[UNWIND_RIP] = (uintptr_t)unit_many + nth;
        frame[nth + 1] = into(unit_root);
        count = unwind_walk(&start, 1, &range, 1, found, 4, &how);
        wrong += count != 2 || how != UNWIND_END_ROOT || found[1] != (uintptr_t)unit_root;
        frame[nth + 1] = 0;
    }
    *(unsigned *)seed = wrong;
    return NULL;
}

static void *flush_always(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        unwind_flush();
        for (volatile unsigned i = 0; i < 2000; i++)
            ;
    }
    return NULL;
}

static void threads_never_see_a_torn_rule(void **state)
{
    pthread_t threads[4], flusher;
    unsigned seeds[4] = {1, 1, 2, 3}; /* two of them ask for the same pcs at the same time */

    (void)state;
    assert_int_equal(pthread_create(&flusher, NULL, flush_always, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, walk_many, &seeds[i]), 0);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(seeds[i], 0);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(flusher, NULL);
}

/* More rows and rules than the tables hold. The last test: they stay full. */
UNIT(unit_rows, ".cfi_register %r12, %rax\n.rept 1100\n.cfi_adjust_cfa_offset 8\nnop\n.endr");
UNIT(unit_rules, ".cfi_def_cfa_register %rbp\n.rept 8300\n.cfi_adjust_cfa_offset 8\nnop\n.endr");

/* Walks from each instruction of a unit whose n-th has its return address at word n + 1. */
static unsigned walk_each(const char *unit, unsigned count, enum unwind_rule_kind kind)
{
    static uintptr_t frame[8400];
    struct unwind_scratch scratch;
    unsigned kept = 0;

    stacks[0] = (struct unwind_range){(uintptr_t)frame, (uintptr_t)(frame + 8400)};
    regs.reg[UNWIND_RSP] = regs.reg[UNWIND_RBP] = (uintptr_t)frame;
    for (unsigned i = 0; i < count; i++) {
        const struct unwind_rule *rule;
        frame[i + 1] = into(unit_root);
        walk(unit + i);
        assert_reaches_root(2);
        frame[i + 1] = 0;
        rule = find(unit + i, &scratch);
        assert_int_equal(rule->kind, kind);
        if (kind == UNWIND_RULE_ROW)
            kept += rule->row_index != 0;
        else
            kept += rule != &scratch.rule;
    }
    return kept;
}

static void full_tables_slow_down_but_never_fail(void **state)
{
    (void)state;
    assert_in_range(walk_each(unit_rows, 1100, UNWIND_RULE_ROW), 900, UNWIND_ROWS);
    assert_in_range(walk_each(unit_rules, 8300, UNWIND_RULE_PLAIN), 6000, UNWIND_RULES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cfa_may_be_based_on_any_known_register, begin),
        cmocka_unit_test_setup(saved_registers_reach_the_frame_that_needs_them, begin),
        cmocka_unit_test_setup(rules_by_register_value_and_undefined, begin),
        cmocka_unit_test_setup(callers_of_signal_frames_are_exact, begin),
        cmocka_unit_test_setup(expressions_find_the_frame, begin),
        cmocka_unit_test_setup(frames_must_climb, begin),
        cmocka_unit_test_setup(code_may_say_that_it_changed_the_stack_but_not_for_ever, begin),
        cmocka_unit_test_setup(ranges_are_never_left, begin),
        cmocka_unit_test_setup(frequent_rules_are_in_the_word_itself, begin),
        cmocka_unit_test_setup(other_rules_are_kept_once, begin),
        cmocka_unit_test_setup(rows_keep_their_expressions_if_they_have_room, begin),
        cmocka_unit_test_setup(flush_forgets_and_the_count_starts_again, begin),
        cmocka_unit_test_setup(code_that_is_not_mapped_is_not_remembered, begin),
        cmocka_unit_test_setup(threads_never_see_a_torn_rule, begin),
        cmocka_unit_test_setup(full_tables_slow_down_but_never_fail, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
