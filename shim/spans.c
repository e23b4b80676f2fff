#include "shim/spans.h"

#include <string.h>

#include "shim/lock_clock.h"
#include "shim/shim.h"

void spans_begin(struct thread_state *ts, const char *name, struct pshim_account *account)
{
    struct spans *s = &ts->spans;
    if (unlikely(s->count == spans_max)) {
        s->over++;
        shim_lost(PSHIM_LOSS_region_depth);
        return;
    }
    struct span *open = &s->open[s->count];
    *open = (struct span){
        .name = name,
        .account = account,
        .ticks = ts->ticks,
        .allocs = ts->alloc_events,
        .alloc_bytes = ts->alloc_bytes,
        .lock_wait = ts->lock_wait,
        .stops = shim_control->stops,
    };
    s->count++;
    open->begun = lock_clock(); /* last: our own work is not in it */
}

static bool is_open_further_out(const struct spans *s, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (s->open[i].account == s->open[at].account)
            return true;
    return false;
}

static void span_book(struct thread_state *ts, uint32_t at, uint64_t now)
{
    const struct span *open = &ts->spans.open[at];
    struct pshim_account *a = open->account;
    if (unlikely(!a || !shim_control->recording || open->stops != shim_control->stops))
        return;
    bool shared = account_is_shared(a);
    counter_add(&a->counter[PSHIM_SPAN_CALLS], 1, shared);
    if (unlikely(at && is_open_further_out(&ts->spans, at)))
        return;
    uint64_t wall = lock_clock_since(open->begun, now);
    counter_add(&a->counter[PSHIM_SPAN_WALL], wall, shared);
    counter_max(&a->counter[PSHIM_SPAN_WALL_MAX], wall, shared);
    if (ts->ticks != open->ticks)
        counter_add(&a->counter[PSHIM_SPAN_TICKS], ts->ticks - open->ticks, shared);
    if (ts->alloc_events != open->allocs) {
        counter_add(&a->counter[PSHIM_SPAN_ALLOCS], ts->alloc_events - open->allocs, shared);
        counter_add(&a->counter[PSHIM_SPAN_ALLOC_BYTES], ts->alloc_bytes - open->alloc_bytes,
                    shared);
    }
    if (ts->lock_wait != open->lock_wait)
        counter_add(&a->counter[PSHIM_SPAN_LOCK_WAIT], ts->lock_wait - open->lock_wait, shared);
}

static bool is_name(const struct span *open, const char *name)
{
    return open->name == name || strcmp(open->name, name) == 0;
}

void spans_end(struct thread_state *ts, const char *name)
{
    uint64_t now = lock_clock();
    struct spans *s = &ts->spans;
    if (unlikely(s->over)) {
        s->over--;
        return;
    }
    uint32_t at = s->count;
    while (at && !is_name(&s->open[at - 1], name))
        at--;
    if (unlikely(!at)) {
        shim_lost(PSHIM_LOSS_region_unbegun);
        return;
    }
    if (unlikely(at != s->count))
        profile_lost(&shim.profile, PSHIM_LOSS_region_unended, s->count - at);
    span_book(ts, at - 1, now);
    s->count = at - 1;
}

void spans_end_all(struct thread_state *ts)
{
    uint64_t now = lock_clock();
    for (; ts->spans.count; ts->spans.count--)
        span_book(ts, ts->spans.count - 1, now);
    ts->spans.over = 0;
}
