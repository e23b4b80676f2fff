#include "analyzer/lock_times.h"

bool lock_times_measured(const struct model *m)
{
    return m->header->lock_histograms && model_has(m, METRIC_LOCK_WAIT_NS);
}

void lock_times_merge(struct lock_times *to, const struct lock_times *from)
{
    for (unsigned k = 0; k < LOCK_TIMES; k++) {
        for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
            to->counts[k][i] += from->counts[k][i];
        if (from->max_ns[k] > to->max_ns[k])
            to->max_ns[k] = from->max_ns[k];
    }
}

void lock_times_add(struct lock_times *to, const struct model *m, const struct model_lock_site *s)
{
    struct lock_times one = {.max_ns = {s->counts.wait_max_ns, s->counts.hold_max_ns}};
    const struct model_histogram *h =
        s->histogram_node ? model_histogram(m, s->histogram_node) : NULL;
    for (unsigned i = 0; h && i < PSHIM_BUCKETS; i++) {
        one.counts[LOCK_TIME_WAIT][i] = h->asked[i];
        one.counts[LOCK_TIME_HOLD][i] = h->lived[i];
    }
    lock_times_merge(to, &one);
}

static double unit_ns(const struct model *m)
{
    return m->clock_unit_ns * (double)(1 << PSHIM_LOCK_TIME_SHIFT);
}

int64_t lock_times_quantile_ns(const struct lock_times *t, const struct model *m,
                               enum lock_time which, double q)
{
    const uint64_t *counts = t->counts[which];
    bool any = false;
    for (unsigned i = 0; i < PSHIM_BUCKETS && !any; i++)
        any = counts[i] != 0;
    if (!any)
        return -1;
    double ns = histogram_quantile(counts, q) * unit_ns(m);
    return ns < (double)t->max_ns[which] ? (int64_t)(ns + 0.5) : t->max_ns[which];
}

int64_t lock_times_bucket_ns(const struct model *m, unsigned bucket)
{
    double ns = (double)pshim_bucket_start(bucket) * unit_ns(m);
    return ns < 3e18 ? (int64_t)(ns + 0.5) : (int64_t)3e18;
}
