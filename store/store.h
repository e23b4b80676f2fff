/*
 * A key-value store in memory, with a log on disk if asked for: get, put, delete on byte strings,
 * spread over shards, and scans in the order of the keys if asked for.
 *
 *     struct store_config config;
 *     store_config_init(&config);
 *     struct store *store;
 *     int rc = store_open(&config, &store);
 *     store_put(store, "k", 1, "value", 5);
 *     struct store_value value;
 *     if (store_get(store, "k", 1, &value) == STORE_OK)
 *         store_value_release(store, &value);
 *     store_close(store, NULL);
 *
 * Thread safety: get, put, delete, scan, value_release, statistics may be called from any thread at
 * any time. store_close needs all other threads that ever used the store to have been joined, or to
 * be alive and never use it again.
 *
 * Each operation is atomic per key: a get sees the value of one put, whole. An operation holds one
 * shard's mutex, once, while it walks one bucket; keys and values are copied, allocated and freed
 * outside of it (a put prepares the new entry first and swaps it in).
 *
 * Heap use on the way of an operation, with the pool off: a get 1 allocation (the copy it returns;
 * 0 for a missing key or an empty value), a put 3 (entry, key, value) and the frees of the entry it
 * replaces; now and then one for the growing table. With the pool on these come from the pool
 * (store/pool.h says how it is bounded, and what misuse it detects), which calls malloc only for a
 * new slab.
 *
 * With an index (config.ordered, store/index.h), scans are there. A put then takes one allocation
 * more, the key's place in the index, and gives it back when the key was there already; puts of new
 * keys and deletes take one lock more, the index's, which all shards share. Without, it costs
 * nothing.
 *
 * With a log (store/wal.h), a put or delete is in a file before it takes effect, and opening the
 * same directory again finds it. Without one, nothing of this costs anything.
 */
#ifndef PERFSHIM_STORE_STORE_H
#define PERFSHIM_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_MAX    ((size_t)65535)   /* bytes */
#define STORE_VALUE_MAX  ((size_t)1 << 30) /* bytes */
#define STORE_SHARDS_MAX 65536u

#define STORE_ERRORS(X)                                                                            \
    X(OK, 0, "ok")                                                                                 \
    X(NOT_FOUND, -1, "not found")                                                                  \
    X(NO_MEMORY, -2, "out of memory")                                                              \
    X(BAD_KEY, -3, "bad key size")                                                                 \
    X(BAD_VALUE, -4, "bad value size")                                                             \
    X(BAD_CONFIG, -5, "bad configuration")                                                         \
    X(IO, -6, "input/output error")                                                                \
    X(NO_SPACE, -7, "no space left for the log")                                                   \
    X(CORRUPT, -8, "damaged log")                                                                  \
    X(BUSY, -9, "in use by another store")                                                         \
    X(NOT_ORDERED, -10, "no ordered index")

enum store_error {
#define X(id, value, text) STORE_##id = value,
    STORE_ERRORS(X)
#undef X
};
const char *store_error_text(int error);

/* What store_open found wrong with a log. */
struct store_trouble {
    char file[4096];  /* "" if no file is to blame */
    uint64_t offset;  /* of the damage, with STORE_CORRUPT */
    const char *what; /* lasting text */
};

struct store_config {
    uint32_t shards; /* a power of two, at most STORE_SHARDS_MAX */
    int pool;        /* 1: entries, values and buffers come from an object pool; 0: from malloc */
    int ordered;     /* 1: keep an index of the keys in their order, for store_scan */
    /* The log's directory, made if there is none; NULL: no log. Read by store_open only. */
    const char *directory;
    /* Writes after which the log is synced, by the one that reaches it: a write that has returned
       then survives the machine's crash, and all before it. 1: every write (those that wait share
       one sync); 0: only store_close syncs. Any write survives the process's crash. */
    uint64_t sync_every;
    struct store_trouble *trouble; /* filled when store_open fails; NULL: not wanted */
};

/* 64 shards, pool on, no index, no log. */
void store_config_init(struct store_config *config);

struct store;

/*
 * STORE_OK, STORE_BAD_CONFIG or STORE_NO_MEMORY; *out is NULL unless it succeeded. With a log, what
 * it holds is put into the store; a torn end, as a crash leaves it, is cut off. Then also
 * STORE_CORRUPT (nothing has been changed), STORE_BUSY, STORE_IO and STORE_NO_SPACE.
 */
int store_open(const struct store_config *config, struct store **out);

/* What a get returns: a copy, the caller's until store_value_release. */
struct store_value {
    const void *data; /* never NULL after a get that succeeded */
    size_t size;
};

/* STORE_OK, STORE_NOT_FOUND, STORE_NO_MEMORY or STORE_BAD_KEY; *out is empty unless it succeeded.
 */
int store_get(struct store *store, const void *key, size_t key_size, struct store_value *out);

/* Gives the copy back, from any thread, and empties *value: a second call does nothing. */
void store_value_release(struct store *store, struct store_value *value);

/*
 * Copies both. STORE_OK, STORE_NO_MEMORY (nothing has changed), STORE_BAD_KEY or STORE_BAD_VALUE.
 * With a log also STORE_NO_SPACE and STORE_IO: nothing has changed; later writes may succeed after
 * a write that failed, none does after a sync that failed. Reads go on.
 */
int store_put(struct store *store, const void *key, size_t key_size, const void *value,
              size_t value_size);

/* STORE_OK, STORE_NOT_FOUND or STORE_BAD_KEY; with a log also STORE_NO_SPACE and STORE_IO, as a
 * put. */
int store_delete(struct store *store, const void *key, size_t key_size);

/* One entry of a scan; key and value stay until it returns, and value is never NULL. Not 0: the
 * scan ends. No lock is held: it may call the store. */
typedef int store_visit(void *context, const void *key, size_t key_size, const void *value,
                        size_t value_size);

/*
 * The first `limit` keys at or past `start`, in order: by their bytes as memcmp compares them, the
 * shorter first of two of which one begins with the other. start_size 0: from the first key.
 *
 * A scan is no snapshot. Each value is one put's, whole, that the key had at a moment between the
 * call and its visit. Keys ascend strictly. A key that is there all the time is reported once; one
 * that is put or deleted meanwhile may be or not.
 *
 * STORE_OK, STORE_BAD_KEY (start too long), STORE_NOT_ORDERED. No allocation and no copy; walks
 * the index under its read lock for at most 64 keys at a time, then looks each key up under its
 * shard's lock, and then visits them.
 */
int store_scan(struct store *store, const void *start, size_t start_size, uint64_t limit,
               store_visit *visit, void *context);

/*
 * Counts since store_open. Operations count when they have taken their shard's lock. allocs and
 * frees are all of the store's calls of malloc, aligned_alloc and free; the bytes are those asked
 * for.
 */
#define STORE_STATISTICS(X)                                                                        \
    X(gets)          /* gets, of missing keys too */                                               \
    X(hits)          /* gets that found the key */                                                 \
    X(puts)          /* puts */                                                                    \
    X(deletes)       /* deletes, of missing keys too */                                            \
    X(scans)         /* scans */                                                                   \
    X(scan_entries)  /* entries that scans reported */                                             \
    X(keys)          /* keys in the store now */                                                   \
    X(data_bytes)    /* bytes of keys and values in the store now */                               \
    X(allocs)        /* calls of malloc and aligned_alloc that succeeded */                        \
    X(frees)         /* calls of free */                                                           \
    X(alloc_bytes)   /* bytes asked for */                                                         \
    X(free_bytes)    /* bytes that had been asked for the freed blocks */                          \
    X(pool_gets)     /* objects taken from the pool, or from malloc with the pool off */           \
    X(pool_puts)     /* objects given back */                                                      \
    X(wal_writes)    /* puts and deletes in the log */                                             \
    X(wal_bytes)     /* by which they made it longer */                                            \
    X(wal_syncs)     /* of the log, while the store was open */                                    \
    X(wal_sync_ns)   /* time they took, by the wall */                                             \
    X(wal_replayed)  /* puts and deletes that store_open found in the log */                       \
    X(wal_cut_bytes) /* of a torn end that store_open cut off */

struct store_statistics {
#define X(name) uint64_t name;
    STORE_STATISTICS(X)
#undef X
};

/* A snapshot: each number is exact for operations that ended before the call. */
void store_statistics(struct store *store, struct store_statistics *out);

/*
 * Replaces sync_every of the log; what is due by the new one is synced now. No other call may be
 * under way. STORE_OK, also without a log; STORE_IO or STORE_NO_SPACE as for a write.
 */
int store_sync_every(struct store *store, uint64_t sync_every);

/*
 * Frees everything but values not released yet, which must not be touched any more with the pool
 * on. *last, unless NULL, gets the final statistics: allocs == frees and pool_gets == pool_puts
 * unless values were never released. NULL is fine for store. STORE_OK; with a log of which the last
 * writes were not synced yet, STORE_IO or STORE_NO_SPACE if that failed now (all is freed).
 */
int store_close(struct store *store, struct store_statistics *last);

/* Removes the log of a store that is closed, and the directory if nothing else is in it. STORE_OK
 * or STORE_IO with errno set; fine if there is none. */
int store_remove(const char *directory);

#endif
