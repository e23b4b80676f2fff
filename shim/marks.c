#include "shim/marks.h"

#include "profile/sys.h"
#include "shim/lock_clock.h"
#include "shim/tag.h"

/* In block.weight: bytes asked for, where a tag may be needed, and the weight. */
enum { bytes_bits = 16, bytes_most = (1 << bytes_bits) - 1 };

/* block.bytes is the time of birth. */
static struct blocks marked = {.levels = 4}; /* few blocks are marked: the smallest first */

static uint32_t *histogram_slots; /* atomic, by node: index of its record; 0 = none yet */
static uint32_t histogram_nodes;

void marks_init(void)
{
    uint64_t nodes = profile_region(&shim.profile, PSHIM_REGION_NODE)->capacity;
    uint32_t index;
    histogram_slots = sys_map_anon(nodes * sizeof *histogram_slots);
    histogram_nodes = histogram_slots ? (uint32_t)nodes : 0;
    profile_allot(&shim.profile, PSHIM_REGION_HISTOGRAM, 1, &index); /* record 0: of all others */
}

static struct pshim_histogram *histogram_at(uint32_t index)
{
    return profile_count(&shim.profile, PSHIM_REGION_HISTOGRAM) > index
               ? profile_record(&shim.profile, PSHIM_REGION_HISTOGRAM, index)
               : NULL;
}

/* The histogram of a node, added if it is new; that of all others when there is no room; NULL when
   there is none at all. */
static struct pshim_histogram *histogram_get(uint32_t node)
{
    uint32_t index;
    if (unlikely(node == 0))
        return histogram_at(0);
    if (likely(node < histogram_nodes)) {
        uint32_t known = __atomic_load_n(&histogram_slots[node], __ATOMIC_ACQUIRE);
        if (likely(known))
            return histogram_at(known);
        if (profile_allot(&shim.profile, PSHIM_REGION_HISTOGRAM, 1, &index) == PROFILE_OK) {
            struct pshim_histogram *mine = histogram_at(index);
            if (!__atomic_compare_exchange_n(&histogram_slots[node], &known, index, 0,
                                             __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
                return histogram_at(known); /* another thread was first: ours stays a hole */
            __atomic_store_n(&mine->node, node, __ATOMIC_RELEASE);
            return mine;
        }
    }
    shim_lost(PSHIM_LOSS_histogram_table_full);
    return histogram_at(0);
}

static void bucket_add(uint32_t *bucket, uint32_t n)
{
    uint32_t old = __atomic_load_n(bucket, __ATOMIC_RELAXED), sum;
    do {
        sum = old + n < old ? UINT32_MAX : old + n;
    } while (
        !__atomic_compare_exchange_n(bucket, &old, sum, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/*
 * Notes a distinct size. A place is written before it is counted; of two threads that write to the
 * same one the loser looks again, and a size that was overwritten all the same comes with its next
 * block.
 */
static void size_note(struct pshim_histogram *h, uint64_t size)
{
    uint32_t count = __atomic_load_n(&h->size_count, __ATOMIC_ACQUIRE);
    for (;;) {
        for (uint32_t i = 0; i < count && i < PSHIM_SIZES; i++)
            if (pshim_load(&h->size[i]) == size)
                return;
        if (count > PSHIM_SIZES)
            return;
        if (count < PSHIM_SIZES)
            __atomic_store_n(&h->size[count], size, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&h->size_count, &count, count + 1, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            count++;
    }
}

static void asked_add(struct pshim_histogram *h, uint64_t bytes, uint32_t weight)
{
    uint64_t most = pshim_load(&h->size_max);
    while (most < bytes && !__atomic_compare_exchange_n(&h->size_max, &most, bytes, 0,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    size_note(h, bytes);
    bucket_add(&h->asked[pshim_bucket(bytes)], weight);
    __atomic_fetch_add(&h->asked_count, weight, __ATOMIC_RELAXED);
}

uint32_t marks_new(const struct pshim_account *a, const void *p, size_t n)
{
    uint64_t calls = pshim_load(&a->counter[PSHIM_ALLOC_CALLS]);
    uint32_t weight = calls < marks_each ? 1 : marks_each;
    struct pshim_histogram *h = histogram_get(a->node);
    if (!h)
        return 0;
    asked_add(h, n, weight);
    struct block mark = {.bytes = lock_clock(), .node = a->node};
    mark.weight = weight << bytes_bits | (uint32_t)(n < bytes_most ? n : bytes_most);
    if (blocks_put(&marked, p, mark))
        return tag_marked;
    shim_lost(PSHIM_LOSS_mark_table_full);
    return 0;
}

bool marks_has(uint32_t node)
{
    return node && node < histogram_nodes &&
           __atomic_load_n(&histogram_slots[node], __ATOMIC_RELAXED);
}

bool marks_find(const void *p, struct block *mark)
{
    return blocks_find(&marked, p, mark);
}

bool marks_take(const void *p, struct block *mark)
{
    return blocks_take(&marked, p, mark);
}

void marks_put_back(const void *p, struct block mark)
{
    if (!blocks_put(&marked, p, mark))
        shim_lost(PSHIM_LOSS_mark_table_full);
}

uint32_t marks_weight(struct block mark)
{
    return mark.weight >> bytes_bits;
}

size_t marks_bytes(struct block mark)
{
    return mark.weight & bytes_most;
}

void marks_lived(struct block mark)
{
    uint64_t life = lock_clock_since(mark.bytes, lock_clock()) >> PSHIM_LIFE_SHIFT;
    struct pshim_histogram *h = histogram_get(mark.node);
    if (!h)
        return;
    bucket_add(&h->lived[pshim_bucket(life)], marks_weight(mark));
    __atomic_fetch_add(&h->lived_count, marks_weight(mark), __ATOMIC_RELAXED);
}
