#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/histogram.h"

/* Which range of values that begin at `first` and grow by `factor` a value is in; 0 = below. */
static unsigned cell_of(double value, double first, double factor, unsigned cells)
{
    unsigned cell = 0;
    for (double start = first; value >= start && cell + 1 < cells; start *= factor)
        cell++;
    return cell;
}

/* A bucket lies in one cell: the one of its middle. */
static double bucket_middle(unsigned bucket)
{
    double start = (double)pshim_bucket_start(bucket);
    if (bucket + 1 == PSHIM_BUCKETS)
        return start;
    return (start + (double)pshim_bucket_start(bucket + 1)) / 2;
}

static void shares_make(double *to, unsigned cells)
{
    double sum = 0;
    for (unsigned i = 0; i < cells; i++)
        sum += to[i];
    for (unsigned i = 0; i < cells && sum > 0; i++)
        to[i] /= sum;
}

void histogram_life_cells(const struct model *m, const struct model_histogram *h,
                          double to[static HISTOGRAM_LIFE_CELLS])
{
    for (unsigned i = 0; i < HISTOGRAM_LIFE_CELLS; i++)
        to[i] = 0;
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
        to[cell_of(model_life_ns(m, bucket_middle(i)), 1e3, 10, HISTOGRAM_LIFE_CELLS)] +=
            (double)h->lived[i];
    shares_make(to, HISTOGRAM_LIFE_CELLS);
}

void histogram_size_cells(const struct model_histogram *h, double to[static HISTOGRAM_SIZE_CELLS])
{
    for (unsigned i = 0; i < HISTOGRAM_SIZE_CELLS; i++)
        to[i] = 0;
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
        to[cell_of((double)pshim_bucket_start(i), 16, 4, HISTOGRAM_SIZE_CELLS)] +=
            (double)h->asked[i];
    shares_make(to, HISTOGRAM_SIZE_CELLS);
}

static int sizes_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

uint64_t histogram_size_least(const struct model_histogram *h)
{
    unsigned bucket = 0;
    while (bucket + 1 < PSHIM_BUCKETS && !h->asked[bucket])
        bucket++;
    uint64_t least = 0;
    bool found = false;
    for (unsigned i = 0; i < PSHIM_SIZES && i < h->size_count; i++)
        if (pshim_bucket(h->size[i]) == bucket && (!found || h->size[i] < least)) {
            least = h->size[i];
            found = true;
        }
    return found ? least : pshim_bucket_start(bucket);
}

double histogram_size_quantile(const struct model_histogram *h, double q)
{
    double size = histogram_quantile(h->asked, q), least = (double)histogram_size_least(h);
    return !h->asked_count ? 0 : size < least ? least : fmin(size, (double)h->size_max);
}

char *histogram_sizes_text(const struct model_histogram *h, char to[static TEXT_BUF])
{
    uint64_t sorted[PSHIM_SIZES];
    size_t n = 0, size = TEXT_BUF;
    to[0] = '\0';
    if (h->size_count > PSHIM_SIZES) {
        snprintf(to, size, "%llu..%llu", (unsigned long long)histogram_size_least(h),
                 (unsigned long long)h->size_max);
        return to;
    }
    memcpy(sorted, h->size, sizeof sorted);
    qsort(sorted, h->size_count, sizeof *sorted, sizes_compare);
    for (unsigned i = 0; i < h->size_count && n < size; i++)
        n += (size_t)snprintf(to + n, size - n, "%s%llu", i ? " " : "",
                              (unsigned long long)sorted[i]);
    return to;
}
