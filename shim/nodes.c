#include "shim/nodes.h"

#include "profile/sys.h"
#include "shim/shim.h"

static uint32_t *node_slots; /* node id, 0 = free */
static uint32_t node_mask;
static uint64_t *account_slots; /* account_key() << 24 | account index + 1, 0 = free */
static uint32_t account_mask;

uint64_t node_steps[node_step_slots];
uint64_t node_step_salt;

/* Where events go when their own account, and those of all their callers, find no room. */
enum { account_index_bits = 24, last_resort_recorder = shim_recorders - 1 };
static uint32_t last_resort_node;
static uint32_t last_resort_lock;   /* of accounts whose node must end in a lock */
static uint32_t last_resort_waiter; /* … in a waiter for it */

uint32_t power_of_two_above(uint64_t n)
{
    uint32_t p = 1024;
    while (p < n)
        p <<= 1;
    return p;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x7fb5d329728ea185u;
    return x ^ (x >> 29);
}

static struct pshim_node *node_at(uint32_t id)
{
    return profile_record(&shim.profile, PSHIM_REGION_NODE, id);
}

uint32_t node_get(uint32_t parent, uint32_t module, uint64_t offset, uint32_t *spare)
{
    uint64_t h = mix(offset * 0x9e3779b97f4a7c15u + ((uint64_t)parent << 20) + module);
    for (uint32_t i = (uint32_t)h & node_mask;; i = (i + 1) & node_mask) {
        uint32_t id = __atomic_load_n(&node_slots[i], __ATOMIC_ACQUIRE);
        if (id == 0) {
            uint32_t mine = *spare;
            if (mine == 0 &&
                profile_allot(&shim.profile, PSHIM_REGION_NODE, 1, &mine) != PROFILE_OK) {
                shim_lost(PSHIM_LOSS_node_table_full);
                return parent;
            }
            *node_at(mine) = (struct pshim_node){parent, module, offset};
            if (__atomic_compare_exchange_n(&node_slots[i], &id, mine, 0, __ATOMIC_RELEASE,
                                            __ATOMIC_ACQUIRE)) {
                *spare = 0;
                return mine;
            }
            *spare = mine; /* another thread took the slot: `id` is now its node */
        }
        const struct pshim_node *n = node_at(id);
        if (n->offset == offset && n->parent == parent && n->module == module)
            return id;
    }
}

uint32_t node_at_new_pc(uint32_t parent, uintptr_t pc, uint64_t hash, uint32_t *spare)
{
    uint32_t generation = modules_generation();
    uint64_t offset;
    uint32_t module = modules_locate(pc, &offset);
    uint32_t id = node_get(parent, module, offset, spare);
    /* Not if the table is full, nor for code that may be another's next time (a JIT's). */
    if (id != parent && module != PSHIM_MODULE_ANON && generation == modules_generation())
        __atomic_store_n(&node_steps[hash % node_step_slots],
                         (hash >> node_step_bits << node_step_bits) | id, __ATOMIC_RELEASE);
    return id;
}

/*
 * The account, or NULL if it is not there and cannot be added. Ids of nodes are handed out in
 * order, so the node is the hash: what one recorder uses lies close together and few pages are
 * touched.
 */
HOT_INLINE struct pshim_account *account_look_up(uint32_t recorder, enum pshim_kind kind,
                                                 uint32_t node, bool add)
{
    uint64_t key = (uint64_t)node << 12 | (uint64_t)kind << 8 | recorder;
    uint32_t start = node + recorder * 0x9e3779b1u + kind * 0x85ebca6bu;
    for (uint32_t i = start & account_mask;; i = (i + 1) & account_mask) {
        uint64_t slot = __atomic_load_n(&account_slots[i], __ATOMIC_ACQUIRE);
        if (slot == 0) {
            uint32_t index;
            if (!add || profile_allot(&shim.profile, PSHIM_REGION_ACCOUNT, 1, &index) != PROFILE_OK)
                return NULL;
            struct pshim_account *a = profile_record(&shim.profile, PSHIM_REGION_ACCOUNT, index);
            uint64_t mine = key << account_index_bits | (index + 1);
            if (__atomic_compare_exchange_n(&account_slots[i], &slot, mine, 0, __ATOMIC_RELEASE,
                                            __ATOMIC_ACQUIRE)) {
                a->node = node;
                a->recorder = (uint16_t)recorder;
                __atomic_store_n(&a->kind, (uint16_t)kind, __ATOMIC_RELEASE);
                return a;
            }
            /* Another thread of a shared recorder was first; our record stays a hole. */
        }
        if (slot >> account_index_bits == key)
            return profile_record(&shim.profile, PSHIM_REGION_ACCOUNT,
                                  (uint32_t)(slot & ((1u << account_index_bits) - 1)) - 1);
    }
}

/* The table is full: the nearest caller that has an account, else the one kept for this. */
static COLD struct pshim_account *account_further_out(uint32_t recorder, enum pshim_kind kind,
                                                      uint32_t node)
{
    struct pshim_account *a = NULL;
    shim_lost(PSHIM_LOSS_account_table_full);
    if (kind == PSHIM_KIND_PROGRESS || kind == PSHIM_KIND_REGION || kind == PSHIM_KIND_POOL)
        return NULL;
    while (!a && node) {
        node = node_at(node)->parent;
        a = account_look_up(recorder, kind, node, false);
    }
    bool of_lock = kind == PSHIM_KIND_LOCK || kind == PSHIM_KIND_HELD;
    uint32_t last = of_lock ? last_resort_lock : last_resort_node;
    if (kind == PSHIM_KIND_BLAME)
        last = last_resort_waiter;
    return a ? a : account_look_up(last_resort_recorder, kind, last, false);
}

uint32_t nodes_last_resort_lock(void)
{
    return last_resort_lock;
}

uint32_t nodes_last_resort_waiter(void)
{
    return last_resort_waiter;
}

struct pshim_account *account_get(uint32_t recorder, enum pshim_kind kind, uint32_t node)
{
    struct pshim_account *a = account_look_up(recorder, kind, node, true);
    return likely(a != NULL) ? a : account_further_out(recorder, kind, node);
}

int nodes_init(void)
{
    uint32_t spare = 0;
    node_step_salt += 0xa24baed4963ee407u;
    uint32_t nodes =
        power_of_two_above(profile_region(&shim.profile, PSHIM_REGION_NODE)->capacity * 2);
    uint32_t accounts =
        power_of_two_above(profile_region(&shim.profile, PSHIM_REGION_ACCOUNT)->capacity * 2);
    node_slots = sys_map_anon((size_t)nodes * sizeof *node_slots);
    account_slots = sys_map_anon((size_t)accounts * sizeof *account_slots);
    node_mask = nodes - 1;
    account_mask = accounts - 1;
    if (!node_slots || !account_slots)
        return -1;
    last_resort_node = node_special(0, PSHIM_SPECIAL_TABLE_FULL, &spare);
    last_resort_lock = node_special(
        node_special(last_resort_node, PSHIM_SPECIAL_CALL + PSHIM_CALL_MUTEX_LOCK, &spare),
        PSHIM_SPECIAL_LOCK, &spare);
    last_resort_waiter = node_special(node_special(last_resort_node, PSHIM_SPECIAL_LOCK, &spare),
                                      PSHIM_SPECIAL_WAITER, &spare);
    return account_get(last_resort_recorder, PSHIM_KIND_ALLOC, last_resort_node) &&
                   account_get(last_resort_recorder, PSHIM_KIND_SPREAD, last_resort_node) &&
                   account_get(last_resort_recorder, PSHIM_KIND_SITE, last_resort_node) &&
                   account_get(last_resort_recorder, PSHIM_KIND_CPU, last_resort_node) &&
                   account_get(last_resort_recorder, PSHIM_KIND_WAIT, last_resort_node) &&
                   account_get(last_resort_recorder, PSHIM_KIND_HELD_WAIT, last_resort_node) &&
                   account_get(last_resort_recorder, PSHIM_KIND_LOCK, last_resort_lock) &&
                   account_get(last_resort_recorder, PSHIM_KIND_HELD, last_resort_lock) &&
                   account_get(last_resort_recorder, PSHIM_KIND_BLAME, last_resort_waiter)
               ? 0
               : -1;
}
