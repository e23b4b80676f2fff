/*
 * What LevelDB and RocksDB have in common: RocksDB's C API is LevelDB's, grown, so that most of an
 * adapter is the same but for the prefix of the functions. The declarations are ours, after
 * leveldb/c.h 1.23 and rocksdb/c.h 7.8: nothing of either is needed to build.
 *
 * Durability: a write that is due carries sync, which takes all before it along.
 * Thread safety as engine.h says.
 */
#ifndef PERFSHIM_STORE_BENCH_ENGINE_LSM_H
#define PERFSHIM_STORE_BENCH_ENGINE_LSM_H

#include "store/bench/engine_library.h"

/* X(result, name, arguments) */
#define LSM_FUNCTIONS(X)                                                                           \
    X(void *, options_create, (void))                                                              \
    X(void, options_destroy, (void *))                                                             \
    X(void, options_set_create_if_missing, (void *, unsigned char))                                \
    X(void, options_set_compression, (void *, int))                                                \
    X(void, options_set_write_buffer_size, (void *, size_t))                                       \
    X(void *, cache_create_lru, (size_t))                                                          \
    X(void, cache_destroy, (void *))                                                               \
    X(void *, writeoptions_create, (void))                                                         \
    X(void, writeoptions_destroy, (void *))                                                        \
    X(void, writeoptions_set_sync, (void *, unsigned char))                                        \
    X(void *, readoptions_create, (void))                                                          \
    X(void, readoptions_destroy, (void *))                                                         \
    X(void *, open, (const void *, const char *, char **))                                         \
    X(void, close, (void *))                                                                       \
    X(void, put, (void *, const void *, const char *, size_t, const char *, size_t, char **))      \
    X(void *, create_iterator, (void *, const void *))                                             \
    X(void, iter_destroy, (void *))                                                                \
    X(void, iter_seek, (void *, const char *, size_t))                                             \
    X(unsigned char, iter_valid, (const void *))                                                   \
    X(void, iter_next, (void *))                                                                   \
    X(const char *, iter_key, (const void *, size_t *))                                            \
    X(const char *, iter_value, (const void *, size_t *))                                          \
    X(void, iter_get_error, (const void *, char **))                                               \
    X(char *, property_value, (void *, const char *))                                              \
    X(void, free, (void *))

struct lsm_api {
#define X(result, name, arguments) result(*name) arguments;
    LSM_FUNCTIONS(X)
#undef X
};

/* Of both; the defaults are the database's own. */
struct lsm_parameters {
    uint64_t cache_bytes, write_buffer_bytes;
};

/* An open database. What its adapter adds comes before lsm_open and goes after lsm_free. */
struct lsm {
    const struct lsm_api *api;
    void *db, *options, *cache, *read, *write, *write_synced;
    struct sync_rule sync;
    int failed; /* atomic: a write has; then the log is not to be touched, RocksDB asserts that */
    /* Syncs what is written. */
    void (*flush)(struct lsm *lsm, char **error);
    void *own; /* the adapter's */
};

struct lsm_thread {
    struct lsm *lsm;
    char error[256];
};

/* Options and all, the database not open yet. NULL, with *trouble filled: no memory. */
struct lsm *lsm_new(const struct lsm_api *api, const struct engine_setup *setup,
                    const struct lsm_parameters *parameters, struct engine_trouble *trouble);
/* ENGINE_OK, or an error with *trouble filled. */
int lsm_open(struct lsm *lsm, const char *directory, struct engine_trouble *trouble);
/* Syncs what is not, unless there is no log, and closes. As engine.h's close. */
int lsm_close(struct lsm *lsm, struct engine_trouble *trouble);
void lsm_free(struct lsm *lsm);

/* The class of an error that the database returned; its text is copied and freed. */
int lsm_error(const struct lsm *lsm, char *error, char *text, size_t size);

/* A number that it keeps of itself, 0 if it does not. */
uint64_t lsm_property(const struct lsm *lsm, const char *name);

/* As in struct engine, with a struct lsm as self and a struct lsm_thread as thread. */
int lsm_thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble);
void lsm_thread_close(void *thread);
int lsm_put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size);
int lsm_scan(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
             void *context);
const char *lsm_error_text(void *thread);
int lsm_sync_every(void *self, uint64_t every);

#endif
