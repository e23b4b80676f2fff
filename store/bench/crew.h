/*
 * A crew of threads that do phases of work together: begin, wait, begin the next.
 *
 * The same threads live through all phases, so that what a store or a profiler keeps per thread is
 * of one life. They run on stacks of our own: glibc keeps a heap block for each of the stacks it
 * caches until the process ends, which a profiler would have to call leaked.
 *
 * Thread safety: one thread, the owner, makes all calls. What the owner wrote before crew_begin is
 * seen by the work, and what the work wrote is seen by the owner after crew_wait returned 1.
 */
#ifndef PERFSHIM_STORE_BENCH_CREW_H
#define PERFSHIM_STORE_BENCH_CREW_H

#include <stdint.h>

struct crew;

/*
 * Starts `threads` threads; each calls work(context, its number) once per crew_begin. 0, or an
 * errno value; *started then says how many could be started (they have ended again).
 */
int crew_new(struct crew **out, unsigned threads, void (*work)(void *context, unsigned index),
             void *context, unsigned *started);

/* Lets all threads do one phase. The one before must have been waited for. */
void crew_begin(struct crew *crew);

/* Waits until the phase is done (1) or the monotonic clock has reached until_ns (0). */
int crew_wait(struct crew *crew, uint64_t until_ns);

/* Ends and joins the threads. NULL is fine. */
void crew_free(struct crew *crew);

#endif
