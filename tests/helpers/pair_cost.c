/* build: -fomit-frame-pointer */
/*
 * What a malloc+free pair costs: blocks of 16–512 bytes, a live set of `live` blocks, allocated
 * under `depth` frames without frame pointers. Prints one JSON object: {"ns_per_pair": …}.
 *
 * usage: pair_cost [pairs [depth [live [fresh [threads]]]]]
 * fresh: frames that change between two events (0 = always the same stack).
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct work {
    uint64_t pairs;
    unsigned depth, live, fresh;
    uint64_t ns;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

struct loop {
    const struct work *work;
    void **blocks;
    uint64_t seed;
    uint64_t left;
};

static __attribute__((noinline)) void pair(struct loop *l)
{
    uint32_t r = next(&l->seed);
    unsigned slot = r % l->work->live;
    free(l->blocks[slot]);
    char *p = malloc(16 + (r >> 8) % 497);
    *p = 1;
    l->blocks[slot] = p;
}

/* Two of each, so that a changed path gives changed return addresses. */
static __attribute__((noinline)) void inner_a(struct loop *l, unsigned depth, unsigned path);
static __attribute__((noinline)) void inner_b(struct loop *l, unsigned depth, unsigned path);

#define STEP(l, depth, path)                                                                       \
    do {                                                                                           \
        if ((depth) == 0)                                                                          \
            pair(l);                                                                               \
        else if ((path)&1)                                                                         \
            inner_a(l, (depth)-1, (path) >> 1);                                                    \
        else                                                                                       \
            inner_b(l, (depth)-1, (path) >> 1);                                                    \
        __asm__ volatile("" ::: "memory"); /* no tail call: each level is a frame */               \
    } while (0)

static void inner_a(struct loop *l, unsigned depth, unsigned path)
{
    STEP(l, depth, path);
}

static void inner_b(struct loop *l, unsigned depth, unsigned path)
{
    STEP(l, depth, path);
}

/* The outer frames stay; the last `fresh` ones are entered anew for each pair. */
static __attribute__((noinline)) void outer(struct loop *l, unsigned depth)
{
    unsigned fresh = l->work->fresh;
    if (depth > fresh) {
        outer(l, depth - 1);
    } else {
        while (l->left--)
            STEP(l, fresh, fresh ? next(&l->seed) : 0);
    }
    __asm__ volatile("" ::: "memory");
}

static void *run(void *arg)
{
    struct work *w = arg;
    struct loop l = {w, calloc(w->live, sizeof(void *)), 42, w->live * 4u};
    outer(&l, w->depth); /* warm up: the live set is there, the pages are touched */
    l.left = w->pairs;
    uint64_t start = now_ns();
    outer(&l, w->depth);
    w->ns = now_ns() - start;
    for (unsigned i = 0; i < w->live; i++)
        free(l.blocks[i]);
    free(l.blocks);
    return NULL;
}

static unsigned argument(int argc, char **argv, int i, unsigned standard)
{
    return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : standard;
}

int main(int argc, char **argv)
{
    enum { most_threads = 64 };
    struct work w = {argument(argc, argv, 1, 2000000), argument(argc, argv, 2, 10),
                     argument(argc, argv, 3, 4096), argument(argc, argv, 4, 0), 0};
    unsigned threads = argument(argc, argv, 5, 1);
    struct work each[most_threads];
    pthread_t thread[most_threads];
    uint64_t ns = 0;
    if (threads < 1 || threads > most_threads || w.live < 1 || w.fresh > w.depth) {
        fprintf(stderr, "usage: pair_cost [pairs [depth [live [fresh [threads]]]]]\n");
        return 2;
    }
    for (unsigned i = 1; i < threads; i++) {
        each[i] = w;
        pthread_create(&thread[i], NULL, run, &each[i]);
    }
    each[0] = w;
    run(&each[0]);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < threads; i++)
        ns += each[i].ns;
    printf("{\"ns_per_pair\": %.2f, \"pairs\": %llu, \"depth\": %u, \"live\": %u, \"fresh\": %u, "
           "\"threads\": %u}\n",
           (double)ns / (double)w.pairs / threads, (unsigned long long)w.pairs, w.depth, w.live,
           w.fresh, threads);
    return 0;
}
