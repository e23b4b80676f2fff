#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "store/hash.h"
#include "store/index.h"
#include "store/memtable.h"
#include "store/pool.h"
#include "store/wal.h"

enum { LINE = 64, SCAN_BATCH = 64 };

struct shard {
    pthread_mutex_t lock; /* guards all of the shard */
    struct memtable table;
    uint64_t gets, hits, puts, deletes;
} __attribute__((aligned(LINE))); /* no two shards share a cache line */

struct ordered {
    struct index index;
    uint64_t scans, scan_entries; /* atomic; here, where a scan writes anyway */
} __attribute__((aligned(LINE)));

/* A shard's lock is taken before the index's, never after it. */
struct store {
    struct pool *pool;
    struct wal *wal;         /* NULL: no log */
    struct ordered *ordered; /* NULL: no index */
    int detour;              /* puts have more to do than to enter the table: one of the two */
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
    if (s->ordered) {
        out->scans = __atomic_load_n(&s->ordered->scans, __ATOMIC_RELAXED);
        out->scan_entries = __atomic_load_n(&s->ordered->scan_entries, __ATOMIC_RELAXED);
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

static void add_wal(struct store *s, struct store_statistics *out)
{
    struct wal_counters counters;
    if (!s->wal)
        return;
    wal_count(s->wal, &counters);
#define X(name) out->name = counters.name;
    WAL_COUNTERS(X)
#undef X
}

/* ---- open and close ---- */

/* One record of the log: nobody else is in the store yet. */
static int replay(void *context, enum wal_kind kind, const void *key, size_t key_size,
                  const void *value, size_t value_size)
{
    struct store *s = context;
    struct pool_thread *here = pool_here(s->pool);
    uint64_t hash = hash_bytes(key, key_size);
    struct memtable *table = &shard_of(s, hash)->table;
    struct entry *old;
    if (kind == WAL_DELETE) {
        old = memtable_remove(table, hash, key, key_size);
        if (old && s->ordered)
            index_node_drop(here, index_remove(&s->ordered->index, key, key_size));
    } else {
        struct entry *e = entry_new(here, hash, key, key_size, value, value_size);
        struct index_node *node = NULL;
        if (e && s->ordered && !(node = index_node_new(here, hash, key, key_size))) {
            entry_drop(here, e);
            e = NULL;
        }
        if (!e)
            return STORE_NO_MEMORY;
        old = memtable_insert(table, here, e);
        if (node && !old)
            index_insert(&s->ordered->index, node);
        else
            index_node_drop(here, node);
    }
    entry_drop(here, old);
    return STORE_OK;
}

static int build(const struct store_config *config, struct store **out,
                 struct store_trouble *trouble)
{
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
    if (rc == STORE_OK && config->ordered) {
        s->ordered = pool_reserve(here, LINE, sizeof *s->ordered);
        if (s->ordered) {
            s->ordered->scans = s->ordered->scan_entries = 0;
            index_init(&s->ordered->index);
        } else {
            rc = STORE_NO_MEMORY;
        }
    }
    if (rc == STORE_OK && config->directory)
        rc = wal_open(&s->wal, config->directory, config->sync_every, here, replay, s, trouble);
    s->detour = s->wal || s->ordered;
    if (rc != STORE_OK)
        store_close(s, NULL);
    else
        *out = s;
    return rc;
}

int store_open(const struct store_config *config, struct store **out)
{
    struct store_trouble unwanted;
    struct store_trouble *trouble = config->trouble ? config->trouble : &unwanted;
    *out = NULL;
    trouble->file[0] = '\0';
    trouble->offset = 0;
    trouble->what = NULL;
    int rc = build(config, out, trouble);
    if (rc != STORE_OK && !trouble->what)
        trouble->what = store_error_text(rc);
    return rc;
}

int store_close(struct store *s, struct store_statistics *last)
{
    if (!s)
        return STORE_OK;
    struct pool *pool = s->pool;
    struct pool_thread *here = pool_here(pool);
    struct pool_counters counters;
    if (last) {
        memset(last, 0, sizeof *last);
        add_wal(s, last);
    }
    int rc = wal_close(s->wal, here);
    if (s->shards) {
        if (last)
            add_shards(s, last);
        for (uint32_t i = 0; i < s->shard_count; i++) {
            memtable_release(&s->shards[i].table, here);
            pthread_mutex_destroy(&s->shards[i].lock);
        }
        pool_unreserve(here, s->shards, s->shard_count * sizeof *s->shards);
    }
    if (s->ordered) {
        index_release(&s->ordered->index, here);
        pool_unreserve(here, s->ordered, sizeof *s->ordered);
    }
    pool_unreserve(here, s, sizeof *s);
    pool_close(pool, &counters);
    if (last)
        add_counters(&counters, last);
    return rc;
}

int store_remove(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? STORE_OK : STORE_IO;
    int rc = unlinkat(fd, WAL_FILE_NAME, 0) == 0 || errno == ENOENT ? STORE_OK : STORE_IO;
    close(fd);
    if (rc == STORE_OK && rmdir(directory) != 0 && errno != ENOTEMPTY && errno != EEXIST)
        rc = STORE_IO;
    return rc;
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

/* A put or delete on its way through the log: the queue's own order is also the table's. */
struct logged {
    struct wal_record record; /* first: the log hands it back */
    struct store *store;
    uint64_t hash;
    struct entry *entry; /* of a put */
    int outcome;
};

struct logged_ordered {
    struct logged logged;
    struct index_node *node;
};

/* Takes both. The node, NULL without an index, is for the key being new, which is known only here,
 * where memory must not be missing any more. */
static inline __attribute__((always_inline)) int
table_enter(struct store *s, struct pool_thread *here, struct entry *e, struct index_node *node)
{
    struct shard *shard = shard_of(s, e->hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *old = memtable_insert(&shard->table, here, e);
    shard->puts++;
    if (node && !old) {
        index_insert(&s->ordered->index, node);
        node = NULL;
    }
    pthread_mutex_unlock(&shard->lock);
    entry_drop(here, old);
    if (node)
        index_node_drop(here, node);
    return STORE_OK;
}

static inline __attribute__((always_inline)) int
table_put(struct store *s, struct pool_thread *here, struct entry *e)
{
    return table_enter(s, here, e, NULL);
}

static __attribute__((noinline)) int table_put_ordered(struct store *s, struct pool_thread *here,
                                                       struct entry *e, struct index_node *node)
{
    return table_enter(s, here, e, node);
}

static int table_delete(struct store *s, uint64_t hash, const void *key, size_t key_size)
{
    struct shard *shard = shard_of(s, hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *e = memtable_remove(&shard->table, hash, key, key_size);
    struct index_node *node =
        e && s->ordered ? index_remove(&s->ordered->index, key, key_size) : NULL;
    shard->deletes++;
    pthread_mutex_unlock(&shard->lock);
    struct pool_thread *here = pool_here(s->pool);
    entry_drop(here, e);
    index_node_drop(here, node);
    return e ? STORE_OK : STORE_NOT_FOUND;
}

static void logged_apply(struct wal_record *record)
{
    struct logged *l = (struct logged *)record;
    if (record->kind == WAL_PUT)
        l->outcome = table_put(l->store, pool_here(l->store->pool), l->entry);
    else
        l->outcome = table_delete(l->store, l->hash, record->key, record->key_size);
}

static void logged_apply_ordered(struct wal_record *record)
{
    struct logged *l = (struct logged *)record;
    struct index_node *node = ((struct logged_ordered *)record)->node;
    l->outcome = table_put_ordered(l->store, pool_here(l->store->pool), l->entry, node);
}

static inline struct logged logged_put(struct store *s, struct entry *e,
                                       void (*apply)(struct wal_record *record))
{
    return (struct logged){.record = {.kind = WAL_PUT,
                                      .key = e->key,
                                      .key_size = e->key_size,
                                      .value = e->value,
                                      .value_size = e->value_size,
                                      .apply = apply},
                           .store = s,
                           .entry = e};
}

static __attribute__((noinline)) int put_ordered(struct store *s, struct pool_thread *here,
                                                 struct entry *e)
{
    struct index_node *node = index_node_new(here, e->hash, e->key, e->key_size);
    int rc = STORE_NO_MEMORY;
    if (node && !s->wal)
        return table_put_ordered(s, here, e, node);
    if (node) {
        struct logged_ordered l = {.logged = logged_put(s, e, logged_apply_ordered), .node = node};
        rc = wal_commit(s->wal, &l.logged.record);
    }
    if (rc != STORE_OK) {
        entry_drop(here, e);
        index_node_drop(here, node);
    }
    return rc;
}

/* Out of line: a put of a store that has neither log nor index does not pay for them. */
static __attribute__((noinline)) int put_detour(struct store *s, struct pool_thread *here,
                                                struct entry *e)
{
    if (s->ordered)
        return put_ordered(s, here, e);
    struct logged l = logged_put(s, e, logged_apply);
    int rc = wal_commit(s->wal, &l.record);
    if (rc != STORE_OK)
        entry_drop(here, e);
    return rc;
}

static __attribute__((noinline)) int delete_logged(struct store *s, uint64_t hash, const void *key,
                                                   size_t key_size)
{
    struct logged l = {
        .record = {.kind = WAL_DELETE, .key = key, .key_size = key_size, .apply = logged_apply},
        .store = s,
        .hash = hash};
    int rc = wal_commit(s->wal, &l.record);
    return rc == STORE_OK ? l.outcome : rc;
}

int store_put(struct store *s, const void *key, size_t key_size, const void *value,
              size_t value_size)
{
    if (!key_size_valid(key_size))
        return STORE_BAD_KEY;
    if (value_size > STORE_VALUE_MAX)
        return STORE_BAD_VALUE;
    struct pool_thread *here = pool_here(s->pool);
    struct entry *e = entry_new(here, hash_bytes(key, key_size), key, key_size, value, value_size);
    if (!e)
        return STORE_NO_MEMORY;
    return s->detour ? put_detour(s, here, e) : table_put(s, here, e);
}

int store_delete(struct store *s, const void *key, size_t key_size)
{
    if (!key_size_valid(key_size))
        return STORE_BAD_KEY;
    uint64_t hash = hash_bytes(key, key_size);
    return s->wal ? delete_logged(s, hash, key, key_size) : table_delete(s, hash, key, key_size);
}

/* What the key has now, with a reference; NULL if it was deleted. The shard is locked. */
static struct entry *entry_now(struct shard *shard, const struct index_node *node)
{
    struct entry *e = memtable_find(&shard->table, node->hash, index_key(node), node->key_size);
    if (e)
        entry_hold(e);
    return e;
}

/*
 * The entries of some keys. A shard whose lock is taken is come back to: a scan takes so many locks
 * that, by chance, it would often meet a put at one of them, and to sleep there takes longer than
 * all of the scan.
 */
static void scan_entries(struct store *s, struct index_node *const *nodes, size_t n,
                         struct entry **entries)
{
    unsigned char late[SCAN_BATCH];
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        struct shard *shard = shard_of(s, nodes[i]->hash);
        if (pthread_mutex_trylock(&shard->lock) != 0) {
            late[left++] = (unsigned char)i;
            continue;
        }
        entries[i] = entry_now(shard, nodes[i]);
        pthread_mutex_unlock(&shard->lock);
    }
    for (size_t k = 0; k < left; k++) {
        struct shard *shard = shard_of(s, nodes[late[k]]->hash);
        pthread_mutex_lock(&shard->lock);
        entries[late[k]] = entry_now(shard, nodes[late[k]]);
        pthread_mutex_unlock(&shard->lock);
    }
}

int store_scan(struct store *s, const void *start, size_t start_size, uint64_t limit,
               store_visit *visit, void *context)
{
    if (!s->ordered)
        return STORE_NOT_ORDERED;
    if (start_size > STORE_KEY_MAX)
        return STORE_BAD_KEY;
    if (!start_size)
        start = ""; /* memcmp takes no NULL */
    struct pool_thread *here = pool_here(s->pool);
    struct index *index = &s->ordered->index;
    struct index_node *nodes[SCAN_BATCH], *last = NULL;
    struct entry *entries[SCAN_BATCH];
    uint64_t visited = 0;
    for (int ended = 0; visited < limit && !ended;) {
        size_t want = limit - visited < SCAN_BATCH ? (size_t)(limit - visited) : SCAN_BATCH;
        size_t n = last ? index_collect(index, index_key(last), last->key_size, 1, nodes, want)
                        : index_collect(index, start, start_size, 0, nodes, want);
        scan_entries(s, nodes, n, entries);
        index_node_drop(here, last);
        last = NULL;
        for (size_t i = 0; i < n; i++) {
            struct entry *e = entries[i];
            if (e && !ended) {
                visited++;
                ended =
                    visit(context, e->key, e->key_size, e->value ? e->value : "", e->value_size);
            }
            entry_drop(here, e);
            if (i + 1 == want)
                last = nodes[i]; /* where the next batch goes on */
            else
                index_node_drop(here, nodes[i]);
        }
        if (n < want)
            break;
    }
    index_node_drop(here, last);
    __atomic_add_fetch(&s->ordered->scans, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&s->ordered->scan_entries, visited, __ATOMIC_RELAXED);
    return STORE_OK;
}

int store_sync_every(struct store *s, uint64_t sync_every)
{
    return s->wal ? wal_sync_every(s->wal, sync_every) : STORE_OK;
}

void store_statistics(struct store *s, struct store_statistics *out)
{
    struct pool_counters counters;
    memset(out, 0, sizeof *out);
    add_shards(s, out);
    add_wal(s, out);
    pool_count(s->pool, &counters);
    add_counters(&counters, out);
}
