/*
 * The locks of the process: from a lock's address to its record in the file.
 *
 * Lock-free, async-signal-safe, nobody waits. A lock has its record from its initialisation or, for
 * one that was not seen initialised, from when it is first taken, until it is destroyed. Then its
 * record stands for the next lock of that kind that the same stack makes or first takes: a program
 * that makes a lock for each request needs as many records as it has of them at a time. Whoever
 * keeps a pointer to a record sees by lock_is_at() whether it is still that of its lock.
 * A lock whose memory is reused without being destroyed stays the same one, unless it is of another
 * kind then.
 */
#ifndef PERFSHIM_SHIM_LOCKS_H
#define PERFSHIM_SHIM_LOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "profile/format.h"
#include "shim/shim.h"

/* Maps the table and makes record 0. 0, or −1 without memory. */
int locks_init(void);

/*
 * Index of the lock at this address, made if it is new: `site_node` is then where it was first
 * taken. 0 when there is no room, which is counted. *spare: as in node_get().
 */
uint32_t locks_get(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                   uint32_t *spare);

/* It was initialised at this stack: from now on it is a new lock, with this index. */
uint32_t locks_made(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
                    uint32_t *spare);

/* It was destroyed. */
void locks_destroyed(const void *address);

/* Is there room for another lock? */
bool locks_have_room(void);

static inline struct pshim_lock *locks_record(uint32_t index)
{
    return profile_record(&shim.profile, PSHIM_REGION_LOCK, index);
}

/* Another thread than before has the lock with this index, alone; only it may say so. */
void locks_owner_changed(uint32_t index, uint32_t tid);

static inline bool lock_is_alive(const struct pshim_lock *lock)
{
    return __atomic_load_n(&lock->state, __ATOMIC_RELAXED) == PSHIM_LOCK_ALIVE;
}

/* Is it the record of the lock at this address now? */
static inline bool lock_is_at(const struct pshim_lock *lock, const void *address)
{
    return lock_is_alive(lock) &&
           __atomic_load_n(&lock->address, __ATOMIC_RELAXED) == (uintptr_t)address;
}

#endif
