#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/model_locks.h"
#include "analyzer/model_waits.h"

/* One account's worth, by the index of the lock's record until the locks are sorted. */
struct model_locks {
    struct model *m;
    uint32_t records;
    struct model_lock_site *sites;
    size_t site_count;
    struct model_held *held;
    size_t held_count;
    bool *seen; /* by record */
};

/*
 * Locks without a record are all record 0. What waits for work among them (the call of a condition,
 * a semaphore) must not count as waiting for a lock: it goes to a place of its own.
 */
static size_t idle_place(const struct model_locks *l)
{
    return (size_t)l->records + 1;
}

/* One for record 0 though there be none. */
static size_t places(const struct model_locks *l)
{
    return (size_t)l->records + 2;
}

struct model_locks *model_locks_new(struct model *m, uint32_t accounts)
{
    struct model_locks *l = memory_new(1, sizeof *l);
    l->m = m;
    l->records = reader_count(m->reader, PSHIM_REGION_LOCK);
    l->sites = memory_new(accounts, sizeof *l->sites);
    l->held = memory_new(accounts, sizeof *l->held);
    l->seen = memory_new(places(l), sizeof *l->seen);
    return l;
}

void model_locks_free(struct model_locks *l)
{
    free(l->sites);
    free(l->held);
    free(l->seen);
    free(l);
}

uint32_t model_locks_records(const struct model_locks *l)
{
    return l->records;
}

void model_locks_know(struct model_locks *l, size_t record)
{
    l->seen[record] = true;
}

/* Takes the lock off a chain: its record, and the node below which it hangs. */
static int lock_of(const struct model_locks *l, const struct pshim_account *a, uint32_t index,
                   size_t *lock, uint32_t *node)
{
    struct reader *r = l->m->reader;
    const struct pshim_node *n = a->node ? reader_node(r, a->node) : NULL;
    *lock = 0;
    *node = a->node;
    if (!n || n->module != PSHIM_MODULE_SPECIAL || n->offset < PSHIM_SPECIAL_LOCK)
        return 0;
    uint64_t record = n->offset - PSHIM_SPECIAL_LOCK;
    if (record >= l->records)
        return reader_damaged(r, "byte %llu: account %u refers to lock %llu of %u",
                              (unsigned long long)reader_where(r, PSHIM_REGION_ACCOUNT, index),
                              index, (unsigned long long)record, l->records);
    if (n->parent >= reader_count(r, PSHIM_REGION_NODE))
        return reader_damaged(r, "byte %llu: node %u has parent %u of %u",
                              (unsigned long long)reader_where(r, PSHIM_REGION_NODE, a->node),
                              a->node, n->parent, reader_count(r, PSHIM_REGION_NODE));
    *lock = (size_t)record;
    *node = n->parent;
    return 0;
}

static int64_t count_of(const struct pshim_account *a, enum pshim_lock_counter counter)
{
    return (int64_t)pshim_load(&a->counter[counter]);
}

bool model_lock_is_idle(uint32_t kind)
{
    return kind == PSHIM_LOCK_COND || kind == PSHIM_LOCK_SEMAPHORE || kind == PSHIM_LOCK_FUTEX;
}

/* Record 0 is all kinds. */
static uint32_t kind_of(const struct model_locks *l, size_t lock)
{
    if (lock == idle_place(l))
        return PSHIM_LOCK_COND;
    const struct pshim_lock *record = lock ? reader_lock(l->m->reader, (uint32_t)lock) : NULL;
    return record ? pshim_load32(&record->kind) : PSHIM_LOCK_NONE;
}

int model_locks_add(struct model_locks *l, const struct pshim_account *a, uint32_t index,
                    uint32_t *node, uint32_t *kind, struct model_lock_counts *counts)
{
    size_t lock;
    uint32_t record, call_node = a->node;
    if (lock_of(l, a, index, &lock, node) != 0)
        return -1;
    if (lock == 0 && a->kind == PSHIM_KIND_LOCK &&
        pshim_call_waits(model_call_of(l->m, &call_node, &record)) == PSHIM_WAIT_IDLE)
        lock = idle_place(l);
    *kind = kind_of(l, lock);
    if (a->kind == PSHIM_KIND_HELD && model_leaf_is_profiler(l->m, *node))
        return 0; /* our work, not the holder's */
    if (a->kind == PSHIM_KIND_HELD) {
        l->held[l->held_count++] = (struct model_held){
            .lock = lock,
            .node = *node,
            .cpu_ns = (int64_t)(pshim_load(&a->counter[0]) * l->m->header->tick_period_ns)};
        return 0;
    }
    *counts = (struct model_lock_counts){
        .acquisitions = count_of(a, PSHIM_LOCK_ACQUISITIONS),
        .contentions = count_of(a, PSHIM_LOCK_CONTENTIONS),
        .wait_ns = model_clock_ns(l->m, pshim_load(&a->counter[PSHIM_LOCK_WAIT])),
        .wait_max_ns = model_clock_ns(l->m, pshim_load(&a->counter[PSHIM_LOCK_WAIT_MAX])),
        .hold_ns = model_clock_ns(l->m, pshim_load(&a->counter[PSHIM_LOCK_HOLD])),
        .hold_max_ns = model_clock_ns(l->m, pshim_load(&a->counter[PSHIM_LOCK_HOLD_MAX])),
        .held_allocs = count_of(a, PSHIM_LOCK_HELD_ALLOCS),
    };
    l->sites[l->site_count++] = (struct model_lock_site){
        .lock = lock, .node = *node, .histogram_node = lock ? a->node : 0, .counts = *counts};
    return 0;
}

void model_lock_counts_add(struct model_lock_counts *to, const struct model_lock_counts *from)
{
    to->acquisitions = metric_sum(to->acquisitions, from->acquisitions);
    to->contentions = metric_sum(to->contentions, from->contentions);
    to->wait_ns = metric_sum(to->wait_ns, from->wait_ns);
    to->hold_ns = metric_sum(to->hold_ns, from->hold_ns);
    to->held_allocs = metric_sum(to->held_allocs, from->held_allocs);
    if (from->wait_max_ns > to->wait_max_ns)
        to->wait_max_ns = from->wait_max_ns;
    if (from->hold_max_ns > to->hold_max_ns)
        to->hold_max_ns = from->hold_max_ns;
}

int model_lock_counts_compare(const struct model_lock_counts *x, const struct model_lock_counts *y)
{
    if (x->wait_ns != y->wait_ns)
        return x->wait_ns < y->wait_ns ? 1 : -1;
    if (x->hold_ns != y->hold_ns)
        return x->hold_ns < y->hold_ns ? 1 : -1;
    if (x->acquisitions != y->acquisitions)
        return x->acquisitions < y->acquisitions ? 1 : -1;
    return 0;
}

static int locks_compare(const void *a, const void *b)
{
    const struct model_lock *x = a, *y = b;
    if (model_lock_is_idle(x->kind) != model_lock_is_idle(y->kind))
        return model_lock_is_idle(x->kind) ? 1 : -1;
    int by_counts = model_lock_counts_compare(&x->counts, &y->counts);
    return by_counts ? by_counts : (x->record > y->record) - (x->record < y->record);
}

static int sites_compare_places(const void *a, const void *b)
{
    const struct model_lock_site *x = a, *y = b;
    if (x->lock != y->lock)
        return x->lock < y->lock ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static int sites_compare(const void *a, const void *b)
{
    const struct model_lock_site *x = a, *y = b;
    if (x->lock != y->lock)
        return x->lock < y->lock ? -1 : 1;
    int by_counts = model_lock_counts_compare(&x->counts, &y->counts);
    return by_counts ? by_counts : sites_compare_places(a, b);
}

static int held_compare_places(const void *a, const void *b)
{
    const struct model_held *x = a, *y = b;
    if (x->lock != y->lock)
        return x->lock < y->lock ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static int held_compare(const void *a, const void *b)
{
    const struct model_held *x = a, *y = b;
    if (x->lock != y->lock)
        return x->lock < y->lock ? -1 : 1;
    if (x->cpu_ns != y->cpu_ns)
        return x->cpu_ns < y->cpu_ns ? 1 : -1;
    return held_compare_places(a, b);
}

/* Accounts of several recorders about one place become one. */
static void recorders_join(struct model_locks *l)
{
    size_t kept = 0;
    if (l->site_count)
        qsort(l->sites, l->site_count, sizeof *l->sites, sites_compare_places);
    for (size_t i = 0; i < l->site_count; i++) {
        if (kept && sites_compare_places(&l->sites[kept - 1], &l->sites[i]) == 0)
            model_lock_counts_add(&l->sites[kept - 1].counts, &l->sites[i].counts);
        else
            l->sites[kept++] = l->sites[i];
    }
    l->site_count = kept;
    kept = 0;
    if (l->held_count)
        qsort(l->held, l->held_count, sizeof *l->held, held_compare_places);
    for (size_t i = 0; i < l->held_count; i++) {
        if (kept && held_compare_places(&l->held[kept - 1], &l->held[i]) == 0)
            l->held[kept - 1].cpu_ns = metric_sum(l->held[kept - 1].cpu_ns, l->held[i].cpu_ns);
        else
            l->held[kept++] = l->held[i];
    }
    l->held_count = kept;
}

/* The lock of each record, added up; what was never taken is left out. */
static void locks_make(struct model_locks *l)
{
    struct model *m = l->m;
    size_t room = places(l);
    struct model_lock *locks = memory_new(room, sizeof *locks);
    bool *seen = l->seen;
    for (size_t i = 0; i < l->site_count; i++) {
        seen[l->sites[i].lock] = true;
        model_lock_counts_add(&locks[l->sites[i].lock].counts, &l->sites[i].counts);
    }
    for (size_t i = 0; i < l->held_count; i++) {
        seen[l->held[i].lock] = true;
        locks[l->held[i].lock].held_cpu_ns =
            metric_sum(locks[l->held[i].lock].held_cpu_ns, l->held[i].cpu_ns);
    }
    for (size_t i = 0; i < room; i++) {
        if (!seen[i])
            continue;
        struct model_lock *to = &locks[m->lock_count++];
        const struct pshim_lock *record = reader_lock(m->reader, (uint32_t)i);
        *to = locks[i];
        to->record = i == idle_place(l) ? MODEL_LOCK_OTHER_IDLE : (uint32_t)i;
        to->owner_changes = -1;
        to->kind = kind_of(l, i);
        if (record && i) {
            to->address = record->address;
            to->site_node = record->site_node;
            if (record->owner)
                to->owner_changes = (int64_t)pshim_load(&record->owner_changes);
            to->initialised = record->initialised != 0;
            to->again = (int64_t)pshim_load(&record->again);
            to->block_node = pshim_load32(&record->block_node) & ~PSHIM_LOCK_ASKED;
            to->block_offset = record->block_offset;
            to->block_bytes = record->block_bytes;
        }
    }
    m->locks = locks;
    if (m->lock_count)
        qsort(m->locks, m->lock_count, sizeof *m->locks, locks_compare);
    while (m->lock_count && model_lock_is_idle(m->locks[m->lock_count - 1].kind)) {
        m->lock_count--;
        m->idle_lock_count++;
    }
}

static int by_origin(const void *a, const void *b)
{
    const struct model_lock *const *x = a, *const *y = b;
    if ((*x)->site_node != (*y)->site_node)
        return (*x)->site_node < (*y)->site_node ? -1 : 1;
    if (!(*x)->block_node != !(*y)->block_node)
        return (*x)->block_node ? 1 : -1;
    return 0;
}

/* Of the locks that came from one stack either all are named after their blocks, or none: not two
   names for what is the same. */
static void blocks_settle(struct model *m)
{
    size_t count = m->lock_count + m->idle_lock_count;
    struct model_lock **all = memory_new(count, sizeof(struct model_lock *));
    for (size_t i = 0; i < count; i++)
        all[i] = &m->locks[i];
    if (count)
        qsort(all, count, sizeof *all, by_origin);
    bool known = false;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || all[i]->site_node != all[i - 1]->site_node)
            known = all[i]->block_node != 0;
        all[i]->in_block = known;
    }
    free(all);
}

void model_locks_finish(struct model_locks *l)
{
    struct model *m = l->m;
    recorders_join(l);
    locks_make(l);
    blocks_settle(m);
    size_t *of_record = memory_new(places(l), sizeof *of_record);
    for (size_t i = 0; i < m->lock_count + m->idle_lock_count; i++)
        of_record[m->locks[i].record == MODEL_LOCK_OTHER_IDLE ? idle_place(l)
                                                              : m->locks[i].record] = i;
    for (size_t i = 0; i < l->site_count; i++)
        l->sites[i].lock = of_record[l->sites[i].lock];
    for (size_t i = 0; i < l->held_count; i++)
        l->held[i].lock = of_record[l->held[i].lock];
    free(of_record);
    if (l->site_count)
        qsort(l->sites, l->site_count, sizeof *l->sites, sites_compare);
    if (l->held_count)
        qsort(l->held, l->held_count, sizeof *l->held, held_compare);
    m->lock_sites = l->sites;
    m->lock_site_count = l->site_count;
    while (m->lock_site_count && m->lock_sites[m->lock_site_count - 1].lock >= m->lock_count)
        m->lock_site_count--;
    m->idle_lock_site_count = l->site_count - m->lock_site_count;
    m->held = l->held;
    m->held_count = l->held_count;
    l->sites = NULL;
    l->held = NULL;
}
