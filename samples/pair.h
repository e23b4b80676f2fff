/*
 * What the lesson's pairs share (get.c, key.c, buffer.c, and each with its cure): threads that do
 * a number of operations, and what is printed at the end.
 *
 *   PROGRAM [--ops N] [--threads N]
 *
 * prints one line of JSON: ops, threads, a checksum over what the operations produced, and the
 * allocations that they made, by the program's own count. The work depends on the numbers of
 * operations and threads alone: a program and its cure print the same checksum.
 */
#ifndef PERFSHIM_SAMPLES_PAIR_H
#define PERFSHIM_SAMPLES_PAIR_H

#include <getopt.h>
#include <pthread.h>

#include "samples/truth.h"
#include "shim/perfshim.h"

enum { PAIR_THREADS = 64 };

struct worker {
    pthread_t thread;
    void (*operate)(struct worker *); /* one operation; adds to the fields below */
    uint64_t ops;
    uint64_t random;
    uint64_t checksum;
    uint64_t allocs, alloc_bytes;
};

/* Beside each malloc of an operation. */
static inline void pair_count(struct worker *w, size_t bytes)
{
    w->allocs++;
    w->alloc_bytes += bytes;
}

/* What an operation produced, into the checksum. */
static inline void pair_check(struct worker *w, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w->checksum = w->checksum * 31 + (unsigned char)text[i];
}

static void *pair_work(void *arg)
{
    struct worker *w = arg;
    for (uint64_t i = 0; i < w->ops; i++) {
        w->operate(w);
        perfshim_progress("op");
    }
    return NULL;
}

static int pair_main(int argc, char **argv, uint64_t ops, unsigned threads,
                     void (*operate)(struct worker *))
{
    static const struct option options[] = {
        {"ops", required_argument, NULL, 'o'}, {"threads", required_argument, NULL, 't'}, {0}};
    static struct worker workers[PAIR_THREADS];
    struct worker sum = {0};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'o')
            ops = strtoull(optarg, NULL, 10);
        else if (option == 't')
            threads = (unsigned)strtoul(optarg, NULL, 10);
        else
            ops = 0;
    }
    if (!ops || threads < 1 || threads > PAIR_THREADS || optind < argc) {
        fprintf(stderr, "usage: %s [--ops N] [--threads N]\n", argv[0]);
        return 2;
    }
    for (unsigned t = 0; t < threads; t++) {
        workers[t].operate = operate;
        workers[t].ops = ops / threads + (t < ops % threads);
        workers[t].random = 0x9e3779b97f4a7c15ull * (t + 1);
        if (pthread_create(&workers[t].thread, NULL, pair_work, &workers[t]))
            truth_fail("no thread");
    }
    for (unsigned t = 0; t < threads; t++) {
        pthread_join(workers[t].thread, NULL);
        sum.checksum += workers[t].checksum;
        sum.allocs += workers[t].allocs;
        sum.alloc_bytes += workers[t].alloc_bytes;
    }
    truth_put("{\"ops\":%llu,\"threads\":%u,\"checksum\":\"%016llx\",\"allocs\":%llu,"
              "\"alloc_bytes\":%llu}\n",
              (unsigned long long)ops, threads, (unsigned long long)sum.checksum,
              (unsigned long long)sum.allocs, (unsigned long long)sum.alloc_bytes);
    truth_flush();
    return 0;
}

#endif
