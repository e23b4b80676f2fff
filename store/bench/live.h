/*
 * The live line: once a second, what the last second was like. It reads the workers' histograms
 * while they write, which costs a few milliseconds a second with 100 threads, and nothing if nobody
 * asked.
 */
#ifndef PERFSHIM_STORE_BENCH_LIVE_H
#define PERFSHIM_STORE_BENCH_LIVE_H

#include <stdint.h>
#include <stdio.h>

#include "store/bench/worker.h"

struct live;

/* NULL if there is no memory. `workers` must outlive it. */
struct live *live_new(FILE *out, const struct worker *workers, unsigned count, uint64_t keys);
void live_free(struct live *live);

/* A phase begins now; `name` is shown ("load" shows loaded keys, all others operations). NULL is
   fine for live here and below. */
void live_begin(struct live *live, const char *name);
/* Prints the time since the last call of either. */
void live_tick(struct live *live);

#endif
