/* What a run found out: filled by run.c, read by report.c, json.c, require.c. */
#ifndef PERFSHIM_STORE_BENCH_RESULT_H
#define PERFSHIM_STORE_BENCH_RESULT_H

#include <stdint.h>

#include "store/bench/histogram.h"
#include "store/bench/workload.h"
#include "store/store.h"

/* Why an operation failed. */
#define ERROR_CLASSES(X)                                                                           \
    X(NOT_FOUND, "not_found") /* a get of a key that was loaded */                                 \
    X(NO_MEMORY, "no_memory")                                                                      \
    X(NO_SPACE, "no_space") /* the log cannot grow */                                              \
    X(IO, "io")             /* the log cannot be written or synced */                              \
    X(VERIFY, "verify")     /* a get returned bytes that nobody put for this key */                \
    X(OTHER, "other")

enum error_class {
#define X(id, name) ERROR_##id,
    ERROR_CLASSES(X)
#undef X
        ERROR_CLASS_COUNT
};
const char *error_class_name(enum error_class class);

/* Failed operations have no latency: ops = latency.count + errors. */
struct op_result {
    struct histogram *latency; /* ns */
    uint64_t errors[ERROR_CLASS_COUNT];
};

enum run_end { RUN_COMPLETE, RUN_INTERRUPTED, RUN_TOO_MANY_ERRORS };

struct bench_result {
    enum run_end end;
    double duration_s; /* of the measured phase: from its start to its last operation's end */
    struct op_result op[OP_KINDS]; /* latency never NULL */
    struct op_result all;          /* their sum */
    double cpu_percent;            /* of one CPU, in the measured phase */
    uint64_t max_rss_bytes;
    struct store_statistics
        store_measured; /* counts of the measured phase; keys, data_bytes at its end */
    int store_error;    /* of closing the store: STORE_OK, or writes were not synced */
    struct store_statistics store_run; /* at the very end, when the store is closed */
};

uint64_t op_result_errors(const struct op_result *op);
uint64_t op_result_ops(const struct op_result *op);
/* Operations a second that did not fail; 0 if nothing was measured. */
double op_result_throughput(const struct op_result *op, const struct bench_result *result);

/* Operations were measured, and not all of them failed: the numbers mean something. */
int bench_result_valid(const struct bench_result *result);

/* 0, or -1 if there is no memory (release it then too). */
int bench_result_init(struct bench_result *result);
void bench_result_release(struct bench_result *result);

#endif
