/*
 * Threads: their states, recorders and records in the file, from first sight to end.
 *
 * thread_attach() and thread_end() run on the thread itself with the guard held; both are
 * lock-free.
 */
#ifndef PERFSHIM_SHIM_THREAD_H
#define PERFSHIM_SHIM_THREAD_H

#include "shim/shim.h"

/* Makes the key whose destructor sees threads end. Once, in the constructor. 0 or −1. */
int thread_init(void);

/* A state for a thread that is about to be created, or NULL without memory. */
struct thread_state *thread_state_new(void);
/* Gives back a state that no thread has begun to use. */
void thread_state_free(struct thread_state *ts);

/*
 * The calling thread becomes *ts: its tid, recorder, record, CPU timer. ts->stack, start and
 * start_arg are the caller's to fill before. `newborn`: what its CPU clock shows is ours to book.
 */
void thread_begin(struct thread_state *ts, bool newborn);

/*
 * Where the calling thread's stack lies. *range: what its creator asked for, or {0, its size}; what
 * glibc allocates lies directly below the thread's descriptor. {0, 0} when the stack pointer is on
 * neither.
 */
void thread_stack_settle(struct unwind_range *range);

/*
 * The state of a thread that a hook meets for the first time, or NULL (no memory, or the thread has
 * ended: counted). May make system calls, once per thread.
 */
struct thread_state *thread_attach(void);

/* Books what is left of the thread's CPU time, frees its timer and recorder. */
void thread_end(struct thread_state *ts);

/* For the calling thread at process exit: as thread_end, but the thread lives on. */
void thread_settle(struct thread_state *ts);

/*
 * Books the CPU time that no thread's clock shows: what threads used after their last sight (the
 * kernel takes some 50 us to end one), and threads that we never saw. At process exit, under the
 * calling thread's recorder.
 */
void thread_settle_ended(struct thread_state *ts);

/* Recording was switched on or off: how long it is off is in the header. Set-up may say so too. */
void thread_note_pause(uint32_t on);

/* The ticks it has received until now, into its record. Async-signal-safe. */
void thread_note_ticks(struct thread_state *ts, uint64_t now_ns);

/* The CPU clock of any thread of this process, as the kernel numbers it. */
int thread_cpu_clock(uint32_t tid);

/* Calls `visit` for the state of each thread, and for states that no thread has. */
void thread_each(void (*visit)(struct thread_state *ts));

/* The thread's name as the kernel has it (16 bytes at most) into its record. */
void thread_note_name(struct thread_state *ts);

/* The calling thread's state, attached if need be. With the guard held. */
HOT_INLINE struct thread_state *thread_self(void)
{
    struct thread_state *ts = shim_tls.self;
    return likely(ts != NULL) ? ts : thread_attach();
}

#endif
