/*
 * Two small tables of a thread, so that taking a free lock again needs no stack walk and touches
 * nothing that other threads write: of the stacks at which it takes locks, and of what each lock
 * taken at a stack is booked on. A call that goes through many locks (the shards of a table) has
 * one entry in the first and as many in the second as there are locks.
 *
 * A stack is believed when the hook's return address and the hook's frame are the same
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
    lock_sites = 32,
    lock_books = 128,
    lock_site_callers = 12,    /* return addresses that are compared, beside the hook's own */
    lock_site_words_max = 4096 /* of stack in which they are looked for */
};

/* Of a hook: its return address, and the address above it. */
struct lock_caller {
    uintptr_t pc;
    const uintptr_t *frame;
};

struct lock_site {
    struct lock_caller caller; /* pc 0 = no entry */
    uint64_t sum;              /* of the callers' return addresses */
    uint32_t stack;            /* node */
    uint16_t callers;
    uint16_t at[lock_site_callers]; /* where they stand: words above the frame */
};

/* What a lock is booked on when a call takes it at a stack. */
struct lock_book {
    const void *address; /* NULL = no entry */
    const struct pshim_lock *lock;
    struct pshim_account *account;
    uint32_t index : 24; /* of the lock */
    int8_t until_mark;   /* acquisitions before the one whose hold goes into the histogram */
    uint32_t stack : 24;
    uint32_t call : 8; /* enum pshim_call */
};

static inline struct lock_site *lock_site_slot(struct lock_site *sites, struct lock_caller c)
{
    uint64_t h = c.pc << 7 ^ (uintptr_t)c.frame << 13;
    return &sites[h * 0x9e3779b97f4a7c15u >> 59];
}

static inline struct lock_book *lock_book_slot(struct lock_book *books, const void *address,
                                               uint32_t stack)
{
    uint64_t h = (uintptr_t)address >> 3 ^ (uint64_t)stack << 32;
    return &books[h * 0x9e3779b97f4a7c15u >> 57];
}

/* A lock may have been destroyed since, and the thread may have another recorder. */
static inline bool lock_book_is(const struct lock_book *b, const void *address, uint32_t stack,
                                enum pshim_call call, uint32_t recorder)
{
    return b->address == address && b->stack == stack && b->call == call &&
           b->account->recorder == recorder;
}

static inline uint64_t lock_site_sum(const struct lock_site *site)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < site->callers; i++)
        sum += site->caller.frame[site->at[i]] * (2 * i + 1); /* also where two changed places */
    return sum;
}

/* Is it the entry of this very stack? */
static inline bool lock_site_is(const struct lock_site *site, struct lock_caller c)
{
    return site->caller.pc == c.pc && site->caller.frame == c.frame &&
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
