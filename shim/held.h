/*
 * The locks that a thread holds: a small array, searched from the one taken last.
 *
 * Locks need not be given back in the order they were taken. Only the thread itself touches its
 * array, with the guard held, so that its ticks find it whole. Pure: no clock, no file.
 */
#ifndef PERFSHIM_SHIM_HELD_H
#define PERFSHIM_SHIM_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile/format.h"

enum { held_max = 16 };

struct held_lock {
    const void *address;           /* an address to compare, never followed */
    struct pshim_account *account; /* where the hold is booked; NULL: taken while paused */
    uint64_t since;                /* units of the lock clock */
    uint64_t allocs;               /* allocations of the thread until then */
    uint32_t lock;                 /* index of the LOCK record */
    uint32_t depth;                /* held_depth(), and above it held_weight() */
    uint32_t stops;                /* how often recording had been stopped */
};

/* How often a recursive hold was taken; 1 = once. */
static inline uint32_t held_depth(const struct held_lock *h)
{
    return h->depth & 0xffffff;
}
/* For how many holds this one goes into a histogram; 0: it does not, as most. Beside the depth, so
   that who gives a lock back asks for both at once. */
static inline uint32_t held_weight(const struct held_lock *h)
{
    return h->depth >> 24;
}
static inline void held_weigh(struct held_lock *h, uint32_t weight)
{
    h->depth |= weight << 24;
}

struct held {
    uint32_t count;
    uint32_t overflow;   /* taken when there was no room, not given back yet */
    const void *leaving; /* being given back now: the real call may wake who waits for it */
    struct held_lock locks[held_max];
};

/* The entry of a lock, or NULL. */
static inline struct held_lock *held_find(struct held *h, const void *address)
{
    for (uint32_t i = h->count; i-- > 0;)
        if (h->locks[i].address == address)
            return &h->locks[i];
    return NULL;
}

/* The entry added last, or NULL. */
static inline struct held_lock *held_top(struct held *h)
{
    return h->count ? &h->locks[h->count - 1] : NULL;
}

/* The lock taken last that is still held, or NULL. */
static inline const struct held_lock *held_last(const struct held *h)
{
    for (uint32_t i = h->count; i-- > 0;)
        if (h->locks[i].address != h->leaving)
            return &h->locks[i];
    return NULL;
}

/* Adds an entry for the caller to fill; NULL, and counted in `overflow`, when there is no room. */
static inline struct held_lock *held_push(struct held *h)
{
    if (__builtin_expect(h->count >= held_max, 0)) {
        h->overflow++;
        return NULL;
    }
    return &h->locks[h->count++];
}

/* Removes an entry; those above it move down. */
static inline void held_remove(struct held *h, struct held_lock *at)
{
    struct held_lock *last = &h->locks[--h->count];
    for (; at < last; at++)
        at[0] = at[1];
}

/* A lock that is in no entry is given back: true if it is one that found no room. */
static inline bool held_overflow_left(struct held *h)
{
    if (h->overflow == 0)
        return false;
    h->overflow--;
    return true;
}

static inline void held_clear(struct held *h)
{
    h->count = h->overflow = 0;
    h->leaving = NULL;
}

#endif
