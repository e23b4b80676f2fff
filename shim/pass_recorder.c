#include "shim/pass_recorder.h"

#include <errno.h>

/* What the call is booked on: as kept, or by a walk. With the guard held. */
static struct pshim_account *account_at(struct thread_state *ts, const void *lock,
                                        struct lock_call call, const struct unwind_regs *regs)
{
    return lock_book_at(ts, lock, call, recorder_stack(ts, regs))->account;
}

/* NULL: nothing is to be booked now. Else the guard is held. */
static struct thread_state *enter(void)
{
    return likely(shim_control->recording) ? lock_enter() : NULL;
}

static bool is_blocking(enum pshim_call call)
{
    static const uint8_t waits[] = {
#define X(id, name, wait) PSHIM_WAIT_##wait,
        PSHIM_CALLS(X)
#undef X
    };
    return waits[call] == PSHIM_WAIT_LOCK;
}

void pass_waited(const void *lock, struct lock_call call, const struct unwind_regs *regs,
                 uint64_t took, uint64_t ticks, bool got)
{
    int kept = errno;
    struct thread_state *ts = enter();
    if (!ts)
        return;
    struct pshim_account *a = account_at(ts, lock, call, regs);
    bool shared = account_is_shared(a);
    if (got)
        counter_add(&a->counter[PSHIM_LOCK_ACQUISITIONS], 1, shared);
    counter_add(&a->counter[PSHIM_LOCK_CONTENTIONS], 1, shared);
    counter_add(&a->counter[PSHIM_LOCK_WAIT], took, shared);
    counter_max(&a->counter[PSHIM_LOCK_WAIT_MAX], took, shared);
    lock_times_waited(a, took);
    if (unlikely(ticks)) { /* they are CPU time already: not to be counted twice */
        struct pshim_account *beside = account_get(ts->recorder, PSHIM_KIND_WAIT, a->node);
        counter_add(&beside->counter[PSHIM_WAIT_TICKS], ticks, account_is_shared(beside));
    }
    if (is_blocking(call.call))
        ts->lock_wait += took;
    lock_leave(ts, a);
    errno = kept;
}

void pass_done(const void *lock, struct lock_call call, const struct unwind_regs *regs,
               uint64_t worked)
{
    int kept = errno;
    struct thread_state *ts = enter();
    if (!ts)
        return;
    struct pshim_account *a = account_at(ts, lock, call, regs);
    bool shared = account_is_shared(a);
    counter_add(&a->counter[PSHIM_LOCK_ACQUISITIONS], 1, shared);
    counter_add(&a->counter[PSHIM_LOCK_HOLD], worked, shared);
    counter_max(&a->counter[PSHIM_LOCK_HOLD_MAX], worked, shared);
    if (worked)
        lock_times_held(a, worked, 1);
    lock_leave(ts, a);
    errno = kept;
}
