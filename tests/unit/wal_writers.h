/* For tests of the log: threads that put keys of their own into one store. */
#ifndef PERFSHIM_TESTS_WAL_WRITERS_H
#define PERFSHIM_TESTS_WAL_WRITERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "store/store.h"

enum { WRITERS = 8 };
struct writer {
    struct store *store;
    uint32_t number, acknowledged, writes;
    uint32_t failures;
};

/* Keys: (thread, number of its write). */
static inline void *write_own_keys(void *argument)
{
    struct writer *w = argument;
    for (uint32_t i = 0; i < w->writes; i++) {
        uint32_t key[2] = {w->number, i};
        if (store_put(w->store, key, sizeof key, key, sizeof key) != STORE_OK)
            w->failures++;
        else
            __atomic_store_n(&w->acknowledged, i + 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static inline void writers_start(struct writer *w, pthread_t *threads, struct store *store,
                                 uint32_t writes)
{
    for (uint32_t i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){.store = store, .number = i, .writes = writes};
        assert_int_equal(pthread_create(&threads[i], NULL, write_own_keys, &w[i]), 0);
    }
}

#endif
