#include "analyzer/resident.h"
#include "analyzer/timeline.h"

int64_t resident_explained(const struct resident_evidence *e)
{
    double sum = (double)e->live_bytes + (double)e->live_blocks * RESIDENT_BLOCK +
                 (double)e->mapped_bytes + (double)e->reserved_bytes +
                 (double)e->threads * RESIDENT_THREAD + RESIDENT_BASE;
    return sum < 0 ? 0 : sum < (double)e->anon_bytes ? (int64_t)sum : e->anon_bytes;
}

int64_t resident_over(const struct resident_evidence *e)
{
    return e->anon_bytes - resident_explained(e);
}

bool resident_judge(const struct resident_evidence *e)
{
    int64_t over = resident_over(e);
    return e->known && over >= RESIDENT_OVER_LEAST &&
           (double)over >= RESIDENT_OVER_SHARE * (double)e->anon_bytes;
}

/* The most that was live lately; −1 where recording was off for a time, or nobody told. */
static int64_t live_lately(const struct model *m)
{
    struct timeline t;
    int64_t live = -1, from = (int64_t)((double)m->wall_ns * (1 - RESIDENT_RECENT));
    bool whole = true;
    timeline_build(&t, m, TIMELINE_INTERVALS_MOST);
    for (size_t i = 0; i < t.count; i++) {
        whole = whole && t.items[i].recorded;
        if (((int64_t)i + 1) * t.interval_ns >= from && t.items[i].live_max_bytes > live)
            live = t.items[i].live_max_bytes;
    }
    timeline_release(&t);
    return whole ? live : -1;
}

/* Of sampled allocations the high end of their interval. */
static int64_t live_error(const struct model *m)
{
    int64_t live = m->totals.v[METRIC_LIVE_BYTES];
    if (!estimate_is(m, METRIC_LIVE_BYTES))
        return 0;
    return (int64_t)(estimate_interval(&m->spread, METRIC_LIVE_BYTES, live,
                                       m->header->alloc_sample_bytes)
                         .high -
                     (double)live);
}

void resident_evidence_of(struct resident_evidence *e, const struct model *m)
{
    *e = (struct resident_evidence){.rss_bytes = m->rss_bytes, .anon_bytes = m->anon_bytes};
    if (m->anon_bytes <= 0 || !model_has(m, METRIC_LIVE_BYTES) ||
        !model_has(m, METRIC_MAPPED_LIVE_BYTES) || m->losses[PSHIM_LOSS_block_table_full] ||
        m->losses[PSHIM_LOSS_map_table_full])
        return;
    int64_t live = live_lately(m);
    if (live < 0)
        return;
    e->known = true;
    e->live_bytes = live + live_error(m);
    e->max_rss_bytes = (int64_t)m->header->max_rss_bytes;
    if (e->max_rss_bytes < e->rss_bytes)
        e->max_rss_bytes = e->rss_bytes;
    e->live_blocks = m->totals.v[METRIC_LIVE_BLOCKS];
    e->mapped_bytes = m->totals.v[METRIC_MAPPED_LIVE_BYTES];
    e->reserved_bytes = (int64_t)pshim_load(&m->header->reserved_bytes);
    for (size_t i = 0; i < m->threads_kept; i++)
        e->threads += !m->threads[i].ended;
}
