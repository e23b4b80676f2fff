/*
 * Walks from every single instruction: the trap flag stops after each one, and wherever that is
 * (prologue, epilogue, PLT entry, loader, vdso, libc's assembly), the walk must find the way out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "shim/unwind.h"
#include "shim/unwind_rule.h"

#define NOINLINE __attribute__((noinline, noclone))
#define DEPTH    128
#define BAD_PCS  16

/* A sanitizer's own code runs in every function that we step through. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static struct unwind_range stacks[2];
static char trap_stack[64 << 10] __attribute__((aligned(16)));

/* What a walk in site() finds outwards of it. */
static uintptr_t outer[DEPTH];
static unsigned outer_depth;

static int stepping;
static struct unwind_module no_tables; /* crtbegin.o and crti.o of a library have none */
static unsigned long steps, bad;
static struct {
    uintptr_t pc;
    unsigned depth;
    enum unwind_end end;
} bad_pcs[BAD_PCS];

static NOINLINE void site(void (*work)(void));

static int way_out_is_found(const uintptr_t *pcs, unsigned depth, enum unwind_end end)
{
    unsigned inner = depth - outer_depth;

    if (end != UNWIND_END_ROOT || depth <= outer_depth)
        return 0;
    return pcs[inner - 1] - (uintptr_t)site < 512 &&
           memcmp(pcs + inner, outer, outer_depth * sizeof(*outer)) == 0;
}

static void trap(int number, siginfo_t *info, void *context)
{
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    struct unwind_regs regs;
    uintptr_t pcs[DEPTH];
    enum unwind_end end;
    unsigned depth;

    (void)number;
    if (info->si_code == SI_KERNEL) { /* int3: begin or end */
        stepping = !stepping;
        *flags = stepping ? *flags | 0x100 : *flags & ~0x100;
        return;
    }
    unwind_from_ucontext(&regs, context);
    if (regs.reg[UNWIND_RIP] - no_tables.start < no_tables.end - no_tables.start)
        return;
    depth = unwind_walk(&regs, 1, stacks, 2, pcs, DEPTH, &end);
    steps++;
    if (way_out_is_found(pcs, depth, end))
        return;
    if (bad < BAD_PCS) {
        bad_pcs[bad].pc = regs.reg[UNWIND_RIP];
        bad_pcs[bad].depth = depth;
        bad_pcs[bad].end = end;
    }
    bad++;
}

static NOINLINE void site(void (*work)(void))
{
    struct unwind_regs regs;
    enum unwind_end end;
    uintptr_t pcs[DEPTH];

    unwind_capture(&regs);
    outer_depth = unwind_walk(&regs, 1, stacks, 2, pcs, DEPTH, &end) - 1;
    memcpy(outer, pcs + 1, outer_depth * sizeof(*outer));
    assert_int_equal(end, UNWIND_END_ROOT);
    __asm__ volatile("int3" ::: "memory");
    work();
    __asm__ volatile("int3" ::: "memory");
}

static void step_through(void (*work)(void), unsigned long at_least)
{
    steps = bad = 0;
    stepping = 0;
    if (SANITIZED)
        skip();
    site(work);
    for (unsigned long i = 0; i < bad && i < BAD_PCS; i++) {
        struct unwind_module module = {.name = "?"};
        unwind_module_find(bad_pcs[i].pc, &module);
        print_message("%s+%#lx: ended after %u frames, reason %d\n", module.name,
                      (unsigned long)(bad_pcs[i].pc - module.bias), bad_pcs[i].depth,
                      (int)bad_pcs[i].end);
    }
    assert_int_equal(bad, 0);
    assert_true(steps >= at_least);
}

static int group_begin(void **state)
{
    stack_t set = {.ss_sp = trap_stack, .ss_size = sizeof(trap_stack)};
    struct sigaction action;
    pthread_attr_t attr;
    void *lo;
    size_t bytes;

    (void)state;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return -1;
    pthread_attr_getstack(&attr, &lo, &bytes);
    pthread_attr_destroy(&attr);
    stacks[0] = (struct unwind_range){(uintptr_t)lo, (uintptr_t)lo + bytes};
    stacks[1] =
        (struct unwind_range){(uintptr_t)trap_stack, (uintptr_t)trap_stack + sizeof(trap_stack)};
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = trap;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    return sigaltstack(&set, NULL) || sigaction(SIGTRAP, &action, NULL);
}

/* Functions of our own: every kind of prologue and epilogue. */
static volatile long sink;

static NOINLINE long leaf(long a, long b)
{
    return a * b + 3;
}

static NOINLINE long saves_all(long a, long b, long c, long d, long e, long f)
{
    long x = leaf(a, b), y = leaf(c, d), z = leaf(e, f);
    if (a > 0)
        x += saves_all(a - 1, f, e, d, c, b);
    return leaf(x + y * a, z + b) + c * d - e + f;
}

static NOINLINE long early_return(long a)
{
    if (a < 3)
        return a;
    return saves_all(a & 3, a, 2, 3, 4, 5) + leaf(a, a);
}

static NOINLINE long grows(size_t n)
{
    volatile char *room = alloca(n);
    room[0] = (char)n;
    room[n - 1] = 1;
    return n > 64 ? grows(n / 2) + room[0] : leaf(room[0], 2);
}

static NOINLINE __attribute__((optimize("O2"))) long realigned(long a, long b, long c, long d,
                                                               long e, long f, long g, size_t n)
{
    volatile char __attribute__((aligned(64))) room[64];
    volatile char *more = alloca(n);
    room[3] = more[1] = (char)a;
    if (n > 40)
        g += realigned(b, c, d, e, f, g, a, n - 40);
    return a + b + c + d + e + f + g + room[3] + more[1];
}

static NOINLINE __attribute__((optimize("no-omit-frame-pointer"))) long with_base(long a)
{
    return a > 0 ? with_base(a - 1) + leaf(a, a) : leaf(1, 2);
}

static void own_functions(void)
{
    sink += early_return(2) + early_return(6);
    sink += grows(500) + realigned(1, 2, 3, 4, 5, 6, 7, 120) + with_base(4);
}

static void prologues_and_epilogues_are_walked_from_every_instruction(void **state)
{
    (void)state;
    step_through(own_functions, 300);
}

/* The PLT, and the loader's resolver under it if binding is lazy. */
static void plt_calls(void)
{
    sink += (long)strtoul("77", NULL, 10) + ffs(8) + (long)labs(-3) + (long)strnlen("abc", 2);
    sink += getpid();
}

static void plt_entries_are_walked_from_every_instruction(void **state)
{
    (void)state;
    step_through(plt_calls, 50);
    step_through(plt_calls, 20); /* bound now */
}

static void allocations(void)
{
    void *volatile p = malloc(100);
    p = realloc(p, 100000);
    free(p);
    p = calloc(3, 1000000); /* mapped */
    free(p);
}

static void libc_allocator_is_walked_from_every_instruction(void **state)
{
    (void)state;
    step_through(allocations, 300);
}

static char buffer[8192];

static void strings(void)
{
    memset(buffer, 1, sizeof(buffer));
    memcpy(buffer, buffer + 4096, 4000);
    memmove(buffer + 5, buffer + 9, 5000);
    buffer[sizeof(buffer) - 1] = 0;
    sink += (long)strlen(buffer) + memcmp(buffer, buffer + 1, 4000);
    sink += strchr(buffer, 1) != NULL;
    sink += strcmp(buffer, buffer + 1);
}

static void vector_assembly_is_walked_from_every_instruction(void **state)
{
    (void)state;
    step_through(strings, 300);
}

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void sorting_and_printing(void)
{
    int v[] = {5, 2, 9, 1, 7, 3};
    qsort(v, 6, sizeof(*v), compare_ints);
    snprintf(buffer, sizeof(buffer), "%d %s %#lx", v[0], "text", 77ul);
    sink += v[0];
}

static void callbacks_are_walked_from_every_instruction(void **state)
{
    (void)state;
    step_through(sorting_and_printing, 500);
}

static void clocks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    sink += now.tv_nsec + time(NULL);
}

static void vdso_is_walked_from_every_instruction(void **state)
{
    (void)state;
    step_through(clocks, 50);
}

static jmp_buf back;

static NOINLINE void jumps_back(void)
{
    longjmp(back, 1);
}

static void jumps(void)
{
    if (!setjmp(back))
        jumps_back();
}

static void long_jumps_are_walked_from_every_instruction(void **state)
{
    (void)state;
    step_through(jumps, 50);
}

static void on_signal(int number)
{
    sink += number;
}

static void signals(void)
{
    raise(SIGUSR1);
}

static void signal_delivery_is_walked_from_every_instruction(void **state)
{
    (void)state;
    signal(SIGUSR1, on_signal);
    step_through(signals, 30);
}

static void forks_like_vfork(void)
{
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    sink += child;
}

static void vfork_keeps_its_return_address_in_a_register(void **state)
{
    (void)state;
    step_through(forks_like_vfork, 10);
}

static void library(void)
{
    sink += dlopen("libBrokenLocale.so.1", RTLD_LAZY) != NULL;
}

static void loader_is_walked_from_every_instruction(void **state)
{
    void *lib = dlopen("libBrokenLocale.so.1", RTLD_LAZY), *symbol;

    (void)state;
    symbol = lib ? dlsym(lib, "__ctype_get_mb_cur_max") : NULL;
    if (!symbol || unwind_module_find((uintptr_t)symbol, &no_tables) != 0)
        skip();
    dlclose(lib);
    step_through(library, 1000);
}

/* How deep a call goes: the stack below is filled with a pattern that the call overwrites. */
#define PAINTED 16384
#define PATTERN 0xa5

static NOINLINE uintptr_t stack_paint(void)
{
    volatile char room[PAINTED];
    for (unsigned i = 0; i < PAINTED; i++)
        room[i] = (char)PATTERN;
    return (uintptr_t)room;
}

static NOINLINE size_t stack_used(const struct unwind_regs *regs, unsigned *depth)
{
    static uintptr_t pcs[DEPTH];
    enum unwind_end end;
    const unsigned char *room = (const unsigned char *)stack_paint();
    size_t clean = 0;

    *depth = unwind_walk(regs, 1, stacks, 2, pcs, DEPTH, &end);
    assert_int_equal(end, UNWIND_END_ROOT);
    while (clean < PAINTED && room[clean] == PATTERN)
        clean++;
    return PAINTED - clean;
}

static void walk_uses_little_stack(void **state)
{
    struct unwind_regs regs;
    unsigned depth;
    size_t cold, warm;

    (void)state;
    if (SANITIZED)
        skip();
    unwind_capture(&regs);
    unwind_flush();
    cold = stack_used(&regs, &depth);
    assert_true(depth > 4);
    warm = stack_used(&regs, &depth);
    print_message("stack of a walk: %zu bytes cold, %zu cached\n", cold, warm);
#ifdef __OPTIMIZE__
    assert_in_range(warm, 64, 1024);
    assert_in_range(cold, warm, 2048);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prologues_and_epilogues_are_walked_from_every_instruction),
        cmocka_unit_test(plt_entries_are_walked_from_every_instruction),
        cmocka_unit_test(libc_allocator_is_walked_from_every_instruction),
        cmocka_unit_test(vector_assembly_is_walked_from_every_instruction),
        cmocka_unit_test(callbacks_are_walked_from_every_instruction),
        cmocka_unit_test(vdso_is_walked_from_every_instruction),
        cmocka_unit_test(long_jumps_are_walked_from_every_instruction),
        cmocka_unit_test(signal_delivery_is_walked_from_every_instruction),
        cmocka_unit_test(vfork_keeps_its_return_address_in_a_register),
        cmocka_unit_test(loader_is_walked_from_every_instruction),
        cmocka_unit_test(walk_uses_little_stack),
    };
    return cmocka_run_group_tests(tests, group_begin, NULL);
}
