/*
 * Walks through real frames: each function of a chain notes its own return address, which is what
 * the walk has to find.
 */
#include "tests/unit/unwind_chain.h"

#include <alloca.h>
#include <ucontext.h>
#include <unistd.h>

#include "shim/unwind_rule.h"
#include "shim/unwind_libunwind.h"
#include "shim/unwind_stack.h"

static void recursion_is_walked_call_by_call(void **state)
{
    (void)state;
    assert_int_equal(recurse(40), 41);
    assert_int_equal(truth_depth, 42);
    assert_chain();
}

static NOINLINE void with_alloca(size_t bytes)
{
    volatile char *room = alloca(bytes);
    NOTE_CALLER();
    room[0] = 1;
    if (bytes > 100)
        with_alloca(bytes - 100);
    else
        capture();
    room[bytes - 1] = 2;
}

static void frames_of_changing_size_are_left_by_their_base(void **state)
{
    (void)state;
    with_alloca(1000);
    assert_chain();
}

/* Many values live across the call: they are in callee-saved registers, saved by the callee. */
static NOINLINE long with_every_register(long a, long b, long c, long d, long e, long f)
{
    long g = a * b, h = c * d, i = e * f, j = a ^ f;
    NOTE_CALLER();
    if (a > 0)
        g += with_every_register(a - 1, c, b, f, e, d);
    else
        capture();
    return a + b * c - d * e + f + g * h - i * j;
}

static void saved_registers_come_back(void **state)
{
    (void)state;
    with_every_register(5, 2, 3, 4, 5, 6);
    assert_chain();
}

/* The row at a pc, without any cache. */
static struct unwind_row row_at(uintptr_t pc)
{
    struct unwind_row row;
    enum unwind_rule_kind kind;
    unwind_row_find(pc, &row, &kind);
    assert_int_equal(kind, UNWIND_RULE_ROW);
    return row;
}

static uintptr_t inside_realigned;

/* Arguments on the stack, a local of large alignment and alloca: gcc needs the argument pointer,
 * and tells the CFA by an expression. */
static NOINLINE __attribute__((optimize("O2"))) long realigned(long a, long b, long c, long d,
                                                               long e, long f, long g, size_t n)
{
    volatile char __attribute__((aligned(64))) room[64];
    volatile char *more = alloca(n);
    NOTE_CALLER();
    room[0] = more[0] = 1;
    if (n > 50)
        g += realigned(b, c, d, e, f, g, a, n - 50);
    else
        capture();
    inside_realigned = truth[truth_depth - 1]; /* capture's caller: in this function */
    return a + b + c + d + e + f + g + room[0] + more[0];
}

static void realigned_frames_are_left_by_expression(void **state)
{
    (void)state;
    realigned(1, 2, 3, 4, 5, 6, 7, 200);
    assert_chain();
#if !defined(__clang__)
    assert_int_equal(row_at(inside_realigned).row.cfa_how, CFI_VAL_EXPRESSION);
#endif
}

static jmp_buf after_noreturn;

static NOINLINE __attribute__((noreturn)) void never_returns(void)
{
    NOTE_CALLER();
    capture();
    longjmp(after_noreturn, 1);
}

static NOINLINE __attribute__((noreturn)) void ends_with_a_call(void)
{
    NOTE_CALLER();
    never_returns();
}

static void call_at_the_very_end_of_a_function_is_inside_it(void **state)
{
    (void)state;
    if (!setjmp(after_noreturn))
        ends_with_a_call();
    assert_chain();
    assert_in_range(pcs[2], (uintptr_t)ends_with_a_call, (uintptr_t)ends_with_a_call + 256);
}

static NOINLINE void on_cleanup(int *unused)
{
    (void)unused;
    NOTE_CALLER();
    capture();
    NOT_A_TAIL_CALL();
}

static NOINLINE int with_cleanup(int n)
{
    int guarded __attribute__((cleanup(on_cleanup))) = n;
    NOTE_CALLER();
    return guarded + 1;
}

static void cleanup_code_is_part_of_its_function(void **state)
{
    (void)state;
    assert_int_equal(with_cleanup(3), 4);
    assert_int_equal(truth_depth, 3);
    assert_chain();
}

static NOINLINE void raises(int number)
{
    NOTE_CALLER();
    NOT_A_TAIL_CALL(); /* and raise(), a leaf to gcc, does run our handler */
    raise(number);
    NOT_A_TAIL_CALL();
}

/* The walk goes capture, handler, the frame the handler returns to (exactly), …, raises' caller. */
static void assert_signal_chain(void)
{
    unsigned at = 2;

    assert_int_equal(truth_depth, 2);
    assert_in_range(pcs[0], (uintptr_t)capture, (uintptr_t)capture + 1024);
    assert_int_equal(pcs[1], truth[1]);
    assert_int_equal(pcs[2], handler_returns_to);
    while (at < depth && pcs[at] != truth[0])
        at++;
    assert_true(at < depth);
    assert_in_range(pcs[at - 1], (uintptr_t)raises, (uintptr_t)raises + 256);
    assert_int_equal(end, UNWIND_END_ROOT);
}

static void signal_frames_lead_to_what_was_interrupted(void **state)
{
    (void)state;
    unsigned at = 3;
    handler_set(SIGUSR1, 0);
    handler_also = interrupted_take;
    raises(SIGUSR1);
    handler_also = NULL;
    assert_signal_chain();
    /* exactly: not one byte before it */
    while (WRAPPED && at < depth && pcs[at] != interrupted.reg[UNWIND_RIP])
        at++;
    assert_int_equal(pcs[at], interrupted.reg[UNWIND_RIP]);
}

static char other_stack[64 << 10] __attribute__((aligned(16)));

static void signal_stacks_are_followed_if_they_are_known(void **state)
{
    stack_t set = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)};
    stack_t none = {.ss_flags = SS_DISABLE};

    (void)state;
    assert_int_equal(sigaltstack(&set, NULL), 0);
    handler_set(SIGUSR2, SA_ONSTACK);
    raises(SIGUSR2);
    assert_int_equal(depth, 1); /* not known */
    assert_int_equal(end, UNWIND_END_STACK);

    truth_depth = 0;
    stacks[1].lo = (uintptr_t)other_stack;
    stacks[1].hi = stacks[1].lo + sizeof(other_stack);
    stack_count = 2;
    raises(SIGUSR2);
    assert_signal_chain();

    truth_depth = 0;
    stacks[0] = stacks[1];
    stack_count = 1;
    raises(SIGUSR2); /* the interrupted stack is not known: its innermost frame still is */
    assert_int_equal(end, UNWIND_END_STACK);
    assert_int_equal(pcs[2], handler_returns_to);
    assert_true(depth >= 4);
    assert_int_equal(sigaltstack(&none, NULL), 0);
}

static void context_gives_all_registers(void **state)
{
    (void)state;
    handler_also = interrupted_take;
    handler_set(SIGTRAP, 0);
    __asm__ volatile("movq $0x1234567, %%rax\n\tmovq $0x2345678, %%r11\n\tmovq $0x3456789, %%r8\n\t"
                     "movq $0x456789a, %%rdx\n\tmovq $0x56789ab, %%rcx\n\t"
                     "movq $0x6789abc, %%rsi\n\tmovq $0x789abcd, %%rdi\n\t"
                     "movq $0x89abcde, %%r9\n\tmovq $0x9abcdef, %%r10\n\tint3"
                     :
                     :
                     : "rax", "rdx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
    handler_also = NULL;
    assert_int_equal(interrupted.known, 0x1ffff);
    assert_int_equal(interrupted.reg[UNWIND_RAX], 0x1234567);
    assert_int_equal(interrupted.reg[UNWIND_R11], 0x2345678);
    assert_int_equal(interrupted.reg[UNWIND_R8], 0x3456789);
    assert_int_equal(interrupted.reg[UNWIND_RDX], 0x456789a);
    assert_int_equal(interrupted.reg[UNWIND_RCX], 0x56789ab);
    assert_int_equal(interrupted.reg[UNWIND_RSI], 0x6789abc);
    assert_int_equal(interrupted.reg[UNWIND_RDI], 0x789abcd);
    assert_int_equal(interrupted.reg[UNWIND_R9], 0x89abcde);
    assert_int_equal(interrupted.reg[UNWIND_R10], 0x9abcdef);
    assert_in_range(interrupted.reg[UNWIND_RIP], (uintptr_t)context_gives_all_registers,
                    (uintptr_t)context_gives_all_registers + 512);
    assert_in_range(interrupted.reg[UNWIND_RSP], stacks[0].lo, stacks[0].hi);
}

/* Threads and other stacks. */
static NOINLINE void *thread_run(void *unused)
{
    (void)unused;
    begin(NULL);
    NOTE_CALLER();
    recurse(3);
    NOT_A_TAIL_CALL();
    return NULL;
}

static void thread_ends_at_its_clone(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, thread_run, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_chain();
    assert_int_equal(depth, truth_depth + 2 + WRAPPED); /* capture … thread_run's caller, clone3 */
}

static ucontext_t coroutine, resumer;

static void coroutine_run(void)
{
    NOTE_CALLER();
    recurse(2);
    NOT_A_TAIL_CALL();
}

static void coroutine_is_walked_on_its_own_stack(void **state)
{
    (void)state;
    stacks[1].lo = (uintptr_t)other_stack;
    stacks[1].hi = stacks[1].lo + sizeof(other_stack);
    stack_count = 2;
    assert_int_equal(getcontext(&coroutine), 0);
    coroutine.uc_stack.ss_sp = other_stack;
    coroutine.uc_stack.ss_size = sizeof(other_stack);
    coroutine.uc_link = &resumer;
    makecontext(&coroutine, coroutine_run, 0);
    assert_int_equal(swapcontext(&resumer, &coroutine), 0);
    assert_true(depth > truth_depth);
    for (unsigned i = 0; i < truth_depth; i++)
        assert_int_equal(pcs[1 + i], truth[truth_depth - 1 - i]);
    /* makecontext plants the address of a function, which nothing before it has called */
    assert_int_equal(depth, truth_depth + 1);
    assert_int_equal(end, UNWIND_END_ROOT);
}

static void stack_that_nobody_told_of_is_found(void **state)
{
    uintptr_t known[DEPTH];
    unsigned known_depth;

    coroutine_is_walked_on_its_own_stack(state);
    known_depth = depth;
    memcpy(known, pcs, sizeof(known));
    begin(state);
    unwind_find_stack = unwind_stack_find;
    getcontext(&coroutine);
    makecontext(&coroutine, coroutine_run, 0);
    assert_int_equal(swapcontext(&resumer, &coroutine), 0);
    unwind_find_stack = NULL;
    assert_int_equal(end, UNWIND_END_ROOT);
    assert_int_equal(depth, known_depth);
    for (unsigned i = 0; i < depth; i++)
        assert_int_equal(pcs[i], known[i]);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* refused beside these */
/* The same by libunwind, which knows no end of a coroutine: it takes what makecontext planted there
 * for a frame. */
static int begin_libunwind(void **state)
{
    static int error = 1;
    if (error == 1)
        error = unwind_libunwind_init(environ);
    walk = unwind_libunwind_walk;
    return begin(state) + error;
}

static void little_stack_is_walked_the_first_way(void **state)
{
    struct unwind_regs regs;
    (void)state;
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    stacks[0].lo = (sp - unwind_libunwind_stack_bytes + 1024) & -(uintptr_t)8;
    unwind_capture(&regs);
    depth = unwind_libunwind_walk(&regs, 1, stacks, 1, pcs, limit, &end);
    assert_true(depth > 1);
    assert_int_equal(end, UNWIND_END_ROOT);
}

static void limits_and_ends_are_told_as_by_the_first_way(void **state)
{
    struct unwind_regs regs;
    (void)state;
    limit = 5;
    recurse(10);
    assert_int_equal(end, UNWIND_END_DEPTH);
    assert_int_equal(depth, 5);
    limit = DEPTH;
    unwind_capture(&regs);
    regs.reg[UNWIND_RIP] = (uintptr_t)&regs; /* no code */
    assert_int_equal(unwind_libunwind_walk(&regs, 1, stacks, 1, pcs, limit, &end), 0);
    assert_int_equal(end, UNWIND_END_NO_CFI);
    unwind_capture(&regs);
    stacks[0].hi = stacks[0].lo + 4096; /* not ours */
    assert_int_equal(unwind_libunwind_walk(&regs, 1, stacks, 1, pcs, limit, &end), 1);
    assert_int_equal(end, UNWIND_END_STACK);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(recursion_is_walked_call_by_call, begin),
        cmocka_unit_test_setup(frames_of_changing_size_are_left_by_their_base, begin),
        cmocka_unit_test_setup(saved_registers_come_back, begin),
        cmocka_unit_test_setup(realigned_frames_are_left_by_expression, begin),
        cmocka_unit_test_setup(call_at_the_very_end_of_a_function_is_inside_it, begin),
        cmocka_unit_test_setup(cleanup_code_is_part_of_its_function, begin),
        cmocka_unit_test_setup(signal_frames_lead_to_what_was_interrupted, begin),
        cmocka_unit_test_setup(signal_stacks_are_followed_if_they_are_known, begin),
        cmocka_unit_test_setup(context_gives_all_registers, begin),
        cmocka_unit_test_setup(thread_ends_at_its_clone, begin),
        cmocka_unit_test_setup(coroutine_is_walked_on_its_own_stack, begin),
        cmocka_unit_test_setup(stack_that_nobody_told_of_is_found, begin),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test_setup(recursion_is_walked_call_by_call, begin_libunwind),
        cmocka_unit_test_setup(frames_of_changing_size_are_left_by_their_base, begin_libunwind),
        cmocka_unit_test_setup(saved_registers_come_back, begin_libunwind),
        cmocka_unit_test_setup(realigned_frames_are_left_by_expression, begin_libunwind),
        cmocka_unit_test_setup(call_at_the_very_end_of_a_function_is_inside_it, begin_libunwind),
        cmocka_unit_test_setup(cleanup_code_is_part_of_its_function, begin_libunwind),
        cmocka_unit_test_setup(signal_frames_lead_to_what_was_interrupted, begin_libunwind),
        cmocka_unit_test_setup(signal_stacks_are_followed_if_they_are_known, begin_libunwind),
        cmocka_unit_test_setup(thread_ends_at_its_clone, begin_libunwind),
        cmocka_unit_test_setup(little_stack_is_walked_the_first_way, begin_libunwind),
        cmocka_unit_test_setup(limits_and_ends_are_told_as_by_the_first_way, begin_libunwind),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
