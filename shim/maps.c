#include "shim/maps.h"

#include "shim/shim.h"

/*
 * A word: page number 36 bits | pages 28 bits. 0 = free; a word without pages is nobody's to find:
 * busy, or an anchor. The pieces that a mapping was cut into count on one of them, their anchor,
 * whose slot stays until the last one has gone: then the mapping is gone, once.
 */
enum { page_shift = 12, pages_bits = 28 };
#define PAGES_MASK (((uint64_t)1 << pages_bits) - 1)
#define BUSY       ((uint64_t)1 << pages_bits)

static struct {
    uint64_t word;   /* atomic */
    uint32_t node;   /* of the owner to write */
    uint32_t anchor; /* slot that counts the mapping's pieces */
    uint32_t pieces; /* atomic, in the anchor */
} slots[maps_most];
static uint32_t slots_seen; /* atomic: no slot at or past it was ever used */
static uint32_t slots_used; /* atomic */

static uintptr_t word_from(uint64_t word)
{
    return (uintptr_t)(word >> pages_bits) << page_shift;
}

static uintptr_t word_to(uint64_t word)
{
    return word_from(word) + ((uintptr_t)(word & PAGES_MASK) << page_shift);
}

static uint64_t word_of(uintptr_t from, uintptr_t to)
{
    return (uint64_t)(from >> page_shift) << pages_bits | (to - from) >> page_shift;
}

bool maps_empty(void)
{
    return __atomic_load_n(&slots_used, __ATOMIC_ACQUIRE) == 0;
}

/* A free slot, busy now; maps_most without one. */
static uint32_t slot_claim(void)
{
    for (uint32_t i = 0; i < maps_most; i++) {
        uint64_t none = 0;
        if (__atomic_load_n(&slots[i].word, __ATOMIC_RELAXED) != 0 ||
            !__atomic_compare_exchange_n(&slots[i].word, &none, BUSY, 0, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED))
            continue;
        __atomic_fetch_add(&slots_used, 1, __ATOMIC_RELAXED);
        uint32_t seen = __atomic_load_n(&slots_seen, __ATOMIC_RELAXED);
        while (seen <= i && !__atomic_compare_exchange_n(&slots_seen, &seen, i + 1, 0,
                                                         __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            ;
        return i;
    }
    shim_lost(PSHIM_LOSS_map_table_full);
    return maps_most;
}

static void slot_free(uint32_t i)
{
    __atomic_fetch_sub(&slots_used, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&slots[i].word, 0, __ATOMIC_RELEASE);
}

static void slot_publish(uint32_t i, uintptr_t from, uintptr_t to)
{
    __atomic_store_n(&slots[i].word, word_of(from, to), __ATOMIC_RELEASE);
}

bool maps_add(uintptr_t address, size_t bytes, uint32_t node)
{
    uintptr_t to = (address + bytes + PSHIM_PAGE_BYTES - 1) & -(uintptr_t)PSHIM_PAGE_BYTES;
    if ((to - address) >> page_shift > PAGES_MASK) {
        shim_lost(PSHIM_LOSS_map_table_full);
        return false;
    }
    uint32_t i = slot_claim();
    if (i == maps_most)
        return false;
    slots[i].node = node;
    slots[i].anchor = i;
    __atomic_store_n(&slots[i].pieces, 1, __ATOMIC_RELAXED);
    slot_publish(i, address, to);
    return true;
}

void maps_take(struct maps_taken *taken, uintptr_t address, size_t bytes)
{
    uint32_t seen = __atomic_load_n(&slots_seen, __ATOMIC_ACQUIRE);
    uintptr_t to = (address + bytes + PSHIM_PAGE_BYTES - 1) & -(uintptr_t)PSHIM_PAGE_BYTES;
    taken->from = address;
    taken->to = to;
    taken->count = 0;
    for (uint32_t i = 0; address < to && i < seen && taken->count < maps_at_once; i++) {
        uint64_t word = __atomic_load_n(&slots[i].word, __ATOMIC_ACQUIRE);
        if (!(word & PAGES_MASK) || word_from(word) >= to || word_to(word) <= address)
            continue;
        if (!__atomic_compare_exchange_n(&slots[i].word, &word, BUSY, 0, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED))
            continue; /* another thread unmaps it too: what of it goes first is theirs to say */
        taken->piece[taken->count].slot = i;
        taken->piece[taken->count++].word = word;
    }
}

/* The piece has gone whole. True if it was the last one of its mapping. */
static bool piece_gone(uint32_t i)
{
    uint32_t anchor = slots[i].anchor;
    bool last = __atomic_sub_fetch(&slots[anchor].pieces, 1, __ATOMIC_ACQ_REL) == 0;
    if (i != anchor)
        slot_free(i);
    if (last)
        slot_free(anchor);
    return last; /* an anchor whose other pieces are there stays, busy */
}

/* One piece [from, to) of which [cut_from, cut_to) goes: what is left stays in its slot, or in two.
 */
static bool piece_cut(uint32_t i, uint64_t word, uintptr_t cut_from, uintptr_t cut_to)
{
    uintptr_t from = word_from(word), to = word_to(word);
    if (cut_from == from && cut_to == to)
        return piece_gone(i);
    if (cut_from == from) {
        slot_publish(i, cut_to, to);
        return false;
    }
    if (cut_to < to) {
        uint32_t more = slot_claim();
        if (more != maps_most) { /* else the end of it is not tracked any more */
            slots[more].node = slots[i].node;
            slots[more].anchor = slots[i].anchor;
            __atomic_fetch_add(&slots[slots[i].anchor].pieces, 1, __ATOMIC_RELAXED);
            slot_publish(more, cut_to, to);
        }
    }
    slot_publish(i, from, cut_from);
    return false;
}

void maps_settle(const struct maps_taken *taken, bool done, maps_gone *gone, void *context)
{
    for (unsigned k = 0; k < taken->count; k++) {
        uint32_t i = taken->piece[k].slot, node = slots[i].node;
        uint64_t word = taken->piece[k].word;
        if (!done) {
            __atomic_store_n(&slots[i].word, word, __ATOMIC_RELEASE);
            continue;
        }
        uintptr_t from = word_from(word), to = word_to(word);
        from = from > taken->from ? from : taken->from;
        to = to < taken->to ? to : taken->to;
        bool whole = piece_cut(i, word, from, to);
        gone(context, node, to - from, whole);
    }
}
