/* RocksDB. Gets are pinned, not copied; without a log (ENGINE_NO_LOG) its own is off, too. */
#include <stdio.h>
#include <stdlib.h>

#include "store/bench/engine_lsm.h"

#define OWN_FUNCTIONS(X)                                                                           \
    X(void *, block_based_options_create, (void))                                                  \
    X(void, block_based_options_destroy, (void *))                                                 \
    X(void, block_based_options_set_block_cache, (void *, void *))                                 \
    X(void, options_set_block_based_table_factory, (void *, void *))                               \
    X(void, options_set_info_log_level, (void *, int))                                             \
    X(void, writeoptions_disable_WAL, (void *, int))                                               \
    X(void, flush_wal, (void *, unsigned char, char **))                                           \
    X(void *, get_pinned, (void *, const void *, const char *, size_t, char **))                   \
    X(const char *, pinnableslice_value, (const void *, size_t *))                                 \
    X(void, pinnableslice_destroy, (void *))

enum { LOG_FATAL = 4 }; /* rocksdb's InfoLogLevel */

static struct lsm_api lsm_api;
static struct {
#define X(result, name, arguments) result(*name) arguments;
    OWN_FUNCTIONS(X)
#undef X
} rocksdb;

static const struct library_function functions[] = {
#define X(result, name, arguments) {"rocksdb_" #name, &lsm_api.name},
    LSM_FUNCTIONS(X)
#undef X
#define X(result, name, arguments) {"rocksdb_" #name, &rocksdb.name},
        OWN_FUNCTIONS(X)
#undef X
            {0}};

static const char *const library_names[] = {"librocksdb.so.7.8", "librocksdb.so", NULL};
static struct library library = {
    .names = library_names, .package = "librocksdb7.8", .functions = functions};

static struct lsm_parameters parameters;
static const struct opt options[] = {
    {"cache", OPT_SIZE, &parameters.cache_bytes, "SIZE", "its cache of blocks (8M)", NULL, 0, 0,
     NULL},
    {"write-buffer", OPT_SIZE, &parameters.write_buffer_bytes, "SIZE", "its table in memory (64M)",
     NULL, 65536, 0, NULL},
    LIBRARY_OPTION(library),
    OPT_END,
};

static void reset(void)
{
    parameters = (struct lsm_parameters){.cache_bytes = 8 << 20, .write_buffer_bytes = 64 << 20};
    library.chosen = NULL;
}

static int probe(struct engine_trouble *trouble)
{
    return library_open(&library, trouble);
}

static void flush(struct lsm *lsm, char **error)
{
    rocksdb.flush_wal(lsm->db, 1, error);
}

static void rocksdb_release(struct lsm *lsm)
{
    void *table = lsm->own;
    lsm_free(lsm);
    rocksdb.block_based_options_destroy(table);
}

static int open_rocksdb(const struct engine_setup *setup, void **self,
                        struct engine_trouble *trouble)
{
    int error = probe(trouble);
    if (error != ENGINE_OK)
        return error;
    struct lsm *lsm = lsm_new(&lsm_api, setup, &parameters, trouble);
    if (!lsm)
        return ENGINE_NO_MEMORY;
    lsm->flush = flush;
    lsm->own = rocksdb.block_based_options_create();
    rocksdb.block_based_options_set_block_cache(lsm->own, lsm->cache);
    rocksdb.options_set_block_based_table_factory(lsm->options, lsm->own);
    /* Debian's library asserts that what it logs of a full disk goes to that disk: fatal only */
    rocksdb.options_set_info_log_level(lsm->options, LOG_FATAL);
    rocksdb.writeoptions_disable_WAL(lsm->write, setup->sync_every == ENGINE_NO_LOG);
    error = lsm_open(lsm, setup->directory, trouble);
    if (error != ENGINE_OK)
        rocksdb_release(lsm);
    else
        *self = lsm;
    return error;
}

/* keys is its estimate: overwritten keys count until they are merged. */
static void statistics(void *self, struct engine_statistics *out)
{
    static const struct engine_statistic names[] = {
        {"keys", 1}, {"memtable_bytes", 1}, {"cache_bytes", 1}, {"table_bytes", 1}};
    static const char *const properties[] = {
        "rocksdb.estimate-num-keys", "rocksdb.cur-size-all-mem-tables", "rocksdb.block-cache-usage",
        "rocksdb.total-sst-files-size"};
    out->names = names;
    out->count = sizeof names / sizeof names[0];
    for (unsigned i = 0; i < out->count; i++)
        out->values[i] = lsm_property(self, properties[i]);
}

static int close_rocksdb(void *self, struct engine_statistics *last, struct engine_trouble *trouble)
{
    statistics(self, last);
    int error = lsm_close(self, trouble);
    rocksdb_release(self);
    return error;
}

static int get(void *thread, const void *key, size_t key_size, struct engine_value *value)
{
    struct lsm_thread *t = thread;
    char *error = NULL;
    void *slice = rocksdb.get_pinned(t->lsm->db, t->lsm->read, key, key_size, &error);
    if (error)
        return lsm_error(t->lsm, error, t->error, sizeof t->error);
    if (!slice)
        return ENGINE_NOT_FOUND;
    value->handle = slice;
    value->data = rocksdb.pinnableslice_value(slice, &value->size);
    return ENGINE_OK;
}

static void release(void *thread, struct engine_value *value)
{
    (void)thread;
    rocksdb.pinnableslice_destroy(value->handle);
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .title = "RocksDB",
    .differs = "on disk, with a cache of 8 MiB and a table of 64 MiB in memory unless set; without "
               "--wal-sync-every it writes no log",
    .features = ENGINE_DISK | ENGINE_NEEDS_DIRECTORY,
    .parameters = options,
    .parameters_reset = reset,
    .probe = probe,
    .open = open_rocksdb,
    .close = close_rocksdb,
    .remove = directory_remove,
    .thread_open = lsm_thread_open,
    .thread_close = lsm_thread_close,
    .get = get,
    .release = release,
    .put = lsm_put,
    .scan = lsm_scan,
    .error_text = lsm_error_text,
    .sync_every = lsm_sync_every,
    .statistics = statistics,
};
