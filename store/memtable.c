#include "store/memtable.h"

#include <string.h>

enum { SEGMENT = 512, SEGMENT_BYTES = SEGMENT * sizeof(struct entry *), DIRECTORY_MIN = 8 };

/* ---- entries ---- */

struct entry *entry_new(struct pool_thread *thread, uint64_t hash, const void *key, size_t key_size,
                        const void *value, size_t value_size)
{
    struct entry *e = pool_get(thread, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct entry){.hash = hash, .references = 1};
    e->key = pool_get(thread, key_size);
    if (!e->key)
        goto no_memory;
    memcpy(e->key, key, key_size);
    e->key_size = (uint32_t)key_size;
    if (value_size) {
        e->value = pool_get(thread, value_size);
        if (!e->value)
            goto no_memory;
        memcpy(e->value, value, value_size);
        e->value_size = value_size;
    }
    return e;
no_memory:
    entry_drop(thread, e);
    return NULL;
}

void entry_hold(struct entry *e)
{
    __atomic_add_fetch(&e->references, 1, __ATOMIC_RELAXED);
}

void entry_drop(struct pool_thread *thread, struct entry *e)
{
    /* release: our reads are done; acquire: so are everybody else's before we free */
    if (!e || __atomic_sub_fetch(&e->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (e->value)
        pool_put(thread, e->value, e->value_size);
    if (e->key)
        pool_put(thread, e->key, e->key_size);
    pool_put(thread, e, sizeof *e);
}

/* ---- buckets ---- */

static inline struct entry **bucket_at(const struct memtable *t, size_t i)
{
    return &t->segments[i / SEGMENT][i % SEGMENT];
}

/* Buckets past the end are not split off yet: their entries are still in the lower half. */
static inline struct entry **bucket_of(const struct memtable *t, uint64_t hash)
{
    size_t i = hash & t->mask;
    return bucket_at(t, i < t->buckets ? i : i & t->mask >> 1);
}

/* The link that points to the entry of this key, or the NULL that ends its bucket. */
static inline struct entry **memtable_seek(const struct memtable *t, uint64_t hash, const void *key,
                                           size_t key_size)
{
    struct entry **link = bucket_of(t, hash);
    for (struct entry *e; (e = *link); link = &e->next)
        if (e->hash == hash && e->key_size == key_size && memcmp(e->key, key, key_size) == 0)
            break;
    return link;
}

static int segment_add(struct memtable *t, struct pool_thread *thread)
{
    size_t n = t->buckets / SEGMENT;
    if (n == t->directory_size) {
        size_t room = n ? n * 2 : DIRECTORY_MIN;
        struct entry ***wider = pool_get(thread, room * sizeof *wider);
        if (!wider)
            return -1;
        if (n) {
            memcpy(wider, t->segments, n * sizeof *wider);
            pool_put(thread, t->segments, n * sizeof *wider);
        }
        t->segments = wider;
        t->directory_size = room;
    }
    t->segments[n] = pool_get(thread, SEGMENT_BYTES);
    if (!t->segments[n])
        return -1;
    memset(t->segments[n], 0, SEGMENT_BYTES);
    return 0;
}

/* One more bucket: takes its entries out of the one they have shared so far. */
static void memtable_grow(struct memtable *t, struct pool_thread *thread)
{
    size_t added = t->buckets;
    if (added % SEGMENT == 0 && segment_add(t, thread) != 0)
        return;
    if (added > t->mask)
        t->mask = t->mask * 2 + 1;
    t->buckets++;
    struct entry **to = bucket_at(t, added);
    *to = NULL;
    for (struct entry **from = bucket_at(t, added & t->mask >> 1), *e; (e = *from);) {
        if ((e->hash & t->mask) != added) {
            from = &e->next;
            continue;
        }
        *from = e->next;
        e->next = *to;
        *to = e;
    }
}

/* ---- the table ---- */

int memtable_init(struct memtable *t, struct pool_thread *thread)
{
    memset(t, 0, sizeof *t);
    if (segment_add(t, thread) != 0) {
        memtable_release(t, thread);
        return -1;
    }
    t->buckets = SEGMENT;
    t->mask = SEGMENT - 1;
    return 0;
}

void memtable_release(struct memtable *t, struct pool_thread *thread)
{
    for (size_t i = 0; i < t->buckets; i++)
        for (struct entry *e, **bucket = bucket_at(t, i); (e = *bucket);) {
            *bucket = e->next;
            entry_drop(thread, e);
        }
    for (size_t i = 0; i < t->buckets; i += SEGMENT)
        pool_put(thread, t->segments[i / SEGMENT], SEGMENT_BYTES);
    if (t->segments)
        pool_put(thread, t->segments, t->directory_size * sizeof *t->segments);
    memset(t, 0, sizeof *t);
}

struct entry *memtable_find(const struct memtable *t, uint64_t hash, const void *key,
                            size_t key_size)
{
    return *memtable_seek(t, hash, key, key_size);
}

struct entry *memtable_insert(struct memtable *t, struct pool_thread *thread, struct entry *e)
{
    struct entry **link = memtable_seek(t, e->hash, e->key, e->key_size);
    struct entry *old = *link;
    e->next = old ? old->next : NULL;
    *link = e;
    t->data_bytes += e->key_size + e->value_size;
    if (old)
        t->data_bytes -= old->key_size + old->value_size;
    else if (++t->entries > t->buckets)
        memtable_grow(t, thread);
    return old;
}

struct entry *memtable_remove(struct memtable *t, uint64_t hash, const void *key, size_t key_size)
{
    struct entry **link = memtable_seek(t, hash, key, key_size);
    struct entry *e = *link;
    if (e) {
        *link = e->next;
        t->entries--;
        t->data_bytes -= e->key_size + e->value_size;
    }
    return e;
}
