/* LevelDB. Its log cannot be switched off: ENGINE_NO_LOG writes it, too, and never syncs it. */
#include <stdio.h>
#include <stdlib.h>

#include "store/bench/engine_lsm.h"

#define OWN_FUNCTIONS(X)                                                                           \
    X(void, options_set_cache, (void *, void *))                                                   \
    X(char *, get, (void *, const void *, const char *, size_t, size_t *, char **))                \
    X(void, write, (void *, const void *, void *, char **))                                        \
    X(void *, writebatch_create, (void))                                                           \
    X(void, writebatch_destroy, (void *))

static struct lsm_api lsm_api;
static struct {
#define X(result, name, arguments) result(*name) arguments;
    OWN_FUNCTIONS(X)
#undef X
} leveldb;

static const struct library_function functions[] = {
#define X(result, name, arguments) {"leveldb_" #name, &lsm_api.name},
    LSM_FUNCTIONS(X)
#undef X
#define X(result, name, arguments) {"leveldb_" #name, &leveldb.name},
        OWN_FUNCTIONS(X)
#undef X
            {0}};

static const char *const library_names[] = {"libleveldb.so.1d", "libleveldb.so.1", "libleveldb.so",
                                            NULL};
static struct library library = {
    .names = library_names, .package = "libleveldb1d", .functions = functions};

static struct lsm_parameters parameters;
static const struct opt options[] = {
    {"cache", OPT_SIZE, &parameters.cache_bytes, "SIZE", "its cache of blocks (8M)", NULL, 0, 0,
     NULL},
    {"write-buffer", OPT_SIZE, &parameters.write_buffer_bytes, "SIZE", "its table in memory (4M)",
     NULL, 65536, 0, NULL},
    LIBRARY_OPTION(library),
    OPT_END,
};

static void reset(void)
{
    parameters = (struct lsm_parameters){.cache_bytes = 8 << 20, .write_buffer_bytes = 4 << 20};
    library.chosen = NULL;
}

static int probe(struct engine_trouble *trouble)
{
    return library_open(&library, trouble);
}

/* An empty write that is synced takes along what the log has. */
static void flush(struct lsm *lsm, char **error)
{
    void *nothing = leveldb.writebatch_create();
    leveldb.write(lsm->db, lsm->write_synced, nothing, error);
    leveldb.writebatch_destroy(nothing);
}

static int open_leveldb(const struct engine_setup *setup, void **self,
                        struct engine_trouble *trouble)
{
    int error = probe(trouble);
    if (error != ENGINE_OK)
        return error;
    struct lsm *lsm = lsm_new(&lsm_api, setup, &parameters, trouble);
    if (!lsm)
        return ENGINE_NO_MEMORY;
    lsm->flush = flush;
    leveldb.options_set_cache(lsm->options, lsm->cache);
    error = lsm_open(lsm, setup->directory, trouble);
    if (error != ENGINE_OK)
        lsm_free(lsm);
    else
        *self = lsm;
    return error;
}

static void statistics(void *self, struct engine_statistics *out)
{
    static const struct engine_statistic names[] = {{"memory_bytes", 1}};
    out->names = names;
    out->count = 1;
    out->values[0] = lsm_property(self, "leveldb.approximate-memory-usage");
}

static int close_leveldb(void *self, struct engine_statistics *last, struct engine_trouble *trouble)
{
    statistics(self, last);
    int error = lsm_close(self, trouble);
    lsm_free(self);
    return error;
}

static int get(void *thread, const void *key, size_t key_size, struct engine_value *value)
{
    struct lsm_thread *t = thread;
    char *error = NULL;
    char *copy = leveldb.get(t->lsm->db, t->lsm->read, key, key_size, &value->size, &error);
    if (error)
        return lsm_error(t->lsm, error, t->error, sizeof t->error);
    value->data = value->handle = copy;
    return copy ? ENGINE_OK : ENGINE_NOT_FOUND;
}

static void release(void *thread, struct engine_value *value)
{
    (void)thread;
    lsm_api.free(value->handle);
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .title = "LevelDB",
    .differs = "on disk, with a cache of 8 MiB and a table of 4 MiB in memory unless set; without "
               "--wal-sync-every it writes its log all the same",
    .features = ENGINE_DISK | ENGINE_NEEDS_DIRECTORY,
    .parameters = options,
    .parameters_reset = reset,
    .probe = probe,
    .open = open_leveldb,
    .close = close_leveldb,
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
