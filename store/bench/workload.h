/*
 * What the load generator asks of an engine: which operation, which key, which value.
 *
 * A struct workload is shared and read-only, but for its keyspace; each thread has its own struct
 * generator, whose sequence depends on the seed and the thread's number only (and, with inserts or
 * the distribution latest, on how many keys there are). Nothing here allocates per operation.
 *
 * Keys are 16 bytes: "key" and 13 decimal digits, so that their order is that of their numbers.
 * Values are slices of random bytes at a changing offset, of which a share given is zeros. With
 * verify, a value is a header (struct value_header) and such a slice; the header's checksum covers
 * all, so that a torn, stale-sized or foreign value is found.
 */
#ifndef PERFSHIM_STORE_BENCH_WORKLOAD_H
#define PERFSHIM_STORE_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "store/bench/distribution.h"
#include "store/bench/keyspace.h"
#include "store/bench/random.h"

#define KEY_SIZE     16
#define KEYS_MAX     1000000000000u
#define SCAN_MAX     1000000u
#define SCAN_DEFAULT 100u

/* X(ID, name) */
#define OP_LIST(X)                                                                                 \
    X(GET, "get")                                                                                  \
    X(PUT, "put")       /* of a key that is there */                                               \
    X(INSERT, "insert") /* a put of a new key */                                                   \
    X(RMW, "rmw")       /* a get, and a put of the same key */                                     \
    X(SCAN, "scan")     /* from a key on, up to a random number of entries */

enum op_kind {
#define X(id, name) OP_##id,
    OP_LIST(X)
#undef X
        OP_KINDS
};
const char *op_name(enum op_kind kind);

/* Shares of the kinds of operations, and how keys are chosen unless somebody says otherwise. */
struct mix {
    const char *name;
    double share[OP_KINDS]; /* together 1 */
    const char *distribution;
};

/* X(name, get, put, insert, rmw, scan, distribution); YCSB's are its core workloads. */
#define WORKLOADS(X)                                                                               \
    X("get", 1, 0, 0, 0, 0, "uniform")                                                             \
    X("put", 0, 1, 0, 0, 0, "uniform")                                                             \
    X("read-heavy", .95, .05, 0, 0, 0, "uniform")                                                  \
    X("mixed", .5, .5, 0, 0, 0, "uniform")                                                         \
    X("write-heavy", .05, .95, 0, 0, 0, "uniform")                                                 \
    X("ycsb-a", .5, .5, 0, 0, 0, "scrambled")                                                      \
    X("ycsb-b", .95, .05, 0, 0, 0, "scrambled")                                                    \
    X("ycsb-c", 1, 0, 0, 0, 0, "scrambled")                                                        \
    X("ycsb-d", .95, 0, .05, 0, 0, "latest")                                                       \
    X("ycsb-e", 0, 0, .05, 0, .95, "scrambled")                                                    \
    X("ycsb-f", .5, 0, 0, .5, 0, "scrambled")

/* The mix of that name, or NULL. */
const struct mix *mix_named(const char *name);

struct workload_setup {
    double share[OP_KINDS];
    uint64_t keys; /* at the start */
    size_t value_size;
    double compressibility; /* share of a value's bytes that is zeros, 0 to 1 */
    uint64_t seed;
    int verify;
    enum distribution_kind distribution;
    double theta, hot_keys, hot_ops; /* as distribution_init takes them */
    uint64_t scan_length;            /* of the longest scan; the length is uniform from 1 on */
};

struct workload {
    struct workload_setup setup;
    uint64_t below[OP_KINDS]; /* of 53 random bits: this kind or one before it */
    struct distribution distribution;
    char *filler; /* value_size + FILLER_SLACK bytes */
    struct keyspace keyspace;
};

struct value_header {
    uint64_t key;
    uint64_t writer;   /* thread << 48 | its number of the value */
    uint64_t checksum; /* of key, writer, and the bytes after the header */
};

struct generator {
    struct workload *workload;
    struct rng rng;
    struct zipf_end zipf_end;
    uint64_t writer;
    char *value;         /* with verify: the value being written */
    uint64_t insert;     /* the number of an insert that is not done yet */
    int insert_is_under; /* whether there is one */
};

struct op {
    enum op_kind kind;
    unsigned entries; /* of a scan */
    uint64_t number;  /* of the key */
    char key[KEY_SIZE];
};

/* 0, or -1 if there is no memory (release it then too). With verify, value_size >=
   sizeof(struct value_header). */
int workload_init(struct workload *w, const struct workload_setup *setup);
void workload_release(struct workload *w);

/* 0, or -1 if there is no memory. */
int generator_init(struct generator *g, struct workload *w, unsigned thread);
void generator_release(struct generator *g);

/* An insert stays the thread's until op_inserted: the next one is the same. */
void op_next(struct generator *g, struct op *op);
/* The insert has succeeded. */
void op_inserted(struct generator *g);

void key_write(char key[KEY_SIZE], uint64_t number);
/* The number of a key as key_write makes them, or UINT64_MAX. */
uint64_t key_number(const void *key, size_t size);

/* A new value for the key, setup.value_size bytes, valid until the next call. */
const char *value_next(struct generator *g, uint64_t key_number);

/* 1 if the bytes are a whole value of this key as value_next makes them with verify, else 0. */
int value_valid(const struct workload *w, const void *value, size_t size, uint64_t key_number);

#endif
