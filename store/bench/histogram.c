#include "store/bench/histogram.h"

#include <stdlib.h>
#include <string.h>

static inline unsigned bucket_of(uint64_t value)
{
    if (value < 2048)
        return (unsigned)value;
    if (value > HISTOGRAM_MAX)
        value = HISTOGRAM_MAX;
    unsigned shift = 63 - (unsigned)__builtin_clzl(value) - 10; /* leaves 1024 … 2047 */
    return shift * 1024 + (unsigned)(value >> shift);
}

static uint64_t bucket_end(unsigned i)
{
    if (i < 2048)
        return i;
    unsigned shift = i / 1024 - 1;
    return (((uint64_t)(i - shift * 1024) + 1) << shift) - 1;
}

/* Owner and reader may be two threads: plain loads and stores, but whole ones. */
static inline uint64_t load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void store(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

struct histogram *histogram_new(void)
{
    return calloc(1, sizeof(struct histogram));
}

void histogram_free(struct histogram *h)
{
    free(h);
}

void histogram_clear(struct histogram *h)
{
    for (unsigned i = 0; i <= bucket_of(h->max); i++)
        if (h->buckets[i]) /* or pages would be made for zeros */
            store(&h->buckets[i], 0);
    store(&h->count, 0);
    store(&h->sum, 0);
    store(&h->max, 0);
}

void histogram_record(struct histogram *h, uint64_t value)
{
    uint64_t *bucket = &h->buckets[bucket_of(value)];
    store(bucket, *bucket + 1);
    store(&h->count, h->count + 1);
    store(&h->sum, h->sum + value);
    if (value > h->max)
        store(&h->max, value);
}

void histogram_add(struct histogram *sum, const struct histogram *more)
{
    uint64_t max = load(&more->max);
    for (unsigned i = 0; i <= bucket_of(max); i++) {
        uint64_t n = load(&more->buckets[i]);
        sum->buckets[i] += n;
        sum->count += n; /* not more->count, which may be of another moment */
    }
    sum->sum += load(&more->sum);
    if (max > sum->max)
        sum->max = max;
}

void histogram_subtract(struct histogram *later, const struct histogram *earlier)
{
    unsigned end = bucket_of(later->max);
    later->max = 0;
    for (unsigned i = 0; i <= end; i++) {
        later->buckets[i] -= earlier->buckets[i];
        if (later->buckets[i])
            later->max = bucket_end(i);
    }
    later->count -= earlier->count;
    later->sum -= earlier->sum;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t rank = (uint64_t)(percent / 100 * (double)h->count + 0.5);
    if (rank < 1)
        rank = 1;
    uint64_t seen = 0;
    for (unsigned i = 0; i <= bucket_of(h->max); i++) {
        seen += h->buckets[i];
        if (seen >= rank)
            return bucket_end(i) < h->max ? bucket_end(i) : h->max;
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}
