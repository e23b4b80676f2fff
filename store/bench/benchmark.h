/*
 * store_bench benchmark: one operation at a time, over and over, in the format of Go's benchmarks,
 * which benchstat and its kin read.
 *
 * An iteration is one operation on a key drawn at random and all that belongs to it (a get is
 * released), without a look at the clock in between. Its number is raised until a run takes the
 * time asked for. ns/op is the run's time over all operations, so with several threads it is less
 * than one of them takes, as with Go's RunParallel. allocs/op and B/op are the engine's own
 * numbers, whole ones, as Go has them; an engine that keeps none has none in its lines.
 */
#ifndef PERFSHIM_STORE_BENCH_BENCHMARK_H
#define PERFSHIM_STORE_BENCH_BENCHMARK_H

#include <stdio.h>

#include "store/bench/config.h"

/* Runs those whose names config->pattern finds, NULL: all. 0; -1 or -2 after a message on stderr,
 * as store_bench_run; lines that were printed before stay. One at a time in a process. */
int store_bench_benchmark(FILE *out, const struct bench_config *config);

/* The name of one of them, without "Benchmark"; NULL behind the last. */
const char *benchmark_name(unsigned i);

/* Ends the run that is under way; its line is not printed. Async-signal-safe. */
void store_bench_benchmark_interrupt(void);

/* ---- for tests ---- */

/* How many iterations to try after `n` took `ns`, when `wanted_ns` are asked for: at least one and
 * at most 100 times more, a fifth more than it seems to take. Pure. */
uint64_t benchmark_next(uint64_t n, uint64_t ns, uint64_t wanted_ns);

struct benchmark_line {
    const char *name; /* without "Benchmark" */
    uint64_t threads; /* "-N" behind the name, but for one, as Go has it */
    uint64_t iterations;
    double ns_per_op;
    double bytes_per_op, allocs_per_op; /* NaN: not known, and not printed */
};
void benchmark_print(FILE *out, const struct benchmark_line *line, int width);

#endif
