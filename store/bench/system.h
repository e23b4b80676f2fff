/* What the load generator asks of the system: time, CPU, memory. Thread-safe; nothing allocates. */
#ifndef PERFSHIM_STORE_BENCH_SYSTEM_H
#define PERFSHIM_STORE_BENCH_SYSTEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* CLOCK_MONOTONIC. */
uint64_t system_now_ns(void);
/* User and system time of this process. */
uint64_t system_cpu_ns(void);
/* Resident now, and at most so far; 0 if /proc cannot be read. */
uint64_t system_rss_bytes(void);
uint64_t system_max_rss_bytes(void);
/* Bytes this process has had written to disks; UINT64_MAX if the kernel does not tell. */
uint64_t system_written_bytes(void);
uint64_t system_written_bytes_of(pid_t pid);
/* This thread's sleeps may end as late as the hardware makes them, not 50 us later. */
void system_timers_sharpen(void);
/* The CPU's name, as the kernel has it; 0 if it has none. It allocates and frees. */
int system_cpu_name(char *name, size_t size);

#endif
