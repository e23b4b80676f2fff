/* The store in store/: the engine that is measured unless another one is asked for. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/bench/engine.h"
#include "store/store.h"

struct store_thread {
    struct store *store;
    int error; /* the last one */
} __attribute__((aligned(64)));

#define X(name) +1
_Static_assert(0 STORE_STATISTICS(X) <= ENGINE_STATISTICS_MAX, "room for the store's statistics");
#undef X

static void statistics_copy(struct engine_statistics *to, const struct store_statistics *from)
{
    /* keys and data_bytes are the two that can fall */
#define X(name) {#name, strcmp(#name, "keys") == 0 || strcmp(#name, "data_bytes") == 0},
    static struct engine_statistic names[] = {STORE_STATISTICS(X)};
#undef X
    to->names = names;
    to->count = 0;
#define X(name) to->values[to->count++] = from->name;
    STORE_STATISTICS(X)
#undef X
}

static int error_of(int error)
{
    return error == STORE_OK          ? ENGINE_OK
           : error == STORE_NOT_FOUND ? ENGINE_NOT_FOUND
           : error == STORE_NO_MEMORY ? ENGINE_NO_MEMORY
           : error == STORE_NO_SPACE  ? ENGINE_NO_SPACE
           : error == STORE_IO        ? ENGINE_IO
                                      : ENGINE_OTHER;
}

static int open_store(const struct engine_setup *setup, void **self, struct engine_trouble *trouble)
{
    struct store_config config;
    struct store_trouble found;
    struct store *store;
    char offset[40] = "";
    store_config_init(&config);
    config.shards = setup->shards;
    config.pool = setup->pool;
    config.ordered = setup->scans;
    config.trouble = &found;
    if (setup->directory && setup->sync_every != ENGINE_NO_LOG) {
        config.directory = setup->directory;
        config.sync_every = setup->sync_every;
    }
    int error = store_open(&config, &store);
    *self = store;
    if (error == STORE_OK)
        return ENGINE_OK;
    if (error == STORE_CORRUPT)
        snprintf(offset, sizeof offset, "offset %" PRIu64 ": ", found.offset);
    snprintf(trouble->text, sizeof trouble->text, "%s%s%s%s", found.file, found.file[0] ? ": " : "",
             offset, found.what);
    trouble->disk = found.file[0] != '\0';
    return error_of(error);
}

static int close_store(void *self, struct engine_statistics *last, struct engine_trouble *trouble)
{
    struct store_statistics statistics;
    int error = store_close(self, &statistics);
    statistics_copy(last, &statistics);
    if (error != STORE_OK) {
        snprintf(trouble->text, sizeof trouble->text, "%s", store_error_text(error));
        trouble->disk = 1;
    }
    return error_of(error);
}

static int remove_store(const char *directory)
{
    return store_remove(directory) == STORE_OK ? 0 : -1;
}

static int thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble)
{
    struct store_thread *t = aligned_alloc(_Alignof(struct store_thread), sizeof *t);
    (void)number;
    *thread = t;
    if (!t) {
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return ENGINE_NO_MEMORY;
    }
    *t = (struct store_thread){.store = self};
    return ENGINE_OK;
}

static void thread_close(void *thread)
{
    free(thread);
}

static int failed(struct store_thread *t, int error)
{
    t->error = error;
    return error_of(error);
}

static int get(void *thread, const void *key, size_t key_size, struct engine_value *value)
{
    struct store_thread *t = thread;
    struct store_value found;
    int error = store_get(t->store, key, key_size, &found);
    if (error != STORE_OK)
        return failed(t, error);
    *value = (struct engine_value){.data = found.data, .size = found.size};
    return ENGINE_OK;
}

static void release(void *thread, struct engine_value *value)
{
    struct store_thread *t = thread;
    struct store_value found = {.data = value->data, .size = value->size};
    store_value_release(t->store, &found);
}

struct visitor {
    engine_visit *visit;
    void *context;
    int count;
};

static int count_and_visit(void *context, const void *key, size_t key_size, const void *value,
                           size_t value_size)
{
    struct visitor *v = context;
    v->count++;
    return v->visit(v->context, key, key_size, value, value_size);
}

static int put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct store_thread *t = thread;
    int error = store_put(t->store, key, key_size, value, value_size);
    return error == STORE_OK ? ENGINE_OK : failed(t, error);
}

static int scan(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
                void *context)
{
    struct store_thread *t = thread;
    struct visitor v = {.visit = visit, .context = context};
    int error = store_scan(t->store, key, key_size, count, count_and_visit, &v);
    return error == STORE_OK ? v.count : failed(t, error);
}

static const char *error_text(void *thread)
{
    struct store_thread *t = thread;
    return store_error_text(t->error);
}

static int sync_every(void *self, uint64_t every)
{
    return error_of(store_sync_every(self, every));
}

static void statistics(void *self, struct engine_statistics *out)
{
    struct store_statistics now;
    store_statistics(self, &now);
    statistics_copy(out, &now);
}

const struct engine engine_store = {
    .name = "store",
    .title = "the store",
    .differs = "all keys and values in memory; a get copies the value",
    .features = ENGINE_DISK | ENGINE_SHARDS,
    .open = open_store,
    .close = close_store,
    .remove = remove_store,
    .thread_open = thread_open,
    .thread_close = thread_close,
    .get = get,
    .release = release,
    .put = put,
    .scan = scan,
    .error_text = error_text,
    .sync_every = sync_every,
    .statistics = statistics,
};
