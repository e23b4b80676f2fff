/* build: -fomit-frame-pointer */
/*
 * What taking and giving back a free mutex costs, under `depth` frames without frame pointers, on
 * `threads` threads with a mutex each. Prints one JSON object: {"ns_per_lock": …}, the median of
 * rounds of each thread, then of the threads.
 *
 * usage: lock_cost [locks [depth [threads]]]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A round is short, so that most are not interrupted on a machine that others use too. */
enum { ROUNDS = 401, THREADS_MAX = 16 };

struct work {
    pthread_mutex_t mutex __attribute__((aligned(128))); /* no line in common */
    uint64_t locks;
    double ns[ROUNDS];
};

static struct work works[THREADS_MAX];
static unsigned depth = 10;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static __attribute__((noipa)) void leaf(struct work *w)
{
    for (uint64_t i = 0; i < w->locks; i++) {
        pthread_mutex_lock(&w->mutex);
        pthread_mutex_unlock(&w->mutex);
    }
}

static __attribute__((noipa)) void inner(struct work *w, unsigned left)
{
    if (left == 0)
        leaf(w);
    else
        inner(w, left - 1);
    __asm__ volatile("");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *run(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begin = now_ns();
        inner(w, depth);
        w->ns[i] = (double)(now_ns() - begin) / (double)w->locks;
    }
    qsort(w->ns, ROUNDS, sizeof w->ns[0], by_value);
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t locks = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    unsigned threads = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
    pthread_t t[THREADS_MAX];
    double medians[THREADS_MAX];
    depth = argc > 2 ? (unsigned)atoi(argv[2]) : depth;
    if (threads < 1 || threads > THREADS_MAX)
        return 2;
    for (unsigned i = 0; i < threads; i++) {
        pthread_mutex_init(&works[i].mutex, NULL);
        works[i].locks = locks / ROUNDS + 1;
        if (pthread_create(&t[i], NULL, run, &works[i]) != 0)
            return 3;
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(t[i], NULL);
        medians[i] = works[i].ns[ROUNDS / 2];
    }
    qsort(medians, threads, sizeof medians[0], by_value);
    printf("{\"ns_per_lock\": %.2f}\n", medians[threads / 2]);
    return 0;
}
