/*
 * A run: open the engine, start the threads, load, warm up, measure, close. Everything that was
 * allocated is freed when it returns, but the result.
 */
#ifndef PERFSHIM_STORE_BENCH_RUN_H
#define PERFSHIM_STORE_BENCH_RUN_H

#include "store/bench/config.h"
#include "store/bench/result.h"

/*
 * 0 with *result filled, which the caller releases, also when the run was ended early; -1 after a
 * message on stderr: no memory, no thread, no engine; -2 likewise: the engine's directory or the
 * ledger cannot be used. One run at a time in a process.
 */
int store_bench_run(const struct bench_config *config, struct bench_result *result);

/* Ends the run that is under way, or else the next, after the operations under way.
 * Async-signal-safe. */
void store_bench_interrupt(void);

#endif
