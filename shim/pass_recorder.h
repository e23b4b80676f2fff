/*
 * Waits for what nobody holds: semaphores, barriers, initialisation that another thread is at,
 * conditions, futexes. Counted as locks are, in accounts of (stack, call, lock), without a hold and
 * without a holder to blame.
 *
 * The hook times its real call by waits.h and says here what became of it. Async-signal-safe, sets
 * the guard itself, keeps errno.
 */
#ifndef PERFSHIM_SHIM_PASS_RECORDER_H
#define PERFSHIM_SHIM_PASS_RECORDER_H

#include "shim/lock_recorder.h"
#include "shim/waits.h"

/* A call of this kind's waited for `took` units of the lock clock, in which the thread's ticks had
 * this weight. `got`: what it waited for came. */
void pass_waited(const void *lock, struct lock_call call, const struct unwind_regs *regs,
                 uint64_t took, uint64_t ticks, bool got);

/* A call passed without a wait, and did the work of all, which took so many units. */
void pass_done(const void *lock, struct lock_call call, const struct unwind_regs *regs,
               uint64_t worked);

/* In an exported function, whose registers are the site; ends the wait. */
#define PASS_WAITED(lock, lock_call_, span, got)                                                   \
    do {                                                                                           \
        struct unwind_regs regs_;                                                                  \
        uint64_t took_ = wait_end(span);                                                           \
        unwind_capture(&regs_);                                                                    \
        pass_waited(lock, lock_call_, &regs_, took_, (span)->ticks, got);                          \
    } while (0)

#define PASS_DONE(lock, lock_call_, worked)                                                        \
    do {                                                                                           \
        struct unwind_regs regs_;                                                                  \
        unwind_capture(&regs_);                                                                    \
        pass_done(lock, lock_call_, &regs_, worked);                                               \
    } while (0)

#endif
