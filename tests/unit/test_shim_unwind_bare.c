/* Frames without tables: code that is made here, with frame pointers and without. */
#include "tests/unit/unwind_chain.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "shim/unwind_bare.h"

/* Calls its first argument. */
struct code {
    const char *bytes;
    size_t count, returns_to; /* offset behind the call */
};
#define CODE(bytes, returns_to)                                                                    \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, returns_to                                                       \
    }
/* push %rbp; mov %rsp, %rbp; sub $32, %rsp; call *%rdi; leave; ret */
static const struct code with_rbp = CODE("\x55\x48\x89\xe5\x48\x83\xec\x20\xff\xd7\xc9\xc3", 10);
/* sub $24, %rsp; call *%rdi; add $24, %rsp; ret */
static const struct code without = CODE("\x48\x83\xec\x18\xff\xd7\x48\x83\xc4\x18\xc3", 6);
/* push %rbp; xor %ebp, %ebp; call *%rdi; pop %rbp; ret */
static const struct code other_use = CODE("\x55\x31\xed\xff\xd7\x5d\xc3", 5);
/* push %rbp; mov %rsp, %rbp; push %rsi; pop %rsi; call to 64 bytes further on; pop %rbp; ret */
static const struct code calls_other =
    CODE("\x55\x48\x89\xe5\x56\x5e\xe8\x35\x00\x00\x00\x5d\xc3", 11);

/* push %rbp; mov %rsp, %rbp; call *%rdi; pop %rbp; ret */
static const struct code with_rbp_only = CODE("\x55\x48\x89\xe5\xff\xd7\x5d\xc3", 6);

static uint8_t *page;
typedef void made(void (*)(void));

static made *make(const struct code *code, size_t at)
{
    memcpy(page + at, code->bytes, code->count);
    return (made *)(page + at);
}

static int page_map(void **state)
{
    begin(state);
    if (!page)
        page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0);
    memset(page, 0xcc, 4096);
    return page == MAP_FAILED;
}

/* Called by name from a function that is called by name: neither can be left out unnoticed. */
static made *called;
static NOINLINE void call_made(void)
{
    NOTE_CALLER();
    called(capture);
    NOT_A_TAIL_CALL();
}

static NOINLINE __attribute__((optimize("no-omit-frame-pointer"))) void call_with_base(void)
{
    NOTE_CALLER();
    called(capture);
    NOT_A_TAIL_CALL();
}

static void assert_leads_through(unsigned frames)
{
    assert_int_equal(end, UNWIND_END_ROOT);
    assert_true(depth > frames + 3);
    assert_in_range(pcs[0], (uintptr_t)capture, (uintptr_t)capture + 1024);
    for (unsigned i = 0; i < frames; i++)
        assert_in_range(pcs[1 + i], (uintptr_t)page, (uintptr_t)page + 4096);
    /* the caller of made code, which no call noted, and then its caller, which one did */
    assert_false(pcs[1 + frames] - (uintptr_t)page < 4096);
    assert_int_equal(pcs[2 + frames], truth[0]);
}

static void made_code_with_frame_pointers_is_left(void **state)
{
    (void)state;
    called = make(&with_rbp, 0);
    call_made();
    assert_leads_through(1);
    assert_int_equal(pcs[1], (uintptr_t)page + with_rbp.returns_to - 1);
    truth_depth = 0;
    call_with_base();
    assert_leads_through(1);
}

static void made_code_that_calls_made_code_is_left(void **state)
{
    (void)state;
    called = make(&calls_other, 0);
    make(&with_rbp, 64);
    call_made();
    assert_leads_through(2);
    assert_int_equal(pcs[2], (uintptr_t)page + calls_other.returns_to - 1);
}

static void made_code_without_frame_pointers_ends_the_stack(void **state)
{
    (void)state;
    called = make(&without, 0);
    call_made();
    assert_int_equal(depth, 1);
    assert_int_equal(end, UNWIND_END_BAD_PC);
    /* rbp is that of its caller, whom the chain would leave out */
    truth_depth = 0;
    call_with_base();
    assert_int_equal(depth, 1);
    assert_int_equal(end, UNWIND_END_BAD_PC);
    called = make(&other_use, 0);
    call_with_base();
    assert_int_equal(depth, 1);
    assert_int_equal(end, UNWIND_END_BAD_PC);
}

/* Each instruction of made code, by the CPU's trap flag. */
static volatile unsigned steps, steps_in_made;
static unsigned wrong;

static void trap(int number, siginfo_t *info, void *context)
{
    enum { trap_flag = 0x100, steps_max = 200 };
    ucontext_t *uc = context;
    struct unwind_regs regs;

    (void)number;
    (void)info;
    unwind_from_ucontext(&regs, context);
    uc->uc_mcontext.gregs[REG_EFL] |= trap_flag;
    steps++;
    if (steps == steps_max)
        uc->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
    if (regs.reg[UNWIND_RIP] - (uintptr_t)page >= 4096)
        return;
    steps_in_made++;
    depth = unwind_walk(&regs, 1, stacks, stack_count, pcs, DEPTH, &end);
    wrong += end != UNWIND_END_ROOT || pcs[0] != regs.reg[UNWIND_RIP] || pcs[2] != truth[0];
}

static void nothing(void)
{
}

static NOINLINE void call_stepped(void)
{
    NOTE_CALLER();
    __asm__ volatile("int3");
    called(nothing);
    NOT_A_TAIL_CALL();
}

static void made_code_is_left_at_each_instruction(void **state)
{
    struct sigaction action;

    (void)state;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = trap;
    action.sa_flags = SA_SIGINFO;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    called = make(&with_rbp_only, 0);
    call_stepped();
    while (steps < 200)
        ;
    assert_int_equal(steps_in_made, 5);
    assert_int_equal(wrong, 0);
}

/* What a word that is no code leads to. */
static unsigned walk_with(uintptr_t rip, const uintptr_t *sp, const uintptr_t *rbp)
{
    struct unwind_regs regs;
    unwind_capture(&regs);
    regs.reg[UNWIND_RIP] = rip;
    regs.reg[UNWIND_RSP] = (uintptr_t)sp;
    regs.reg[UNWIND_RBP] = (uintptr_t)rbp;
    return unwind_walk(&regs, 0, stacks, stack_count, pcs, DEPTH, &end);
}

static uintptr_t after_pointer_call; /* a return address of a call by pointer */
static NOINLINE void pointer_call_note(void)
{
    after_pointer_call = (uintptr_t)__builtin_return_address(0);
}
static void (*volatile by_pointer)(void) = pointer_call_note;

static NOINLINE void call_named(void)
{
    NOTE_CALLER();
}

static void garbage_is_not_made_a_frame(void **state)
{
    uintptr_t room[1024] = {0}, *frames = room + 700, made_rip;

    (void)state;
    by_pointer();
    NOT_A_TAIL_CALL();
    make(&with_rbp, 0);
    made_rip = (uintptr_t)page + with_rbp.returns_to;
    frames[4] = (uintptr_t)&frames[8];
    frames[5] = after_pointer_call;
    /* what is right is taken: else this test says nothing */
    assert_true(walk_with(made_rip, frames, frames + 4) >= 2);
    assert_int_equal(pcs[0], made_rip - 1);
    assert_int_equal(pcs[1], after_pointer_call - 1);
    /* no call there; no memory there; no address */
    assert_int_equal(walk_with(made_rip - 1, frames, frames + 4), 0);
    assert_int_equal(end, UNWIND_END_BAD_PC);
    assert_int_equal(munmap(page + 4096, 4096), 0);
    assert_int_equal(walk_with((uintptr_t)page + 6000, frames, frames + 4), 0);
    assert_int_equal(walk_with(12345, frames, frames + 4), 0);
    assert_int_equal(walk_with((uintptr_t)frames, frames, frames + 4), 0);
    /* rbp below sp, far off, not aligned, on no stack */
    assert_int_equal(walk_with(made_rip, frames + 5, frames + 4), 0);
    assert_int_equal(walk_with(made_rip, room, frames + 4), 0);
    assert_int_equal(walk_with(made_rip, frames, (uintptr_t *)((uintptr_t)(frames + 4) + 4)), 0);
    assert_int_equal(walk_with(made_rip, frames, &after_pointer_call), 0);
    /* a return address in between: the frame's own, and the chain has left it out */
    frames[12] = (uintptr_t)&frames[20];
    frames[13] = after_pointer_call;
    frames[7] = after_pointer_call;
    assert_int_equal(walk_with(made_rip, frames + 6, frames + 12), 0);
    frames[7] = 0;
    assert_true(walk_with(made_rip, frames + 6, frames + 12) >= 2);
    /* returns to where a function was called by its name */
    call_named();
    frames[5] = truth[truth_depth - 1] + 1;
    assert_int_equal(walk_with(made_rip, frames, frames + 4), 0);
    /* a chain that turns back, and one that never comes to tables */
    frames[5] = made_rip;
    frames[4] = (uintptr_t)frames;
    assert_int_equal(walk_with(made_rip, frames, frames + 4), 0);
    frames[4] = (uintptr_t)(frames + 8);
    frames[8] = 0;
    frames[9] = made_rip;
    assert_int_equal(walk_with(made_rip, frames, frames + 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(made_code_with_frame_pointers_is_left, page_map),
        cmocka_unit_test_setup(made_code_that_calls_made_code_is_left, page_map),
        cmocka_unit_test_setup(made_code_without_frame_pointers_ends_the_stack, page_map),
        cmocka_unit_test_setup(made_code_is_left_at_each_instruction, page_map),
        cmocka_unit_test_setup(garbage_is_not_made_a_frame, page_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
