/*
 * Who waits for which lock now: a ticket for each, so that whoever gives a lock back can tell whom
 * it made wait, and since when.
 *
 * A table of the process, hashed by the lock's address; addresses are compared, never followed.
 * Beside it stands a filter: how many tickets there are, by the hash's bucket. Who gives back a
 * lock that nobody waits for reads one word that nobody writes, and is done.
 *
 * Lock-free, async-signal-safe, nobody waits. A ticket belongs to the thread that opened it. One
 * whose wait ended in vain is closed, not dropped: whoever held the lock then gives it back later
 * and still answers for the time until then; that drops it. A ticket's time is charged at most
 * once: `until` moves with each who charges.
 */
#ifndef PERFSHIM_SHIM_TICKETS_H
#define PERFSHIM_SHIM_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/shim.h"

enum {
    ticket_bucket_bits = 12,
    ticket_slots = 1024,
    ticket_probes = 512, /* slots, from a lock's first, in which its tickets are */
    claims_most = 8,     /* stacks of waiters that one unlock can tell apart */
};

/* Tickets in each bucket: atomic. Not to be touched but here. */
extern uint16_t ticket_filter[1 << ticket_bucket_bits] __attribute__((visibility("hidden")));

HOT_INLINE uint32_t ticket_bucket(const void *lock)
{
    return (uint32_t)(((uintptr_t)lock >> 3) * 0x9e3779b97f4a7c15u >> (64 - ticket_bucket_bits));
}

/* May somebody wait for the lock, or have waited in vain? */
HOT_INLINE bool tickets_may_be(const void *lock)
{
    return __atomic_load_n(&ticket_filter[ticket_bucket(lock)], __ATOMIC_RELAXED) != 0;
}

/*
 * A wait for a lock begins at `since`: `node` says where, `index` is the lock's record. Returns the
 * ticket, or 0 without room.
 */
uint32_t ticket_open(const void *lock, uint32_t index, uint32_t node, uint64_t since);

/* It has ended: the lock was got, or nobody will ever ask. */
void ticket_drop(const void *lock, uint32_t ticket);

/* It has ended in vain at `now`. */
void ticket_close(uint32_t ticket, uint64_t now);

/* What the waiters at one stack are owed by who gives the lock back. */
struct claim {
    uint32_t node;  /* of the wait */
    uint32_t index; /* of the lock's record */
    uint64_t waits, time, time_max;
};

struct claims {
    uint32_t count;
    uint32_t lost; /* waits that found no room */
    struct claim items[claims_most];
};

/*
 * The lock is given back at `now` by one who has held it since `since` (0: not known). `own`: a
 * ticket that is not asked (0: none).
 */
void tickets_claim(const void *lock, uint64_t since, uint64_t now, uint32_t own,
                   struct claims *claims);

/* Drops those that were closed: the lock is no more. */
void tickets_forget(const void *lock);

#endif
