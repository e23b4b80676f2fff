/* Results for people and for programs. */
#ifndef PERFSHIM_STORE_BENCH_REPORT_H
#define PERFSHIM_STORE_BENCH_REPORT_H

#include <stdio.h>

#include "store/bench/config.h"
#include "store/bench/result.h"

/* The percentiles that are shown: X(name, percent). */
#define PERCENTILES(X) X("p50", 50.0) X("p90", 90.0) X("p95", 95.0) X("p99", 99.0) X("p999", 99.9)

/* What the head of a table says of the log, ", log synced every 10"; "" without one. */
const char *report_log(char text[static 40], const struct bench_config *config);

/* The engine in the head of a table: "pool on" of the store, "engine sim:servers=2" of others. */
const char *report_engine(char text[static 80], const struct bench_config *config);
/* The keys and values, shards, seed and log, without a line's end. */
void report_data(FILE *out, const struct bench_config *config);

/* The final table. */
void report_table(FILE *out, const struct bench_config *config, const struct bench_result *result);

/* The JSON document store_bench/1 (docs/contract.md). 0, or -1 if it could not be written. */
int report_json(FILE *out, const struct bench_config *config, const struct bench_result *result);

/* How many of the requirements are not met; each such one is a line on stderr, of `who`. */
int report_requirements(const char *who, const struct bench_config *config,
                        const struct bench_result *result);

#endif
