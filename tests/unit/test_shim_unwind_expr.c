/* The expression machine: each operation, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "shim/cfi.h"

static uint64_t memory[8] = {0x1122334455667788, 0x8000000000000000, 7};
static struct unwind_regs regs;
static const struct unwind_range ranges[1];
static struct cfi_stack stack = {ranges, 0, (uintptr_t)memory, (uintptr_t)(memory + 8)};

struct expression {
    uint8_t bytes[300];
    size_t size;
};
#define EXPRESSION(...)                                                                            \
    (struct expression)                                                                            \
    {                                                                                              \
        {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})                                            \
    }

static int eval_from(struct expression e, const uintptr_t *cfa, uintptr_t *result)
{
    uint8_t table[320];
    struct cfi_bytes tables = {table, table + 3 + 2 + e.size};

    memset(table, 0xff, 3);
    table[3] = (uint8_t)(0x80 | (e.size & 0x7f));
    table[4] = (uint8_t)(e.size >> 7);
    memcpy(table + 5, e.bytes, e.size);
    return cfi_expression_run(tables, 3, &regs, &stack, cfa, result);
}

static void assert_value(struct expression e, uintptr_t want)
{
    uintptr_t got = ~want;
    assert_int_equal(eval_from(e, NULL, &got), 0);
    assert_int_equal(got, want);
}

static void assert_error(struct expression e, int error)
{
    uintptr_t got;
    assert_int_equal(eval_from(e, NULL, &got), error);
}

static void constants_of_every_size_and_sign(void **state)
{
    (void)state;
    assert_value(EXPRESSION(0x30), 0);
    assert_value(EXPRESSION(0x4f), 31);
    assert_value(EXPRESSION(0x03, 1, 2, 3, 4, 5, 6, 7, 8), 0x0807060504030201);
    assert_value(EXPRESSION(0x08, 0xfe), 0xfe);
    assert_value(EXPRESSION(0x09, 0xfe), (uintptr_t)-2);
    assert_value(EXPRESSION(0x0a, 0xfe, 0xff), 0xfffe);
    assert_value(EXPRESSION(0x0b, 0xfe, 0xff), (uintptr_t)-2);
    assert_value(EXPRESSION(0x0c, 0xfe, 0xff, 0xff, 0xff), 0xfffffffe);
    assert_value(EXPRESSION(0x0d, 0xfe, 0xff, 0xff, 0xff), (uintptr_t)-2);
    assert_value(EXPRESSION(0x0e, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), (uintptr_t)-2);
    assert_value(EXPRESSION(0x0f, 2, 0, 0, 0, 0, 0, 0, 0), 2);
    assert_value(EXPRESSION(0x10, 0xe5, 0x8e, 0x26), 624485);
    assert_value(EXPRESSION(0x11, 0x9b, 0xf1, 0x59), (uintptr_t)-624485);
}

static void registers_with_an_offset(void **state)
{
    (void)state;
    regs.known = 1u << UNWIND_RSP | 1u << UNWIND_RIP;
    regs.reg[UNWIND_RSP] = 0x7000;
    regs.reg[UNWIND_RIP] = 0x4015;
    assert_value(EXPRESSION(0x77, 8), 0x7008);
    assert_value(EXPRESSION(0x77, 0x78), 0x6ff8);
    assert_value(EXPRESSION(0x92, 16, 1), 0x4016);
    assert_error(EXPRESSION(0x76, 0), CFI_NO_REGISTER); /* rbp is not known */
    assert_error(EXPRESSION(0x82, 0), CFI_UNSUPPORTED); /* breg18: xmm1 */
    assert_error(EXPRESSION(0x92, 33, 0), CFI_UNSUPPORTED);
}

static void stack_operations(void **state)
{
    (void)state;
    assert_value(EXPRESSION(0x35, 0x12, 0x22), 10);                      /* dup plus */
    assert_value(EXPRESSION(0x35, 0x36, 0x13), 5);                       /* drop */
    assert_value(EXPRESSION(0x35, 0x33, 0x14, 0x1c, 0x1c), 5 - (3 - 5)); /* over */
    assert_value(EXPRESSION(0x35, 0x33, 0x31, 0x15, 2), 5);              /* pick */
    assert_value(EXPRESSION(0x35, 0x33, 0x16, 0x1c), (uintptr_t)-2);     /* swap */
    /* rot: 1 2 3 becomes 3 1 2 */
    assert_value(EXPRESSION(0x31, 0x32, 0x33, 0x17), 2);
    assert_value(EXPRESSION(0x31, 0x32, 0x33, 0x17, 0x13), 1);
    assert_value(EXPRESSION(0x31, 0x32, 0x33, 0x17, 0x13, 0x13), 3);
    assert_value(EXPRESSION(0x31, 0x96), 1); /* nop */
}

static void arithmetic(void **state)
{
    (void)state;
    assert_value(EXPRESSION(0x3c, 0x3a, 0x1a), 8);                   /* and */
    assert_value(EXPRESSION(0x09, 0xf9, 0x32, 0x1b), (uintptr_t)-3); /* div: −7 / 2 */
    assert_value(EXPRESSION(0x33, 0x35, 0x1c), (uintptr_t)-2);       /* minus */
    assert_value(EXPRESSION(0x4f, 0x36, 0x1d), 1);                   /* mod */
    assert_value(EXPRESSION(0x36, 0x37, 0x1e), 42);                  /* mul */
    assert_value(EXPRESSION(0x3c, 0x3a, 0x21), 14);                  /* or */
    assert_value(EXPRESSION(0x36, 0x37, 0x22), 13);                  /* plus */
    assert_value(EXPRESSION(0x36, 0x23, 0x80, 0x01), 134);           /* plus_uconst */
    assert_value(EXPRESSION(0x33, 0x34, 0x24), 48);                  /* shl */
    assert_value(EXPRESSION(0x33, 0x08, 64, 0x24), 0);               /* … by too much */
    assert_value(EXPRESSION(0x09, 0xff, 0x08, 60, 0x25), 15);        /* shr */
    assert_value(EXPRESSION(0x09, 0xff, 0x08, 64, 0x25), 0);
    assert_value(EXPRESSION(0x09, 0xf0, 0x32, 0x26), (uintptr_t)-4); /* shra */
    assert_value(EXPRESSION(0x09, 0xf0, 0x08, 99, 0x26), (uintptr_t)-1);
    assert_value(EXPRESSION(0x3c, 0x3a, 0x27), 6);  /* xor */
    assert_value(EXPRESSION(0x09, 0xf0, 0x19), 16); /* abs */
    assert_value(EXPRESSION(0x36, 0x19), 6);
    assert_value(EXPRESSION(0x36, 0x1f), (uintptr_t)-6);       /* neg */
    assert_value(EXPRESSION(0x36, 0x20), ~(uintptr_t)6);       /* not */
    assert_error(EXPRESSION(0x36, 0x30, 0x1b), CFI_MALFORMED); /* by zero */
    assert_error(EXPRESSION(0x36, 0x30, 0x1d), CFI_MALFORMED);
    assert_error(EXPRESSION(0x31, 0x08, 63, 0x24, 0x09, 0xff, 0x1b), CFI_MALFORMED);
}

static void comparisons_are_signed(void **state)
{
    static const struct {
        uint8_t op, less, equal, greater; /* for −1 op 1, 1 op 1, 1 op −1 */
    } want[] = {{0x29, 0, 1, 0}, {0x2a, 0, 1, 1}, {0x2b, 0, 0, 1},
                {0x2c, 1, 1, 0}, {0x2d, 1, 0, 0}, {0x2e, 1, 0, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        assert_value(EXPRESSION(0x09, 0xff, 0x31, want[i].op), want[i].less);
        assert_value(EXPRESSION(0x31, 0x31, want[i].op), want[i].equal);
        assert_value(EXPRESSION(0x31, 0x09, 0xff, want[i].op), want[i].greater);
    }
}

static void memory_is_read_in_every_size(void **state)
{
    (void)state;
    regs.known = 1u << UNWIND_RSP;
    regs.reg[UNWIND_RSP] = (uintptr_t)memory;
    assert_value(EXPRESSION(0x77, 0, 0x06), 0x1122334455667788);
    assert_value(EXPRESSION(0x77, 0, 0x94, 1), 0x88);
    assert_value(EXPRESSION(0x77, 0, 0x94, 2), 0x7788);
    assert_value(EXPRESSION(0x77, 1, 0x94, 4), 0x44556677);
    assert_value(EXPRESSION(0x77, 0, 0x94, 8), 0x1122334455667788);
    assert_value(EXPRESSION(0x77, 16, 0x06), 7);
    assert_value(EXPRESSION(0x77, 56, 0x06), 0);
    assert_error(EXPRESSION(0x77, 0, 0x94, 3), CFI_UNSUPPORTED);
}

static void memory_outside_the_stacks_is_never_read(void **state)
{
    uintptr_t got;

    (void)state;
    regs.known = 1u << UNWIND_RSP;
    regs.reg[UNWIND_RSP] = (uintptr_t)memory;
    assert_error(EXPRESSION(0x30, 0x06), CFI_NO_MEMORY);
    assert_error(EXPRESSION(0x77, 57, 0x06), CFI_NO_MEMORY);
    assert_error(EXPRESSION(0x77, 0x7f, 0x94, 1), CFI_NO_MEMORY);
    assert_error(EXPRESSION(0x77, 63, 0x94, 2), CFI_NO_MEMORY);
    assert_error(EXPRESSION(0x09, 0xff, 0x06), CFI_NO_MEMORY);
    assert_int_equal(cfi_stack_read(&stack, UINTPTR_MAX - 3, 8, &got), CFI_NO_MEMORY);
}

static void other_stacks_are_read_but_this_one_only_in_its_window(void **state)
{
    struct unwind_range both[2] = {{(uintptr_t)memory, (uintptr_t)(memory + 4)},
                                   {(uintptr_t)(memory + 5), (uintptr_t)(memory + 7)}};
    struct cfi_stack window = {both, 2, (uintptr_t)(memory + 2), (uintptr_t)(memory + 4)};
    uintptr_t got;

    (void)state;
    assert_int_equal(cfi_stack_read(&window, (uintptr_t)(memory + 2), 8, &got), 0);
    assert_int_equal(got, 7);
    assert_int_equal(cfi_stack_read(&window, (uintptr_t)(memory + 1), 8, &got), CFI_NO_MEMORY);
    assert_int_equal(cfi_stack_read(&window, (uintptr_t)(memory + 4), 8, &got), CFI_NO_MEMORY);
    assert_int_equal(cfi_stack_read(&window, (uintptr_t)(memory + 6), 8, &got), 0);
    assert_int_equal(cfi_stack_read(&window, (uintptr_t)(memory + 7), 8, &got), CFI_NO_MEMORY);
}

static void jumps_stay_inside_the_expression(void **state)
{
    (void)state;
    assert_value(EXPRESSION(0x31, 0x2f, 1, 0, 0x32), 1);       /* skip over one */
    assert_value(EXPRESSION(0x35, 0x31, 0x28, 1, 0, 0x1f), 5); /* bra taken */
    assert_value(EXPRESSION(0x35, 0x30, 0x28, 1, 0, 0x1f), (uintptr_t)-5);
    /* 5 down to 0 by a loop: lit5; L: lit1 minus dup bra L */
    assert_value(EXPRESSION(0x35, 0x31, 0x1c, 0x12, 0x28, 0xfa, 0xff), 0);
    assert_error(EXPRESSION(0x2f, 1, 0), CFI_MALFORMED);
    assert_error(EXPRESSION(0x2f, 0xfc, 0xff), CFI_MALFORMED);
    assert_error(EXPRESSION(0x31, 0x28, 0xff, 0x7f), CFI_MALFORMED);
}

static void endless_expressions_end(void **state)
{
    struct expression e = {.size = 257};

    (void)state;
    assert_error(EXPRESSION(0x2f, 0xfd, 0xff), CFI_MALFORMED);
    memset(e.bytes, 0x96, sizeof(e.bytes));
    e.bytes[0] = 0x31;
    assert_error(e, CFI_MALFORMED);
    e.size = 256;
    assert_value(e, 1);
}

static void stack_has_sixteen_entries_and_a_bottom(void **state)
{
    static const uint8_t unary[] = {0x12, 0x13, 0x06, 0x94, 0x19, 0x1f, 0x20, 0x23, 0x28};
    struct expression e = {.size = 16};
    uintptr_t got, cfa = 42;

    (void)state;
    memset(e.bytes, 0x33, sizeof(e.bytes));
    assert_value(e, 3);
    assert_int_equal(eval_from(e, &cfa, &got), CFI_MALFORMED); /* the CFA takes one */
    e.size = 17;
    assert_error(e, CFI_MALFORMED);
    for (size_t i = 0; i < sizeof(unary); i++)
        assert_error(EXPRESSION(unary[i], 1, 0), CFI_MALFORMED);
    for (unsigned op = 0x1a; op <= 0x2e; op++)
        if (!memchr(unary, (int)op, sizeof(unary)))
            assert_error(EXPRESSION(0x31, (uint8_t)op), CFI_MALFORMED);
    assert_error(EXPRESSION(0x31, 0x16), CFI_MALFORMED);
    assert_error(EXPRESSION(0x31, 0x14), CFI_MALFORMED);
    assert_error(EXPRESSION(0x31, 0x15, 1), CFI_MALFORMED);
    assert_error(EXPRESSION(0x31, 0x32, 0x17), CFI_MALFORMED);
    assert_error((struct expression){.size = 0}, CFI_MALFORMED); /* no result */
    assert_error(EXPRESSION(0x31, 0x13), CFI_MALFORMED);
}

static void cfa_is_pushed_for_register_rules(void **state)
{
    uintptr_t got, cfa = 0x7100;

    (void)state;
    assert_int_equal(eval_from(EXPRESSION(0x38, 0x1c), &cfa, &got), 0);
    assert_int_equal(got, 0x70f8);
    assert_int_equal(eval_from((struct expression){.size = 0}, &cfa, &got), 0);
    assert_int_equal(got, 0x7100);
}

static void operations_without_a_meaning_here_are_refused(void **state)
{
    static const uint8_t ops[] = {0x00, 0x18, 0x50, 0x90, 0x91, 0x93, 0x97, 0x9c, 0xe0, 0xf1};

    (void)state;
    for (size_t i = 0; i < sizeof(ops); i++)
        assert_error(EXPRESSION(0x31, 0x31, 0x31, ops[i]), CFI_UNSUPPORTED);
}

static void expressions_never_run_past_their_block(void **state)
{
    static const uint8_t table[] = {2, 0x31, 0x08, 9, 0x85, 0x80};
    struct cfi_bytes tables = {table, table + sizeof(table)};
    uintptr_t got;

    (void)state;
    /* const1u has its operand behind the block */
    assert_int_equal(cfi_expression_run(tables, 0, &regs, &stack, NULL, &got), CFI_TRUNCATED);
    assert_int_equal(cfi_expression_run(tables, 3, &regs, &stack, NULL, &got), CFI_TRUNCATED);
    assert_int_equal(cfi_expression_run(tables, 4, &regs, &stack, NULL, &got), CFI_TRUNCATED);
    assert_int_equal(cfi_expression_run(tables, 6, &regs, &stack, NULL, &got), CFI_TRUNCATED);
    assert_int_equal(cfi_expression_run(tables, -1, &regs, &stack, NULL, &got), CFI_TRUNCATED);
}

static void plt_entries_have_one_more_word_from_their_eleventh_byte(void **state)
{
    /* rsp + 8 + (((rip & 15) >= 11) << 3), as ld writes it */
    struct expression plt = EXPRESSION(0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);

    (void)state;
    regs.known = 1u << UNWIND_RSP | 1u << UNWIND_RIP;
    regs.reg[UNWIND_RSP] = 0x7000;
    for (unsigned byte = 0; byte < 16; byte++) {
        regs.reg[UNWIND_RIP] = 0x401020 + byte;
        assert_value(plt, byte < 11 ? 0x7008 : 0x7010);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_of_every_size_and_sign),
        cmocka_unit_test(registers_with_an_offset),
        cmocka_unit_test(stack_operations),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(comparisons_are_signed),
        cmocka_unit_test(memory_is_read_in_every_size),
        cmocka_unit_test(memory_outside_the_stacks_is_never_read),
        cmocka_unit_test(other_stacks_are_read_but_this_one_only_in_its_window),
        cmocka_unit_test(jumps_stay_inside_the_expression),
        cmocka_unit_test(endless_expressions_end),
        cmocka_unit_test(stack_has_sixteen_entries_and_a_bottom),
        cmocka_unit_test(cfa_is_pushed_for_register_rules),
        cmocka_unit_test(operations_without_a_meaning_here_are_refused),
        cmocka_unit_test(expressions_never_run_past_their_block),
        cmocka_unit_test(plt_entries_have_one_more_word_from_their_eleventh_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
