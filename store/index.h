/*
 * The ordered index: the keys of a whole store in their order, beside its hash tables, for scans.
 * It knows keys alone: what a key's value is, its shard says.
 *
 * A skip list (Pugh 1990) under one read-write lock. A key's height comes from its hash, so that no
 * random state is kept and the list's shape depends on its keys only. One list and not one a shard:
 * a scan then seeks once, however many shards there are, and overwriting a key touches nothing
 * here. The price: new keys and deletes of all shards take turns at the lock.
 *
 * Invariants:
 * 1. Keys ascend by their bytes, as memcmp compares them; of two of which one begins with the
 *    other the shorter comes first. No key is there twice.
 * 2. A node never changes but for its links, which the lock guards, and its reference count, which
 *    is atomic: whoever holds a reference may read hash and key without the lock, also after the
 *    key was removed.
 *
 * Thread safety: index_insert, index_remove, index_collect from any thread. The caller sees to it
 * that inserts and removes of one key come one after the other (a shard's lock does); it may hold
 * that lock, for nothing else is locked in here.
 */
#ifndef PERFSHIM_STORE_INDEX_H
#define PERFSHIM_STORE_INDEX_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "store/pool.h"

enum { INDEX_HEIGHT_MAX = 12 }; /* one in 4 of a level is in the next: 4^12 keys */

struct index_node {
    uint64_t hash;
    uint32_t references;
    uint32_t key_size;
    uint32_t height;           /* 1 … INDEX_HEIGHT_MAX */
    struct index_node *next[]; /* `height` of them, then the key's bytes */
};

struct index {
    pthread_rwlock_t lock; /* of the list; writers go first, or readers would starve them */
    struct index_node *first[INDEX_HEIGHT_MAX];
};

/* Of keys of this hash: 1 … INDEX_HEIGHT_MAX. Pure. */
unsigned index_height(uint64_t hash);

const char *index_key(const struct index_node *node);

/* A node with one reference, the caller's, that is in no list. NULL if there is no memory. */
struct index_node *index_node_new(struct pool_thread *thread, uint64_t hash, const void *key,
                                  size_t key_size);
/* The last one to drop it frees it. NULL is fine. */
void index_node_drop(struct pool_thread *thread, struct index_node *node);

void index_init(struct index *index);
/* Drops the list's references too; nobody else is inside. */
void index_release(struct index *index, struct pool_thread *thread);

/* Takes over the caller's reference. The key is not there yet. */
void index_insert(struct index *index, struct index_node *node);

/* The removed node, with the list's reference, for the caller to drop after unlocking; NULL if the
 * key is not there. */
struct index_node *index_remove(struct index *index, const void *key, size_t key_size);

/*
 * Up to `limit` nodes in order, with a reference to each, the caller's: from the first key at or,
 * with `after`, past the given one. Returns how many; fewer than limit: there were no more.
 */
size_t index_collect(struct index *index, const void *key, size_t key_size, int after,
                     struct index_node **out, size_t limit);

#endif
