/*
 * The write-ahead log: every write goes to a file before it takes effect, so that a store that was
 * killed finds again what it had acknowledged. docs/store_format.md draws the file.
 *
 * Group commit. A write enters a queue (store/wal_queue.h); the thread at its head is the leader:
 * it takes all writes that wait, writes them with one call, syncs them with one call if that is
 * due, lets them take effect in the order of the log, and only then lets their threads go. What
 * arrives meanwhile is the next group. No thread waits for two syncs but for the one under way and
 * its own.
 *
 * Invariants:
 * 1. A write takes effect only after it is in the file, and synced if a sync is due with it;
 * effects come in the file's order. So what a get returns, and what a failed write has not done, is
 * the same after a reopening, but for writes acknowledged without a sync.
 * 2. A group is written and synced whole, or all of its writes fail and the file is cut back to
 *    where it was. If it cannot be cut, or a sync failed (the kernel may have dropped the bytes and
 *    call the next sync fine), every later write fails with the same error. A write that failed in
 *    such a sync may be found in the file when it is reopened, if the cutting failed too.
 * 3. The file is locked (flock) as long as it is open.
 *
 * Memory: 64 KiB and no allocation per write. Thread safety: wal_commit and wal_count from any
 * thread; open and close by one, with no other inside.
 */
#ifndef PERFSHIM_STORE_WAL_H
#define PERFSHIM_STORE_WAL_H

#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>

#include "store/pool.h"
#include "store/store.h"
#include "store/wal_format.h"
#include "store/wal_reader.h"

/* One write; on its thread's stack until wal_commit returns. */
struct wal_record {
    enum wal_kind kind;
    const void *key;
    size_t key_size; /* 1 … STORE_KEY_MAX */
    const void *value;
    size_t value_size; /* … STORE_VALUE_MAX; 0 for a delete */
    /* Called once if the write succeeds, by whichever thread leads; may not commit. */
    void (*apply)(struct wal_record *record);

    struct wal_record *older, *next; /* this and below are the log's */
    sem_t turn;
    int state, error;
};

/* Of the log since it was opened, but the last two: what the opening found. */
#define WAL_COUNTERS(X)                                                                            \
    X(wal_writes)                                                                                  \
    X(wal_bytes)                                                                                   \
    X(wal_syncs)                                                                                   \
    X(wal_sync_ns)                                                                                 \
    X(wal_replayed)                                                                                \
    X(wal_cut_bytes)

struct wal_counters {
#define X(name) uint64_t name;
    WAL_COUNTERS(X)
#undef X
};

struct wal;

/*
 * Opens or makes the log in a directory, which is made if there is none, and hands every record of
 * it to the visitor; a torn end is cut off. sync_every: a sync is due when this many writes are not
 * synced; 0: never before wal_close. STORE_OK, or as wal_read, or STORE_BUSY, STORE_IO,
 * STORE_NO_SPACE, with *trouble filled (not for STORE_NO_MEMORY) and *out NULL.
 */
int wal_open(struct wal **out, const char *directory, uint64_t sync_every, struct pool_thread *here,
             wal_visit *visit, void *context, struct store_trouble *trouble);

/* Syncs what is not. STORE_OK, or why acknowledged writes may be lost. NULL is fine. */
int wal_close(struct wal *wal, struct pool_thread *here);

/* Returns when the write is in the log, and synced if that was due, and has taken effect; or
 * STORE_NO_SPACE or STORE_IO when nothing of it has happened. */
int wal_commit(struct wal *wal, struct wal_record *record);

/* Replaces sync_every, while no write is under way; syncs if that is due now. STORE_OK, or as
 * wal_commit when a sync fails. */
int wal_sync_every(struct wal *wal, uint64_t sync_every);

/* A snapshot; writes that ended before the call are in it. */
void wal_count(struct wal *wal, struct wal_counters *out);

#endif
