/*
 * Reads a log file from its beginning, when a store is opened. One thread, no locks.
 *
 * A log is written in order and cut short by a crash, so its end may be torn: a record of which
 * parts are missing, or bytes that were never written. What is torn is left out. Anything bad with
 * something good after it was damaged later, and is an error: nobody knows what was lost.
 * Precisely, a part that is not right is the torn end if no right part begins behind it, at any
 * byte of the same block or at the begin of a later one.
 */
#ifndef PERFSHIM_STORE_WAL_READER_H
#define PERFSHIM_STORE_WAL_READER_H

#include <stddef.h>
#include <stdint.h>

#include "store/pool.h"
#include "store/store.h"
#include "store/wal_format.h"

/* A record, in log order; the bytes are valid during the call. STORE_OK, or the error that ends the
 * reading. */
typedef int wal_visit(void *context, enum wal_kind kind, const void *key, size_t key_size,
                      const void *value, size_t value_size);

struct wal_contents {
    uint64_t end;     /* offset behind the last whole record; 0: not even the first one is there */
    uint64_t records; /* visited */
};

/*
 * STORE_OK with *contents filled; what the visitor returned; STORE_NO_MEMORY; STORE_CORRUPT with
 * trouble's offset and text, STORE_IO with its text (its file is the caller's to fill). Memory:
 * 32 KiB, and twice the longest record that is in several parts.
 */
int wal_read(int fd, struct pool_thread *here, wal_visit *visit, void *context,
             struct wal_contents *contents, struct store_trouble *trouble);

#endif
