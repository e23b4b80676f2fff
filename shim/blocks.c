#include "shim/blocks.h"

#include "profile/sys.h"
#include "shim/shim.h"

enum {
    levels = 4,
    window = 16, /* slots that may hold one address, in each level */
};

/* Slots per level. Small first, so that a program with few large blocks touches few pages. */
static const uint32_t level_slots[levels] = {1u << 12, 1u << 16, 1u << 20, 1u << 24};

struct slot {
    uint64_t address; /* atomic; 0 = free */
    uint64_t bytes;
    uint32_t node;
    uint32_t weight;
};

static struct slot *level[levels]; /* atomic; NULL = not mapped yet */

static struct slot *level_map(unsigned i)
{
    size_t bytes = (level_slots[i] + window) * sizeof(struct slot);
    if (i > 0 && bytes > shim.map_max_bytes)
        return NULL;
    struct slot *mine = sys_map_anon(bytes);
    struct slot *expected = NULL;
    if (!mine)
        return NULL;
    if (__atomic_compare_exchange_n(&level[i], &expected, mine, 0, __ATOMIC_ACQ_REL,
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

bool blocks_put(const void *address, struct block block)
{
    for (unsigned i = 0; i < levels; i++) {
        struct slot *slots = __atomic_load_n(&level[i], __ATOMIC_ACQUIRE);
        if (!slots && !(slots = level_map(i)))
            return false;
        struct slot *s = slots + address_hash(address, i);
        for (struct slot *end = s + window; s < end; s++) {
            uint64_t none = 0;
            if (__atomic_load_n(&s->address, __ATOMIC_RELAXED) != 0)
                continue;
            if (!__atomic_compare_exchange_n(&s->address, &none, (uintptr_t)address, 0,
                                             __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                continue;
            /* Nobody looks this address up before the allocation has returned: plain stores. */
            s->bytes = block.bytes;
            s->node = block.node;
            s->weight = block.weight;
            return true;
        }
    }
    return false;
}

static struct slot *slot_find(const void *address)
{
    for (unsigned i = 0; i < levels; i++) {
        struct slot *slots = __atomic_load_n(&level[i], __ATOMIC_ACQUIRE);
        if (!slots)
            return NULL;
        struct slot *s = slots + address_hash(address, i);
        for (struct slot *end = s + window; s < end; s++)
            if (__atomic_load_n(&s->address, __ATOMIC_RELAXED) == (uintptr_t)address)
                return s;
    }
    return NULL;
}

bool blocks_find(const void *address, struct block *out)
{
    const struct slot *s = slot_find(address);
    if (s)
        *out = (struct block){.bytes = s->bytes, .node = s->node, .weight = s->weight};
    return s != NULL;
}

bool blocks_take(const void *address, struct block *out)
{
    struct slot *s = slot_find(address);
    if (!s)
        return false;
    *out = (struct block){.bytes = s->bytes, .node = s->node, .weight = s->weight};
    __atomic_store_n(&s->address, 0, __ATOMIC_RELEASE);
    return true;
}
