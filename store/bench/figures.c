#include "store/bench/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *figure_latency_name(unsigned i)
{
    static const char *const names[FIGURE_LATENCIES] = {"avg",
#define X(name, percent) name,
                                                        PERCENTILES(X)
#undef X
                                                            "max"};
    return names[i];
}

unsigned figure_latency(const char *name)
{
    unsigned i = 0;
    while (strcmp(figure_latency_name(i), name) != 0)
        i++;
    return i;
}

void figures_take(struct figures *to, const struct bench_result *r)
{
    const struct histogram *h = r->all.latency;
    double none = h->count ? 0 : NAN; /* added to what an empty histogram has not measured */
    unsigned i = 0;
    to->throughput = op_result_throughput(&r->all, r);
    to->errors = op_result_errors(&r->all);
    to->latency_ns[i++] = histogram_mean(h) + none;
#define X(name, percent) to->latency_ns[i++] = (double)histogram_percentile(h, percent) + none;
    PERCENTILES(X)
#undef X
    to->latency_ns[i] = (double)h->max + none;
}

void order_draw(struct rng *rng, unsigned order[], unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        order[i] = i;
    for (unsigned i = n; i > 1; i--) {
        unsigned other = (unsigned)rng_below(rng, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return n ? (v[(n - 1) / 2] + v[n / 2]) / 2 : NAN;
}
