#include "analyzer/model_waits.h"

#include <stdlib.h>

#include "analyzer/memory.h"

struct model_waits {
    struct model *m;
    struct model_wait *waits;
    size_t wait_count;
    struct model_held_wait *held; /* by the index of the lock's record until the end */
    size_t held_count;
};

bool model_call_syncs(uint32_t call)
{
    return call == PSHIM_CALL_FSYNC || call == PSHIM_CALL_FDATASYNC || call == PSHIM_CALL_MSYNC ||
           call == PSHIM_CALL_SYNC_FILE_RANGE || call == PSHIM_CALL_SYNCFS;
}

bool model_call_writes(uint32_t call)
{
    return call == PSHIM_CALL_WRITE || call == PSHIM_CALL_PWRITE || call == PSHIM_CALL_WRITEV ||
           call == PSHIM_CALL_PWRITEV;
}

const char *model_call_name(uint32_t call)
{
    static const char *const names[] = {
#define X(id, name, wait) #name,
        PSHIM_CALLS(X)
#undef X
    };
    return call < PSHIM_CALL_COUNT ? names[call] : "a call";
}

uint32_t model_call_of(const struct model *m, uint32_t *node, uint32_t *lock)
{
    const struct pshim_node *n = *node ? reader_node(m->reader, *node) : NULL;
    *lock = UINT32_MAX;
    if (n && n->module == PSHIM_MODULE_SPECIAL && n->offset >= PSHIM_SPECIAL_LOCK &&
        n->offset < PSHIM_SPECIAL_WAITER) {
        *lock = (uint32_t)n->offset - PSHIM_SPECIAL_LOCK;
        *node = n->parent;
        n = *node ? reader_node(m->reader, *node) : NULL;
    }
    if (!n || n->module != PSHIM_MODULE_SPECIAL || n->offset < PSHIM_SPECIAL_CALL ||
        n->offset - PSHIM_SPECIAL_CALL >= PSHIM_CALL_COUNT)
        return PSHIM_CALL_COUNT;
    return (uint32_t)n->offset - PSHIM_SPECIAL_CALL;
}

void model_wait_counts_add(struct model_wait_counts *to, const struct model_wait_counts *from)
{
    to->calls = metric_sum(to->calls, from->calls);
    to->bytes = metric_sum(to->bytes, from->bytes);
    to->time_ns = metric_sum(to->time_ns, from->time_ns);
    to->errors = metric_sum(to->errors, from->errors);
    if (from->time_max_ns > to->time_max_ns)
        to->time_max_ns = from->time_max_ns;
}

struct model_waits *model_waits_new(struct model *m, uint32_t accounts)
{
    struct model_waits *w = memory_new(1, sizeof *w);
    w->m = m;
    w->waits = memory_new(accounts, sizeof *w->waits);
    w->held = memory_new(accounts, sizeof *w->held);
    return w;
}

void model_waits_free(struct model_waits *w)
{
    free(w->waits);
    free(w->held);
    free(w);
}

static int64_t count_of(const struct pshim_account *a, enum pshim_wait_counter counter)
{
    return (int64_t)pshim_load(&a->counter[counter]);
}

void model_waits_add(struct model_waits *w, const struct pshim_account *a)
{
    uint32_t node = a->node, lock;
    uint32_t call = model_call_of(w->m, &node, &lock);
    if (call == PSHIM_CALL_COUNT)
        return;
    struct model_wait_counts counts = {
        .calls = count_of(a, PSHIM_WAIT_CALLS),
        .bytes = count_of(a, PSHIM_WAIT_BYTES),
        .time_ns = model_clock_ns(w->m, pshim_load(&a->counter[PSHIM_WAIT_TIME])),
        .time_max_ns = model_clock_ns(w->m, pshim_load(&a->counter[PSHIM_WAIT_TIME_MAX])),
        .errors = count_of(a, PSHIM_WAIT_ERRORS),
    };
    if (a->kind == PSHIM_KIND_WAIT && lock == UINT32_MAX)
        w->waits[w->wait_count++] = (struct model_wait){node, call, counts};
    else if (a->kind == PSHIM_KIND_HELD_WAIT && lock != UINT32_MAX)
        w->held[w->held_count++] = (struct model_held_wait){lock, node, call, counts};
}

static int waits_compare_places(const void *a, const void *b)
{
    const struct model_wait *x = a, *y = b;
    return (x->node > y->node) - (x->node < y->node);
}

static int waits_compare(const void *a, const void *b)
{
    const struct model_wait *x = a, *y = b;
    if (x->counts.time_ns != y->counts.time_ns)
        return x->counts.time_ns < y->counts.time_ns ? 1 : -1;
    return waits_compare_places(a, b);
}

static int held_compare_places(const void *a, const void *b)
{
    const struct model_held_wait *x = a, *y = b;
    if (x->lock != y->lock)
        return x->lock < y->lock ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static int held_compare(const void *a, const void *b)
{
    const struct model_held_wait *x = a, *y = b;
    if (x->lock != y->lock)
        return x->lock < y->lock ? -1 : 1;
    if (x->counts.time_ns != y->counts.time_ns)
        return x->counts.time_ns < y->counts.time_ns ? 1 : -1;
    return held_compare_places(a, b);
}

/* Accounts of several recorders about one place become one. */
#define JOIN(items, count, compare)                                                                \
    do {                                                                                           \
        size_t kept_ = 0;                                                                          \
        if (count)                                                                                 \
            qsort(items, count, sizeof *(items), compare);                                         \
        for (size_t i_ = 0; i_ < (count); i_++) {                                                  \
            if (kept_ && compare(&(items)[kept_ - 1], &(items)[i_]) == 0)                          \
                model_wait_counts_add(&(items)[kept_ - 1].counts, &(items)[i_].counts);            \
            else                                                                                   \
                (items)[kept_++] = (items)[i_];                                                    \
        }                                                                                          \
        (count) = kept_;                                                                           \
    } while (0)

/* From the record of a lock to its index in m->locks; a lock that is not there is left out. */
static void held_find_locks(struct model_waits *w)
{
    const struct model *m = w->m;
    uint32_t records = reader_count(m->reader, PSHIM_REGION_LOCK);
    size_t kept = 0, *of_record = memory_new((size_t)records + 1, sizeof *of_record);
    for (size_t i = 0; i < m->lock_count; i++)
        if (m->locks[i].record < records)
            of_record[m->locks[i].record] = i + 1;
    for (size_t i = 0; i < w->held_count; i++) {
        size_t record = w->held[i].lock;
        if (record >= records || !of_record[record])
            continue;
        w->held[kept] = w->held[i];
        w->held[kept++].lock = of_record[record] - 1;
    }
    w->held_count = kept;
    free(of_record);
}

void model_waits_finish(struct model_waits *w)
{
    struct model *m = w->m;
    JOIN(w->waits, w->wait_count, waits_compare_places);
    if (w->wait_count)
        qsort(w->waits, w->wait_count, sizeof *w->waits, waits_compare);
    held_find_locks(w);
    JOIN(w->held, w->held_count, held_compare_places);
    if (w->held_count)
        qsort(w->held, w->held_count, sizeof *w->held, held_compare);
    m->waits = w->waits;
    m->wait_count = w->wait_count;
    m->held_waits = w->held;
    m->held_wait_count = w->held_count;
    w->waits = NULL;
    w->held = NULL;
}
