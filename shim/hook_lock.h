/*
 * What the hooks of calls that take and give back locks have in common: one place where a call
 * tries, waits and says what became of it.
 *
 * The codes are those of the pthread functions; calls of other families translate theirs. All of
 * these stand in exported functions, whose registers are the site. The guard is never held across
 * a real call.
 */
#ifndef PERFSHIM_SHIM_HOOK_LOCK_H
#define PERFSHIM_SHIM_HOOK_LOCK_H

#include <errno.h>
#include <time.h>

#include "shim/lock_recorder.h"
#include "shim/real.h"
#include "shim/waits.h"

/* What a try gave: got the lock? (0, or its owner died) */
HOT_INLINE bool lock_is_got(int error)
{
    return error == 0 || error == EOWNERDEAD;
}

/*
 * The rest of a call whose try said `error`, not 0: the real one, whose code goes to `result`. Only
 * after EBUSY does it wait.
 */
#define LOCK_BY(address, call_, mode, error, real_call, result)                                    \
    do {                                                                                           \
        if ((error) == EBUSY) {                                                                    \
            struct unwind_regs regs_;                                                              \
            struct lock_wait w_ = {                                                                \
                .lock = (address), .regs = &regs_, .caller = LOCK_CALLER(), .call = (call_)};      \
            unwind_capture(&regs_);                                                                \
            wait_begin(&w_.span, shim_tls.self, PSHIM_WAIT_LOCK);                                  \
            lock_wait_begin(&w_);                                                                  \
            (result) = (real_call);                                                                \
            wait_end(&w_.span);                                                                    \
            lock_wait_end(&w_, result);                                                            \
            break;                                                                                 \
        }                                                                                          \
        (result) = (real_call);                                                                    \
        if (lock_is_got(result) && (mode) == PSHIM_ON)                                             \
            lock_taken_here(address, call_);                                                       \
    } while (0)

/*
 * The real call that gives a lock of a thread's own back, and what it says. Who waits for it is
 * asked before, for he may have it at once after, and booked when all is done.
 */
#define LOCK_GIVE(lock, kind, real_call)                                                           \
    do {                                                                                           \
        struct thread_state *ts_ = shim_tls.self;                                                  \
        if (likely(ts_ != NULL))                                                                   \
            ts_->held.leaving = (lock); /* what a tick finds from now on is not in the section */  \
        uint64_t now_ = lock_clock();                                                              \
        int error_;                                                                                \
        if (unlikely(tickets_may_be(lock))) {                                                      \
            struct unwind_regs regs_;                                                              \
            struct claims claims_;                                                                 \
            lock_claim(&claims_, lock, kind, now_);                                                \
            error_ = (real_call);                                                                  \
            if (likely(error_ == 0)) {                                                             \
                lock_given_back(lock, now_);                                                       \
                unwind_capture(&regs_);                                                            \
                lock_blame(&claims_, &regs_);                                                      \
            }                                                                                      \
        } else {                                                                                   \
            error_ = (real_call);                                                                  \
            if (likely(error_ == 0))                                                               \
                lock_given_back(lock, now_);                                                       \
        }                                                                                          \
        if (likely(ts_ != NULL))                                                                   \
            ts_->held.leaving = NULL;                                                              \
        return error_;                                                                             \
    } while (0)

/* A lock was initialised. */
#define LOCK_MADE(lock, kind)                                                                      \
    do {                                                                                           \
        if (likely(lock_mode() != PSHIM_OFF)) {                                                    \
            struct unwind_regs regs_;                                                              \
            unwind_capture(&regs_);                                                                \
            lock_made(lock, kind, &regs_);                                                         \
        }                                                                                          \
    } while (0)

/* Is it a time that a call accepts? Others are refused, though the lock be free. */
static inline bool lock_time_is_valid(clockid_t clock, const struct timespec *t)
{
    return (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC) && t && t->tv_nsec >= 0 &&
           t->tv_nsec < 1000000000;
}

/*
 * Whole hooks. What is exported is a few instructions without a frame, so that who records nothing,
 * or waits alone, pays for nothing more: they jump to one of the functions below, which find return
 * address and stack as the host's call left them, whatever the compiler makes of their own calls.
 * NAME_on: holds are recorded; NAME_wait: waits alone; NAME_early: the real call is not known yet.
 */
#define LOCK_ENTRY_BARE                                                                            \
    __attribute__((naked, no_instrument_function, no_profile_instrument_function,                  \
                   no_sanitize("address", "thread")))
#define LOCK_ENTRY(name, params, arguments, others)                                                \
    int name##_on params SHIM_HIDDEN;                                                              \
    int name##_early params SHIM_HIDDEN;                                                           \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wunused-parameter\"")        \
        EXPORT LOCK_ENTRY_BARE int name params                                                     \
    {                                                                                              \
        __asm__("mov shim_control(%%rip), %%rax\n\t"                                               \
                "mov %c[locks](%%rax), %%eax\n\t"                                                  \
                "cmp %[on], %%eax\n\t"                                                             \
                "je " #name "_on\n\t" others "mov real+%c[real](%%rip), %%rax\n\t"                 \
                "test %%rax, %%rax\n\t"                                                            \
                "jz " #name "_early\n\t"                                                           \
                "jmp *%%rax" ::[locks] "i"(offsetof(struct shim_control, locks)),                  \
                [on] "i"(PSHIM_ON), [real] "i"(offsetof(struct real_table, name)));                \
    }                                                                                              \
    _Pragma("GCC diagnostic pop") COLD int name##_early params                                     \
    {                                                                                              \
        return REAL_LOCK(name) arguments;                                                          \
    }

/* `tries`: an expression that says 0, EBUSY, or anything else for "ask the real call". */
#define LOCK_HOOK(name, call, lock, params, arguments, tries)                                      \
    int name##_wait params SHIM_HIDDEN;                                                            \
    LOCK_ENTRY(name, params, arguments, "test %%eax, %%eax\n\tjnz " #name "_wait\n\t")             \
    int name##_on params                                                                           \
    {                                                                                              \
        struct lock_view view = lock_look((const void *)(lock), PSHIM_CALL_##call);                \
        int error = (tries);                                                                       \
        if (unlikely(error != 0))                                                                  \
            LOCK_BY((const void *)(lock), PSHIM_CALL_##call, PSHIM_ON, error, real.name arguments, \
                    error);                                                                        \
        else                                                                                       \
            lock_taken((const void *)(lock), PSHIM_CALL_##call, view);                             \
        return error;                                                                              \
    }                                                                                              \
    int name##_wait params                                                                         \
    {                                                                                              \
        int error = (tries);                                                                       \
        if (unlikely(error != 0))                                                                  \
            LOCK_BY((const void *)(lock), PSHIM_CALL_##call, PSHIM_WAIT, error,                    \
                    real.name arguments, error);                                                   \
        return error;                                                                              \
    }

#define LOCK_TRY_HOOK(name, call, lock, params, arguments)                                         \
    LOCK_ENTRY(name, params, arguments, "")                                                        \
    int name##_on params                                                                           \
    {                                                                                              \
        int error = real.name arguments;                                                           \
        if (lock_is_got(error))                                                                    \
            lock_taken_here((const void *)(lock), PSHIM_CALL_##call);                              \
        return error;                                                                              \
    }

#define LOCK_GIVE_HOOK(name, kind, lock, params, arguments)                                        \
    LOCK_ENTRY(name, params, arguments, "")                                                        \
    int name##_on params                                                                           \
    {                                                                                              \
        LOCK_GIVE((const void *)(lock), PSHIM_LOCK_##kind, real.name arguments);                   \
    }

#define LOCK_MADE_HOOK(name, kind, lock, params, arguments)                                        \
    EXPORT int name params                                                                         \
    {                                                                                              \
        int error = REAL_LOCK(name) arguments;                                                     \
        if (likely(error == 0))                                                                    \
            LOCK_MADE((const void *)(lock), PSHIM_LOCK_##kind);                                    \
        return error;                                                                              \
    }

#define LOCK_DESTROY_HOOK(name, lock, params, arguments)                                           \
    EXPORT int name params                                                                         \
    {                                                                                              \
        int error = REAL_LOCK(name) arguments;                                                     \
        if (likely(error == 0 && lock_mode() != PSHIM_OFF))                                        \
            lock_destroyed((const void *)(lock));                                                  \
        return error;                                                                              \
    }

#endif
