/*
 * The in-memory table of one shard: a hash table of immutable, reference-counted entries.
 *
 * Linear hashing (Litwin 1980): the table grows by one bucket per insertion, so that no insertion
 * ever waits for a rehash of the whole table. Buckets lie in segments of 512; only the small
 * directory of segments is ever copied. It does not shrink: buckets follow the greatest number of
 * entries.
 *
 * Thread safety: none for the table, its owner locks. An entry never changes once it is in a table,
 * and its reference count is atomic: whoever holds a reference may read it without a lock.
 */
#ifndef PERFSHIM_STORE_MEMTABLE_H
#define PERFSHIM_STORE_MEMTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "store/pool.h"

struct entry {
    struct entry *next; /* in its bucket; the table's */
    uint64_t hash;
    uint32_t references;
    uint32_t key_size;
    size_t value_size;
    char *key;
    char *value; /* NULL when value_size is 0 */
};

struct memtable {
    struct entry ***segments; /* directory */
    size_t directory_size;    /* segments it has room for */
    size_t buckets;           /* in use: mask/2 + 1 < buckets <= mask + 1 */
    size_t mask;
    size_t entries;
    size_t data_bytes; /* of keys and values in the table */
};

/* A copy of key and value with one reference, the caller's. NULL if there is no memory. */
struct entry *entry_new(struct pool_thread *thread, uint64_t hash, const void *key, size_t key_size,
                        const void *value, size_t value_size);
void entry_hold(struct entry *entry);
/* The last one to drop it frees it. NULL is fine. */
void entry_drop(struct pool_thread *thread, struct entry *entry);

/* 0, or -1 if there is no memory. */
int memtable_init(struct memtable *table, struct pool_thread *thread);
/* Drops the table's references too. Fine on a zeroed table. */
void memtable_release(struct memtable *table, struct pool_thread *thread);

/* The entry, still the table's, or NULL. */
struct entry *memtable_find(const struct memtable *table, uint64_t hash, const void *key,
                            size_t key_size);

/*
 * Takes over the caller's reference. The entry of the same key that was there before is returned,
 * with the table's reference, for the caller to drop after unlocking; NULL if the key is new.
 * Cannot fail: without memory the table just does not grow.
 */
struct entry *memtable_insert(struct memtable *table, struct pool_thread *thread,
                              struct entry *entry);

/* The removed entry, with the table's reference, or NULL. */
struct entry *memtable_remove(struct memtable *table, uint64_t hash, const void *key,
                              size_t key_size);

#endif
