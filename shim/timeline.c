#include "shim/timeline.h"

#include "shim/lock_clock.h"

/* About a millisecond: processors count 1 to 5 thousand million units a second. */
enum { gate_units = 1 << 21, gate_events = 64 };

static struct pshim_moment *current; /* atomic: where somebody told last; NULL without any */

static uint64_t live_now(void)
{
    int64_t live = (int64_t)pshim_load(&shim.profile.header->live_bytes);
    return live > 0 ? (uint64_t)live : 0; /* a thread may hold back what it allocated */
}

/*
 * The moment of a time. One that finds no room on the disk, or lies past the end of the table,
 * goes into the last one there is; what is there was made by timeline_init(). NULL without any.
 */
static struct pshim_moment *moment_at(uint64_t now_ns)
{
    struct profile *p = &shim.profile;
    const struct pshim_region *r = profile_region(p, PSHIM_REGION_MOMENT);
    uint64_t start = p->header->start_monotonic_ns;
    uint64_t slot = pshim_moment_slot(now_ns > start ? now_ns - start : 0), used;
    uint32_t index;
    if (unlikely(slot >= r->capacity)) {
        shim_lost(PSHIM_LOSS_timeline_full);
        slot = r->capacity - 1;
    }
    if (unlikely(r->capacity == 0))
        return NULL;
    /* Threads that come at once make a few more than are needed: these are there later. */
    while (slot >= (used = pshim_load(&r->used)))
        if (profile_allot(p, PSHIM_REGION_MOMENT, (uint32_t)(slot + 1 - used), &index) !=
                PROFILE_OK &&
            slot >= pshim_load(&r->used)) {
            slot = pshim_load(&r->used) - 1;
            break;
        }
    return slot < r->capacity ? profile_record(p, PSHIM_REGION_MOMENT, (uint32_t)slot) : NULL;
}

static void live_note(struct pshim_moment *m)
{
    uint64_t live = live_now(), most = pshim_load(&m->live_max);
    __atomic_store_n(&m->live_bytes, live, __ATOMIC_RELAXED);
    while (most < live && !__atomic_compare_exchange_n(&m->live_max, &most, live, 0,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static struct pshim_moment *moment_touch(uint64_t now_ns)
{
    struct pshim_moment *m = moment_at(now_ns);
    if (unlikely(!m))
        return NULL;
    live_note(m);
    __atomic_store_n(&m->touched, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&current, m, __ATOMIC_RELAXED);
    return m;
}

static void add(uint64_t *to, uint64_t n)
{
    if (n)
        __atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

/*
 * What a counter has grown since it was told last. Two threads may tell for one, each with the
 * count it saw: the exchange makes their differences add up, one may be negative.
 */
static uint64_t untold(const uint64_t *counter, uint64_t *told)
{
    uint64_t now = pshim_load(counter);
    return now - __atomic_exchange_n(told, now, __ATOMIC_RELAXED);
}

static void allocs_tell(struct thread_state *ts, struct pshim_moment *m)
{
    add(&m->allocs, untold(&ts->alloc_events, &ts->told_allocs));
    add(&m->alloc_bytes, untold(&ts->alloc_bytes, &ts->told_bytes));
}

void timeline_tell(struct thread_state *ts, uint64_t now_ns, uint64_t ticks, int64_t extra_ns)
{
    struct pshim_moment *m = moment_touch(now_ns);
    if (unlikely(!m))
        return;
    add(&m->ticks, ticks);
    add(&m->extra_ns, (uint64_t)extra_ns);
    allocs_tell(ts, m);
    ts->told_units = lock_clock_is_tsc ? lock_clock() : ts->alloc_events;
}

/* The moment that was told of last; NULL if the thread should ask the clock again. */
static struct pshim_moment *moment_at_hand(const struct thread_state *ts)
{
    uint64_t passed = lock_clock_is_tsc ? lock_clock_since(ts->told_units, lock_clock())
                                        : ts->alloc_events - ts->told_units;
    if (unlikely(passed >= (lock_clock_is_tsc ? (uint64_t)gate_units : gate_events)))
        return NULL;
    return __atomic_load_n(&current, __ATOMIC_RELAXED);
}

void timeline_live(struct thread_state *ts)
{
    struct pshim_moment *m = moment_at_hand(ts);
    if (likely(m != NULL))
        live_note(m);
    else
        timeline_tell(ts, shim_now_ns(), 0, 0);
}

void timeline_allocs(struct thread_state *ts)
{
    struct pshim_moment *m = moment_at_hand(ts);
    if (likely(m != NULL))
        allocs_tell(ts, m);
    else
        timeline_tell(ts, shim_now_ns(), 0, 0);
}

void timeline_tell_for(struct thread_state *other)
{
    struct pshim_moment *m = __atomic_load_n(&current, __ATOMIC_RELAXED);
    if (m)
        allocs_tell(other, m);
}

void timeline_switch(bool on)
{
    struct pshim_moment *m = moment_touch(shim_now_ns());
    if (unlikely(!m))
        return;
    __atomic_store_n(&m->recording, PSHIM_MOMENT_PART | (on ? PSHIM_MOMENT_ON : PSHIM_MOMENT_OFF),
                     __ATOMIC_RELAXED);
}

void timeline_init(bool on)
{
    struct pshim_moment *m = moment_touch(shim_now_ns());
    if (m && !on)
        __atomic_store_n(&m->recording, PSHIM_MOMENT_OFF, __ATOMIC_RELAXED);
}
