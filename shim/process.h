/* The end of the process, as its profile tells it. */
#ifndef PERFSHIM_SHIM_PROCESS_H
#define PERFSHIM_SHIM_PROCESS_H

#include <stdint.h>

/* Writes how the process ends into the header. Only the profiled process itself does (a vfork child
   shares our memory). May be called more than once: the last one stands. */
void process_note_end(uint32_t end, int status);

/*
 * Recording ends for good, for a reason of enum pshim_off: every hook passes through, no timer
 * ticks, and no system call is made any more.
 */
void process_turn_off(uint32_t reason);

#endif
