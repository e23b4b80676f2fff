/*
 * Threads that wait for a lock at the end of the recording, or now: a program that hangs, or was
 * killed since it did. A wait is charged to its lock when it is over, so that these are in no
 * figure but the threads' and the ledger's. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_LOCK_WAITERS_H
#define PERFSHIM_ANALYZER_LOCK_WAITERS_H

#include "analyzer/model.h"

/* Limit: of the run, how long the waits under way are on average; shorter ones are everyday. */
#define LOCK_WAITERS_RUN 0.10

/* "at the end … waited for a lock", or NULL if there is none worth telling. Returns to. */
enum { LOCK_WAITERS_NOTE_BYTES = 160 };
const char *lock_waiters_note(const struct model *m, char to[static LOCK_WAITERS_NOTE_BYTES]);

#endif
