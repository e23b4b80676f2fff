/*
 * When operations are to begin: the schedule of an open loop, which does not wait for answers.
 *
 * One schedule for all threads of load: each takes the next start when it is free, so that the
 * whole is one queue before as many places as there are threads. The times depend on kind, rate
 * and seed only; which thread gets which does not.
 *
 * Thread safety: arrivals_take and arrivals_lag_ns from any thread; the rest while no thread takes.
 */
#ifndef PERFSHIM_STORE_BENCH_ARRIVALS_H
#define PERFSHIM_STORE_BENCH_ARRIVALS_H

#include <pthread.h>
#include <stdint.h>

#include "store/bench/random.h"

enum arrivals_kind {
    ARRIVALS_UNIFORM, /* one each 1/rate, the first at once */
    ARRIVALS_POISSON, /* independent of each other: exponential times between them */
};

struct arrivals {
    pthread_mutex_t lock; /* of all below */
    enum arrivals_kind kind;
    double interval_ns; /* mean time from one to the next */
    struct rng rng;
    uint64_t begin_ns, end_ns;
    uint64_t limit; /* of starts */
    uint64_t taken;
    double next_ns; /* since begin_ns */
    uint64_t last_ns;
};

/* rate: starts a second, more than 0. */
void arrivals_init(struct arrivals *a, enum arrivals_kind kind, double rate, uint64_t seed);
void arrivals_release(struct arrivals *a);

/* A schedule from begin_ns on, before end_ns and of at most `limit` starts. The random times go on
   where they were. */
void arrivals_begin(struct arrivals *a, uint64_t begin_ns, uint64_t end_ns, uint64_t limit);

/* 1 and the next start, or 0: there is none left. */
int arrivals_take(struct arrivals *a, uint64_t *start_ns);

/* Whether it has come to its end_ns: there was no start left before it, of as many as there are. */
int arrivals_over(const struct arrivals *a);

/* By how much the next start is late at now_ns; from any thread. */
uint64_t arrivals_lag_ns(struct arrivals *a, uint64_t now_ns);

/* What an open loop was asked for, and did. */
struct open_result {
    double offered, achieved; /* operations a second: that were to begin, and that began */
    uint64_t dropped;         /* that were to begin before the end, and did not */
};

/*
 * Of a schedule whose load ended at end_ns: `begun` operations began, the last one at
 * last_start_ns. A schedule that was taken to its limit ends with its last start, late or not; any
 * other at its end or at end_ns, whichever is earlier, and what was due then is dropped: of random
 * starts, the next one and how many are to be expected behind it.
 */
void arrivals_judge(const struct arrivals *a, struct open_result *out, uint64_t begun,
                    uint64_t last_start_ns, uint64_t end_ns);

#endif
