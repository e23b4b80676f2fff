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
 * The record of a progress point, added if it is new; −1 when there are too many. Two threads that
 * add the same name at once make two records, which the reader sums by name.
 */
static int64_t progress_record(const char *name)
{
    struct profile *p = &shim.profile;
    const struct pshim_region *r = profile_region(p, PSHIM_REGION_PROGRESS);
    uint64_t used = pshim_load(&r->used);
    for (uint32_t i = 0; i < used && i < r->capacity; i++) {
        const struct pshim_progress *rec = profile_record(p, PSHIM_REGION_PROGRESS, i);
        uint32_t ref = pshim_load32(&rec->name);
        if (ref && strcmp(profile_string(p, ref), name) == 0)
            return i;
    }
    uint32_t index;
    uint32_t ref = profile_string_add(p, name, 255);
    if (!ref || profile_allot(p, PSHIM_REGION_PROGRESS, 1, &index) != PROFILE_OK) {
        shim_lost(PSHIM_LOSS_progress_table_full);
        return -1;
    }
    struct pshim_progress *rec = profile_record(p, PSHIM_REGION_PROGRESS, index);
    __atomic_store_n(&rec->name, ref, __ATOMIC_RELEASE);
    return index;
}

static COLD struct pshim_account *progress_account(struct thread_state *ts, const char *name)
{
    int64_t index = progress_record(name);
    if (index < 0)
        return NULL;
    struct pshim_account *a = account_get(ts->recorder, PSHIM_KIND_PROGRESS, (uint32_t)index);
    enum { slots = sizeof ts->progress / sizeof ts->progress[0] };
    for (unsigned i = slots - 1; i > 0; i--)
        ts->progress[i] = ts->progress[i - 1];
    ts->progress[0].name = name;
    ts->progress[0].account = a;
    return a;
}

static void api_progress(const char *name, uint64_t n)
{
    if (!shim_control->recording || !shim_control->on || !guard_enter())
        return;
    struct thread_state *ts = thread_self();
    struct pshim_account *a = NULL;
    if (likely(ts != NULL)) {
        for (unsigned i = 0; i < sizeof ts->progress / sizeof ts->progress[0]; i++)
            if (ts->progress[i].name == name) {
                a = ts->progress[i].account;
                break;
            }
        if (unlikely(!a))
            a = progress_account(ts, name);
    }
    if (likely(a != NULL))
        counter_add(&a->counter[0], n, account_is_shared(a));
    guard_leave(ts, 0);
}

EXPORT const struct perfshim_api perfshim_api_v1 = {
    .size = sizeof(struct perfshim_api),
    .version = 1,
    .start = api_start,
    .stop = api_stop,
    .progress = api_progress,
};
