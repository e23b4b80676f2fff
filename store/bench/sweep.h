/*
 * A sweep: the same run with several numbers of threads, each several times, which `perfshim plan`
 * fits its law to; or an open loop at several rates, to see where waiting begins.
 *
 * Every repeat visits all levels, in an order drawn anew from the seed, so that what drifts on the
 * machine meets all of them. Every run opens and loads a store of its own. Not thread-safe.
 */
#ifndef PERFSHIM_STORE_BENCH_SWEEP_H
#define PERFSHIM_STORE_BENCH_SWEEP_H

#include <stdio.h>

#include "store/bench/config.h"
#include "store/bench/figures.h"
#include "store/bench/result.h"

struct sweep_run {
    double level;    /* of config->levels */
    uint64_t repeat; /* from 1 */
    struct figures figures;
    int valid; /* as bench_result_valid */
};

struct sweep_result {
    struct sweep_run *runs; /* complete ones, by level, then by repeat */
    size_t count;
    size_t invalid;   /* of them: measured, but not what the rate asked for */
    enum run_end end; /* of the last run, which is not among them unless it is complete */
};

/*
 * 0 with *result filled, which the caller releases, also when the sweep was ended early; -1 or -2
 * after a message on stderr, as store_bench_run. With config->live a line on stderr tells each run.
 */
int store_bench_sweep(const struct bench_config *config, struct sweep_result *result);
/* Ends the sweep that is under way: the current run is not kept. Async-signal-safe. */
void store_bench_sweep_interrupt(void);
void sweep_result_release(struct sweep_result *result);

/* Medians of the repeats, a row a level. */
void sweep_table(FILE *out, const struct bench_config *config, const struct sweep_result *result);

/* The JSON document sweep/1 (docs/contract.md). 0, or -1 if it could not be written. */
int sweep_json(FILE *out, const struct bench_config *config, const struct sweep_result *result);

#endif
