/* Facts about processes, from /proc. Thread-safe. */
#ifndef PERFSHIM_ANALYZER_PROCESS_H
#define PERFSHIM_ANALYZER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Field 22 of /proc/PID/stat: when it was started, in clock ticks since boot. 0, or −1. */
int process_start_ticks(uint32_t pid, uint64_t *ticks);

/* Is a process of this pid that was started then at work? (A pid alone may have been reused; a
 * zombie is not at work.) */
bool process_alive(uint32_t pid, uint64_t start_ticks);

/* A process that has the file of this absolute name mapped; 0 if none that can be looked at has. */
uint32_t process_mapping(const char *path);

/* How much memory it has resident, and without files and shared memory. 0, or −1. */
int process_resident(uint32_t pid, int64_t *rss_bytes, int64_t *anon_bytes);

/* How long a thread of it has run, and was ready to run without a CPU. 0, or −1. */
int process_thread_times(uint32_t pid, uint32_t tid, int64_t *ran_ns, int64_t *run_delay_ns);

/* Its name as the kernel knows it, "" if it is gone. */
void process_name(uint32_t pid, char to[static 17]);

#endif
