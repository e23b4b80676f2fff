/*
 * The locks of the process: from a lock's address to its record in the file.
 *
 * Lock-free, async-signal-safe, nobody waits. A lock has its record from its initialisation or, for
 * one that was not seen initialised, from when it is first taken, until it is destroyed; records
 * are never used twice, so whoever keeps a pointer to one sees in `state` whether it is still it.
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

/* It was initialised at this stack: from now on it is a new lock. */
void locks_made(const void *address, enum pshim_lock_kind kind, uint32_t site_node,
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

#endif
