#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/model_named.h"

struct sum {
    uint32_t record;
    uint32_t use; /* of the record: 0, PSHIM_KIND_REGION, PSHIM_KIND_POOL */
    const char *name;
    uint64_t counter[PSHIM_ACCOUNT_COUNTERS];
};

struct model_named {
    struct model *model;
    uint32_t records;
    uint32_t *sum_of; /* by record: index + 1 */
    struct sum *sums;
    size_t count, room;
};

bool model_named_is(unsigned kind)
{
    return kind == PSHIM_KIND_PROGRESS || kind == PSHIM_KIND_REGION || kind == PSHIM_KIND_POOL;
}

struct model_named *model_named_new(struct model *m, uint32_t records)
{
    struct model_named *n = memory_new(1, sizeof *n);
    n->model = m;
    n->records = records;
    n->sum_of = memory_new(records, sizeof *n->sum_of);
    return n;
}

static struct sum *sum_get(struct model_named *n, uint32_t record)
{
    const struct pshim_progress *p = reader_progress(n->model->reader, record);
    if (!p)
        return NULL;
    if (!n->sum_of[record]) {
        memory_grow((void **)&n->sums, &n->room, n->count, sizeof *n->sums);
        n->sums[n->count] = (struct sum){
            .record = record,
            .use = p->use,
            .name = profile_string(&n->model->reader->profile, pshim_load32(&p->name)),
        };
        n->sum_of[record] = (uint32_t)++n->count;
    }
    return &n->sums[n->sum_of[record] - 1];
}

static void counters_add(struct sum *to, const uint64_t *counter)
{
    for (unsigned i = 0; i < PSHIM_ACCOUNT_COUNTERS; i++) {
        uint64_t value = pshim_load(&counter[i]);
        if (to->use != PSHIM_KIND_REGION || i != PSHIM_SPAN_WALL_MAX)
            to->counter[i] += value;
        else if (to->counter[i] < value)
            to->counter[i] = value;
    }
}

void model_named_add(struct model_named *n, const struct pshim_account *a)
{
    struct sum *to = sum_get(n, a->node);
    if (to && (to->use ? to->use == a->kind : a->kind == PSHIM_KIND_PROGRESS))
        counters_add(to, a->counter);
}

/* ---- from sums to lists ---- */

static int by_use_and_name(const void *a, const void *b)
{
    const struct sum *x = a, *y = b;
    if (x->use != y->use)
        return x->use < y->use ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void same_names_merge(struct model_named *n)
{
    size_t kept = 0;
    if (n->count)
        qsort(n->sums, n->count, sizeof *n->sums, by_use_and_name);
    for (size_t i = 0; i < n->count; i++)
        if (kept && by_use_and_name(&n->sums[kept - 1], &n->sums[i]) == 0)
            counters_add(&n->sums[kept - 1], n->sums[i].counter);
        else
            n->sums[kept++] = n->sums[i];
    n->count = kept;
}

static int64_t whole(uint64_t n)
{
    return n <= INT64_MAX ? (int64_t)n : INT64_MAX;
}

static struct model_region region_of(const struct model *m, const struct sum *s)
{
    const uint64_t *c = s->counter;
    return (struct model_region){
        .name = s->name,
        .calls = whole(c[PSHIM_SPAN_CALLS]),
        .wall_ns = model_clock_ns(m, c[PSHIM_SPAN_WALL]),
        .wall_max_ns = model_clock_ns(m, c[PSHIM_SPAN_WALL_MAX]),
        .cpu_ns = whole(c[PSHIM_SPAN_TICKS] * m->header->tick_period_ns),
        .alloc_calls = whole(c[PSHIM_SPAN_ALLOCS]),
        .alloc_bytes = whole(c[PSHIM_SPAN_ALLOC_BYTES]),
        .lock_wait_ns = model_clock_ns(m, c[PSHIM_SPAN_LOCK_WAIT]),
    };
}

static int progress_compare(const void *a, const void *b)
{
    const struct model_progress *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int regions_compare(const void *a, const void *b)
{
    const struct model_region *x = a, *y = b;
    if (x->wall_ns != y->wall_ns)
        return x->wall_ns < y->wall_ns ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int pools_compare(const void *a, const void *b)
{
    const struct model_pool *x = a, *y = b;
    if (x->gets != y->gets)
        return x->gets < y->gets ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* A progress point that was never counted is one all the same. */
static void points_add(struct model_named *n)
{
    for (uint32_t i = 0; i < n->records; i++) {
        const struct pshim_progress *p = reader_progress(n->model->reader, i);
        if (p && p->use == 0)
            sum_get(n, i);
    }
}

void model_named_finish(struct model_named *n)
{
    struct model *m = n->model;
    points_add(n);
    same_names_merge(n);
    m->progress = memory_new(n->count, sizeof *m->progress);
    m->regions = memory_new(n->count, sizeof *m->regions);
    m->pools = memory_new(n->count, sizeof *m->pools);
    for (size_t i = 0; i < n->count; i++) {
        const struct sum *s = &n->sums[i];
        if (s->use == 0)
            m->progress[m->progress_count++] = (struct model_progress){s->name, s->counter[0]};
        else if (s->use == PSHIM_KIND_REGION)
            m->regions[m->region_count++] = region_of(m, s);
        else if (s->use == PSHIM_KIND_POOL)
            m->pools[m->pool_count++] = (struct model_pool){
                s->name, whole(s->counter[PSHIM_POOL_GETS]), whole(s->counter[PSHIM_POOL_PUTS])};
    }
    qsort(m->progress, m->progress_count, sizeof *m->progress, progress_compare);
    qsort(m->regions, m->region_count, sizeof *m->regions, regions_compare);
    qsort(m->pools, m->pool_count, sizeof *m->pools, pools_compare);
}

void model_named_free(struct model_named *n)
{
    free(n->sum_of);
    free(n->sums);
    free(n);
}
