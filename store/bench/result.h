/* What a run found out: filled by run.c, read by report.c, json.c, require.c. */
#ifndef PERFSHIM_STORE_BENCH_RESULT_H
#define PERFSHIM_STORE_BENCH_RESULT_H

#include <stdint.h>

#include "store/bench/arrivals.h"
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

/* ops = latency.count + errors. */
struct op_result {
    struct histogram *latency; /* ns, from the intended start; of operations that did not fail */
    uint64_t errors[ERROR_CLASS_COUNT];
};

/* Of all kinds of operations together. */
struct timing {
    struct histogram *failed;  /* latencies of operations that failed, ns */
    struct histogram *wait;    /* from the intended start to the call; NULL in a closed loop */
    struct histogram *service; /* the call alone; NULL in a closed loop */
    uint64_t late;             /* operations begun more than LATE_NS after their intended start */
    uint64_t max_lag_ns;       /* of the latest of them */
    uint64_t last_start_ns;    /* when the last one was begun */
};
#define LATE_NS 1000000u

/* 0, or -1 if there is no memory (release it then too). `open`: for an open loop. */
int timing_init(struct timing *t, int open);
void timing_release(struct timing *t);
void timing_reset(struct timing *t);
/* `sum` is for an open loop. */
void timing_add(struct timing *sum, const struct timing *more);

enum run_end { RUN_COMPLETE, RUN_INTERRUPTED, RUN_TOO_MANY_ERRORS };

struct bench_result {
    enum run_end end;
    int is_steady;     /* it ended because it had become steady */
    double duration_s; /* of the measured phase: from its start to its last operation's end, or an
                        * open loop's schedule's if that is later */
    struct op_result op[OP_KINDS]; /* latency never NULL */
    struct op_result all;          /* their sum */
    struct timing timing;
    int is_open; /* an open loop: `open` and the open loop's parts of timing are measured */
    struct open_result open;
    double cpu_percent; /* of one CPU, in the measured phase */
    uint64_t max_rss_bytes;
    uint64_t written_bytes; /* to disks, in the measured phase; UINT64_MAX: not known */
    struct engine_statistics
        engine_measured; /* counts of the measured phase; what is no count at its end */
    struct engine_statistics engine_run; /* at the very end, when the engine is closed */
    int close_error; /* of closing the engine: ENGINE_OK, or the last writes may be lost */
    struct engine_trouble close_trouble; /* why */
    int live_lost;                       /* not all lines of --live-json could be written */
};

uint64_t op_result_errors(const struct op_result *op);
uint64_t op_result_ops(const struct op_result *op);
/* Operations a second that did not fail; 0 if nothing was measured. */
double op_result_throughput(const struct op_result *op, const struct bench_result *result);

/* Operations were measured, and not all of them failed. */
int bench_result_measured(const struct bench_result *result);
/* Measured, and as many operations begun as were asked for, but for 1 %: the numbers mean
 * something.
 */
int bench_result_valid(const struct bench_result *result);

/* 0, or -1 if there is no memory (release it then too). */
int bench_result_init(struct bench_result *result);
void bench_result_release(struct bench_result *result);

#endif
