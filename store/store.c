#include "store/store.h"

#include <pthread.h>
#include <string.h>

#include "store/hash.h"
#include "store/memtable.h"
#include "store/pool.h"

enum { LINE = 64 };

struct shard {
    pthread_mutex_t lock; /* guards all of the shard */
    struct memtable table;
    uint64_t gets, hits, puts, deletes;
} __attribute__((aligned(LINE))); /* no two shards share a cache line */

struct store {
    struct pool *pool;
    struct shard *shards;
    uint32_t shard_count;
    unsigned shard_shift; /* hash >> shard_shift is the shard */
};

const char *store_error_text(int error)
{
    switch (error) {
#define X(id, value, text)                                                                         \
    case value:                                                                                    \
        return text;
        STORE_ERRORS(X)
#undef X
    }
    return "unknown error";
}

void store_config_init(struct store_config *config)
{
    *config = (struct store_config){.shards = 64, .pool = 1};
}

/* The buckets use the low bits of the hash. >> 1 first: one shard would be a shift by 64. */
static inline struct shard *shard_of(const struct store *s, uint64_t hash)
{
    return &s->shards[hash >> 1 >> s->shard_shift];
}

static inline int key_size_valid(size_t size)
{
    return size > 0 && size <= STORE_KEY_MAX;
}

static void add_shards(struct store *s, struct store_statistics *out)
{
    for (uint32_t i = 0; i < s->shard_count; i++) {
        struct shard *shard = &s->shards[i];
        pthread_mutex_lock(&shard->lock);
        out->gets += shard->gets;
        out->hits += shard->hits;
        out->puts += shard->puts;
        out->deletes += shard->deletes;
        out->keys += shard->table.entries;
        out->data_bytes += shard->table.data_bytes;
        pthread_mutex_unlock(&shard->lock);
    }
}

static void add_counters(const struct pool_counters *counters, struct store_statistics *out)
{
    out->allocs = counters->allocs;
    out->frees = counters->frees;
    out->alloc_bytes = counters->alloc_bytes;
    out->free_bytes = counters->free_bytes;
    out->pool_gets = counters->gets;
    out->pool_puts = counters->puts;
}

/* ---- open and close ---- */

int store_open(const struct store_config *config, struct store **out)
{
    *out = NULL;
    uint32_t n = config->shards;
    if (n == 0 || n > STORE_SHARDS_MAX || (n & (n - 1)) != 0)
        return STORE_BAD_CONFIG;
    struct pool *pool = pool_open(config->pool);
    if (!pool)
        return STORE_NO_MEMORY;
    struct pool_thread *here = pool_here(pool);
    struct store *s = pool_reserve(here, 16, sizeof *s);
    if (!s) {
        pool_close(pool, NULL);
        return STORE_NO_MEMORY;
    }
    *s = (struct store){
        .pool = pool, .shard_count = n, .shard_shift = 63 - (unsigned)__builtin_ctz(n)};
    s->shards = pool_reserve(here, LINE, n * sizeof *s->shards);
    if (!s->shards) {
        store_close(s, NULL);
        return STORE_NO_MEMORY;
    }
    memset(s->shards, 0, n * sizeof *s->shards);
    int rc = STORE_OK;
    for (uint32_t i = 0; i < n; i++) {
        pthread_mutex_init(&s->shards[i].lock, NULL);
        if (rc == STORE_OK && memtable_init(&s->shards[i].table, here) != 0)
            rc = STORE_NO_MEMORY;
    }
    if (rc != STORE_OK)
        store_close(s, NULL);
    else
        *out = s;
    return rc;
}

void store_close(struct store *s, struct store_statistics *last)
{
    if (!s)
        return;
    struct pool *pool = s->pool;
    struct pool_thread *here = pool_here(pool);
    struct pool_counters counters;
    if (last)
        memset(last, 0, sizeof *last);
    if (s->shards) {
        if (last)
            add_shards(s, last);
        for (uint32_t i = 0; i < s->shard_count; i++) {
            memtable_release(&s->shards[i].table, here);
            pthread_mutex_destroy(&s->shards[i].lock);
        }
        pool_unreserve(here, s->shards, s->shard_count * sizeof *s->shards);
    }
    pool_unreserve(here, s, sizeof *s);
    pool_close(pool, &counters);
    if (last)
        add_counters(&counters, last);
}

/* ---- operations ---- */

static int value_copy(struct pool_thread *here, const struct entry *e, struct store_value *out)
{
    if (!e->value_size) {
        out->data = "";
        return STORE_OK;
    }
    void *copy = pool_get(here, e->value_size);
    if (!copy)
        return STORE_NO_MEMORY;
    memcpy(copy, e->value, e->value_size);
    *out = (struct store_value){.data = copy, .size = e->value_size};
    return STORE_OK;
}

int store_get(struct store *s, const void *key, size_t key_size, struct store_value *out)
{
    *out = (struct store_value){0};
    if (!key_size_valid(key_size))
        return STORE_BAD_KEY;
    uint64_t hash = hash_bytes(key, key_size);
    struct shard *shard = shard_of(s, hash);

    pthread_mutex_lock(&shard->lock);
    struct entry *e = memtable_find(&shard->table, hash, key, key_size);
    if (e)
        entry_hold(e);
    shard->gets++;
    shard->hits += e != NULL;
    pthread_mutex_unlock(&shard->lock);
    if (!e)
        return STORE_NOT_FOUND;

    struct pool_thread *here = pool_here(s->pool);
    int rc = value_copy(here, e, out);
    entry_drop(here, e);
    return rc;
}

void store_value_release(struct store *s, struct store_value *value)
{
    if (value->size)
        pool_put(pool_here(s->pool), (void *)(uintptr_t)value->data, value->size);
    *value = (struct store_value){0};
}

int store_put(struct store *s, const void *key, size_t key_size, const void *value,
              size_t value_size)
{
    if (!key_size_valid(key_size))
        return STORE_BAD_KEY;
    if (value_size > STORE_VALUE_MAX)
        return STORE_BAD_VALUE;
    uint64_t hash = hash_bytes(key, key_size);
    struct shard *shard = shard_of(s, hash);
    struct pool_thread *here = pool_here(s->pool);
    struct entry *e = entry_new(here, hash, key, key_size, value, value_size);
    if (!e)
        return STORE_NO_MEMORY;

    pthread_mutex_lock(&shard->lock);
    struct entry *old = memtable_insert(&shard->table, here, e);
    shard->puts++;
    pthread_mutex_unlock(&shard->lock);

    entry_drop(here, old);
    return STORE_OK;
}

int store_delete(struct store *s, const void *key, size_t key_size)
{
    if (!key_size_valid(key_size))
        return STORE_BAD_KEY;
    uint64_t hash = hash_bytes(key, key_size);
    struct shard *shard = shard_of(s, hash);

    pthread_mutex_lock(&shard->lock);
    struct entry *e = memtable_remove(&shard->table, hash, key, key_size);
    shard->deletes++;
    pthread_mutex_unlock(&shard->lock);

    entry_drop(pool_here(s->pool), e);
    return e ? STORE_OK : STORE_NOT_FOUND;
}

void store_statistics(struct store *s, struct store_statistics *out)
{
    struct pool_counters counters;
    memset(out, 0, sizeof *out);
    add_shards(s, out);
    pool_count(s->pool, &counters);
    add_counters(&counters, out);
}
