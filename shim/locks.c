#include "shim/locks.h"

#include <string.h>

#include "profile/sys.h"
#include "shim/nodes.h"

/*
 * A slot holds the turn of its content (so that one who looked at it before and one who looks now
 * cannot take each other's for their own) and the index of a record, 0 = never used. It is free for
 * another when its record is another's place now, or its lock was destroyed.
 */
enum { bucket_slots = 8 };
static uint64_t *slots;
static uint32_t slot_mask;
static uint8_t *was_full; /* of each bucket: a lock of it may stand in the next */

/* Of each record: the slot that it stands in, and what was destroyed before it. */
struct place {
    uint32_t slot, next;
};
static struct place *places;

/*
 * The destroyed records, the last one first, by where their locks come from: a lock that the same
 * code makes again, at whatever address, takes one of them. Turn and index, as in a slot.
 */
enum { ended_lists = 1024, ended_looks = 4 };
static uint64_t ended[ended_lists];

static uint64_t turn_on(uint64_t from, uint32_t index)
{
    return ((from >> 32) + 1) << 32 | index;
}

static uint32_t address_hash(const void *address)
{
    return (uint32_t)(((uintptr_t)address >> 3) * 0x9e3779b97f4a7c15u >> 32);
}

static bool slot_is_free(uint32_t slot, uint32_t index)
{
    return index == 0 || __atomic_load_n(&places[index].slot, __ATOMIC_RELAXED) != slot ||
           !lock_is_alive(locks_record(index));
}

/*
 * Index of the lock at an address, or 0: then *free_slot is where it would stand and *free_holds
 * what that slot holds. A lock stands in the bucket of its address or, if that was full once, the
 * next one; where in a bucket says nothing, so that slots may become free in any order. There are
 * twice as many slots as records: one is free.
 */
static uint32_t lock_find(const void *address, uint32_t *free_slot, uint64_t *free_holds)
{
    bool free_is_known = false;
    uint32_t bucket = address_hash(address) & slot_mask & ~(uint32_t)(bucket_slots - 1);
    for (uint32_t looks = 0; looks <= slot_mask; looks += bucket_slots) {
        for (uint32_t i = bucket; i < bucket + bucket_slots; i++) {
            uint64_t holds = __atomic_load_n(&slots[i], __ATOMIC_ACQUIRE);
            uint32_t index = (uint32_t)holds;
            bool is_free = slot_is_free(i, index);
            if (!is_free && lock_is_at(locks_record(index), address))
                return index;
            if (is_free && !free_is_known) {
                free_is_known = true;
                *free_slot = i;
                *free_holds = holds;
            }
        }
        uint8_t *full = &was_full[bucket / bucket_slots];
        if (!free_is_known)
            __atomic_store_n(full, 1, __ATOMIC_RELEASE); /* before anything is put behind it */
        else if (!__atomic_load_n(full, __ATOMIC_ACQUIRE))
            break;
        bucket = (bucket + bucket_slots) & slot_mask;
    }
    return 0;
}

bool locks_have_room(void)
{
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_LOCK);
    return pshim_load(&r->used) < r->capacity;
}

static uint64_t *ended_list(uint32_t site_node, uint32_t kind)
{
    return &ended[(site_node * 16u + kind) * 0x9e3779b1u >> 22];
}

static void ended_push(uint32_t index)
{
    const struct pshim_lock *lock = locks_record(index);
    uint64_t *list = ended_list(lock->site_node, lock->kind);
    uint64_t first = __atomic_load_n(list, __ATOMIC_RELAXED);
    do
        __atomic_store_n(&places[index].next, (uint32_t)first, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(list, &first, turn_on(first, index), 0, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

static uint32_t ended_pop(uint64_t *list)
{
    uint64_t first = __atomic_load_n(list, __ATOMIC_ACQUIRE);
    while ((uint32_t)first) {
        uint32_t next = __atomic_load_n(&places[(uint32_t)first].next, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(list, &first, turn_on(first, next), 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_ACQUIRE))
            break;
    }
    return (uint32_t)first;
}

/* A destroyed record of that kind from that place, the caller's alone now; 0 = none. */
static uint32_t ended_take(enum pshim_lock_kind kind, uint32_t site_node, bool initialised)
{
    uint64_t *list = ended_list(site_node, kind);
    uint32_t others[ended_looks], count = 0, index;
    while ((index = ended_pop(list)) != 0) {
        const struct pshim_lock *lock = locks_record(index);
        if (lock->site_node == site_node && lock->kind == (uint32_t)kind &&
            lock->initialised == initialised)
            break;
        others[count++] = index;
        if (count == ended_looks) {
            index = 0;
            break;
        }
    }
    while (count)
        ended_push(others[--count]);
    return index;
}

/* A record in no slot yet: a destroyed one, the thread's spare one, or a new one. 0 without room.
 */
static uint32_t record_new(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                           bool initialised, uint32_t *spare)
{
    uint32_t index = ended_take(kind, site_node, initialised);
    struct pshim_lock *lock;
    if (index) {
        lock = locks_record(index);
        __atomic_store_n(&lock->address, (uintptr_t)address, __ATOMIC_RELAXED);
        __atomic_store_n(&lock->owner, 0, __ATOMIC_RELAXED);
        return index;
    }
    index = *spare;
    if (index == 0 && profile_allot(&shim.profile, PSHIM_REGION_LOCK, 1, &index) != PROFILE_OK)
        return 0;
    *spare = 0;
    lock = locks_record(index);
    lock->address = (uintptr_t)address;
    lock->site_node = site_node;
    lock->initialised = initialised;
    return index;
}

/* It was not needed: another thread was faster. */
static void record_drop(uint32_t index, uint32_t *spare)
{
    struct pshim_lock *lock = locks_record(index);
    if (lock->kind == PSHIM_LOCK_NONE) {
        *spare = index;
        return;
    }
    __atomic_store_n(&lock->state, PSHIM_LOCK_DESTROYED, __ATOMIC_RELEASE);
    ended_push(index);
}

static void lock_end(uint32_t index)
{
    struct pshim_lock *lock = locks_record(index);
    uint32_t alive = PSHIM_LOCK_ALIVE;
    if (!__atomic_compare_exchange_n(&lock->state, &alive, PSHIM_LOCK_DESTROYED, 0,
                                     __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        return;
    if (__atomic_load_n(&lock->kind, __ATOMIC_ACQUIRE) != PSHIM_LOCK_NONE)
        ended_push(index);
}

/* Is it of this kind, or not published yet? */
static bool lock_is_of(uint32_t index, enum pshim_lock_kind kind)
{
    uint32_t known = __atomic_load_n(&locks_record(index)->kind, __ATOMIC_ACQUIRE);
    return known == (uint32_t)kind || known == PSHIM_LOCK_NONE;
}

static void record_publish(uint32_t index, enum pshim_lock_kind kind)
{
    struct pshim_lock *lock = locks_record(index);
    if (lock->kind == PSHIM_LOCK_NONE)
        __atomic_store_n(&lock->kind, kind, __ATOMIC_RELEASE);
    else
        counter_add(&lock->again, 1, false); /* who took the record has it alone */
}

static uint32_t lock_find_or_add(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                                 bool initialised, uint32_t *spare)
{
    uint32_t free_slot, mine = 0;
    uint64_t holds;
    for (;;) {
        uint32_t found = lock_find(address, &free_slot, &holds);
        if (found && !lock_is_of(found, kind)) { /* its memory is another's now */
            lock_end(found);
            continue;
        }
        if (found && found == mine) /* another lock left it in just the slot that it was to take */
            break;
        if (found) {
            if (mine)
                record_drop(mine, spare);
            return found;
        }
        if (mine == 0)
            mine = record_new(address, kind, site_node, initialised, spare);
        if (mine == 0) {
            shim_lost(PSHIM_LOSS_lock_table_full);
            __atomic_store_n(&locks_record(0)->kind, PSHIM_LOCK_MUTEX, __ATOMIC_RELEASE);
            return 0;
        }
        /* Who takes a slot first wins, and the search begins anew: it may be this very lock. Two
           threads that meet a lock at once while a slot before it becomes free make it twice. */
        __atomic_store_n(&places[mine].slot, free_slot, __ATOMIC_RELAXED);
        __atomic_store_n(&locks_record(mine)->state, PSHIM_LOCK_ALIVE, __ATOMIC_RELEASE);
        if (__atomic_compare_exchange_n(&slots[free_slot], &holds, turn_on(holds, mine), 0,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            break;
    }
    record_publish(mine, kind);
    return mine;
}

uint32_t locks_get(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                   uint32_t *spare)
{
    return lock_find_or_add(address, kind, site_node, false, spare);
}

uint32_t locks_made(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                    uint32_t *spare)
{
    locks_destroyed(address);
    return lock_find_or_add(address, kind, site_node, true, spare);
}

void locks_destroyed(const void *address)
{
    uint32_t free_slot;
    uint64_t holds;
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
    uint32_t index, capacity = profile_region(&shim.profile, PSHIM_REGION_LOCK)->capacity;
    uint32_t n = power_of_two_above(capacity * 2);
    slots = sys_map_anon((size_t)n * sizeof *slots);
    was_full = sys_map_anon(n / bucket_slots);
    places = sys_map_anon((size_t)capacity * sizeof *places);
    slot_mask = n - 1;
    memset(ended, 0, sizeof ended);
    if (!slots || !was_full || !places ||
        profile_allot(&shim.profile, PSHIM_REGION_LOCK, 1, &index) != PROFILE_OK)
        return -1;
    return 0;
}
