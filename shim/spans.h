/*
 * The regions that a thread is in: perfshim_region_begin() and _end(), by the thread alone.
 *
 * A region counts what happens between its begin and its end in the thread that began it, regions
 * within it included. One that is begun again inside of itself counts as a call, its time once.
 *
 * Defined for what should not happen:
 *  - end of a name that is open further out: those within it end too, unbooked (region_unended);
 *  - end of a name that is not open: nothing (region_unbegun);
 *  - more than spans_max at once: the further ones are not timed (region_depth), their ends known;
 *  - a region that was not recorded from its begin to its end, because of perfshim_stop():
 * unbooked;
 *  - a region that is open when its thread ends, or exits the process: ends there.
 * Async-signal-safe with the guard held; no system call where the time-stamp counter runs evenly.
 */
#ifndef PERFSHIM_SHIM_SPANS_H
#define PERFSHIM_SHIM_SPANS_H

#include <stdint.h>

#include "profile/format.h"

enum { spans_max = 16 };

struct span {
    const char *name;
    struct pshim_account *account; /* NULL: no room for its name, or recording is paused */
    uint64_t begun;                /* of the header's clock */
    uint64_t ticks, allocs, alloc_bytes, lock_wait; /* of the thread, then */
    uint32_t stops;
};

struct spans {
    uint32_t count;
    uint32_t over; /* begun when there was no room for more */
    struct span open[spans_max];
};

struct thread_state;

void spans_begin(struct thread_state *ts, const char *name, struct pshim_account *account);
void spans_end(struct thread_state *ts, const char *name);
/* The thread, or its process, ends. */
void spans_end_all(struct thread_state *ts);

#endif
