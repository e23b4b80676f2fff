/*
 * What the load generator asks of the store: which operation, which key, which value.
 *
 * A struct workload is shared and read-only; each thread has its own struct generator, whose
 * sequence depends on the seed and the thread's number only. Nothing here allocates per operation.
 *
 * Keys are 16 bytes: "key" and 13 decimal digits. Values are slices of random bytes at a changing
 * offset. With verify, a value is a header (struct value_header) and such a slice; the header's
 * checksum covers all, so that a torn, stale-sized or foreign value is found.
 */
#ifndef PERFSHIM_STORE_BENCH_WORKLOAD_H
#define PERFSHIM_STORE_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "store/bench/random.h"

#define KEY_SIZE 16
#define KEYS_MAX 1000000000000u

/* Named mixes: share of gets. */
#define WORKLOADS(X)                                                                               \
    X("get", 1.0)                                                                                  \
    X("put", 0.0)                                                                                  \
    X("read-heavy", 0.95)                                                                          \
    X("mixed", 0.5)                                                                                \
    X("write-heavy", 0.05)

/* The share of gets of a named mix, or -1. */
double workload_read_ratio(const char *name);

enum op_kind { OP_GET, OP_PUT, OP_KINDS };
const char *op_name(enum op_kind kind);

struct workload {
    uint64_t keys;
    size_t value_size;
    uint64_t seed;
    int verify;
    uint64_t read_below; /* a get if 53 random bits are below */
    char *filler;        /* value_size + FILLER_SLACK random bytes */
};

struct value_header {
    uint64_t key;
    uint64_t writer;   /* thread << 48 | its number of the value */
    uint64_t checksum; /* of key, writer, and the bytes after the header */
};

struct generator {
    const struct workload *workload;
    struct rng rng;
    uint64_t writer;
    char *value; /* with verify: the value being written */
};

struct op {
    enum op_kind kind;
    uint64_t number; /* of the key */
    char key[KEY_SIZE];
};

/* 0, or -1 if there is no memory. With verify, value_size >= sizeof(struct value_header). */
int workload_init(struct workload *w, double read_ratio, uint64_t keys, size_t value_size,
                  uint64_t seed, int verify);
void workload_release(struct workload *w);

/* 0, or -1 if there is no memory. */
int generator_init(struct generator *g, const struct workload *w, unsigned thread);
void generator_release(struct generator *g);

void op_next(struct generator *g, struct op *op);
void key_write(char key[KEY_SIZE], uint64_t number);

/* A new value for the key, workload.value_size bytes, valid until the next call. */
const char *value_next(struct generator *g, uint64_t key_number);

/* 1 if the bytes are a whole value of this key as value_next makes them with verify, else 0. */
int value_valid(const struct workload *w, const void *value, size_t size, uint64_t key_number);

#endif
