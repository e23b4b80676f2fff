/*
 * Which keys there are while threads insert new ones: key numbers from 0, each inserted once.
 *
 * A key may be asked for when its insert and all those of smaller numbers have succeeded. An insert
 * that failed is tried again by its thread, with the same number.
 *
 * Thread safety: any thread at any time, without a lock that anybody waits for.
 */
#ifndef PERFSHIM_STORE_BENCH_KEYSPACE_H
#define PERFSHIM_STORE_BENCH_KEYSPACE_H

#include <stdint.h>

struct keyspace {
    uint64_t next; /* atomic: the number of the next new key */
    /* atomic: all keys below are there; read at each operation, so in a line of its own */
    uint64_t there __attribute__((aligned(64)));
    int advancing;       /* atomic: somebody is at it */
    unsigned char *done; /* atomic: of KEYSPACE_WINDOW numbers from `there` on; NULL: no inserts */
} __attribute__((aligned(64)));

/* More inserts than these ahead of one that is under way are made, but stay unknown. */
enum { KEYSPACE_WINDOW = 1 << 20 };

/* `keys` keys are there. 0, or -1 if there is no memory for inserts. */
int keyspace_init(struct keyspace *k, uint64_t keys, int inserts);
void keyspace_release(struct keyspace *k);

static inline uint64_t keyspace_count(const struct keyspace *k)
{
    return __atomic_load_n(&k->there, __ATOMIC_ACQUIRE);
}

/* A new number. */
uint64_t keyspace_begin(struct keyspace *k);
/* Its insert has succeeded. */
void keyspace_end(struct keyspace *k, uint64_t number);

#endif
