/*
 * A latency histogram: log-linear, 3 digits, merged exactly.
 *
 * Values below 2048 have a counter each; above, each doubling has 1024 counters, so that a value is
 * known to 1/1024 (0.098 %) or better. Values past HISTOGRAM_MAX count as that. Sum and maximum are
 * exact. Recording touches one counter and never allocates. Histograms are merged by adding
 * counters; percentiles are never averaged.
 *
 * Thread safety: one thread records; another may add the histogram to one of its own meanwhile, and
 * then sees some moment of each counter.
 */
#ifndef PERFSHIM_STORE_BENCH_HISTOGRAM_H
#define PERFSHIM_STORE_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    42 /* 2^42 ns are 73 minutes */
#define HISTOGRAM_MAX     (((uint64_t)1 << HISTOGRAM_BITS) - 1)
#define HISTOGRAM_BUCKETS ((HISTOGRAM_BITS - 10 + 1) * 1024)

struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Empty; NULL if there is no memory. */
struct histogram *histogram_new(void);
void histogram_free(struct histogram *h);
void histogram_clear(struct histogram *h);

void histogram_record(struct histogram *h, uint64_t value);

/* sum += more. */
void histogram_add(struct histogram *sum, const struct histogram *more);
/* What came since: later -= earlier, where `earlier` is an older state of `later`. Its maximum is
   then the upper end of its highest counter. */
void histogram_subtract(struct histogram *later, const struct histogram *earlier);

/*
 * The value at rank floor(percent/100 * count + 0.5), at least 1: the upper end of its counter, at
 * most the maximum. 0 for an empty histogram.
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);
/* 0 for an empty histogram. */
double histogram_mean(const struct histogram *h);

#endif
