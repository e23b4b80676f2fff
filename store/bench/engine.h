/*
 * What the load generator runs its load on: a table of functions for each engine, so that the same
 * workload meets our store, a stand-in of known speed, or somebody else's database.
 *
 * To add one: write engine_NAME.c, which defines `const struct engine engine_NAME`, and add a line
 * to ENGINES. Nothing else knows it: --engine, --help and the messages come from the table. A
 * library of somebody else's is opened by its open function (dlopen), and if it is missing, that is
 * what `trouble` says.
 *
 * Two kinds of handles, both an adapter's own: `self` is what open made; a `thread` belongs to one
 * thread of load, which is the only one to use it while a phase runs (connections, read
 * transactions, random numbers go there). open and close, thread_open and thread_close, sync_every
 * are called while no operation is under way; statistics at any time, from any thread.
 *
 * Operations return ENGINE_OK or an error of ENGINE_ERRORS. A get copies nothing that it need not:
 * what it returns stays valid until it is released, by the same thread, before its next operation.
 * An operation that failed leaves nothing to release.
 */
#ifndef PERFSHIM_STORE_BENCH_ENGINE_H
#define PERFSHIM_STORE_BENCH_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "common/opt.h"
#include "store/bench/clock.h"

/* Why an operation failed: X(ID, value, name in JSON, text). */
#define ENGINE_ERRORS(X)                                                                           \
    X(NOT_FOUND, -1, "not_found", "not found") /* no such key */                                   \
    X(NO_MEMORY, -2, "no_memory", "out of memory")                                                 \
    X(NO_SPACE, -3, "no_space", "no space left on the disk")                                       \
    X(IO, -4, "io", "input/output error") /* of a disk or a connection */                          \
    X(OTHER, -5, "other", "failed")

enum engine_error {
    ENGINE_OK = 0,
#define X(id, value, name, text) ENGINE_##id = value,
    ENGINE_ERRORS(X)
#undef X
};

struct engine_value {
    const void *data;
    size_t size;  /* bytes */
    void *handle; /* the adapter's, to release it by */
};

#define ENGINE_NO_LOG UINT64_MAX

/* What a run asks of an engine, whichever it is. */
struct engine_setup {
    struct bench_clock *clock;
    unsigned threads;
    uint64_t seed;
    size_t value_size; /* bytes of the workload's values */
    /* Where it keeps its files, made by it if there is none; NULL: nothing is kept on disk. */
    const char *directory;
    /* Writes after which they must be safe from the machine's crash, as in store/store.h: 1 every
       one, 0 when it is closed; ENGINE_NO_LOG if they need not be, as if directory is NULL. */
    uint64_t sync_every;
    int scans;       /* there will be scans: keep the keys in order */
    uint32_t shards; /* of our store; others have their parameters */
    int pool;        /* of our store */
};

struct engine_trouble {
    char text[4352]; /* what is wrong, with the file or address that it is about */
    int disk;        /* 1: with something on a disk: exit status 3 */
};

/* Numbers that an engine keeps of itself: their names are the adapter's. */
struct engine_statistic {
    const char *name; /* as in JSON */
    int level;        /* 1: what there is now; 0: a count since open */
};

enum { ENGINE_STATISTICS_MAX = 32 };
struct engine_statistics {
    const struct engine_statistic *names; /* lasting */
    unsigned count;                       /* at most ENGINE_STATISTICS_MAX */
    uint64_t values[ENGINE_STATISTICS_MAX];
};

enum engine_feature {
    ENGINE_DISK = 1,   /* takes directory and sync_every */
    ENGINE_EMPTY = 2,  /* keeps nothing: no need to load keys, a get returns bytes of no meaning */
    ENGINE_SHARDS = 4, /* takes shards and pool */
    ENGINE_NEEDS_DIRECTORY = 8, /* has one also with ENGINE_NO_LOG */
};

/* Called for each entry of a scan; not 0 ends it. */
typedef int engine_visit(void *context, const void *key, size_t key_size, const void *value,
                         size_t value_size);

struct engine {
    const char *name;
    const char *title; /* in messages: "cannot open TITLE" */
    unsigned features; /* of enum engine_feature */
    /* What is not equal when it is compared with others: durability, memory, copies; one line. */
    const char *differs;
    /* --engine=NAME:a=1,b=2 sets these, as options --a=1 --b=2 of common/opt.h, before open; their
       values are the adapter's variables. NULL: none. */
    const struct opt *parameters;
    void (*parameters_reset)(void); /* to the defaults; NULL without parameters */
    /* Whether the parameters fit together; 0, or -1 with why. NULL: they always do. */
    int (*parameters_check)(char why[static 160]);

    /* Whether what it takes is installed: ENGINE_OK, or an error with *trouble filled. NULL: it
       always is. */
    int (*probe)(struct engine_trouble *trouble);
    /* ENGINE_OK with *self, or an error with *trouble filled and nothing left open. */
    int (*open)(const struct engine_setup *setup, void **self, struct engine_trouble *trouble);
    /* Frees all, whatever it returns: an error (with *trouble filled) if the last writes may be
       lost. *last gets the final statistics. */
    int (*close)(void *self, struct engine_statistics *last, struct engine_trouble *trouble);
    /* Deletes what a closed engine keeps in the directory, and that; NULL if it keeps nothing. 0,
       or -1 with errno. */
    int (*remove)(const char *directory);

    /* ENGINE_OK with *thread, or an error with *trouble filled. */
    int (*thread_open)(void *self, unsigned number, void **thread, struct engine_trouble *trouble);
    void (*thread_close)(void *thread); /* NULL is fine */

    int (*get)(void *thread, const void *key, size_t key_size, struct engine_value *value);
    void (*release)(void *thread, struct engine_value *value);
    /* Sets the key's value, there or not. */
    int (*put)(void *thread, const void *key, size_t key_size, const void *value,
               size_t value_size);
    /* Visits, in the order of keys, at most `count` entries from the first key that is not less.
       How many, or an error. */
    int (*scan)(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
                void *context);
    /* More of the last error of this thread than its class says; NULL or no function: no more. */
    const char *(*error_text)(void *thread);

    /* Replaces setup.sync_every; what is due by the new one is synced. NULL without ENGINE_DISK. */
    int (*sync_every)(void *self, uint64_t sync_every);
    void (*statistics)(void *self, struct engine_statistics *out);
};

/* X(name): there is an engine_NAME. */
#define ENGINES(X) X(store) X(null) X(sim) X(rocksdb) X(leveldb) X(lmdb) X(redis)
#define X(name)    extern const struct engine engine_##name;
ENGINES(X)
#undef X

/*
 * The engine that "NAME" or "NAME:parameter=value,…" names, its parameters set: the last call for
 * an engine counts. NULL after a message on stderr. Not thread-safe.
 */
const struct engine *engine_choose(const char *text);

/* What --help says of engines and their parameters, on stdout. */
void engine_help(void);

const char *engine_error_name(int error); /* "io" */
const char *engine_error_text(int error);

/* The number of that name; NaN if the engine keeps none. */
double engine_statistic(const struct engine_statistics *s, const char *name);
/* Counts become those since `before`; levels stay. */
void engine_statistics_subtract(struct engine_statistics *after,
                                const struct engine_statistics *before);

#endif
