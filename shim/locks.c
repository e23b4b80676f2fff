#include "shim/locks.h"

#include "profile/sys.h"
#include "shim/nodes.h"

/* Index of a record, 0 = never used. A slot whose lock was destroyed is free for another. */
static uint32_t *slots;
static uint32_t slot_mask;

static uint32_t address_hash(const void *address)
{
    return (uint32_t)(((uintptr_t)address >> 3) * 0x9e3779b97f4a7c15u >> 32);
}

static bool lock_is_at(uint32_t index, const void *address)
{
    const struct pshim_lock *lock = locks_record(index);
    return lock->address == (uintptr_t)address && lock_is_alive(lock);
}

/*
 * Index of the lock at an address, or 0: then *free_slot is where it would stand and *free_holds
 * what that slot holds. There are twice as many slots as records: a search ends.
 */
static uint32_t lock_find(const void *address, uint32_t **free_slot, uint32_t *free_holds)
{
    *free_slot = NULL;
    for (uint32_t i = address_hash(address) & slot_mask;; i = (i + 1) & slot_mask) {
        uint32_t index = __atomic_load_n(&slots[i], __ATOMIC_ACQUIRE);
        if (index && lock_is_at(index, address))
            return index;
        if (!*free_slot && (index == 0 || !lock_is_alive(locks_record(index)))) {
            *free_slot = &slots[i];
            *free_holds = index;
        }
        if (index == 0)
            return 0;
    }
}

bool locks_have_room(void)
{
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_LOCK);
    return pshim_load(&r->used) < r->capacity;
}

/* A record in no slot yet: the thread's spare one, or a new one. 0 without room. */
static uint32_t record_new(const void *address, uint32_t site_node, bool initialised,
                           uint32_t *spare)
{
    uint32_t index = *spare;
    if (index == 0 && profile_allot(&shim.profile, PSHIM_REGION_LOCK, 1, &index) != PROFILE_OK)
        return 0;
    *spare = 0;
    struct pshim_lock *lock = locks_record(index);
    lock->address = (uintptr_t)address;
    lock->site_node = site_node;
    lock->initialised = initialised;
    return index;
}

static void lock_end(uint32_t index)
{
    __atomic_store_n(&locks_record(index)->state, PSHIM_LOCK_DESTROYED, __ATOMIC_RELEASE);
}

/* Is it of this kind, or not published yet? */
static bool lock_is_of(uint32_t index, enum pshim_lock_kind kind)
{
    uint32_t known = __atomic_load_n(&locks_record(index)->kind, __ATOMIC_ACQUIRE);
    return known == (uint32_t)kind || known == PSHIM_LOCK_NONE;
}

static uint32_t lock_find_or_add(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                                 bool initialised, uint32_t *spare)
{
    uint32_t *free_slot, holds;
    uint32_t mine = 0;
    for (;;) {
        uint32_t found = lock_find(address, &free_slot, &holds);
        if (found && !lock_is_of(found, kind)) { /* its memory is another's now */
            lock_end(found);
            continue;
        }
        if (found) {
            *spare = mine ? mine : *spare;
            return found;
        }
        if (mine == 0)
            mine = record_new(address, site_node, initialised, spare);
        if (mine == 0) {
            shim_lost(PSHIM_LOSS_lock_table_full);
            __atomic_store_n(&locks_record(0)->kind, PSHIM_LOCK_MUTEX, __ATOMIC_RELEASE);
            return 0;
        }
        /* Who takes a slot first wins, and the search begins anew: it may be this very lock. Two
           threads that meet a lock at once while a slot before it becomes free make it twice. */
        if (__atomic_compare_exchange_n(free_slot, &holds, mine, 0, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
            __atomic_store_n(&locks_record(mine)->kind, kind, __ATOMIC_RELEASE);
            return mine;
        }
    }
}

uint32_t locks_get(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                   uint32_t *spare)
{
    return lock_find_or_add(address, kind, site_node, false, spare);
}

void locks_made(const void *address, enum pshim_lock_kind kind, uint32_t site_node, uint32_t *spare)
{
    locks_destroyed(address);
    lock_find_or_add(address, kind, site_node, true, spare);
}

void locks_destroyed(const void *address)
{
    uint32_t *free_slot, holds;
    uint32_t found = lock_find(address, &free_slot, &holds);
    if (found)
        lock_end(found);
}

COLD void locks_owner_changed(uint32_t index, uint32_t tid)
{
    struct pshim_lock *lock = locks_record(index);
    if (index == 0)
        return; /* stands for many */
    if (lock->owner)
        counter_add(&lock->owner_changes, 1, false); /* who has the lock writes alone */
    __atomic_store_n(&lock->owner, tid, __ATOMIC_RELAXED);
}

int locks_init(void)
{
    uint32_t index;
    uint32_t n = power_of_two_above(profile_region(&shim.profile, PSHIM_REGION_LOCK)->capacity * 2);
    slots = sys_map_anon((size_t)n * sizeof *slots);
    slot_mask = n - 1;
    if (!slots || profile_allot(&shim.profile, PSHIM_REGION_LOCK, 1, &index) != PROFILE_OK)
        return -1;
    return 0;
}
