#include "shim/timing.h"

#include "shim/recorder.h"
#include "shim/thread.h"

/* Where in its stratum the timed call lies. */
static int32_t place_in(uint32_t stratum, uint32_t thread)
{
    uint64_t h = ((uint64_t)stratum << 32 | thread) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return (int32_t)(h >> 58);
}

COLD bool timing_due(void)
{
    struct thread_state *ts = shim_tls.self;
    shim_tls.until_timed = 0;
    if (!ts)
        return false;
    uint32_t drawn = ts->timed_strata;
    if (drawn == 0) { /* this is call 0 of the first stratum */
        int32_t first = place_in(0, ts->serial);
        ts->timed_strata = drawn = 1;
        if (first > 0) {
            shim_tls.until_timed = first - 1;
            return false;
        }
    }
    ts->timed_strata = drawn + 1;
    shim_tls.until_timed =
        timing_each - place_in(drawn - 1, ts->serial) + place_in(drawn, ts->serial) - 1;
    return true;
}

COLD void timing_book(uint32_t node, enum pshim_site_counter counter, uint64_t took,
                      uint32_t weight)
{
    if (!node || !guard_enter())
        return;
    struct thread_state *ts = thread_self();
    if (likely(ts != NULL)) {
        struct pshim_account *a = recorder_site(ts, node);
        recorder_site_add(a, counter, took < timing_long ? took * weight : took);
        recorder_site_add(a, PSHIM_SITE_TIMED, 1);
    }
    guard_leave(ts, node);
}
