/* Call-frame programs made by hand, and the LEB128 numbers in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "shim/cfi.h"
#include "shim/cfi_read.h"

#define BEGIN 0x1000u /* where the code of run() begins, and how long it is */
#define SIZE  0x100u

/* Runs a CIE's and an FDE's program with code_align 1 and data_align −8 up to BEGIN + pc. */
struct code {
    uint8_t bytes[64];
    size_t size;
};
#define CODE(...)                                                                                  \
    (struct code)                                                                                  \
    {                                                                                              \
        {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})                                            \
    }

static int run(struct code initial, struct code program, uintptr_t pc, struct cfi_row *row)
{
    static uint8_t table[256]; /* expressions are told as places in it */
    struct cfi_bytes tables = {table, table + sizeof(table)};
    struct cfi_fde fde = {.pc_begin = BEGIN, .pc_end = BEGIN + SIZE, .code_align = 1};

    fde.data_align = -8;
    memcpy(table, initial.bytes, initial.size);
    memcpy(table + initial.size, program.bytes, program.size);
    fde.initial = (struct cfi_bytes){table, table + initial.size};
    fde.program = (struct cfi_bytes){fde.initial.hi, fde.initial.hi + program.size};
    return cfi_row_find(tables, &fde, BEGIN + pc, row);
}

/* What every compiler's CIE says: CFA = rsp + 8, return address at CFA − 8. */
#define CIE CODE(0x0c, 7, 8, 0x90, 1)

static void assert_rule(const struct cfi_row *row, unsigned reg, enum cfi_how how, int32_t value)
{
    assert_int_equal(row->how[reg], how);
    assert_int_equal(row->value[reg], value);
}

static void assert_cfa(const struct cfi_row *row, unsigned reg, int32_t offset)
{
    assert_int_equal(row->cfa_how, CFI_REGISTER);
    assert_int_equal(row->cfa_reg, reg);
    assert_int_equal(row->cfa_value, offset);
}

static void rows_change_at_the_instruction_that_the_program_says(void **state)
{
    /* push rbp; mov rsp, rbp; …; leave; ret */
    struct code program = CODE(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x4a, 0x0c, 7, 8);
    struct cfi_row row;

    (void)state;
    assert_int_equal(run(CIE, program, 0, &row), 0);
    assert_cfa(&row, UNWIND_RSP, 8);
    assert_rule(&row, UNWIND_RBP, CFI_UNSPECIFIED, 0);
    assert_int_equal(run(CIE, program, 1, &row), 0);
    assert_cfa(&row, UNWIND_RSP, 16);
    assert_rule(&row, UNWIND_RBP, CFI_OFFSET, -16);
    assert_int_equal(run(CIE, program, 3, &row), 0);
    assert_cfa(&row, UNWIND_RSP, 16);
    assert_int_equal(run(CIE, program, 4, &row), 0);
    assert_cfa(&row, UNWIND_RBP, 16);
    assert_int_equal(run(CIE, program, 13, &row), 0);
    assert_cfa(&row, UNWIND_RBP, 16);
    assert_int_equal(run(CIE, program, 14, &row), 0);
    assert_cfa(&row, UNWIND_RSP, 8);
    assert_rule(&row, UNWIND_RBP, CFI_OFFSET, -16);
    assert_rule(&row, UNWIND_RIP, CFI_OFFSET, -8);
}

static void every_way_to_advance_moves_by_its_operand(void **state)
{
    struct cfi_row row;

    (void)state;
    /* 0x30 by advance_loc, 0x20 by loc1, 0x10 by loc2, 0x08 by loc4, then set_loc to the end */
    struct code program = CODE(0x70, 0x0e, 1, 0x02, 0x20, 0x0e, 2, 0x03, 0x10, 0, 0x0e, 3, 0x04, 8,
                               0, 0, 0, 0x0e, 4, 0x01, 0xf0, 0x10, 0, 0, 0, 0, 0, 0, 0x0e, 5);
    static const struct {
        uint8_t pc, offset;
    } want[] = {{0x2f, 8}, {0x30, 1}, {0x4f, 1}, {0x50, 2}, {0x5f, 2},
                {0x60, 3}, {0x67, 3}, {0x68, 4}, {0xef, 4}, {0xf0, 5}};
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        assert_int_equal(run(CIE, program, want[i].pc, &row), 0);
        assert_cfa(&row, UNWIND_RSP, want[i].offset);
    }
}

static void every_register_rule_is_understood(void **state)
{
    struct cfi_row row;

    (void)state;
    assert_int_equal(run(CIE,
                         CODE(0x05, 12, 3,    /* offset_extended r12 */
                              0x07, 0,        /* undefined rax */
                              0x08, 3,        /* same_value rbx */
                              0x09, 13, 2,    /* register r13 in rcx */
                              0x11, 14, 0x7d, /* offset_extended_sf r14, −3 */
                              0x14, 15, 2,    /* val_offset r15 */
                              0x15, 8, 0x7e,  /* val_offset_sf r8, −2 */
                              0x2f, 9, 4,     /* GNU_negative_offset_extended r9 */
                              0x2e, 32,       /* GNU_args_size */
                              0x00),
                         0, &row),
                     0);
    assert_rule(&row, UNWIND_R12, CFI_OFFSET, -24);
    assert_rule(&row, UNWIND_RAX, CFI_UNDEFINED, 0);
    assert_rule(&row, UNWIND_RBX, CFI_SAME, 0);
    assert_rule(&row, UNWIND_R13, CFI_REGISTER, UNWIND_RCX);
    assert_rule(&row, UNWIND_R14, CFI_OFFSET, 24);
    assert_rule(&row, UNWIND_R15, CFI_VAL_OFFSET, -16);
    assert_rule(&row, UNWIND_R8, CFI_VAL_OFFSET, 16);
    assert_rule(&row, UNWIND_R9, CFI_OFFSET, 32);
}

static void every_cfa_rule_is_understood(void **state)
{
    struct cfi_row row;

    (void)state;
    assert_int_equal(run(CIE, CODE(0x0c, 10, 0x90, 1), 0, &row), 0); /* def_cfa */
    assert_cfa(&row, UNWIND_R10, 144);
    assert_int_equal(run(CIE, CODE(0x12, 6, 0x7e), 0, &row), 0); /* def_cfa_sf */
    assert_cfa(&row, UNWIND_RBP, 16);
    assert_int_equal(run(CIE, CODE(0x0d, 3), 0, &row), 0); /* def_cfa_register */
    assert_cfa(&row, UNWIND_RBX, 8);
    assert_int_equal(run(CIE, CODE(0x0e, 40), 0, &row), 0); /* def_cfa_offset */
    assert_cfa(&row, UNWIND_RSP, 40);
    assert_int_equal(run(CIE, CODE(0x13, 0x7a), 0, &row), 0); /* def_cfa_offset_sf */
    assert_cfa(&row, UNWIND_RSP, 48);
}

static void expressions_are_kept_as_places(void **state)
{
    struct cfi_row row;

    (void)state;
    /* CFA: breg7 8; rbp: at breg6 0; rbx: is breg3 1. CIE has 5 bytes. */
    assert_int_equal(run(CIE,
                         CODE(0x0f, 2, 0x77, 8, 0x10, 6, 2, 0x76, 0, 0x16, 3, 2, 0x73, 1, 0x0e, 0),
                         0, &row),
                     CFI_MALFORMED); /* def_cfa_offset after an expression means nothing */
    assert_int_equal(
        run(CIE, CODE(0x0f, 2, 0x77, 8, 0x10, 6, 2, 0x76, 0, 0x16, 3, 2, 0x73, 1), 0, &row), 0);
    assert_int_equal(row.cfa_how, CFI_VAL_EXPRESSION);
    assert_int_equal(row.cfa_value, 5 + 1);
    assert_rule(&row, UNWIND_RBP, CFI_EXPRESSION, 5 + 6);
    assert_rule(&row, UNWIND_RBX, CFI_VAL_EXPRESSION, 5 + 11);
}

static void restore_goes_back_to_what_the_cie_says(void **state)
{
    struct code initial = CODE(0x0c, 7, 8, 0x90, 1, 0x83, 5);
    struct cfi_row row;

    (void)state;
    assert_int_equal(run(initial, CODE(0x83, 2, 0x8c, 3, 0xc3, 0xcc), 0, &row), 0);
    assert_rule(&row, UNWIND_RBX, CFI_OFFSET, -40);
    assert_rule(&row, UNWIND_R12, CFI_UNSPECIFIED, 0);
    assert_int_equal(run(initial, CODE(0x83, 2, 0x8c, 3, 0x06, 3, 0x06, 12), 0, &row), 0);
    assert_rule(&row, UNWIND_RBX, CFI_OFFSET, -40);
    assert_rule(&row, UNWIND_R12, CFI_UNSPECIFIED, 0);
}

static void remembered_states_nest_and_hold_the_cfa(void **state)
{
    struct code program = CODE(0x0e, 16, 0x86, 2, 0x0a, 0x41, 0x0e, 24, 0x83, 3, 0x0a, 0x41, 0x0e,
                               8, 0xc6, 0xc3, 0x41, 0x0b, 0x41, 0x0b);
    struct cfi_row row;

    (void)state;
    assert_int_equal(run(CIE, program, 2, &row), 0);
    assert_cfa(&row, UNWIND_RSP, 8);
    assert_rule(&row, UNWIND_RBX, CFI_UNSPECIFIED, 0);
    assert_int_equal(run(CIE, program, 3, &row), 0);
    assert_cfa(&row, UNWIND_RSP, 24);
    assert_rule(&row, UNWIND_RBX, CFI_OFFSET, -24);
    assert_rule(&row, UNWIND_RBP, CFI_OFFSET, -16);
    assert_int_equal(run(CIE, program, 4, &row), 0);
    assert_cfa(&row, UNWIND_RSP, 16);
    assert_rule(&row, UNWIND_RBX, CFI_UNSPECIFIED, 0);
    assert_rule(&row, UNWIND_RBP, CFI_OFFSET, -16);

    assert_int_equal(run(CIE, CODE(0x0b), 0, &row), CFI_MALFORMED);
    assert_int_equal(run(CIE, CODE(0x0a, 0x0a, 0x0a, 0x0a), 0, &row), 0);
    assert_int_equal(run(CIE, CODE(0x0a, 0x0a, 0x0a, 0x0a, 0x0a), 0, &row), CFI_UNSUPPORTED);
}

static void vector_registers_are_skipped_not_refused(void **state)
{
    struct cfi_row row;

    (void)state;
    /* xmm6 (23) saved at CFA − 80, r13 after it */
    assert_int_equal(run(CIE, CODE(0x97, 10, 0x05, 23, 10, 0xd7, 0x8d, 3), 0, &row), 0);
    assert_rule(&row, UNWIND_R13, CFI_OFFSET, -24);
}

static void programs_that_make_no_sense_are_refused(void **state)
{
    struct cfi_row row;

    (void)state;
    assert_int_equal(run(CODE(0x00), CODE(0x90, 1), 0, &row), CFI_MALFORMED); /* no CFA */
    assert_int_equal(run(CIE, CODE(0x17), 0, &row), CFI_UNSUPPORTED);
    assert_int_equal(run(CIE, CODE(0x2d), 0, &row), CFI_UNSUPPORTED); /* another machine's */
    assert_int_equal(run(CIE, CODE(0x3f), 0, &row), CFI_UNSUPPORTED);
    assert_int_equal(run(CIE, CODE(0x0e), 0, &row), CFI_TRUNCATED);
    assert_int_equal(run(CIE, CODE(0x0f, 0x20, 0), 0, &row), CFI_TRUNCATED);
    assert_int_equal(run(CIE, CODE(0x04, 1, 0, 0), 0, &row), CFI_TRUNCATED);
    /* a CFA by xmm0, offsets that need more than 32 bits */
    assert_int_equal(run(CIE, CODE(0x0d, 17), 0, &row), CFI_TRUNCATED);
    assert_int_equal(run(CIE, CODE(0x0e, 0xff, 0xff, 0xff, 0xff, 0x1f), 0, &row), CFI_TRUNCATED);
    assert_int_equal(run(CIE, CODE(0x86, 0xff, 0xff, 0xff, 0xff, 0x1f), 0, &row), CFI_TRUNCATED);
    /* outside the entry */
    assert_int_equal(run(CIE, CODE(0), SIZE, &row), CFI_NO_FDE);
    assert_int_equal(run(CIE, CODE(0), (uintptr_t)-1, &row), CFI_NO_FDE);
}

static void leb128_is_read_to_its_last_byte(void **state)
{
    static const uint8_t bytes[] = {0xe5, 0x8e, 0x26, 0x9b, 0xf1, 0x59, 0x80, 0x80, 0x80, 0x80,
                                    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x3f, 0x40, 0x80};
    struct cfi_reader r = {bytes, bytes + sizeof(bytes), 0};

    (void)state;
    assert_int_equal(cfi_read_uleb(&r), 624485);
    assert_int_equal(cfi_read_sleb(&r), -624485);
    assert_int_equal(cfi_read_uleb(&r), 0);
    assert_int_equal(cfi_read_sleb(&r), 63);
    assert_int_equal(cfi_read_sleb(&r), -64);
    assert_int_equal(r.bad, 0);
    cfi_read_uleb(&r);
    assert_int_equal(r.bad, 1);
    assert_ptr_equal(r.at, r.end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_change_at_the_instruction_that_the_program_says),
        cmocka_unit_test(every_way_to_advance_moves_by_its_operand),
        cmocka_unit_test(every_register_rule_is_understood),
        cmocka_unit_test(every_cfa_rule_is_understood),
        cmocka_unit_test(expressions_are_kept_as_places),
        cmocka_unit_test(restore_goes_back_to_what_the_cie_says),
        cmocka_unit_test(remembered_states_nest_and_hold_the_cfa),
        cmocka_unit_test(vector_registers_are_skipped_not_refused),
        cmocka_unit_test(programs_that_make_no_sense_are_refused),
        cmocka_unit_test(leb128_is_read_to_its_last_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
