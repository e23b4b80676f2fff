#include "analyzer/model_histogram.h"

#include <stdlib.h>

#include "analyzer/memory.h"
#include "analyzer/model.h"

const struct model_histogram *model_histogram(const struct model *m, uint32_t node)
{
    size_t from = 0, to = m->histogram_count;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        if (m->histograms[at].node == node)
            return &m->histograms[at];
        if (m->histograms[at].node < node)
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

/* How many of the sizes stand in `size`. */
static uint32_t sizes_held(const struct model_histogram *h)
{
    return h->size_count < PSHIM_SIZES ? h->size_count : PSHIM_SIZES;
}

static void size_add(struct model_histogram *h, uint64_t size)
{
    uint32_t held = sizes_held(h);
    for (uint32_t i = 0; i < held; i++)
        if (h->size[i] == size)
            return;
    if (held < PSHIM_SIZES)
        h->size[held] = size;
    h->size_count = held + 1;
}

void model_histogram_add(struct model_histogram *to, const struct model_histogram *from)
{
    for (uint32_t i = 0; i < sizes_held(from); i++)
        size_add(to, from->size[i]);
    if (from->size_count > PSHIM_SIZES)
        to->size_count = PSHIM_SIZES + 1;
    if (from->size_max > to->size_max)
        to->size_max = from->size_max;
    to->asked_count += from->asked_count;
    to->lived_count += from->lived_count;
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++) {
        to->asked[i] += from->asked[i];
        to->lived[i] += from->lived[i];
    }
}

/* Where a bucket ends. The last has no end: it is taken to be as long as the one before it. */
static double bucket_end(unsigned bucket)
{
    return bucket + 1 < PSHIM_BUCKETS ? (double)pshim_bucket_start(bucket + 1)
                                      : 1.5 * (double)pshim_bucket_start(bucket);
}

static double counts_sum(const uint64_t counts[static PSHIM_BUCKETS])
{
    double sum = 0;
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
        sum += (double)counts[i];
    return sum;
}

double histogram_quantile(const uint64_t counts[static PSHIM_BUCKETS], double q)
{
    double left = q * counts_sum(counts), value = 0;
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++) {
        double start = (double)pshim_bucket_start(i), n = (double)counts[i];
        if (n <= 0)
            continue;
        if (left <= n)
            return start + (left > 0 ? left / n : 0) * (bucket_end(i) - start);
        left -= n;
        value = bucket_end(i);
    }
    return value; /* rounding left a little */
}

static double life_unit_ns(const struct model *m)
{
    return m->clock_unit_ns * (double)(1 << PSHIM_LIFE_SHIFT);
}

double model_life_ns(const struct model *m, double life_units)
{
    return life_units * life_unit_ns(m);
}

double histogram_shorter(const struct model *m, const struct model_histogram *h, double ns)
{
    double limit = ns / life_unit_ns(m), sum = counts_sum(h->lived), below = 0;
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++) {
        double start = (double)pshim_bucket_start(i), end = bucket_end(i);
        if (limit <= start)
            break;
        double part = limit >= end ? 1 : (limit - start) / (end - start);
        below += part * (double)h->lived[i];
    }
    return sum > 0 ? below / sum : 0;
}

/* Counts of a record that may be written to now. */
static void record_read(struct model_histogram *to, const struct pshim_histogram *from)
{
    to->node = pshim_load32(&from->node);
    uint32_t sizes = pshim_load32(&from->size_count);
    to->size_count = sizes <= PSHIM_SIZES ? sizes : PSHIM_SIZES + 1;
    for (uint32_t i = 0; i < sizes_held(to); i++)
        to->size[i] = pshim_load(&from->size[i]);
    to->size_max = pshim_load(&from->size_max);
    /* What was freed first: it was asked for before. */
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
        to->lived_count += to->lived[i] = pshim_load32(&from->lived[i]);
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
        to->asked_count += to->asked[i] = pshim_load32(&from->asked[i]);
}

static int nodes_compare(const void *a, const void *b)
{
    const struct model_histogram *x = a, *y = b;
    return (x->node > y->node) - (x->node < y->node);
}

int model_histograms_load(struct model *m)
{
    struct reader *r = m->reader;
    uint32_t count = reader_count(r, PSHIM_REGION_HISTOGRAM);
    size_t read = 0;
    m->histograms = memory_new(count, sizeof *m->histograms);
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_histogram *h = reader_histogram(r, i);
        struct model_histogram *to = &m->histograms[read];
        if (!h)
            continue;
        record_read(to, h);
        /* Asked each time: the node was there before its histogram. */
        uint32_t nodes = reader_count(r, PSHIM_REGION_NODE);
        if (to->node && to->node >= nodes)
            return reader_damaged(r, "byte %llu: histogram %u refers to node %u of %u",
                                  (unsigned long long)reader_where(r, PSHIM_REGION_HISTOGRAM, i), i,
                                  to->node, nodes);
        if (to->asked_count || to->lived_count)
            read++;
        else
            *to = (struct model_histogram){0};
    }
    if (read)
        qsort(m->histograms, read, sizeof *m->histograms, nodes_compare);
    for (size_t i = 0; i < read; i++) {
        struct model_histogram *last = m->histograms + m->histogram_count - 1;
        if (m->histogram_count && last->node == m->histograms[i].node)
            model_histogram_add(last, &m->histograms[i]);
        else
            m->histograms[m->histogram_count++] = m->histograms[i];
    }
    return 0;
}
