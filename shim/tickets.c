#include "shim/tickets.h"

#include "shim/lock_clock.h"

enum { slot_free = 0, slot_busy = 1 }; /* instead of an address */

struct ticket {
    uintptr_t key;  /* atomic, stored last: the lock's address */
    uint64_t until; /* atomic: the wait is charged until then */
    uint64_t end;   /* atomic: 0 while it lasts */
    uint32_t node, index;
};

static struct ticket tickets[ticket_slots];
uint16_t ticket_filter[1 << ticket_bucket_bits];

static struct ticket *slot_at(uint32_t bucket, uint32_t probe)
{
    return &tickets[(bucket + probe) % ticket_slots];
}

static void filter_leave(uint32_t bucket)
{
    __atomic_fetch_sub(&ticket_filter[bucket], 1, __ATOMIC_RELAXED);
}

/* A slot for a new ticket, taken; NULL without one. */
static struct ticket *slot_take(uint32_t bucket)
{
    for (uint32_t i = 0; i < ticket_probes; i++) {
        struct ticket *t = slot_at(bucket, i);
        uintptr_t key = __atomic_load_n(&t->key, __ATOMIC_RELAXED);
        if (key == slot_free && __atomic_compare_exchange_n(&t->key, &key, slot_busy, 0,
                                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return t;
    }
    /* Of locks that nobody has given back since a wait for them ended in vain. */
    for (uint32_t i = 0; i < ticket_probes; i++) {
        struct ticket *t = slot_at(bucket, i);
        uintptr_t key = __atomic_load_n(&t->key, __ATOMIC_ACQUIRE);
        if (key > slot_busy && __atomic_load_n(&t->end, __ATOMIC_RELAXED) &&
            __atomic_compare_exchange_n(&t->key, &key, slot_busy, 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            filter_leave(ticket_bucket((const void *)key));
            return t;
        }
    }
    return NULL;
}

uint32_t ticket_open(const void *lock, uint32_t index, uint32_t node, uint64_t since)
{
    uint32_t bucket = ticket_bucket(lock);
    struct ticket *t = slot_take(bucket);
    if (!t)
        return 0;
    __atomic_store_n(&t->until, since, __ATOMIC_RELAXED);
    __atomic_store_n(&t->end, 0, __ATOMIC_RELAXED);
    t->node = node;
    t->index = index;
    __atomic_store_n(&t->key, (uintptr_t)lock, __ATOMIC_RELEASE);
    /* Before the real call, which is a barrier: who gives the lock back then sees it. */
    __atomic_fetch_add(&ticket_filter[bucket], 1, __ATOMIC_SEQ_CST);
    return (uint32_t)(t - tickets) + 1;
}

/* By one who may not be alone in it. */
static void slot_leave(struct ticket *t, uintptr_t key)
{
    if (__atomic_compare_exchange_n(&t->key, &key, slot_free, 0, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED))
        filter_leave(ticket_bucket((const void *)key));
}

void ticket_drop(const void *lock, uint32_t ticket)
{
    if (ticket)
        slot_leave(&tickets[ticket - 1], (uintptr_t)lock);
}

void ticket_close(uint32_t ticket, uint64_t now)
{
    if (ticket)
        __atomic_store_n(&tickets[ticket - 1].end, now | 1, __ATOMIC_RELEASE);
}

/* What of the wait is owed by one who has held the lock since then, until `now`: it is paid. */
static uint64_t ticket_charge(struct ticket *t, uint64_t since, uint64_t now)
{
    uint64_t paid = pshim_load(&t->until), from;
    do {
        if ((int64_t)(now - paid) <= 0)
            return 0;
        from = since && (int64_t)(since - paid) > 0 ? since : paid;
    } while (
        !__atomic_compare_exchange_n(&t->until, &paid, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return lock_clock_since(from, now);
}

static void claim_add(struct claims *claims, const struct ticket *t, uint64_t time)
{
    struct claim *c = claims->items, *end = c + claims->count;
    while (c < end && (c->node != t->node || c->index != t->index))
        c++;
    if (c == end) {
        if (claims->count == claims_most) {
            claims->lost++;
            return;
        }
        claims->count++;
        *c = (struct claim){.node = t->node, .index = t->index};
    }
    c->waits++;
    c->time += time;
    if (time > c->time_max)
        c->time_max = time;
}

void tickets_claim(const void *lock, uint64_t since, uint64_t now, uint32_t own,
                   struct claims *claims)
{
    uint32_t bucket = ticket_bucket(lock), seen = 0;
    uint32_t count = __atomic_load_n(&ticket_filter[bucket], __ATOMIC_ACQUIRE);
    claims->count = claims->lost = 0;
    for (uint32_t i = 0; i < ticket_probes && seen < count; i++) {
        struct ticket *t = slot_at(bucket, i);
        uintptr_t key = __atomic_load_n(&t->key, __ATOMIC_ACQUIRE);
        if (key <= slot_busy)
            continue;
        seen += key == (uintptr_t)lock || ticket_bucket((const void *)key) == bucket;
        if (key != (uintptr_t)lock || own == (uint32_t)(t - tickets) + 1)
            continue;
        uint64_t end = __atomic_load_n(&t->end, __ATOMIC_ACQUIRE);
        uint64_t time = ticket_charge(t, since, end && (int64_t)(now - end) > 0 ? end : now);
        if (time)
            claim_add(claims, t, time);
        if (end)
            slot_leave(t, key);
    }
}

void tickets_forget(const void *lock)
{
    uint32_t bucket = ticket_bucket(lock);
    if (!tickets_may_be(lock))
        return;
    for (uint32_t i = 0; i < ticket_probes; i++) {
        struct ticket *t = slot_at(bucket, i);
        uintptr_t key = __atomic_load_n(&t->key, __ATOMIC_ACQUIRE);
        if (key == (uintptr_t)lock && __atomic_load_n(&t->end, __ATOMIC_RELAXED))
            slot_leave(t, key);
    }
}
