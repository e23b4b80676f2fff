#include <stdlib.h>

#include "analyzer/memory.h"
#include "analyzer/model_blame.h"

struct model_blames {
    struct model *m;
    struct model_blame *items; /* `lock` is a record until the locks are sorted */
    size_t count, room;
};

struct model_blames *model_blames_new(struct model *m)
{
    struct model_blames *b = memory_new(1, sizeof *b);
    b->m = m;
    return b;
}

void model_blames_free(struct model_blames *b)
{
    free(b->items);
    free(b);
}

/* The special frame that a node is, or −1: another one, or none. */
static int64_t special(struct reader *r, uint32_t id, uint64_t first, const struct pshim_node **n)
{
    *n = id && id < reader_count(r, PSHIM_REGION_NODE) ? reader_node(r, id) : NULL;
    if (!*n || (*n)->module != PSHIM_MODULE_SPECIAL || (*n)->offset < first)
        return -1;
    return (int64_t)((*n)->offset - first);
}

int model_blames_add(struct model_blames *b, struct model_locks *locks,
                     const struct pshim_account *a, uint32_t index, uint32_t *node, int64_t *ns,
                     int64_t *waits)
{
    struct reader *r = b->m->reader;
    const struct pshim_node *n;
    uint32_t nodes = reader_count(r, PSHIM_REGION_NODE);
    struct model_blame blame = {.node = a->node};
    int64_t waiter = special(r, a->node, PSHIM_SPECIAL_WAITER, &n);
    if (waiter >= 0) {
        if (waiter >= nodes || n->parent >= nodes)
            return reader_damaged(r, "byte %llu: account %u refers to waiter %lld of %u nodes",
                                  (unsigned long long)reader_where(r, PSHIM_REGION_ACCOUNT, index),
                                  index, (long long)waiter, nodes);
        blame.waiter = (uint32_t)waiter;
        blame.node = n->parent;
    }
    int64_t record = special(r, blame.node, PSHIM_SPECIAL_LOCK, &n);
    if (record >= 0 && record < PSHIM_SPECIAL_WAITER - PSHIM_SPECIAL_LOCK) {
        if (record >= model_locks_records(locks) || n->parent >= nodes)
            return reader_damaged(r, "byte %llu: account %u refers to lock %lld of %u",
                                  (unsigned long long)reader_where(r, PSHIM_REGION_ACCOUNT, index),
                                  index, (long long)record, model_locks_records(locks));
        blame.lock = (size_t)record;
        blame.node = n->parent;
    }
    blame.waits = (int64_t)pshim_load(&a->counter[PSHIM_BLAME_WAITS]);
    blame.wait_ns = model_clock_ns(b->m, pshim_load(&a->counter[PSHIM_BLAME_TIME]));
    blame.wait_max_ns = model_clock_ns(b->m, pshim_load(&a->counter[PSHIM_BLAME_TIME_MAX]));
    model_locks_know(locks, blame.lock);
    memory_grow((void **)&b->items, &b->room, b->count, sizeof *b->items);
    b->items[b->count++] = blame;
    *node = blame.node;
    *ns = blame.wait_ns;
    *waits = blame.waits;
    return 0;
}

#define BY(x, y)                                                                                   \
    if ((x) != (y))                                                                                \
    return (x) < (y) ? -1 : 1

static int compare_places(const void *a, const void *b)
{
    const struct model_blame *x = a, *y = b;
    BY(x->lock, y->lock);
    BY(x->node, y->node);
    BY(x->waiter, y->waiter);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct model_blame *x = a, *y = b;
    BY(x->lock, y->lock);
    BY(y->wait_ns, x->wait_ns);
    return compare_places(a, b);
}

/* Accounts of several recorders about one place become one. */
static void recorders_join(struct model_blames *b)
{
    size_t kept = 0;
    if (b->count)
        qsort(b->items, b->count, sizeof *b->items, compare_places);
    for (size_t i = 0; i < b->count; i++) {
        const struct model_blame *from = &b->items[i];
        struct model_blame *to = kept ? &b->items[kept - 1] : NULL;
        if (!to || compare_places(to, from) != 0) {
            b->items[kept++] = *from;
            continue;
        }
        to->waits = metric_sum(to->waits, from->waits);
        to->wait_ns = metric_sum(to->wait_ns, from->wait_ns);
        to->wait_max_ns = from->wait_max_ns > to->wait_max_ns ? from->wait_max_ns : to->wait_max_ns;
    }
    b->count = kept;
}

void model_blames_finish(struct model_blames *b)
{
    struct model *m = b->m;
    recorders_join(b);
    size_t records = (size_t)reader_count(m->reader, PSHIM_REGION_LOCK) + 1;
    size_t *of_record = memory_new(records, sizeof *of_record);
    for (size_t i = 0; i < m->lock_count; i++)
        if (m->locks[i].record < records)
            of_record[m->locks[i].record] = i;
    for (size_t i = 0; i < b->count; i++) {
        struct model_blame *blame = &b->items[i];
        blame->lock = of_record[blame->lock < records ? blame->lock : 0];
        struct model_lock *lock = &m->locks[blame->lock];
        lock->blamed_ns = metric_sum(lock->blamed_ns, blame->wait_ns);
    }
    free(of_record);
    if (b->count)
        qsort(b->items, b->count, sizeof *b->items, compare);
    m->blames = b->items;
    m->blame_count = b->count;
    b->items = NULL;
}

int64_t model_handoff_ns(const struct model_lock *lock)
{
    int64_t rest = metric_difference(lock->counts.wait_ns, lock->blamed_ns);
    return rest > 0 ? rest : 0;
}
