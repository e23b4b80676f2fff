#include "shim/blocks.h"

#include "profile/sys.h"
#include "shim/shim.h"

enum { window = 16 }; /* slots that may hold one address, in each level */

/* Slots per level. Small first, so that a program with few large blocks touches few pages. */
static const uint32_t level_slots[blocks_levels_most] = {1u << 8, 1u << 12, 1u << 16, 1u << 20,
                                                         1u << 24};

struct blocks_slot {
    uint64_t address; /* atomic; 0 = free */
    struct block block;
};

struct blocks blocks_untagged = {.first = 1, .levels = blocks_levels_most};

static struct blocks_slot *level_map(struct blocks *table, unsigned i)
{
    size_t bytes = (level_slots[i] + window) * sizeof(struct blocks_slot);
    if (i > table->first && bytes > shim.map_max_bytes)
        return NULL;
    struct blocks_slot *mine = sys_map_anon(bytes);
    struct blocks_slot *expected = NULL;
    if (!mine)
        return NULL;
    if (__atomic_compare_exchange_n(&table->level[i], &expected, mine, 0, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return mine;
    sys_call2(SYS_munmap, mine, bytes);
    return expected;
}

static uint32_t address_hash(const void *address, unsigned i)
{
    uint64_t h = ((uintptr_t)address >> 4) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) & (level_slots[i] - 1);
}

bool blocks_put(struct blocks *table, const void *address, struct block block)
{
    for (unsigned i = table->first; i < table->levels; i++) {
        struct blocks_slot *slots = __atomic_load_n(&table->level[i], __ATOMIC_ACQUIRE);
        if (!slots && !(slots = level_map(table, i)))
            return false;
        struct blocks_slot *s = slots + address_hash(address, i);
        for (struct blocks_slot *end = s + window; s < end; s++) {
            uint64_t old = __atomic_load_n(&s->address, __ATOMIC_RELAXED);
            if (old != 0 && old != (uintptr_t)address)
                continue;
            if (!__atomic_compare_exchange_n(&s->address, &old, (uintptr_t)address, 0,
                                             __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                continue;
            /* Nobody looks this address up before the allocation has returned: plain stores. */
            s->block = block;
            return true;
        }
    }
    return false;
}

static struct blocks_slot *slot_find(struct blocks *table, const void *address)
{
    for (unsigned i = table->first; i < table->levels; i++) {
        struct blocks_slot *slots = __atomic_load_n(&table->level[i], __ATOMIC_ACQUIRE);
        if (!slots)
            return NULL;
        struct blocks_slot *s = slots + address_hash(address, i);
        for (struct blocks_slot *end = s + window; s < end; s++)
            if (__atomic_load_n(&s->address, __ATOMIC_RELAXED) == (uintptr_t)address)
                return s;
    }
    return NULL;
}

bool blocks_find(struct blocks *table, const void *address, struct block *out)
{
    const struct blocks_slot *s = slot_find(table, address);
    if (s)
        *out = s->block;
    return s != NULL;
}

bool blocks_take(struct blocks *table, const void *address, struct block *out)
{
    struct blocks_slot *s = slot_find(table, address);
    if (!s)
        return false;
    *out = s->block;
    __atomic_store_n(&s->address, 0, __ATOMIC_RELEASE);
    return true;
}

const void *blocks_around(struct blocks *table, const void *address)
{
    const struct blocks_slot *s = __atomic_load_n(&table->level[table->first], __ATOMIC_ACQUIRE);
    if (!s)
        return NULL;
    for (const struct blocks_slot *end = s + level_slots[table->first] + window; s < end; s++) {
        uintptr_t start = __atomic_load_n(&s->address, __ATOMIC_RELAXED);
        if (start && (uintptr_t)address - start < s->block.bytes)
            return (const void *)start;
    }
    return NULL;
}
