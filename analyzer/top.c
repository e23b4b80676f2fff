#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/lock_groups.h"
#include "analyzer/memory.h"
#include "analyzer/top.h"

static const struct {
    const char *heading;
    enum metric metric;
    bool flat;
} sorts[TOP_SORT_COUNT] = {
#define X(id, word, heading, metric, flat) [TOP_SORT_##id] = {heading, metric, flat},
    TOP_SORTS(X)
#undef X
};

static int64_t grown(int64_t before, int64_t now)
{
    int64_t n = metric_difference(now, before);
    return n > 0 ? n : 0;
}

/* Which metrics are counters of the file; the others follow from them in model_finish(). */
static bool is_counter(enum metric metric)
{
    return metric != METRIC_CPU_NS && metric != METRIC_PROFILER_NS && metric != METRIC_COST_NS &&
           metric != METRIC_LIVE_BLOCKS && metric != METRIC_LIVE_BYTES &&
           metric != METRIC_PEAK_BYTES && metric != METRIC_LOCK_CPU_NS &&
           metric != METRIC_IO_CPU_NS && metric != METRIC_IO_WAIT_NS && metric != METRIC_IDLE_NS;
}

/* Adds what `now` has more than `before`, if that is anything. */
static void sample_add(struct model *m, const struct model_sample *before,
                       const struct model_sample *now)
{
    struct model_sample d = *now;
    bool any = false;
    for (int k = 0; k < METRIC_COUNT; k++) {
        d.m.v[k] = is_counter(k) ? grown(before->m.v[k], now->m.v[k]) : 0;
        any = any || d.m.v[k];
    }
    /* Signed: the end of a thread may take back what its last tick said too much. */
    d.m.v[METRIC_CPU_NS] = metric_difference(now->booked_ns, before->booked_ns);
    d.ticks = grown(before->ticks, now->ticks);
    for (int k = 0; k < PSHIM_WAITS; k++) {
        d.wait_ticks[k] = grown(before->wait_ticks[k], now->wait_ticks[k]);
        d.wait_ns[k] = grown(before->wait_ns[k], now->wait_ns[k]);
        any = any || d.wait_ns[k];
    }
    if (any || d.m.v[METRIC_CPU_NS])
        m->samples[m->sample_count++] = d;
}

static void samples_build(struct model *m, const struct model *before, const struct model *now)
{
    static const struct model_sample none;
    uint32_t nodes = 1;
    for (size_t i = 0; i < before->sample_count; i++)
        if (before->samples[i].node >= nodes)
            nodes = before->samples[i].node + 1;
    uint32_t *of_node = memory_new(nodes, sizeof *of_node); /* index + 1 */
    for (size_t i = 0; i < before->sample_count; i++)
        of_node[before->samples[i].node] = (uint32_t)i + 1;
    m->samples = memory_new(now->sample_count, sizeof *m->samples);
    for (size_t i = 0; i < now->sample_count; i++) {
        uint32_t node = now->samples[i].node;
        uint32_t at = node < nodes ? of_node[node] : 0;
        sample_add(m, at ? &before->samples[at - 1] : &none, &now->samples[i]);
    }
    free(of_node);
}

static int locks_compare(const void *a, const void *b)
{
    const struct model_lock *x = a, *y = b;
    const int64_t order[][2] = {{x->counts.wait_ns, y->counts.wait_ns},
                                {x->counts.contentions, y->counts.contentions},
                                {x->counts.hold_ns, y->counts.hold_ns},
                                {x->counts.acquisitions, y->counts.acquisitions}};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (order[i][0] != order[i][1])
            return order[i][0] < order[i][1] ? 1 : -1;
    return (x->record > y->record) - (x->record < y->record);
}

/* Locks that were taken or waited for. The longest wait and hold of an interval are not known. */
static void locks_build(struct model *m, const struct model *before, const struct model *now)
{
    static const struct model_lock none;
    uint32_t records = 1;
    for (size_t i = 0; i < before->lock_count; i++)
        if (before->locks[i].record >= records)
            records = before->locks[i].record + 1;
    uint32_t *of_record = memory_new(records, sizeof *of_record); /* index + 1 */
    for (size_t i = 0; i < before->lock_count; i++)
        of_record[before->locks[i].record] = (uint32_t)i + 1;
    m->locks = memory_new(now->lock_count, sizeof *m->locks);
    for (size_t i = 0; i < now->lock_count; i++) {
        struct model_lock d = now->locks[i];
        uint32_t at = d.record < records ? of_record[d.record] : 0;
        const struct model_lock *was = at ? &before->locks[at - 1] : &none;
        d.counts = (struct model_lock_counts){
            .acquisitions = grown(was->counts.acquisitions, d.counts.acquisitions),
            .contentions = grown(was->counts.contentions, d.counts.contentions),
            .wait_ns = grown(was->counts.wait_ns, d.counts.wait_ns),
            .hold_ns = grown(was->counts.hold_ns, d.counts.hold_ns),
            .held_allocs = grown(was->counts.held_allocs, d.counts.held_allocs)};
        d.held_cpu_ns = grown(was->held_cpu_ns, d.held_cpu_ns);
        if (d.counts.acquisitions || d.counts.contentions)
            m->locks[m->lock_count++] = d;
    }
    free(of_record);
    if (m->lock_count)
        qsort(m->locks, m->lock_count, sizeof *m->locks, locks_compare);
}

static uint64_t progress_count(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->progress_count; i++)
        if (strcmp(m->progress[i].name, name) == 0)
            return m->progress[i].count;
    return 0;
}

/* In the order of `now`: the first one stays the program's operation in an interval without any. */
static void progress_build(struct model *m, const struct model *before, const struct model *now)
{
    m->progress = memory_new(now->progress_count, sizeof *m->progress);
    m->progress_count = now->progress_count;
    for (size_t i = 0; i < now->progress_count; i++) {
        uint64_t was = progress_count(before, now->progress[i].name);
        uint64_t is = now->progress[i].count;
        m->progress[i] = (struct model_progress){now->progress[i].name, is > was ? is - was : 0};
    }
}

void top_change_build(struct top_change *c, const struct model *before, const struct model *now,
                      double seconds)
{
    static const struct model nothing;
    if (!before)
        before = &nothing;
    *c = (struct top_change){.now = now, .seconds = seconds};
    struct model *m = &c->m;
    m->reader = now->reader;
    m->header = now->header;
    m->exe = now->exe;
    m->program = now->program;
    m->end = now->end;
    m->status_known = now->status_known;
    m->status = now->status;
    m->measured = now->measured & ~(1u << METRIC_PEAK_BYTES);
    m->wall_ns = grown(before->wall_ns, now->wall_ns);
    m->thread_wall_ns = grown(before->thread_wall_ns, now->thread_wall_ns);
    m->thread_count = now->thread_count;
    m->cpu_ticks = grown(before->cpu_ticks, now->cpu_ticks);
    samples_build(m, before, now);
    model_finish(m);
    progress_build(m, before, now);
    locks_build(m, before, now);
    for (int i = 0; i < PSHIM_LOSS_COUNT; i++)
        if (now->losses[i] > before->losses[i])
            m->losses[i] = now->losses[i] - before->losses[i];
    for (size_t i = 0; i < m->sample_count; i++)
        c->ticks = metric_sum(c->ticks, m->samples[i].ticks);
    for (size_t i = 0; i < now->threads_kept; i++)
        c->threads += !now->threads[i].ended;
}

void top_change_release(struct top_change *c)
{
    model_release(&c->m);
}

double top_rate(const struct top_change *c, int64_t n)
{
    return c->seconds > 0 ? (double)n / c->seconds : NAN;
}

enum metric top_metric(const struct model *m, enum top_sort sort)
{
    enum metric metric = sorts[sort].metric;
    if (metric == METRIC_COUNT)
        metric = model_has(m, METRIC_COST_NS) ? METRIC_COST_NS : METRIC_ALLOC_CALLS;
    return model_has(m, metric) ? metric : METRIC_COUNT;
}

const char *top_heading(enum top_sort sort)
{
    return sorts[sort].heading;
}

enum top_sort top_sort_next(const struct model *m, enum top_sort sort)
{
    for (unsigned i = 0; i < TOP_SORT_COUNT; i++) {
        sort = (sort + 1) % TOP_SORT_COUNT;
        if (top_metric(m, sort) != METRIC_COUNT)
            break;
    }
    return sort;
}

size_t top_locks(const struct top_change *c, struct frames *f, struct top_lock *rows, size_t room)
{
    struct lock_groups groups;
    size_t count = 0;
    lock_groups_build(&groups, &c->m, f);
    size_t *row_of = memory_new(groups.count, sizeof *row_of); /* + 1; 0 = none yet */
    for (size_t i = 0; i < c->m.lock_count; i++) {
        const struct model_lock *lock = &c->m.locks[i];
        const struct lock_group *group = &groups.items[groups.of[i]];
        size_t *at = &row_of[groups.of[i]];
        if (!*at && count == room)
            continue;
        if (!*at) {
            const char *name = lock->in_block ? group->brief_name : group->name;
            rows[count] = (struct top_lock){.kind = lock->kind};
            snprintf(rows[count].name, sizeof rows[count].name, "%s", name);
            *at = ++count;
        }
        struct model_lock_counts *to = &rows[*at - 1].counts;
        rows[*at - 1].locks++;
        to->acquisitions = metric_sum(to->acquisitions, lock->counts.acquisitions);
        to->contentions = metric_sum(to->contentions, lock->counts.contentions);
        to->wait_ns = metric_sum(to->wait_ns, lock->counts.wait_ns);
        to->hold_ns = metric_sum(to->hold_ns, lock->counts.hold_ns);
    }
    free(row_of);
    lock_groups_release(&groups);
    return count;
}

void top_rank_build(struct rank *rank, const struct top_change *c, struct frames *f,
                    enum top_sort sort)
{
    enum metric metric = top_metric(&c->m, sort);
    rank_build(rank, &c->m, f, RANK_FUNCTION);
    if (metric == METRIC_COUNT) {
        rank->count = 0;
        return;
    }
    rank_sort(rank, metric, sorts[sort].flat);
    size_t kept = 0;
    for (size_t i = 0; i < rank->count; i++) {
        const struct rank_row *row = &rank->rows[i];
        int64_t figure = sorts[sort].flat ? row->flat.v[metric] : row->cum.v[metric];
        if (figure > 0 && !rank_is_entry(rank, row, metric))
            rank->rows[kept++] = *row;
    }
    rank->count = kept;
}
