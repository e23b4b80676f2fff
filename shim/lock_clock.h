/*
 * The clock of lock times: the processor's time-stamp counter (12 ns) where it runs evenly and may
 * be read, else CLOCK_MONOTONIC by system call. What one unit is stands in the header.
 *
 * Async-signal-safe, any thread. Counters of two processors may differ by a little: a difference
 * can be negative, and is then 0.
 */
#ifndef PERFSHIM_SHIM_LOCK_CLOCK_H
#define PERFSHIM_SHIM_LOCK_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/shim.h"

extern bool lock_clock_is_tsc SHIM_HIDDEN;
extern uint64_t lock_clock_reading
    SHIM_HIDDEN; /* units between two lock_clock_in_order(), at least */

HOT_INLINE uint64_t lock_clock(void)
{
    return likely(lock_clock_is_tsc) ? __builtin_ia32_rdtsc() : shim_now_ns();
}

/*
 * The same in the program's order: what comes before is done, what comes after has not begun. By
 * itself the counter is read while earlier instructions are still at work, and the first of the
 * later ones already: a few ns of work between two readings would seem to take none.
 */
HOT_INLINE uint64_t lock_clock_in_order(void)
{
    if (unlikely(!lock_clock_is_tsc))
        return shim_now_ns();
    __builtin_ia32_lfence();
    uint64_t now = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return now;
}

HOT_INLINE uint64_t lock_clock_since(uint64_t from, uint64_t to)
{
    return (int64_t)(to - from) > 0 ? to - from : 0;
}

/* About so many units are so many ns. */
uint64_t lock_clock_units(uint64_t ns);

/* Chooses the clock and writes the header's first pair. Once, early in the constructor. */
void lock_clock_init(void);

/* Writes the header's last pair. */
void lock_clock_note(void);

#endif
