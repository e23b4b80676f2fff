/*
 * Time in the allocator (format.h, PSHIM_SITE_ALLOC_TIME and FREE_TIME): of a few calls, each with
 * its weight.
 *
 * What a figure is: the time of the real calls alone, without the hooks' own work, as the clock of
 * lock times shows it, read in order, less what two readings take by themselves; so it has what the
 * thread waited for in the allocator. It is the time from call to return: in the program some of it
 * may overlap with other work.
 *
 * Which calls: of a thread's mallocs, callocs, reallocs and their kind one in each 64, drawn ahead,
 * at a place in them that is a hash of their number and the thread's: each has the same chance and
 * stands for 64. Of the frees those of marked blocks (marks.h), with their weight. Either way the
 * sum is unbiased, and as exact as the square root of the number of calls in it is large. But a
 * call of timing_long and more, in which the thread was stopped, or the allocator asked the system
 * for much, stands for itself alone: one that was preempted for 20 ms would else be 1.3 s, more
 * than a million others. What is lost by that is rare in the calls whose number makes them costly.
 * Limits: a free that is timed comes after more work of ours than another, and finds its caches as
 * that left them; a thread's first call, which makes it known, is not timed; nor are frees of
 * blocks that had no room in the table of marked ones.
 *
 * The countdown is in the thread's TLS: one decrement and a branch before the real call.
 */
#ifndef PERFSHIM_SHIM_TIMING_H
#define PERFSHIM_SHIM_TIMING_H

#include "shim/lock_clock.h"
#include "shim/shim.h"

enum {
    timing_each = 64,
    timing_long = 1 << 16, /* units of the clock: some 25 us of a time-stamp counter, 66 us of ns */
};

/* The countdown is at its end: is this call timed? Draws the next one. */
bool timing_due(void);

/* Is this allocation timed? Once a call, before the real one. */
HOT_INLINE bool timing_reached(void)
{
    return unlikely(--shim_tls.until_timed < 0) && timing_due();
}

/* When a timed allocation begins on the clock; 0: it is not timed. Instead of timing_reached(). */
HOT_INLINE uint64_t timing_begin(void)
{
    return timing_reached() ? lock_clock_in_order() : 0;
}

/* The time since `begin`, without the reading. */
static inline uint64_t timing_took(uint64_t begin)
{
    return lock_clock_since(begin + lock_clock_reading, lock_clock_in_order());
}

/* Books a timed call that stands for `weight` of them at a node; takes the guard. Node 0: allocated
   while paused. */
void timing_book(uint32_t node, enum pshim_site_counter counter, uint64_t took, uint32_t weight);

#endif
