#include "analyzer/estimate.h"

#include <math.h>

#include "analyzer/model.h"
#include "profile/format.h"

_Static_assert(PSHIM_SPREAD_TEMPORARY + 1 == (int)ESTIMATE_SUMS, "one sum a counter");

bool estimate_is(const struct model *m, enum metric metric)
{
    switch (metric) {
    case METRIC_ALLOC_CALLS:
    case METRIC_ALLOC_BYTES:
    case METRIC_FREE_CALLS:
    case METRIC_FREE_BYTES:
    case METRIC_LIVE_BLOCKS:
    case METRIC_LIVE_BYTES:
    case METRIC_PEAK_BYTES:
    case METRIC_TEMPORARY_CALLS:
        return m->header->alloc_mode == PSHIM_ALLOC_SAMPLED && model_has(m, metric);
    default:
        return false;
    }
}

void estimate_add(struct estimate_spread *to, const struct estimate_spread *from)
{
    for (unsigned i = 0; i < ESTIMATE_SUMS; i++)
        to->v[i] += from->v[i];
}

void estimate_add_account(struct estimate_spread *to, const struct pshim_account *a,
                          uint64_t mean_bytes)
{
    double bytes_unit = (double)mean_bytes * (double)mean_bytes / PSHIM_SPREAD_UNIT;
    for (unsigned i = 0; i < ESTIMATE_SUMS; i++) {
        bool bytes = i == PSHIM_SPREAD_BYTES || i == PSHIM_SPREAD_FREE_BYTES;
        to->v[i] += (double)pshim_load(&a->counter[i]) * (bytes ? bytes_unit : 1);
    }
}

double estimate_variance(const struct estimate_spread *s, enum metric metric, int64_t value,
                         uint64_t mean_bytes)
{
    const double *v = s->v;
    switch (metric) {
    case METRIC_ALLOC_CALLS:
        return v[PSHIM_SPREAD_CALLS];
    case METRIC_ALLOC_BYTES:
        return v[PSHIM_SPREAD_BYTES];
    case METRIC_FREE_CALLS:
        return v[PSHIM_SPREAD_FREE_CALLS];
    case METRIC_FREE_BYTES:
        return v[PSHIM_SPREAD_FREE_BYTES];
    case METRIC_LIVE_BLOCKS: /* of a running program, a free may be read before its allocation */
        return fmax(0, v[PSHIM_SPREAD_CALLS] - v[PSHIM_SPREAD_FREE_CALLS]);
    case METRIC_LIVE_BYTES:
        return fmax(0, v[PSHIM_SPREAD_BYTES] - v[PSHIM_SPREAD_FREE_BYTES]);
    case METRIC_TEMPORARY_CALLS:
        return v[PSHIM_SPREAD_TEMPORARY];
    case METRIC_PEAK_BYTES:
        return fmax(0, (double)value) * (double)mean_bytes;
    default:
        return 0;
    }
}

static bool metric_is_bytes(enum metric metric)
{
    return metric == METRIC_ALLOC_BYTES || metric == METRIC_FREE_BYTES ||
           metric == METRIC_LIVE_BYTES || metric == METRIC_PEAK_BYTES;
}

struct estimate_interval estimate_interval(const struct estimate_spread *s, enum metric metric,
                                           int64_t value, uint64_t mean_bytes)
{
    const double z = 1.959963984540054;
    double y = (double)value;
    if (y < 0)
        return (struct estimate_interval){y, y};
    double variance = estimate_variance(s, metric, value, mean_bytes);
    double unseen =
        metric_is_bytes(metric) ? (double)mean_bytes : (double)mean_bytes / PSHIM_SAMPLE_EXTRA;
    double u = y > 0 ? variance / y : unseen;
    if (u <= 0)
        return (struct estimate_interval){y, y};
    double k = y / u, middle = k + z * z / 2, half = z * sqrt(k + z * z / 4);
    return (struct estimate_interval){fmax(0, u * (middle - half)), u * (middle + half)};
}
