/*
 * Walks through real frames: each function of a chain notes its own return address, which is what
 * the walk has to find.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "shim/unwind.h"
#include "shim/unwind_rule.h"

#define NOINLINE __attribute__((noinline, noclone))
#define DEPTH    256

/* Under ThreadSanitizer handlers and start routines are called by its own functions. */
#if defined(__SANITIZE_THREAD__)
#define WRAPPED 1
#else
#define WRAPPED 0
#endif

static struct unwind_range stacks[2];
static unsigned stack_count;

/* What functions say: truth[i] lies in the call instruction that called the i-th of them. */
static uintptr_t truth[DEPTH];
static unsigned truth_depth;
#define NOTE_CALLER() (truth[truth_depth++] = (uintptr_t)__builtin_return_address(0) - 1)
/* Keeps a call from becoming a jump. */
#define NOT_A_TAIL_CALL() __asm__ volatile("" ::: "memory")

/* What the walk says. */
static uintptr_t pcs[DEPTH];
static unsigned depth, limit;
static enum unwind_end end;

static struct unwind_range stack_of_thread(void)
{
    struct unwind_range range;
    pthread_attr_t attr;
    void *lo;
    size_t bytes;

    assert_int_equal(pthread_getattr_np(pthread_self(), &attr), 0);
    assert_int_equal(pthread_attr_getstack(&attr, &lo, &bytes), 0);
    pthread_attr_destroy(&attr);
    range.lo = (uintptr_t)lo;
    range.hi = range.lo + bytes;
    return range;
}

static int begin(void **state)
{
    (void)state;
    stacks[0] = stack_of_thread();
    stack_count = 1;
    truth_depth = 0;
    depth = 0;
    limit = DEPTH;
    return 0;
}

static NOINLINE void capture(void)
{
    struct unwind_regs regs;
    NOTE_CALLER();
    unwind_capture(&regs);
    depth = unwind_walk(&regs, 1, stacks, stack_count, pcs, limit, &end);
}

/* The walk begins in capture() and then finds every call that was noted, innermost first. */
static void assert_chain(void)
{
    assert_in_range(pcs[0], (uintptr_t)capture, (uintptr_t)capture + 1024);
    assert_true(depth > truth_depth);
    for (unsigned i = 0; i < truth_depth; i++)
        assert_int_equal(pcs[1 + i], truth[truth_depth - 1 - i]);
    assert_int_equal(end, UNWIND_END_ROOT);
}

static NOINLINE unsigned recurse(unsigned left)
{
    unsigned result = 1;
    NOTE_CALLER();
    if (left)
        result += recurse(left - 1);
    else
        capture();
    NOT_A_TAIL_CALL();
    return result;
}

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

/* Signals. */
static uintptr_t handler_returns_to;
static void (*handler_also)(void *context);

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    handler_returns_to = (uintptr_t)__builtin_return_address(0) - WRAPPED;
    if (handler_also)
        handler_also(context);
    capture();
    NOT_A_TAIL_CALL();
}

static void handler_set(int number, int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    assert_int_equal(sigaction(number, &action, NULL), 0);
}

static NOINLINE void raises(int number)
{
    NOTE_CALLER();
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
    handler_set(SIGUSR1, 0);
    raises(SIGUSR1);
    assert_signal_chain();
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

static struct unwind_regs interrupted;

static void interrupted_take(void *context)
{
    unwind_from_ucontext(&interrupted, context);
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
    assert_int_equal(end, UNWIND_END_NO_CFI);
}

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

static void code_without_tables_ends_the_walk(void **state)
{
    (void)state;
    jit = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(jit, MAP_FAILED);
    /* push %rbp; mov %rsp, %rbp; call *%rdi; pop %rbp; ret */
    memcpy(jit, "\x55\x48\x89\xe5\xff\xd7\x5d\xc3", 8);
    ((void (*)(void (*)(void)))jit)(capture);
    assert_int_equal(depth, 1);
    assert_int_equal(end, UNWIND_END_BAD_PC);

    memcpy(jit + 16, "\xcc\xc3", 2); /* int3; ret */
    handler_also = interrupted_take;
    handler_set(SIGTRAP, 0);
    ((void (*)(void))(jit + 16))();
    handler_also = NULL;
    depth = unwind_walk(&interrupted, 1, stacks, 1, pcs, DEPTH, &end);
    assert_int_equal(depth, 1);
    assert_int_equal(pcs[0], (uintptr_t)jit + 17);
    assert_int_equal(end, UNWIND_END_NO_CFI);
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
        cmocka_unit_test_setup(depth_limit_cuts_the_outer_frames, begin),
        cmocka_unit_test_setup(impossible_places_end_the_walk, begin),
        cmocka_unit_test_setup(code_without_tables_ends_the_walk, begin),
        cmocka_unit_test_setup(frame_pointers_lead_through_code_without_tables, begin),
        cmocka_unit_test_setup(frame_pointer_chain_must_climb, begin),
        cmocka_unit_test_setup(modules_are_found_with_their_load_address, begin),
        cmocka_unit_test_setup(first_instructions_of_the_loader_are_a_root, begin),
        cmocka_unit_test_setup(errno_is_left_alone, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
