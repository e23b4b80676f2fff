#include "store/bench/engine_lsm.h"

#include <stdio.h>
#include <stdlib.h>

static void *no_memory(struct engine_trouble *trouble)
{
    snprintf(trouble->text, sizeof trouble->text, "out of memory");
    return NULL;
}

struct lsm *lsm_new(const struct lsm_api *api, const struct engine_setup *setup,
                    const struct lsm_parameters *parameters, struct engine_trouble *trouble)
{
    struct lsm *lsm = calloc(1, sizeof *lsm);
    if (!lsm)
        return no_memory(trouble);
    lsm->api = api;
    lsm->sync.every = setup->sync_every;
    lsm->cache = api->cache_create_lru(parameters->cache_bytes);
    lsm->options = api->options_create();
    api->options_set_create_if_missing(lsm->options, 1);
    api->options_set_compression(lsm->options, 0); /* the other engines have none */
    api->options_set_write_buffer_size(lsm->options, parameters->write_buffer_bytes);
    lsm->read = api->readoptions_create();
    lsm->write = api->writeoptions_create();
    lsm->write_synced = api->writeoptions_create();
    api->writeoptions_set_sync(lsm->write_synced, 1);
    return lsm;
}

int lsm_error(const struct lsm *lsm, char *error, char *text, size_t size)
{
    int class = error_class_of_text(error);
    snprintf(text, size, "%s", error);
    lsm->api->free(error);
    return class;
}

int lsm_open(struct lsm *lsm, const char *directory, struct engine_trouble *trouble)
{
    char *error = NULL;
    lsm->db = lsm->api->open(lsm->options, directory, &error);
    if (lsm->db)
        return ENGINE_OK;
    trouble->disk = 1;
    return lsm_error(lsm, error, trouble->text, sizeof trouble->text);
}

int lsm_close(struct lsm *lsm, struct engine_trouble *trouble)
{
    char *error = NULL;
    int failed = lsm->failed;
    if (lsm->sync.every != ENGINE_NO_LOG && !failed)
        lsm->flush(lsm, &error);
    lsm->api->close(lsm->db);
    if (!error && (!failed || lsm->sync.every == ENGINE_NO_LOG))
        return ENGINE_OK;
    trouble->disk = 1;
    if (!error) {
        snprintf(trouble->text, sizeof trouble->text, "a write before them failed");
        return ENGINE_IO;
    }
    return lsm_error(lsm, error, trouble->text, sizeof trouble->text);
}

void lsm_free(struct lsm *lsm)
{
    lsm->api->writeoptions_destroy(lsm->write);
    lsm->api->writeoptions_destroy(lsm->write_synced);
    lsm->api->readoptions_destroy(lsm->read);
    lsm->api->options_destroy(lsm->options);
    lsm->api->cache_destroy(lsm->cache);
    free(lsm);
}

uint64_t lsm_property(const struct lsm *lsm, const char *name)
{
    char *text = lsm->api->property_value(lsm->db, name);
    uint64_t value = text ? strtoull(text, NULL, 10) : 0;
    lsm->api->free(text);
    return value;
}

int lsm_thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble)
{
    struct lsm_thread *t = calloc(1, sizeof *t);
    (void)number;
    *thread = t;
    if (!t) {
        no_memory(trouble);
        return ENGINE_NO_MEMORY;
    }
    t->lsm = self;
    return ENGINE_OK;
}

void lsm_thread_close(void *thread)
{
    free(thread);
}

int lsm_put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct lsm_thread *t = thread;
    struct lsm *lsm = t->lsm;
    char *error = NULL;
    lsm->api->put(lsm->db, sync_due(&lsm->sync) ? lsm->write_synced : lsm->write, key, key_size,
                  value, value_size, &error);
    if (!error)
        return ENGINE_OK;
    __atomic_store_n(&lsm->failed, 1, __ATOMIC_RELAXED);
    return lsm_error(lsm, error, t->error, sizeof t->error);
}

int lsm_scan(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
             void *context)
{
    struct lsm_thread *t = thread;
    const struct lsm_api *api = t->lsm->api;
    char *error = NULL;
    unsigned n = 0;
    void *i = api->create_iterator(t->lsm->db, t->lsm->read);
    for (api->iter_seek(i, key, key_size); n < count && api->iter_valid(i); api->iter_next(i)) {
        size_t size, value_size;
        const char *at = api->iter_key(i, &size), *value = api->iter_value(i, &value_size);
        n++;
        if (visit(context, at, size, value, value_size) != 0)
            break;
    }
    api->iter_get_error(i, &error);
    api->iter_destroy(i);
    return error ? lsm_error(t->lsm, error, t->error, sizeof t->error) : (int)n;
}

const char *lsm_error_text(void *thread)
{
    return ((struct lsm_thread *)thread)->error;
}

int lsm_sync_every(void *self, uint64_t every)
{
    struct lsm *lsm = self;
    char *error = NULL, text[8];
    lsm->sync = (struct sync_rule){.every = every};
    if (every != 0 && every != ENGINE_NO_LOG && !lsm->failed)
        lsm->flush(lsm, &error);
    return error ? lsm_error(lsm, error, text, sizeof text) : ENGINE_OK;
}
