/*
 * The timeline: what a thread did, into the moment (format.h) in which it tells of it. A thread
 * tells at each CPU tick, at every 1 024th allocation, when its live bytes moved by a step, and at
 * its end. The clock is asked, by a system call, once in about a millisecond of a thread and at
 * ticks; what is told in between goes to the moment that was told of last.
 *
 * Lock-free, async-signal-safe.
 */
#ifndef PERFSHIM_SHIM_TIMELINE_H
#define PERFSHIM_SHIM_TIMELINE_H

#include "shim/shim.h"

enum { timeline_events = 1024 }; /* allocations of a thread, by which it tells of them */

/* Makes the first moment; once, in the constructor, after the clock's. `on`: recording begins. */
void timeline_init(bool on);

/* Tells of the thread's allocations since it told last, of CPU ticks and of CPU time without. */
void timeline_tell(struct thread_state *ts, uint64_t now_ns, uint64_t ticks, int64_t extra_ns);

/* Live bytes moved by a step: tells if it is time to, else only notes how much is live. */
void timeline_live(struct thread_state *ts);

/* Another timeline_events allocations: tells of them, with the clock only if it is time to. */
void timeline_allocs(struct thread_state *ts);

/* For another thread, which may be telling meanwhile: what it has not told. At process exit. */
void timeline_tell_for(struct thread_state *other);

/* Nothing told yet of a thread that begins now. */
HOT_INLINE void timeline_begin(struct thread_state *ts)
{
    ts->told_allocs = ts->alloc_events;
    ts->told_bytes = ts->alloc_bytes;
    ts->told_units = 0;
}

/* Recording is switched on or off. */
void timeline_switch(bool on);

#endif
