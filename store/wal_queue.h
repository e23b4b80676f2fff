/*
 * Who writes the log: records that threads want written, in the order in which they came. The
 * thread whose record is the oldest leads: it works for all that are there, the group, and then
 * makes the oldest of those that came meanwhile lead, or, if that one sleeps, may work for the next
 * group too. store/wal.h says what leading is.
 *
 * Invariants:
 * 1. One thread leads at a time, and what it did is seen by the next. What only a leader touches
 *    needs no lock.
 * 2. A record is its thread's again, its stack, as soon as it is released: read its next before.
 * 3. Joining an empty queue, and leaving one that has stayed so, is one atomic instruction each.
 *
 * Waiting. A group that is not synced is written in less time than a thread takes to fall asleep
 * and wake up. So a thread spins for about that long, and then sleeps; it sleeps at once where
 * there is one CPU only, or where the leader syncs or the last one did. Nobody is woken under a
 * lock.
 *
 * Thread safety: wal_queue_join from any thread, the others by the leader.
 */
#ifndef PERFSHIM_STORE_WAL_QUEUE_H
#define PERFSHIM_STORE_WAL_QUEUE_H

#include <stdbool.h>

#include "store/wal.h"

struct wal_queue {
    struct wal_record *newest; /* each has the one before it; NULL: nobody leads */
    bool slow;                 /* it is not worth spinning for */
    bool alone;                /* nor on one CPU */
};

void wal_queue_init(struct wal_queue *queue);

/* Returns when the thread has to lead, with its record the group's first (true), or when the record
   was released (false). */
bool wal_queue_join(struct wal_queue *queue, struct wal_record *record);

/* The last of the group that begins with `first`: whoever came by now. Sets `next` from there on.
 */
struct wal_record *wal_queue_close(struct wal_queue *queue, struct wal_record *first);

/* Takes the group out. The first of the next one, or NULL: then nobody leads any more. */
struct wal_record *wal_queue_leave(struct wal_queue *queue, struct wal_record *last);

/* Is its thread to be woken before it can lead? */
bool wal_queue_sleeps(const struct wal_record *record);

/* Makes its thread go on: to lead, or with what stands in its error. */
void wal_queue_lead(struct wal_record *record);
void wal_queue_release(struct wal_record *record);

/* What the leader does now, and the next one likely too, takes long: from now on who waits sleeps
   at once, or no more so. */
void wal_queue_slow(struct wal_queue *queue, bool slow);

#endif
