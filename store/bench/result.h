/* What a run found out: filled by run.c, read by report.c, json.c, require.c. */
#ifndef PERFSHIM_STORE_BENCH_RESULT_H
#define PERFSHIM_STORE_BENCH_RESULT_H

#include <stdint.h>

#include "store/bench/engine.h"
#include "store/bench/histogram.h"
#include "store/bench/workload.h"

/* Why an operation failed: an engine's errors, in their order from -1 on, and one of ours. */
enum error_class {
#define X(id, value, name, text) ERROR_##id = -(value)-1,
    ENGINE_ERRORS(X)
#undef X
        ERROR_VERIFY, /* a get returned bytes that nobody put for this key */
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
    struct engine_statistics
        engine_measured; /* counts of the measured phase; what is no count at its end */
    struct engine_statistics engine_run; /* at the very end, when the engine is closed */
    int close_error; /* of closing the engine: ENGINE_OK, or the last writes may be lost */
    struct engine_trouble close_trouble; /* why */
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
