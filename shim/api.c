/* What perfshim.h calls. */
#include "shim/perfshim.h"

#include <string.h>

#include "shim/nodes.h"
#include "shim/real.h"
#include "shim/recorder.h"
#include "shim/thread.h"
#include "shim/timeline.h"

static void api_recording(uint32_t on)
{
    if (!shim_control->on)
        return;
    if (__atomic_exchange_n(&shim_control->recording, on, __ATOMIC_ACQ_REL) == on)
        return;
    __atomic_store_n(&shim.profile.header->recording, on, __ATOMIC_RELAXED);
    thread_note_pause(on);
    timeline_switch(on);
    if (!on)
        thread_each(timeline_tell_for); /* what was recorded until now */
}

static void api_start(void)
{
    api_recording(1);
}

static void api_stop(void)
{
    if (shim_control->on)
        __atomic_fetch_add(&shim_control->stops, 1, __ATOMIC_RELAXED); /* ends holds unseen */
    api_recording(0);
}

/*
 * The record of a name, added if it is new; −1 when there are too many. Two threads that add the
 * same name at once make two records, which the reader sums by name.
 */
static int64_t name_record(const char *name, uint32_t use)
{
    enum { names_max = 4096 /* they are looked through one by one */, name_bytes_max = 255 };
    struct profile *p = &shim.profile;
    const struct pshim_region *r = profile_region(p, PSHIM_REGION_PROGRESS);
    uint64_t used = pshim_load(&r->used);
    for (uint32_t i = 0; i < used && i < r->capacity; i++) {
        const struct pshim_progress *rec = profile_record(p, PSHIM_REGION_PROGRESS, i);
        uint32_t ref = pshim_load32(&rec->name);
        if (ref && rec->use == use && strncmp(profile_string(p, ref), name, name_bytes_max) == 0)
            return i;
    }
    uint32_t index;
    uint32_t ref = used < names_max ? profile_string_add(p, name, name_bytes_max) : 0;
    if (!ref || profile_allot(p, PSHIM_REGION_PROGRESS, 1, &index) != PROFILE_OK) {
        shim_lost(PSHIM_LOSS_progress_table_full);
        return -1;
    }
    struct pshim_progress *rec = profile_record(p, PSHIM_REGION_PROGRESS, index);
    rec->use = use;
    __atomic_store_n(&rec->name, ref, __ATOMIC_RELEASE);
    return index;
}

/* NULL when there is no room for it. */
static COLD struct pshim_account *name_account_new(struct thread_state *ts, enum pshim_kind kind,
                                                   const char *name, uintptr_t key, unsigned at)
{
    int64_t index = name_record(name, kind == PSHIM_KIND_PROGRESS ? 0 : kind);
    if (index < 0)
        return NULL;
    struct pshim_account *a = account_get(ts->recorder, kind, (uint32_t)index);
    ts->named[at].key = 0; /* until it is whole: a signal handler may come here */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ts->named[at].account = a;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ts->named[at].key = key;
    return a;
}

HOT_INLINE struct pshim_account *name_account(struct thread_state *ts, enum pshim_kind kind,
                                              const char *name)
{
    enum { address_bits = 56 };
    uintptr_t key = (uintptr_t)name ^ (uintptr_t)kind << address_bits;
    unsigned at = (unsigned)((uintptr_t)name ^ (uintptr_t)name >> 4 ^ kind) % shim_names_at_hand;
    if (likely(ts->named[at].key == key))
        return ts->named[at].account;
    return name_account_new(ts, kind, name, key, at);
}

/* The thread, with the guard held; NULL: nothing is recorded now. */
HOT_INLINE struct thread_state *api_enter(void)
{
    if (!shim_control->on)
        return NULL;
    if (unlikely(!guard_enter())) { /* a signal handler within our work */
        shim_lost(PSHIM_LOSS_recursion);
        return NULL;
    }
    struct thread_state *ts = thread_self();
    if (unlikely(!ts))
        guard_leave(NULL, 0);
    return ts;
}

/* Adds n to a counter, and `next` to the one after it. */
HOT_INLINE void api_count(enum pshim_kind kind, const char *name, unsigned counter, uint64_t n,
                          uint64_t next)
{
    struct thread_state *ts = shim_control->recording ? api_enter() : NULL;
    if (!ts)
        return;
    struct pshim_account *a = name_account(ts, kind, name);
    if (likely(a != NULL)) {
        if (n)
            counter_add(&a->counter[counter], n, account_is_shared(a));
        if (next)
            counter_add(&a->counter[counter + 1], next, account_is_shared(a));
    }
    guard_leave(ts, 0);
}

static void api_progress(const char *name, uint64_t n)
{
    api_count(PSHIM_KIND_PROGRESS, name, 0, n, 0);
}

static void api_pool_add(const char *name, uint64_t gets, uint64_t puts)
{
    api_count(PSHIM_KIND_POOL, name, PSHIM_POOL_GETS, gets, puts);
}

/* Also while paused: its end must find its begin. */
static void api_region_begin(const char *name)
{
    struct thread_state *ts = api_enter();
    if (!ts)
        return;
    spans_begin(ts, name,
                shim_control->recording ? name_account(ts, PSHIM_KIND_REGION, name) : NULL);
    guard_leave(ts, 0);
}

static void api_region_end(const char *name)
{
    struct thread_state *ts = api_enter();
    if (!ts)
        return;
    spans_end(ts, name);
    guard_leave(ts, 0);
}

static int api_allocations(uint64_t *calls, uint64_t *bytes)
{
    if (!shim_control->on || shim.profile.header->alloc_mode == PSHIM_OFF)
        return 0;
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_ACCOUNT);
    uint64_t used = pshim_load(&r->used);
    for (uint32_t i = 0; i < used && i < r->capacity; i++) {
        const struct pshim_account *a = profile_record(&shim.profile, PSHIM_REGION_ACCOUNT, i);
        if (__atomic_load_n(&a->kind, __ATOMIC_ACQUIRE) != PSHIM_KIND_ALLOC)
            continue;
        *calls += pshim_load(&a->counter[PSHIM_ALLOC_CALLS]);
        *bytes += pshim_load(&a->counter[PSHIM_ALLOC_BYTES]);
    }
    return 1;
}

EXPORT const struct perfshim_api perfshim_api_v1 = {
    .size = sizeof(struct perfshim_api),
    .version = 1,
    .start = api_start,
    .stop = api_stop,
    .progress = api_progress,
    .region_begin = api_region_begin,
    .region_end = api_region_end,
    .pool_add = api_pool_add,
    .allocations = api_allocations,
};
