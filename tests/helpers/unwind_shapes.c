/*
 * Stacks of one shape, again and again, for comparing one unwinder with another. The Makefile
 * builds it for each level of optimisation, with frame pointers and without: unwind_shapes-O2-fp …
 *
 *   unwind_shapes SHAPE COUNT     SHAPE: plain, alloca, aligned, signal, coroutine
 *
 * A random walk through functions that call each other by pointers and directly, with frames of
 * many sizes; at its end and on its way back a block is allocated, COUNT in all. "aligned" realigns
 * its stack, with a frame of a variable size and arguments on the stack as well (where gcc keeps
 * the caller's stack pointer in a register of its own, the DRAP). "signal" allocates in a signal
 * handler, on the stack that was interrupted and on an alternate one in turn. "coroutine" leaves
 * such walks half done and goes on with another, on stacks that come from malloc and from mmap, are
 * unmapped, and replaced by shorter ones in the same place. Prints "done" and how many blocks there
 * were.
 */
#include <alloca.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define SITE __attribute__((noinline, noclone))

enum { deepest = 12, coroutines = 16, handler_depth = 3, page = 4096 };

static unsigned long left; /* blocks to allocate */
static uint64_t state = 88172645463325252u;
static volatile unsigned char sink;
static void (*at_leaf)(unsigned depth);

static unsigned random_below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

static SITE void block_make(unsigned n)
{
    unsigned char *volatile block = malloc(16 + n % 100);
    if (block)
        block[0] = (unsigned char)n;
    free(block);
    if (left)
        left--;
}

static void go_on(unsigned depth);

static void leaf(unsigned depth)
{
    at_leaf(depth);
}

/* Ways to be called. Each does something after the call, so that it is none of the last kind. */
static SITE void small(unsigned depth)
{
    go_on(depth);
    block_make(depth);
}

static SITE void large(unsigned depth)
{
    unsigned char room[1500];
    memset(room, (int)depth, sizeof room);
    go_on(depth);
    sink = room[depth];
}

static SITE uint64_t many(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                          uint64_t g, unsigned depth)
{
    go_on(depth);
    block_make((unsigned)(a + g));
    return a * b + c * d + e * f + g;
}

static SITE void many_arguments(unsigned depth)
{
    sink = (unsigned char)many(depth, 2, sink, 4, 5, sink, 7, depth);
}

static SITE void variable(unsigned depth)
{
    size_t n = 1 + random_below(700);
    unsigned char *room = alloca(n);
    memset(room, (int)depth, n);
    go_on(depth);
    sink = room[n / 2];
    block_make((unsigned)n);
}

static SITE void variable_in_loop(unsigned depth)
{
    for (unsigned i = 0; i < 3; i++) {
        unsigned char *room = alloca(8 + random_below(60));
        room[i] = (unsigned char)depth;
        if (i == 1)
            go_on(depth);
        sink = room[i];
    }
}

static SITE void aligned(unsigned depth)
{
    _Alignas(64) volatile unsigned char room[128];
    room[depth] = 1;
    go_on(depth);
    sink = room[depth];
    block_make(depth);
}

static SITE uint64_t aligned_variable(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                      uint64_t f, uint64_t g, unsigned depth)
{
    _Alignas(32) volatile unsigned char room[96];
    size_t n = 1 + random_below(300);
    unsigned char *more = alloca(n);
    memset(more, (int)depth, n);
    room[depth] = more[n / 2];
    go_on(depth);
    sink = room[depth];
    return a + b + c + d + e + f + g + more[0];
}

static SITE void aligned_arguments(unsigned depth)
{
    sink = (unsigned char)aligned_variable(depth, 2, sink, 4, 5, sink, 7, depth);
}

static void (*const plain_ways[])(unsigned) = {small, large, many_arguments, small};
static void (*const alloca_ways[])(unsigned) = {variable, small, variable_in_loop, many_arguments};
static void (*const aligned_ways[])(unsigned) = {aligned, small, aligned_arguments, variable};
static void (*const *ways)(unsigned) = plain_ways;

static void go_on(unsigned depth)
{
    if (depth == 0)
        leaf(depth);
    else
        ways[random_below(4)](depth - 1);
    sink = (unsigned char)depth;
}

/* At the end of a walk. */
static SITE void leaf_block(unsigned depth)
{
    block_make(depth);
}

static SITE void leaf_signal(unsigned depth)
{
    raise(depth + left % 2 ? SIGUSR1 : SIGUSR2);
    sink = (unsigned char)depth;
}

static void handler(int number)
{
    at_leaf = leaf_block;
    go_on(number == SIGUSR1 ? handler_depth : 1);
    at_leaf = leaf_signal;
}

static struct coroutine {
    ucontext_t context, back;
    void *stack;
    size_t bytes;
    int mapped, ended;
} coroutine[coroutines];
static unsigned current;

static SITE void leaf_switch(unsigned depth)
{
    block_make(depth);
    swapcontext(&coroutine[current].context, &coroutine[current].back);
    block_make(depth + 1);
}

static void coroutine_main(void)
{
    unsigned me = current;
    for (unsigned i = 0; i < 8; i++)
        go_on(random_below(deepest));
    coroutine[me].ended = 1;
}

static void coroutine_start(struct coroutine *c)
{
    enum { pages = 16 };
    void *place = NULL;
    if (c->mapped && c->stack) { /* a shorter one in the same place, nothing behind it */
        munmap(c->stack, c->bytes);
        place = c->bytes > page * pages ? c->stack : NULL;
    } else {
        free(c->stack);
    }
    c->bytes = (size_t)page * (place ? pages : 2 * pages);
    if (c->mapped) {
        c->stack =
            mmap(place, c->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (c->stack == MAP_FAILED)
            exit(2);
    } else if (!(c->stack = malloc(c->bytes))) {
        exit(2);
    }
    getcontext(&c->context);
    c->context.uc_stack.ss_sp = c->stack;
    c->context.uc_stack.ss_size = c->bytes;
    c->context.uc_link = &c->back;
    c->ended = 0;
    makecontext(&c->context, coroutine_main, 0);
}

static void coroutines_run(void)
{
    for (unsigned i = 0; i < coroutines; i++) {
        coroutine[i].mapped = i % 2 == 0;
        coroutine_start(&coroutine[i]);
    }
    at_leaf = leaf_switch;
    while (left) {
        current = random_below(coroutines);
        swapcontext(&coroutine[current].back, &coroutine[current].context);
        if (coroutine[current].ended)
            coroutine_start(&coroutine[current]);
    }
}

static void signals_prepare(void)
{
    enum { alternate_bytes = 1 << 16 };
    struct sigaction action = {.sa_handler = handler};
    stack_t alternate = {.ss_sp = malloc(alternate_bytes), .ss_size = alternate_bytes};
    sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, NULL);
    at_leaf = leaf_signal;
}

int main(int argc, char **argv)
{
    const char *shape = argc > 1 ? argv[1] : "plain";
    unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;

    left = count;
    at_leaf = leaf_block;
    if (strcmp(shape, "alloca") == 0)
        ways = alloca_ways;
    else if (strcmp(shape, "aligned") == 0)
        ways = aligned_ways;
    else if (strcmp(shape, "signal") == 0)
        signals_prepare();
    else if (strcmp(shape, "coroutine") == 0)
        coroutines_run();
    else if (strcmp(shape, "plain") != 0)
        return 2;
    while (left)
        go_on(random_below(deepest));
    printf("done %lu\n", count);
    return 0;
}
