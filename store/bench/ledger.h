/*
 * The ledger: a mapped file in which every thread keeps count of the writes that the store has
 * acknowledged to it. It can be read at any moment and outlives a kill, so that somebody can check
 * what a killed store finds again.
 *
 * The file is LEDGER_LINE bytes a thread, of which the first 8 are the count, little-endian. With
 * values that carry a number (--verify), the n-th write of thread t is numbered n (the load's come
 * first), as long as no write has failed.
 */
#ifndef PERFSHIM_STORE_BENCH_LEDGER_H
#define PERFSHIM_STORE_BENCH_LEDGER_H

#include <stdint.h>

enum { LEDGER_LINE = 64 }; /* a cache line: threads do not slow each other */

struct ledger {
    unsigned char *lines; /* NULL: none is kept */
    uint64_t bytes;
};

/* Makes the file, all counts 0. 0, or -1 with errno. The disk room is taken now: a full disk later
 * would kill the process. */
int ledger_open(struct ledger *ledger, const char *file, uint64_t threads);
/* Fine on a zeroed struct. The file stays. */
void ledger_close(struct ledger *ledger);

/* The count of a thread, for that thread to increase; NULL if none is kept. */
static inline uint64_t *ledger_count(const struct ledger *ledger, uint64_t thread)
{
    return ledger->lines ? (uint64_t *)(void *)(ledger->lines + thread * LEDGER_LINE) : 0;
}

/* Seen by readers after all that the store did for the write. */
static inline void ledger_add(uint64_t *count)
{
    if (count)
        __atomic_store_n(count, *count + 1, __ATOMIC_RELEASE);
}

#endif
