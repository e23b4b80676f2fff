#include "shim/histograms.h"

#include "profile/sys.h"
#include "shim/shim.h"

static uint32_t *slots; /* atomic, by node: index of its record; 0 = none yet */
static uint32_t nodes;

void histograms_init(void)
{
    uint64_t count = profile_region(&shim.profile, PSHIM_REGION_NODE)->capacity;
    uint32_t index;
    slots = sys_map_anon(count * sizeof *slots);
    nodes = slots ? (uint32_t)count : 0;
    profile_allot(&shim.profile, PSHIM_REGION_HISTOGRAM, 1, &index); /* record 0: of all others */
}

static struct pshim_histogram *histogram_at(uint32_t index)
{
    return profile_count(&shim.profile, PSHIM_REGION_HISTOGRAM) > index
               ? profile_record(&shim.profile, PSHIM_REGION_HISTOGRAM, index)
               : NULL;
}

static uint32_t index_of(uint32_t node)
{
    return likely(node < nodes) ? __atomic_load_n(&slots[node], __ATOMIC_ACQUIRE) : 0;
}

/* NULL: no room. */
static COLD struct pshim_histogram *histogram_add(uint32_t node)
{
    uint32_t index, known = 0;
    if (node >= nodes || profile_allot(&shim.profile, PSHIM_REGION_HISTOGRAM, 1, &index))
        return NULL;
    struct pshim_histogram *mine = histogram_at(index);
    if (!__atomic_compare_exchange_n(&slots[node], &known, index, 0, __ATOMIC_RELEASE,
                                     __ATOMIC_ACQUIRE))
        return histogram_at(known); /* another thread was first: ours stays a hole */
    __atomic_store_n(&mine->node, node, __ATOMIC_RELEASE);
    return mine;
}

struct pshim_histogram *histograms_get(uint32_t node)
{
    if (unlikely(node == 0))
        return histogram_at(0);
    uint32_t known = index_of(node);
    struct pshim_histogram *h = likely(known) ? histogram_at(known) : histogram_add(node);
    if (likely(h != NULL))
        return h;
    shim_lost(PSHIM_LOSS_histogram_table_full);
    return histogram_at(0);
}

struct pshim_histogram *histograms_get_of_lock(uint32_t node)
{
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_HISTOGRAM);
    struct pshim_histogram *h = NULL;
    uint32_t known = index_of(node);
    if (likely(known))
        h = histogram_at(known);
    else if (node && pshim_load(&r->used) < r->capacity / 2)
        h = histogram_add(node);
    if (unlikely(!h))
        shim_lost(PSHIM_LOSS_histogram_table_full);
    return h;
}

bool histograms_have(uint32_t node)
{
    return node && index_of(node);
}

void histograms_add(uint32_t buckets[PSHIM_BUCKETS], uint64_t value, uint32_t n)
{
    uint32_t *bucket = &buckets[pshim_bucket(value)];
    uint32_t old = __atomic_load_n(bucket, __ATOMIC_RELAXED), sum;
    do {
        sum = old + n < old ? UINT32_MAX : old + n;
    } while (
        !__atomic_compare_exchange_n(bucket, &old, sum, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}
