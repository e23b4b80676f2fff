/*
 * What the engines that keep nothing have in common: a value to return, counts, and errors on
 * demand. A get and each entry of a scan return the same bytes, zeros of the workload's size.
 *
 * Thread-safe as engine.h says; a thread counts in its own cache line.
 */
#ifndef PERFSHIM_STORE_BENCH_ENGINE_DUMMY_H
#define PERFSHIM_STORE_BENCH_ENGINE_DUMMY_H

#include "store/bench/engine.h"

struct dummy_parameters {
    uint64_t errors;   /* operations that fail, of all threads together: exactly so many, if each
                          thread does enough: it fails every DUMMY_ERROR_EVERY-th of its own */
    const char *error; /* their class */
};
enum { DUMMY_ERROR_EVERY = 7 };

#define DUMMY_DEFAULTS                                                                             \
    {                                                                                              \
        .error = "io"                                                                              \
    }
/* Of a table of common/opt.h, for `struct dummy_parameters p`. */
#define DUMMY_OPTIONS(p)                                                                           \
    {"errors", OPT_UINT, &(p).errors, "N", "this many operations fail (0)",                        \
     NULL,     0,        INT64_MAX,   NULL},                                                       \
    {                                                                                              \
        "error", OPT_CHOICE, &(p).error, "CLASS", "the class of their error (io)",                 \
            dummy_error_names + 1, 0, 0, NULL                                                      \
    }
extern const char dummy_error_names[]; /* "|io|other|..." */

struct dummy;
struct dummy_thread {
    struct dummy *dummy;
    uint64_t gets, puts, scans, errors; /* written by this thread, read by all */
    uint64_t due;                       /* operations while errors were asked for */
} __attribute__((aligned(64)));

struct dummy {
    const void *value;
    size_t value_size;
    uint64_t errors_left; /* atomic */
    int error;            /* of enum engine_error */
    void *owner;          /* of the engine that has this one inside */
    unsigned thread_count;
    struct dummy_thread threads[];
};

/* NULL, with *trouble filled, if there is no memory. */
struct dummy *dummy_new(const struct engine_setup *setup, const struct dummy_parameters *parameters,
                        struct engine_trouble *trouble);
void dummy_free(struct dummy *dummy);
void dummy_statistics(void *dummy, struct engine_statistics *out);

/* As in struct engine, with a struct dummy as self and a struct dummy_thread as thread. */
int dummy_thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble);
void dummy_thread_close(void *thread);
int dummy_get(void *thread, const void *key, size_t key_size, struct engine_value *value);
void dummy_release(void *thread, struct engine_value *value);
int dummy_put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size);
int dummy_scan(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
               void *context);

#endif
