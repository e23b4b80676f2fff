/*
 * CPU sampling: one timer a thread on its own CPU-time clock, delivered to that thread by a high
 * real-time signal. What a tick weighs: 1 + overruns, in units of header.tick_period_ns.
 */
#ifndef PERFSHIM_SHIM_TICK_H
#define PERFSHIM_SHIM_TICK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "shim/shim.h"

/* Chooses the signal and installs the handler. 0, or −1 when no real-time signal is free. */
int tick_init(void);

/* The signal in use, 0 = none. */
int tick_signal(void);

/* Creates and starts the calling thread's timer; the first tick comes after a random part of a
   period, so that short threads are sampled fairly. Failure is counted and noted in *ts. */
void tick_start(struct thread_state *ts);
void tick_stop(struct thread_state *ts);

/* Does this kernel let a tick end a wait? Before Linux 5.9: it makes signals of CPU time in the
   interrupt itself, later ones on the way back to the program. */
bool tick_ends_waits(void);

/* Is it a signal that our timer sent? */
bool tick_is_ours(const siginfo_t *info);

/* Ticks of the calling thread that fell into a hook are booked at this node. With the guard held.
 */
void tick_book_at(struct thread_state *ts, uint32_t node, uint64_t ticks);

/* Block and unblock the tick on this thread alone: around fork, which restarts while signals come.
   True if it was blocked before. */
bool tick_block(void);
bool tick_unblock(void);

#endif
