/*
 * For tests of the unwinder: functions of a chain note their own return addresses, capture() walks,
 * assert_chain() compares. Each test program has its own copy of all this.
 */
#ifndef PERFSHIM_TESTS_UNIT_UNWIND_CHAIN_H
#define PERFSHIM_TESTS_UNIT_UNWIND_CHAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "shim/unwind.h"

#define NOINLINE __attribute__((noinline, noclone))
#define SHARED   __attribute__((unused)) /* not every test program uses it */
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
static __typeof__(unwind_walk) *walk = unwind_walk; /* how */
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
    depth = walk(&regs, 1, stacks, stack_count, pcs, limit, &end);
}

/* The walk begins in capture() and then finds every call that was noted, innermost first. */
static SHARED void assert_chain(void)
{
    assert_in_range(pcs[0], (uintptr_t)capture, (uintptr_t)capture + 1024);
    assert_true(depth > truth_depth);
    for (unsigned i = 0; i < truth_depth; i++)
        assert_int_equal(pcs[1 + i], truth[truth_depth - 1 - i]);
    assert_int_equal(end, UNWIND_END_ROOT);
}

static NOINLINE SHARED unsigned recurse(unsigned left)
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

/* Signals. */
static uintptr_t handler_returns_to;
static void (*volatile handler_also)(void *context);

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

static SHARED void handler_set(int number, int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    assert_int_equal(sigaction(number, &action, NULL), 0);
}

static struct unwind_regs interrupted;

static SHARED void interrupted_take(void *context)
{
    unwind_from_ucontext(&interrupted, context);
}

#endif
