/*
 * split — a program that knows where its CPU time goes.
 *
 *   split [--ticks N] [--hz H] [--threads T] [--seed S]
 *
 * Four kinds of work run in chunks of exponentially distributed length (mean 3 ms, fixed seed), in
 * shares of 40, 25, 20 and 15 %: compaction (merging sorted runs), lock_acquire (spinning for a
 * mutex that another thread holds, asking now and then), serialization (numbers to text) and libc's
 * memcpy. What has run least of its share runs next, so that the shares come out as planned.
 * Random lengths, since a CPU timer is only as fine as the kernel's own tick: a loop periodic in
 * that grid would be sampled wrongly by any profiler.
 *
 * Every chunk is measured by its thread's CPU clock, so the shares printed as JSON are what really
 * happened, not what was planned. The program runs until N ticks' worth of CPU time at H ticks a
 * second is used, on T threads together.
 */
#include <math.h>
#include <pthread.h>
#include <semaphore.h>

#include "samples/truth.h"

/* split_renamed.c gives the same program other names: names must not matter to a profiler. */
#ifndef SPLIT_NAMES
#define SPLIT_NAMES
#define compaction    compaction
#define lock_acquire  lock_acquire
#define serialization serialization
#define rows_copy     rows_copy
#endif
#define NAME_(x) #x
#define NAME(x)  NAME_(x)

enum { RUN_KEYS = 2048, TEXT_BYTES = 8192, ROWS_BYTES = 128 << 10, MAX_THREADS = 64 };
#define CHUNK_MEAN_NS 3e6

struct worker {
    pthread_t thread;
    uint64_t random;
    uint64_t budget_ns;
    uint64_t ns[4]; /* measured CPU time of each kind of work */
    uint64_t chunks[4];
    double portion_ns[4]; /* what one portion took lately */
    uint64_t cpu_ns;      /* of the loop around them too */
    uint64_t check;       /* keeps the work alive */
    uint32_t left[RUN_KEYS], right[RUN_KEYS], merged[2 * RUN_KEYS];
    char text[TEXT_BYTES];
    unsigned char rows[2][ROWS_BYTES];
};

static struct worker workers[MAX_THREADS];
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER; /* by the holder, from first to last */
static sem_t holder_ready, holder_leave;

/* libc's own, whatever the compiler thinks of it. */
static void *(*volatile libc_memcpy)(void *, const void *, size_t) = memcpy;

/*
 * Each does a number of portions of some 15 us. None looks at the clock: reading it costs more than
 * it seems, and would be one of the things that a profiler rightly finds.
 */

static SITE void compaction(struct worker *w, unsigned portions)
{
    while (portions--) {
        for (unsigned round = 0; round < 2; round++) {
            unsigned l = 0, r = 0, n = 0;
            while (l < RUN_KEYS && r < RUN_KEYS) {
                uint32_t key = w->left[l] <= w->right[r] ? w->left[l++] : w->right[r++];
                if (!n || w->merged[n - 1] != key)
                    w->merged[n++] = key;
            }
            w->check += w->merged[n / 2] + n;
        }
    }
}

/* An attempt with a deadline long past comes back at once, and in vain. It is asked seldom: whoever
   counts the attempts must not make up much of this function's time. */
static SITE void lock_acquire(struct worker *w, unsigned portions)
{
    static const struct timespec long_past = {.tv_sec = -1}; /* the kernel need not be asked */
    while (portions--) {
        for (unsigned spins = 0; spins < 12000; spins++)
            w->check = w->check * 2862933555777941757u + 3037000493u;
        if (portions % 8 == 0 && pthread_mutex_timedlock(&held, &long_past) == 0)
            truth_fail("a held mutex was acquired");
    }
}

static SITE void serialization(struct worker *w, unsigned portions)
{
    while (portions--) {
        char *at = w->text;
        for (unsigned i = 0; i < RUN_KEYS / 2; i++) {
            char digits[10];
            unsigned n = 0;
            uint32_t key = w->left[i];
            do
                digits[n++] = (char)('0' + key % 10);
            while (key /= 10);
            if (at + n + 1 > w->text + TEXT_BYTES)
                at = w->text;
            while (n)
                *at++ = digits[--n];
            *at++ = ',';
        }
        w->check += (unsigned char)w->text[w->check % TEXT_BYTES];
    }
}

static SITE void rows_copy(struct worker *w, unsigned portions)
{
    while (portions--) {
        for (unsigned i = 0; i < 8; i++)
            libc_memcpy(w->rows[~i & 1], w->rows[i & 1], ROWS_BYTES);
        w->check += w->rows[0][w->check % ROWS_BYTES];
    }
}

static const struct {
    const char *name;
    double share;
    void (*run)(struct worker *, unsigned);
} kinds[4] = {
    {NAME(compaction), 0.40, compaction},
    {NAME(lock_acquire), 0.25, lock_acquire},
    {NAME(serialization), 0.20, serialization},
    {NAME(rows_copy), 0.15, rows_copy},
};

static void *holder_run(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&held);
    sem_post(&holder_ready);
    while (sem_wait(&holder_leave))
        ;
    pthread_mutex_unlock(&held);
    return NULL;
}

/* The kind of work that is furthest behind its share of what ran so far. */
static unsigned kind_next(const struct worker *w)
{
    double all = 0, most = 0;
    unsigned next = 0;
    for (unsigned k = 0; k < 4; k++)
        all += (double)w->ns[k];
    for (unsigned k = 0; k < 4; k++) {
        double behind = kinds[k].share * all - (double)w->ns[k];
        if (behind > most) {
            most = behind;
            next = k;
        }
    }
    return next;
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    uint32_t key = 0;
    for (unsigned i = 0; i < RUN_KEYS; i++) {
        w->left[i] = key += (uint32_t)(truth_random(&w->random) % 1000000);
        w->right[i] = key + (uint32_t)(truth_random(&w->random) % 2000000);
    }
    for (unsigned k = 0; k < 4; k++)
        w->portion_ns[k] = 15000;
    uint64_t now = truth_cpu_ns();
    while (now < w->budget_ns) {
        unsigned kind = kind_next(w);
        double length_ns = -log(truth_uniform(&w->random)) * CHUNK_MEAN_NS;
        unsigned portions = (unsigned)(length_ns / w->portion_ns[kind]) + 1;
        uint64_t begin = now;
        kinds[kind].run(w, portions);
        now = truth_cpu_ns();
        w->ns[kind] += now - begin;
        w->portion_ns[kind] = (w->portion_ns[kind] + (double)(now - begin) / portions) / 2;
        w->chunks[kind]++;
    }
    w->cpu_ns = now;
    return NULL;
}

static void print_truth(unsigned threads)
{
    uint64_t ns[4] = {0}, chunks = 0, cpu_ns = 0, check = 0;
    for (unsigned t = 0; t < threads; t++) {
        for (unsigned k = 0; k < 4; k++) {
            ns[k] += workers[t].ns[k];
            chunks += workers[t].chunks[k];
        }
        cpu_ns += workers[t].cpu_ns;
        check += workers[t].check;
    }
    truth_put("{\"threads\":%u,\"chunks\":%llu,\"cpu_ns\":%llu,\"check\":%llu,\"functions\":[",
              threads, (unsigned long long)chunks, (unsigned long long)cpu_ns,
              (unsigned long long)check);
    for (unsigned k = 0; k < 4; k++)
        truth_put("%s\n {\"name\":\"%s\",\"cpu_ns\":%llu,\"share\":%.6f}", k ? "," : "",
                  kinds[k].name, (unsigned long long)ns[k], (double)ns[k] / (double)cpu_ns);
    truth_put("]}\n");
    truth_flush();
}

int main(int argc, char **argv)
{
    double ticks = 6000, hz = 199;
    unsigned threads = 1;
    uint64_t seed = 1;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--ticks"))
            ticks = atof(value);
        else if (!strcmp(argv[i], "--hz"))
            hz = atof(value);
        else if (!strcmp(argv[i], "--threads"))
            threads = (unsigned)atoi(value);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(value, NULL, 10);
        else
            threads = 0;
        i++;
    }
    if (threads < 1 || threads > MAX_THREADS || !(ticks > 0) || !(hz > 0)) {
        fprintf(stderr, "usage: split [--ticks N] [--hz H] [--threads T] [--seed S]\n");
        return 2;
    }
    pthread_t holding;
    sem_init(&holder_ready, 0, 0);
    sem_init(&holder_leave, 0, 0);
    if (pthread_create(&holding, NULL, holder_run, NULL))
        truth_fail("no thread");
    while (sem_wait(&holder_ready))
        ;
    for (unsigned t = 0; t < threads; t++) {
        workers[t].random = 0x9e3779b97f4a7c15ull * (seed * MAX_THREADS + t + 1);
        workers[t].budget_ns = (uint64_t)(ticks / hz * 1e9 / threads);
        if (pthread_create(&workers[t].thread, NULL, worker_run, &workers[t]))
            truth_fail("no thread");
    }
    for (unsigned t = 0; t < threads; t++)
        pthread_join(workers[t].thread, NULL);
    sem_post(&holder_leave);
    pthread_join(holding, NULL);
    print_truth(threads);
    return 0;
}
