/*
 * Threads that take one mutex in turn: each holds it for `section_ns`, works as long without it,
 * and takes it again. Prints one JSON object: {"sections_per_s": …}, over all threads.
 *
 * usage: lock_contended THREADS SECTION_NS [SECONDS]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

enum { THREADS_MAX = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t begin;
static uint64_t section_units, run_ns;
static uint64_t sections[THREADS_MAX][16] __attribute__((aligned(128))); /* no line in common */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Units of the time-stamp counter in so many ns, by 20 ms of both clocks. */
static uint64_t units_in(uint64_t ns)
{
    uint64_t from_ns = now_ns(), from = __rdtsc(), to_ns;
    while ((to_ns = now_ns()) < from_ns + 20000000)
        ;
    return (uint64_t)((double)ns * (double)(__rdtsc() - from) / (double)(to_ns - from_ns));
}

static void work(void)
{
    uint64_t from = __rdtsc();
    while (__rdtsc() - from < section_units)
        ;
}

static void *run(void *arg)
{
    enum { between_looks = 64 }; /* at the clock */
    uint64_t *count = arg;
    pthread_barrier_wait(&begin);
    uint64_t end = now_ns() + run_ns;
    while (now_ns() < end)
        for (unsigned i = 0; i < between_looks; i++, ++*count) {
            pthread_mutex_lock(&mutex);
            work();
            pthread_mutex_unlock(&mutex);
            work();
        }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    pthread_t t[THREADS_MAX];
    double seconds = argc > 3 ? atof(argv[3]) : 1, sum = 0;
    if (argc < 3 || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: lock_contended THREADS SECTION_NS [SECONDS]\n");
        return 2;
    }
    section_units = units_in(strtoull(argv[2], NULL, 10));
    run_ns = (uint64_t)(seconds * 1e9);
    pthread_barrier_init(&begin, NULL, threads);
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&t[i], NULL, run, sections[i]) != 0)
            return 3;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(t[i], NULL);
        sum += (double)sections[i][0];
    }
    printf("{\"sections_per_s\": %.0f}\n", sum / seconds);
    return 0;
}
