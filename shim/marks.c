#include "shim/marks.h"

#include "shim/histograms.h"
#include "shim/lock_clock.h"
#include "shim/tag.h"

/* In block.weight: bytes asked for, where a tag may be needed, and the weight. */
enum { bytes_bits = 16, bytes_most = (1 << bytes_bits) - 1 };

/* block.bytes is the time of birth. */
static struct blocks marked = {.levels = 4}; /* few blocks are marked: the smallest first */

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
    histograms_add(h->asked, bytes, weight);
    __atomic_fetch_add(&h->asked_count, weight, __ATOMIC_RELAXED);
}

uint32_t marks_new(const struct pshim_account *a, const void *p, size_t n)
{
    uint64_t calls = pshim_load(&a->counter[PSHIM_ALLOC_CALLS]);
    uint32_t weight = calls < marks_each ? 1 : marks_each;
    struct pshim_histogram *h = histograms_get(a->node);
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
    struct pshim_histogram *h = histograms_get(mark.node);
    if (!h)
        return;
    histograms_add(h->lived, life, marks_weight(mark));
    __atomic_fetch_add(&h->lived_count, marks_weight(mark), __ATOMIC_RELAXED);
}
