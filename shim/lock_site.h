/*
 * A thread's small table of where it takes which locks: so that taking a free lock again needs no
 * stack walk and touches nothing that other threads write.
 *
 * An entry is believed when the mutex, the hook's return address and the hook's frame are the same
 * and the return addresses of the callers further out, as many as are kept, stand in the stack
 * where they stood. Only stacks of the thread's own are kept: their memory is always there.
 */
#ifndef PERFSHIM_SHIM_LOCK_SITE_H
#define PERFSHIM_SHIM_LOCK_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile/format.h"

enum {
    lock_sites = 64,
    lock_site_callers = 12,    /* return addresses that are compared, beside the hook's own */
    lock_site_words_max = 4096 /* of stack in which they are looked for */
};

/* Of a hook: its return address, and the address above it. */
struct lock_caller {
    uintptr_t pc;
    const uintptr_t *frame;
};

struct lock_site {
    const void *mutex; /* NULL = no entry */
    struct lock_caller caller;
    struct pshim_account *account;
    const struct pshim_lock *lock;
    uint64_t sum; /* of the callers' return addresses */
    uint32_t index;
    uint16_t callers;
    uint16_t at[lock_site_callers]; /* where they stand: words above the frame */
};

static inline struct lock_site *lock_site_slot(struct lock_site *sites, const void *mutex,
                                               struct lock_caller c)
{
    uint64_t h = (uintptr_t)mutex >> 3 ^ c.pc << 7 ^ (uintptr_t)c.frame << 13;
    return &sites[h * 0x9e3779b97f4a7c15u >> 58];
}

static inline uint64_t lock_site_sum(const struct lock_site *site)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < site->callers; i++)
        sum += site->caller.frame[site->at[i]] * (2 * i + 1); /* also where two changed places */
    return sum;
}

/* Is the entry of this mutex, at this very stack? The lock itself may have been destroyed since. */
static inline bool lock_site_is(const struct lock_site *site, const void *mutex,
                                struct lock_caller c)
{
    return site->mutex == mutex && site->caller.pc == c.pc && site->caller.frame == c.frame &&
           lock_site_sum(site) == site->sum;
}

/*
 * Where the callers' return addresses stand in the stack: pcs[0..depth) as a walk gave them, the
 * hook's caller first. The search goes outwards, up to `end`, and stops at the first that is not
 * found.
 */
static inline void lock_site_locate(struct lock_site *site, const uintptr_t *pcs, unsigned depth,
                                    const uintptr_t *end)
{
    const uintptr_t *frame = site->caller.frame;
    size_t words = (size_t)(end - frame), at = 0;
    if (words > lock_site_words_max)
        words = lock_site_words_max;
    site->callers = 0;
    for (unsigned i = 1; i < depth && site->callers < lock_site_callers; i++, at++) {
        while (at < words && frame[at] != pcs[i] + 1)
            at++;
        if (at >= words)
            break;
        site->at[site->callers++] = (uint16_t)at;
    }
    site->sum = lock_site_sum(site);
}

#endif
