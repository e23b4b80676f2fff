#include "shim/lock_times.h"

#include "shim/histograms.h"
#include "shim/marks.h"

static struct pshim_histogram *histogram_of(const struct pshim_account *a)
{
    const struct pshim_node *n = profile_record(&shim.profile, PSHIM_REGION_NODE, a->node);
    if (a->node == 0 || n->module != PSHIM_MODULE_SPECIAL || n->offset <= PSHIM_SPECIAL_LOCK)
        return NULL; /* of many locks, or of no lock */
    return histograms_get_of_lock(a->node);
}

void lock_times_waited(const struct pshim_account *a, uint64_t took)
{
    struct pshim_histogram *h = histogram_of(a);
    if (!h)
        return;
    histograms_add(h->waited, took >> PSHIM_LOCK_TIME_SHIFT, 1);
    __atomic_fetch_add(&h->waited_count, 1, __ATOMIC_RELAXED);
}

void lock_times_held(const struct pshim_account *a, uint64_t took, uint32_t weight)
{
    struct pshim_histogram *h = histogram_of(a);
    if (!h)
        return;
    histograms_add(h->held, took >> PSHIM_LOCK_TIME_SHIFT, weight);
    __atomic_fetch_add(&h->held_count, weight, __ATOMIC_RELAXED);
}

int8_t lock_times_until(uint64_t calls, uint32_t node)
{
    return (int8_t)(marks_next(calls, node) - calls);
}

static uint32_t weight_of(uint64_t calls)
{
    return calls < marks_each ? 1 : marks_each;
}

uint32_t lock_times_reached(struct lock_book *b)
{
    uint64_t calls = pshim_load(&b->account->counter[PSHIM_LOCK_ACQUISITIONS]);
    b->until_mark = lock_times_until(calls, b->account->node);
    return weight_of(calls - 1);
}

uint32_t lock_times_weight(const struct pshim_account *a)
{
    uint64_t call = pshim_load(&a->counter[PSHIM_LOCK_ACQUISITIONS]) - 1;
    return marks_next(call, a->node) == call ? weight_of(call) : 0;
}
