#include "shim/waits.h"

static bool is_own(const struct thread_state *ts, uintptr_t sp)
{
    return sp - ts->stack.lo < ts->stack.hi - ts->stack.lo;
}

COLD bool wait_is_left(const struct thread_state *ts, uintptr_t sp)
{
    bool waits_there = is_own(ts, ts->waiting.sp);
    if (waits_there != is_own(ts, sp))
        return !waits_there; /* else it is in a handler on an alternate stack */
    return ts->waiting.sp <= sp;
}

COLD void wait_left(struct thread_state *ts, uint64_t now, uint64_t ran_ns)
{
    enum pshim_wait what = ts->waiting.what;
    uint64_t ticks = ts->waiting.ticks;
    ts->waiting.what = PSHIM_WAIT_RUN;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ts->record_is_shared)
        return; /* when it began stands in no record */
    uint64_t since = pshim_load(&ts->record->waiting) & ~(uint64_t)3;
    bool jumped = lock_clock_since(since, ts->waiting.left) != 0;
    uint64_t took = lock_clock_since(since, jumped ? ts->waiting.left : now);
    uint64_t ran = jumped ? 0 : lock_clock_units(ran_ns);
    __atomic_store_n(&ts->record->waiting, 0, __ATOMIC_RELAXED);
    if (!since || !shim_control->recording)
        return;
    counter_add(&ts->record->wait[what], took > ran ? took - ran : 0, false);
    counter_add(&ts->record->wait_ticks[what], ticks, false);
}
