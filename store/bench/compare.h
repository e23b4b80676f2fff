/*
 * store_bench compare: the same run on several engines, each several times.
 *
 * Every repeat visits all engines, in an order drawn anew from the seed. Every run is in a process
 * of its own, so that no engine leaves memory, threads or caches to the next, and one that crashes
 * ends its run alone. Not thread-safe.
 */
#ifndef PERFSHIM_STORE_BENCH_COMPARE_H
#define PERFSHIM_STORE_BENCH_COMPARE_H

#include <stdio.h>

#include "store/bench/config.h"
#include "store/bench/figures.h"
#include "store/bench/result.h"

enum compare_state { COMPARE_FAILED, COMPARE_MEASURED, COMPARE_INTERRUPTED };

struct compare_run {
    unsigned engine; /* of config->engines */
    uint64_t repeat; /* from 1 */
    enum compare_state state;
    struct figures figures;
    int valid; /* as bench_result_valid */
    /* of the process, and of the engine's own server */
    double cpu_percent;
    uint64_t rss_bytes;
    double written_bytes_per_s; /* to disks, in the measured phase; NaN: not known */
    int error; /* COMPARE_FAILED: as store_bench_run, or 1: more than --max-errors */
    int unmet; /* of config->require */
    double required[REQUIRE_MAX]; /* what was measured for each of them */
};

struct compare_result {
    struct compare_run *runs; /* in the order they were made; shared with their processes */
    size_t count, room_bytes;
    unsigned char missing[ENGINES_MAX]; /* not installed, and to be skipped */
    unsigned failed[ENGINES_MAX];       /* runs that said why on stderr */
    unsigned invalid[ENGINES_MAX];      /* measured, but not what --rate asked for */
    unsigned unmet[ENGINES_MAX];        /* measured, but --require said no */
    enum run_end end;
    /* of the first run that failed; else 1 if one was not valid or --require said no; 0: all fine
     */
    int error;
};

/*
 * 0 with *result filled, which the caller releases, also when it was ended early or runs failed;
 * -1 after a message on stderr: an engine is not installed (without skip_missing), no memory.
 */
int store_bench_compare(const struct bench_config *config, struct compare_result *result);
/* Ends it: the current run is not kept. Async-signal-safe. */
void store_bench_compare_interrupt(void);
void compare_result_release(struct compare_result *result);

/* What is not equal with this engine, one line; "" if nothing is said. */
const char *compare_differs(const char *engine);

/* Medians of the repeats, a row an engine, and what is not equal. */
void compare_table(FILE *out, const struct bench_config *config,
                   const struct compare_result *result);
/* The JSON document compare/1 (docs/contract.md). 0, or -1 if it could not be written. */
int compare_json(FILE *out, const struct bench_config *config, const struct compare_result *result);

#endif
