/* Where walks end, code without tables, frame pointers, and modules. */
#include "tests/unit/unwind_chain.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "shim/unwind_rule.h"

/* Ends. */
static void depth_limit_cuts_the_outer_frames(void **state)
{
    uintptr_t all[DEPTH];
    unsigned whole;

    (void)state;
    recurse(20);
    assert_chain();
    whole = depth;
    memcpy(all, pcs, sizeof(all));
    for (limit = 0; limit < whole; limit += 5) {
        truth_depth = 0;
        depth = 99;
        recurse(20);
        assert_int_equal(depth, limit);
        assert_int_equal(end, UNWIND_END_DEPTH);
        for (unsigned i = 0; i + 5 < limit; i++)
            assert_int_equal(pcs[i], all[i]);
    }
    limit = whole;
    recurse(20);
    assert_int_equal(depth, whole);
    assert_int_equal(end, UNWIND_END_ROOT);
}

static unsigned walk_from(uintptr_t rip, int exact, uintptr_t rsp)
{
    struct unwind_regs regs;
    unwind_capture(&regs);
    regs.reg[UNWIND_RIP] = rip;
    regs.reg[UNWIND_RSP] = rsp;
    regs.reg[UNWIND_RBP] = 0; /* else it may lead on */
    return unwind_walk(&regs, exact, stacks, stack_count, pcs, DEPTH, &end);
}

static void impossible_places_end_the_walk(void **state)
{
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    uintptr_t code = (uintptr_t)capture;
    static uintptr_t data[2];

    (void)state;
    /* no stack: the pc is known all the same */
    assert_int_equal(walk_from(code, 1, 0), 1);
    assert_int_equal(end, UNWIND_END_STACK);
    assert_int_equal(pcs[0], code);
    assert_int_equal(walk_from(code, 1, (uintptr_t)data), 1);
    assert_int_equal(end, UNWIND_END_STACK);
    assert_int_equal(walk_from(code, 1, UINTPTR_MAX), 1);
    assert_int_equal(end, UNWIND_END_STACK);
    assert_int_equal(walk_from(code, 1, stacks[0].hi), 1);
    assert_int_equal(end, UNWIND_END_STACK);
    assert_int_equal(walk_from(code, 1, sp + 3), 1);
    assert_int_equal(end, UNWIND_END_STACK);
    /* no code: a return address is not to be believed, an executing instruction is */
    assert_int_equal(walk_from(sp, 0, sp), 0);
    assert_int_equal(end, UNWIND_END_BAD_PC);
    assert_int_equal(walk_from(sp, 1, sp), 1);
    assert_int_equal(end, UNWIND_END_NO_CFI);
    assert_int_equal(walk_from(0, 0, sp), 0);
    assert_int_equal(end, UNWIND_END_ROOT);
    assert_int_equal(walk_from(UINTPTR_MAX, 0, sp), 0);
    assert_int_equal(end, UNWIND_END_BAD_PC);
    assert_int_equal(walk_from(code | UINT64_C(1) << 60, 1, sp), 0);
    assert_int_equal(end, UNWIND_END_BAD_PC);
    /* data of a module is no code */
    assert_int_equal(walk_from((uintptr_t)data, 1, sp), 1);
    assert_int_equal(end, UNWIND_END_NO_CFI);
}

static uint8_t *jit;

/* push %rbp; mov %rsp, %rbp; call *%rdi; pop %rbp; ret */
static int jit_make(void **state)
{
    begin(state);
    jit = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(jit, MAP_FAILED);
    memcpy(jit, "\x55\x48\x89\xe5\xff\xd7\x5d\xc3", 8);
    return 0;
}

/* Frame pointers. */
static NOINLINE void capture_fp(void)
{
    struct unwind_regs regs;
    NOTE_CALLER();
    unwind_capture(&regs);
    depth = unwind_walk_fp(&regs, 1, stacks, stack_count, pcs, limit, &end);
}

static NOINLINE __attribute__((optimize("no-omit-frame-pointer"))) int with_base(int left)
{
    int result = 1;
    NOTE_CALLER();
    if (left > 1)
        result += with_base(left - 1);
    else if (left == 1)
        ((void (*)(void (*)(void)))jit)(capture_fp);
    NOT_A_TAIL_CALL();
    return result;
}

static void frame_pointers_lead_through_code_without_tables(void **state)
{
    (void)state;
    assert_non_null(jit);
    with_base(5);
    assert_int_equal(truth_depth, 6);
    assert_true(depth >= 6);
    assert_in_range(pcs[0], (uintptr_t)capture_fp, (uintptr_t)capture_fp + 1024);
    assert_int_equal(pcs[1], (uintptr_t)jit + 5);
    assert_int_equal(pcs[1], truth[5]);
    /* jit's caller is in with_base, then each with_base's */
    assert_in_range(pcs[2], (uintptr_t)with_base, (uintptr_t)with_base + 512);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pcs[3 + i], truth[4 - i]);
}

static void frame_pointer_chain_must_climb(void **state)
{
    static uintptr_t fake[16];
    struct unwind_range range = {(uintptr_t)fake, (uintptr_t)(fake + 16)};
    struct unwind_regs regs = {.known = 0x1ffff};
    static const struct {
        unsigned next; /* the index that fake[2], the first frame, points to */
        unsigned depth;
        enum unwind_end end;
    } want[] = {{2, 2, UNWIND_END_STACK},  {1, 2, UNWIND_END_STACK}, {3, 2, UNWIND_END_STACK},
                {15, 2, UNWIND_END_STACK}, {6, 3, UNWIND_END_ROOT},  {4, 2, UNWIND_END_ROOT}};

    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        memset(fake, 0, sizeof(fake));
        fake[2] = (uintptr_t)&fake[want[i].next];
        fake[3] = 0x5001;
        fake[7] = 0x6001;
        regs.reg[UNWIND_RIP] = 0x4001;
        regs.reg[UNWIND_RSP] = (uintptr_t)fake;
        regs.reg[UNWIND_RBP] = (uintptr_t)&fake[2];
        depth = unwind_walk_fp(&regs, 0, &range, 1, pcs, DEPTH, &end);
        assert_int_equal(depth, want[i].depth);
        assert_int_equal(end, want[i].end);
        assert_int_equal(pcs[0], 0x4000);
        assert_int_equal(pcs[1], 0x5000);
    }
    fake[2] = (uintptr_t)&fake[6];
    assert_int_equal(unwind_walk_fp(&regs, 0, &range, 1, pcs, 1, &end), 1);
    assert_int_equal(end, UNWIND_END_DEPTH);
    fake[3] = UINTPTR_MAX;
    assert_int_equal(unwind_walk_fp(&regs, 0, &range, 1, pcs, DEPTH, &end), 1);
    assert_int_equal(end, UNWIND_END_BAD_PC);
    regs.reg[UNWIND_RBP] = (uintptr_t)&fake[2] + 1;
    assert_int_equal(unwind_walk_fp(&regs, 0, &range, 1, pcs, DEPTH, &end), 1);
    assert_int_equal(end, UNWIND_END_STACK);
    regs.reg[UNWIND_RBP] = 0;
    assert_int_equal(unwind_walk_fp(&regs, 0, &range, 1, pcs, DEPTH, &end), 1);
    assert_int_equal(end, UNWIND_END_ROOT);
}

/* Modules. */
static void modules_are_found_with_their_load_address(void **state)
{
    struct unwind_module module;
    Dl_info info;

    (void)state;
    assert_int_equal(unwind_module_find((uintptr_t)capture, &module), 0);
    assert_string_equal(module.name, "");
    assert_in_range((uintptr_t)&stacks, module.start, module.end - 1);
    assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &info), 0);
    assert_int_equal(unwind_module_find((uintptr_t)info.dli_saddr, &module), 0);
    assert_int_equal(module.bias, (uintptr_t)info.dli_fbase);
    assert_non_null(strstr(module.name, "libc.so"));
    assert_in_range((uintptr_t)info.dli_saddr, module.start, module.end - 1);
    assert_int_equal(unwind_module_find(getauxval(AT_SYSINFO_EHDR) + 1, &module), 0);
    assert_int_equal(module.start, getauxval(AT_SYSINFO_EHDR));
    assert_int_equal(unwind_module_find((uintptr_t)&module, &module), -1);
    assert_int_equal(unwind_module_find(0, &module), -1);
}

static void first_instructions_of_the_loader_are_a_root(void **state)
{
    uintptr_t base = getauxval(AT_BASE), entry;
    struct unwind_row row;
    enum unwind_rule_kind kind;

    (void)state;
    memcpy(&entry, (const char *)base + 24, sizeof(entry)); /* e_entry */
    unwind_row_find(base + entry + 8, &row, &kind);
    assert_int_equal(kind, UNWIND_RULE_ROOT);
}

static void errno_is_left_alone(void **state)
{
    (void)state;
    unwind_flush();
    errno = 4711;
    capture();
    assert_int_equal(errno, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(depth_limit_cuts_the_outer_frames, begin),
        cmocka_unit_test_setup(impossible_places_end_the_walk, begin),
        cmocka_unit_test_setup(frame_pointers_lead_through_code_without_tables, jit_make),
        cmocka_unit_test_setup(frame_pointer_chain_must_climb, begin),
        cmocka_unit_test_setup(modules_are_found_with_their_load_address, begin),
        cmocka_unit_test_setup(first_instructions_of_the_loader_are_a_root, begin),
        cmocka_unit_test_setup(errno_is_left_alone, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
