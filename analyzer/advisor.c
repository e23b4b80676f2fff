#include <math.h>
#include <stdlib.h>

#include "analyzer/advisor.h"
#include "analyzer/histogram.h"
#include "analyzer/memory.h"
#include "common/units.h"

static struct pooling_evidence evidence_of(const struct site *s, const struct model_histogram *h,
                                           const struct model *m)
{
    const int64_t *v = s->m.v;
    const double tail = (1 - POOLING_SIZE_SHARE) / 2; /* on both sides */
    return (struct pooling_evidence){
        .calls = (double)v[METRIC_ALLOC_CALLS],
        .bytes = (double)v[METRIC_ALLOC_BYTES],
        .ops = (double)model_ops(m),
        .seconds = (double)m->wall_ns / 1e9,
        .peak_bytes = (double)v[METRIC_PEAK_BYTES],
        .live_calls = (double)v[METRIC_LIVE_BLOCKS],
        .temporary = (double)v[METRIC_TEMPORARY_CALLS],
        .grown = (double)v[METRIC_GROWN_CALLS],
        .cross_frees = (double)v[METRIC_CROSS_THREAD_FREES],
        .allocator_ns = (double)v[METRIC_ALLOCATOR_NS],
        .timed = (double)s->timed,
        .size_count = h->size_count,
        .size_low = histogram_size_quantile(h, tail),
        .size_high = histogram_size_quantile(h, 1 - tail),
        .size_least = (double)histogram_size_least(h),
        .size_max = (double)h->size_max,
    };
}

static int items_compare(const void *a, const void *b)
{
    const struct advisor_site *x = a, *y = b;
    if (x->pooling.worth != y->pooling.worth)
        return y->pooling.worth - x->pooling.worth;
    if (x->pooling.saved_calls != y->pooling.saved_calls)
        return x->pooling.saved_calls < y->pooling.saved_calls ? 1 : -1;
    return x->site < y->site ? -1 : x->site > y->site; /* which are by calls, then by name */
}

static void totals_add(struct advisor *a, const struct advisor_site *item)
{
    const int64_t *v = item->site->m.v;
    a->worth++;
    a->saved_calls += item->pooling.saved_calls;
    if (!isnan(item->pooling.saved_ns))
        a->saved_ns = (isnan(a->saved_ns) ? 0 : a->saved_ns) + item->pooling.saved_ns;
    a->frees += (double)v[METRIC_FREE_CALLS];
    a->cross_frees += (double)v[METRIC_CROSS_THREAD_FREES];
    a->kept_bytes += (double)v[METRIC_PEAK_BYTES];
}

void advisor_build(struct advisor *a, const struct model *m, struct frames *f)
{
    *a = (struct advisor){.saved_ns = NAN};
    a->known = model_has(m, METRIC_ALLOC_CALLS) && model_has(m, METRIC_CROSS_THREAD_FREES);
    if (!a->known)
        return;
    sites_build_by_place(&a->sites, m, f, METRIC_ALLOC_CALLS);
    a->histograms = sites_histograms(&a->sites, m);
    a->items = memory_new(a->sites.count, sizeof *a->items);
    for (size_t i = 0; i < a->sites.count; i++) {
        struct advisor_site *item = &a->items[a->count++];
        item->site = &a->sites.sites[i];
        item->histogram = &a->histograms[i];
        struct pooling_evidence e = evidence_of(item->site, item->histogram, m);
        item->pooling = pooling_judge(&e);
        if (item->pooling.worth)
            totals_add(a, item);
    }
    if (a->count)
        qsort(a->items, a->count, sizeof *a->items, items_compare);
}

void advisor_release(struct advisor *a)
{
    free(a->items);
    free(a->histograms);
    sites_release(&a->sites);
    *a = (struct advisor){0};
}

char *advisor_words(const struct advisor *a, const struct model *m,
                    char to[static ADVISOR_WORDS_BYTES])
{
    char text[UNITS_BUF];
    double ops = (double)model_ops(m);
    const char *per = ops > 0 ? "/op" : "";
    size_t n = 0;
#define SAY(...) (n += (size_t)snprintf(to + n, ADVISOR_WORDS_BYTES - n, __VA_ARGS__))
    if (ops > 0)
        SAY("predicted -%.2f allocs/op", a->saved_calls / ops);
    else
        SAY("predicted -%s allocs", units_count(text, a->saved_calls));
    if (!isnan(a->saved_ns))
        SAY(", %s%s%s", a->saved_ns >= 0 ? "-" : "+",
            units_duration(text, fabs(a->saved_ns) / (ops > 0 ? ops : 1)), per);
    if (a->cross_frees > 0)
        SAY("; %.*f%% are freed by another thread", a->cross_frees < 0.1 * a->frees ? 1 : 0,
            100 * a->cross_frees / a->frees);
    else
        SAY("; none is freed by another thread");
#undef SAY
    return to;
}
