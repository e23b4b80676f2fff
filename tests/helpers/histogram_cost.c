/* What recording a value in store_bench's histogram takes: "ns_per_record N", the least of 20
   rounds over a million lognormal values, without what drawing them took. Usage: histogram_cost */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/bench/histogram.h"
#include "store/bench/random.h"

enum { VALUES = 1000000, ROUNDS = 20 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(void)
{
    uint64_t *values = malloc(VALUES * sizeof *values);
    struct histogram *h = histogram_new();
    struct rng rng;
    double least = INFINITY;
    if (!values || !h)
        return 2;
    rng_init(&rng, 1, 0);
    for (int i = 0; i < VALUES; i++) /* around 700 ns, as a store's latencies lie */
        values[i] = (uint64_t)exp(6.5 + sqrt(2 * rng_exponential(&rng)) *
                                            cos(6.283185307179586 * rng_real(&rng)));
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (int i = 0; i < VALUES; i++)
            histogram_record(h, values[i]);
        double took = (now_ns() - begin) / VALUES;
        least = took < least ? took : least;
    }
    printf("{\"ns_per_record\": %.2f, \"count\": %llu}\n", least, (unsigned long long)h->count);
    histogram_free(h);
    free(values);
    return 0;
}
