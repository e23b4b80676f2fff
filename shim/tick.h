/*
 * CPU sampling: one timer a thread on its own CPU-time clock, delivered to that thread by a high
 * real-time signal. What a tick weighs: 1 + overruns, in units of header.tick_period_ns.
 */
#ifndef PERFSHIM_SHIM_TICK_H
#define PERFSHIM_SHIM_TICK_H

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

/* Block and unblock the tick on this thread alone: around fork, which restarts while signals come.
   True if it was blocked before. */
bool tick_block(void);
bool tick_unblock(void);

#endif
