#include "store/bench/engine_dummy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(id, value, name, text) "|" name
const char dummy_error_names[] = ENGINE_ERRORS(X);
#undef X

static int error_named(const char *name)
{
#define X(id, value, known, text)                                                                  \
    if (strcmp(name, known) == 0)                                                                  \
        return value;
    ENGINE_ERRORS(X)
#undef X
    return ENGINE_OTHER;
}

struct dummy *dummy_new(const struct engine_setup *setup, const struct dummy_parameters *p,
                        struct engine_trouble *trouble)
{
    size_t threads = setup->threads * sizeof(struct dummy_thread), head = sizeof(struct dummy);
    size_t bytes = (head + threads + setup->value_size + 63) / 64 * 64;
    struct dummy *d = aligned_alloc(_Alignof(struct dummy), bytes);
    if (!d) {
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return NULL;
    }
    memset(d, 0, bytes);
    d->value = (char *)d + head + threads;
    d->value_size = setup->value_size;
    d->errors_left = p->errors;
    d->error = error_named(p->error);
    d->thread_count = setup->threads;
    return d;
}

void dummy_free(struct dummy *d)
{
    free(d);
}

#define COUNTS(X) X(gets) X(puts) X(scans) X(errors)
void dummy_statistics(void *self, struct engine_statistics *out)
{
#define X(name) {#name, 0},
    static const struct engine_statistic names[] = {COUNTS(X)};
#undef X
    const struct dummy *d = self;
    *out = (struct engine_statistics){.names = names, .count = sizeof names / sizeof names[0]};
    for (unsigned i = 0; i < d->thread_count; i++) {
        const struct dummy_thread *t = &d->threads[i];
        unsigned at = 0;
#define X(name) out->values[at++] += __atomic_load_n(&t->name, __ATOMIC_RELAXED);
        COUNTS(X)
#undef X
    }
}

int dummy_thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble)
{
    struct dummy *d = self;
    (void)trouble;
    d->threads[number].dummy = d;
    *thread = &d->threads[number];
    return ENGINE_OK;
}

void dummy_thread_close(void *thread)
{
    (void)thread;
}

/* One writer each: a plain load and store, but whole ones. */
static inline void count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static __attribute__((noinline, cold)) int dummy_fail(struct dummy_thread *t)
{
    struct dummy *d = t->dummy;
    uint64_t left = __atomic_load_n(&d->errors_left, __ATOMIC_RELAXED);
    if (++t->due % DUMMY_ERROR_EVERY)
        return ENGINE_OK;
    do {
        if (left == 0)
            return ENGINE_OK;
    } while (!__atomic_compare_exchange_n(&d->errors_left, &left, left - 1, 0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    count(&t->errors);
    return d->error;
}

static inline int dummy_error(struct dummy_thread *t)
{
    return __atomic_load_n(&t->dummy->errors_left, __ATOMIC_RELAXED) ? dummy_fail(t) : ENGINE_OK;
}

int dummy_get(void *thread, const void *key, size_t key_size, struct engine_value *value)
{
    struct dummy_thread *t = thread;
    (void)key, (void)key_size;
    count(&t->gets);
    *value = (struct engine_value){.data = t->dummy->value, .size = t->dummy->value_size};
    return dummy_error(t);
}

void dummy_release(void *thread, struct engine_value *value)
{
    (void)thread, (void)value;
}

int dummy_put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct dummy_thread *t = thread;
    (void)key, (void)key_size, (void)value, (void)value_size;
    count(&t->puts);
    return dummy_error(t);
}

int dummy_scan(void *thread, const void *key, size_t key_size, unsigned entries,
               engine_visit *visit, void *context)
{
    struct dummy_thread *t = thread;
    count(&t->scans);
    int error = dummy_error(t);
    if (error != ENGINE_OK)
        return error;
    for (unsigned i = 0; i < entries; i++)
        if (visit(context, key, key_size, t->dummy->value, t->dummy->value_size) != 0)
            return (int)i + 1;
    return (int)entries;
}
