/* build: -fomit-frame-pointer -Wl,--no-as-needed -lunwind */
/*
 * What a walk costs: ns for stacks of 14 and 30 frames, all different functions, some of which save
 * registers, with every rule cached; beside it libunwind's unw_backtrace (its fastest way) and
 * unw_step, and the cost of a frame whose rule is not cached. JSON on stdout; the median of the
 * rounds of each. Usage: unwind_cost [ROUNDS [WALKS]]
 */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shim/unwind.h"

#define FRAMES 30
#define ROUNDS 1000

static struct unwind_range stack;
static unsigned rounds = 201, walks = 1000;
static volatile long sink;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A way to walk once; gives the number of frames. */
typedef unsigned walk_once(const struct unwind_regs *regs);

static unsigned walk_ours(const struct unwind_regs *regs)
{
    uintptr_t pcs[64];
    enum unwind_end end;
    return unwind_walk(regs, 1, &stack, 1, pcs, 64, &end);
}

static unsigned walk_ours_cold(const struct unwind_regs *regs)
{
    unwind_flush();
    return walk_ours(regs);
}

static unsigned walk_fp(const struct unwind_regs *regs)
{
    uintptr_t pcs[64];
    enum unwind_end end;
    return unwind_walk_fp(regs, 1, &stack, 1, pcs, 64, &end);
}

static unsigned walk_backtrace(const struct unwind_regs *regs)
{
    void *pcs[64];
    (void)regs;
    return (unsigned)unw_backtrace(pcs, 64);
}

static unsigned walk_step(const struct unwind_regs *regs)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unsigned count = 0;
    (void)regs;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    do
        count++;
    while (count < 64 && unw_step(&cursor) > 0);
    return count;
}

static void measure(const char *name, walk_once *walk, unsigned divide, const char *after)
{
    double ns[ROUNDS];
    struct unwind_regs regs;
    unsigned frames = 0;
    unsigned count = walks / divide + 1;

    unwind_capture(&regs);
    for (unsigned r = 0; r < rounds; r++) {
        double start = now_ns();
        for (unsigned i = 0; i < count; i++)
            frames = walk(&regs);
        ns[r] = (now_ns() - start) / count;
    }
    qsort(ns, rounds, sizeof(*ns), compare_doubles);
    printf("\"%s\":{\"frames\":%u,\"walk_ns\":%.1f,\"frame_ns\":%.2f,\"least_walk_ns\":%.1f}%s",
           name, frames, ns[rounds / 2], ns[rounds / 2] / frames, ns[0], after);
}

static void measure_all(void)
{
    measure("cached", walk_ours, 1, ",\n ");
    measure("uncached", walk_ours_cold, 100, ",\n ");
    measure("frame_pointers", walk_fp, 1, ",\n ");
    measure("unw_backtrace", walk_backtrace, 1, ",\n ");
    measure("unw_step", walk_step, 100, "");
    fflush(stdout);
}

/* The functions: level N calls level N + 1; every third saves all registers, some have big frames.
 */
static long level(unsigned n, unsigned deepest, long a, long b);

#define LIGHT(n)                                                                                   \
    static __attribute__((noinline, noclone)) long level_##n(unsigned deepest, long a, long b)     \
    {                                                                                              \
        return level((n) + 1, deepest, a + (n), b) + (n);                                          \
    }
#define HEAVY(n)                                                                                   \
    static __attribute__((noinline, noclone)) long level_##n(unsigned deepest, long a, long b)     \
    {                                                                                              \
        long c = a * b, d = a ^ b, e = c + (n), f = d - c;                                         \
        return level((n) + 1, deepest, c, d) + a * c + b * d + e * f + (n);                        \
    }
#define WIDE(n)                                                                                    \
    static __attribute__((noinline, noclone)) long level_##n(unsigned deepest, long a, long b)     \
    {                                                                                              \
        volatile char room[40 * (n) + 40];                                                         \
        room[0] = (char)a;                                                                         \
        return level((n) + 1, deepest, a, b) + room[0] + b;                                        \
    }
/* clang-format off */
#define EVERY_LEVEL(X, Y, Z)                                                                       \
    X(1) Y(2) Z(3) X(4) Y(5) Z(6) X(7) Y(8) Z(9) X(10) Y(11) Z(12) X(13) Y(14) Z(15)               \
    X(16) Y(17) Z(18) X(19) Y(20) Z(21) X(22) Y(23) Z(24) X(25) Y(26) Z(27) X(28) Y(29) Z(30)
/* clang-format on */
EVERY_LEVEL(LIGHT, HEAVY, WIDE)

static inline __attribute__((always_inline)) long level(unsigned n, unsigned deepest, long a,
                                                        long b)
{
    if (n > deepest) {
        measure_all();
        return a;
    }
    switch (n) {
#define CALL(i)                                                                                    \
    case i:                                                                                        \
        return level_##i(deepest, a, b);
        EVERY_LEVEL(CALL, CALL, CALL)
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    /* frames that are there anyway: the walk itself, the one that measures, main, libc's start */
    static const unsigned depths[] = {14, FRAMES};
    enum { others = 6 };
    pthread_attr_t attr;
    void *lo;
    size_t bytes;

    if (argc > 1)
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        walks = (unsigned)strtoul(argv[2], NULL, 10);
    if (rounds < 1 || rounds > ROUNDS || walks < 100) {
        fprintf(stderr, "unwind_cost: ROUNDS is 1 to %d, WALKS at least 100\n", ROUNDS);
        return 2;
    }
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return 1;
    pthread_attr_getstack(&attr, &lo, &bytes);
    pthread_attr_destroy(&attr);
    stack = (struct unwind_range){(uintptr_t)lo, (uintptr_t)lo + bytes};
    printf("{");
    for (unsigned i = 0; i < 2; i++) {
        printf("\"depth_%u\":{", depths[i]);
        sink += level(1, depths[i] - others, 3, 5);
        printf("}%s\n", i ? "}" : ",");
    }
    return 0;
}
