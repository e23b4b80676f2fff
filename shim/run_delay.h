/*
 * How long threads could have run and had no CPU, from /proc/PID/task/TID/schedstat (outside.h),
 * into their records. Where the kernel does not say, or a seccomp filter is there, it stays not
 * known. Not in a signal handler.
 */
#ifndef PERFSHIM_SHIM_RUN_DELAY_H
#define PERFSHIM_SHIM_RUN_DELAY_H

#include "shim/outside.h"
#include "shim/shim.h"

/* A process begins, or a forked child. */
void run_delay_init(void);

/* Of the calling thread, which ends. A brief one is not asked, it is not worth a process; nor are
   those of a crowd that ends at once, beyond what run_delay_affords(). */
void run_delay_note(struct thread_state *ts);

/* May the threads of a process as old as this read once more, after readings that took spent_ns in
   all? They stay below a hundredth of its life, and some that end early may anyway. Pure. */
bool run_delay_affords(uint64_t spent_ns, uint64_t process_ns);

/* Of all threads that live, at the process's end. `more` is read along: each child costs 120 us. */
void run_delay_note_all(struct outside_reading *more);

/* A line of schedstat of n bytes: time on a CPU, time ready to run, in ns. 0, or −1. Pure. */
int run_delay_parse(const char *text, size_t n, uint64_t *ran_ns, uint64_t *delay_ns);

/* "/proc/PID/task/TID/schedstat"; run_delay_path_bytes at `to`. */
enum { run_delay_path_bytes = 48 };
void run_delay_path(char *to, uint32_t pid, uint32_t tid);

#endif
