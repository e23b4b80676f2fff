/* What sweep and compare keep of each of their runs, and how they order and sum up runs. Pure. */
#ifndef PERFSHIM_STORE_BENCH_FIGURES_H
#define PERFSHIM_STORE_BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "store/bench/random.h"
#include "store/bench/report.h"
#include "store/bench/result.h"

/* Average, PERCENTILES, maximum. */
#define X(name, percent) +1
enum { FIGURE_LATENCIES = 2 PERCENTILES(X) };
#undef X
const char *figure_latency_name(unsigned i); /* as in latency_us */
/* Which of them has the name; it must be one. */
unsigned figure_latency(const char *name);

struct figures {
    double throughput;                   /* operations a second */
    double latency_ns[FIGURE_LATENCIES]; /* NaN if every operation failed */
    uint64_t errors;
};
void figures_take(struct figures *to, const struct bench_result *result);

/* A stream of random numbers that no thread uses. */
#define ORDER_STREAM UINT64_MAX
/* 0 … n-1 in an order drawn anew. */
void order_draw(struct rng *rng, unsigned order[], unsigned n);

/* Sorts them; NaN if there are none. */
double median(double *values, size_t n);

#endif
