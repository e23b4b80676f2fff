#include "store/bench/keyspace.h"

#include <stdlib.h>

int keyspace_init(struct keyspace *k, uint64_t keys, int inserts)
{
    *k = (struct keyspace){.next = keys, .there = keys};
    if (!inserts)
        return 0;
    k->done = calloc(1, KEYSPACE_WINDOW);
    return k->done ? 0 : -1;
}

void keyspace_release(struct keyspace *k)
{
    free(k->done);
    k->done = NULL;
}

uint64_t keyspace_begin(struct keyspace *k)
{
    return __atomic_fetch_add(&k->next, 1, __ATOMIC_RELAXED);
}

static unsigned char *place(const struct keyspace *k, uint64_t number)
{
    return &k->done[number % KEYSPACE_WINDOW];
}

static int is_done(const struct keyspace *k)
{
    return __atomic_load_n(place(k, __atomic_load_n(&k->there, __ATOMIC_SEQ_CST)),
                           __ATOMIC_SEQ_CST);
}

void keyspace_end(struct keyspace *k, uint64_t number)
{
    if (number - keyspace_count(k) >= KEYSPACE_WINDOW)
        return;
    __atomic_store_n(place(k, number), 1, __ATOMIC_SEQ_CST);
    /* Again after letting go: what was marked meanwhile, its marker has left to us. */
    while (is_done(k) && !__atomic_exchange_n(&k->advancing, 1, __ATOMIC_SEQ_CST)) {
        while (is_done(k)) {
            uint64_t there = k->there;
            __atomic_store_n(place(k, there), 0, __ATOMIC_RELAXED);
            __atomic_store_n(&k->there, there + 1, __ATOMIC_SEQ_CST);
        }
        __atomic_store_n(&k->advancing, 0, __ATOMIC_SEQ_CST);
    }
}
