/*
 * One thread of load: loads its share of the keys, then runs operations, one after the other: in a
 * closed loop the next one when the last has ended, in an open loop when the schedule says so, or
 * at once if that time has passed.
 *
 * A worker's numbers belong to its thread while a phase runs; others may read them meanwhile (each
 * is whole, and of some moment), and exactly between phases.
 *
 * All time comes from shared->clock: with a virtual clock, worker_step can be called for several
 * workers in turn, and waiting takes no time.
 */
#ifndef PERFSHIM_STORE_BENCH_WORKER_H
#define PERFSHIM_STORE_BENCH_WORKER_H

#include <stdint.h>

#include "store/bench/arrivals.h"
#include "store/bench/engine.h"
#include "store/bench/result.h"
#include "store/bench/workload.h"

/* What all workers of a run share. */
struct worker_shared {
    const struct engine *engine;
    void *self; /* the engine's */
    struct workload *workload;
    struct bench_clock *clock;
    struct arrivals *arrivals; /* NULL: a closed loop, or a phase that is one */
    uint64_t max_errors;
    uint64_t errors; /* atomic: failed operations of all workers in this phase */
    int *stop;       /* atomic: not 0 = end after the current operation */
};

struct worker {
    struct worker_shared *shared;
    void *thread; /* the engine's */
    unsigned index;
    struct generator generator;
    struct op_result op[OP_KINDS]; /* latency is NULL of kinds that the workload has not */
    struct timing timing;
    uint64_t loaded;        /* keys put by worker_load */
    uint64_t *acknowledged; /* in the ledger; NULL: none is kept */
    int load_error;         /* of worker_load: ENGINE_OK or why it ended */
    uint64_t end_ns;        /* when the last operation ended */
} __attribute__((aligned(64)));

/* For an open loop if shared->arrivals. 0, or -1 with *trouble filled: there is no memory, or the
   engine does not take the thread (release it then too). */
int worker_init(struct worker *w, struct worker_shared *shared, unsigned index,
                struct engine_trouble *trouble);
void worker_release(struct worker *w);

/* Puts keys [first, end). */
void worker_load(struct worker *w, uint64_t first, uint64_t end);

/* worker_operate's numbers start from zero. Between phases only, or the live line would see them
   fall. */
void worker_reset(struct worker *w);

/*
 * One operation; 0 if there is none left to begin (open loop), or *stop came while it waited.
 *
 * Service time is the time of the engine's calls alone. Choosing the operation and building its
 * value happen before, checking and releasing what a get returned after it (the checks of a scan
 * within). It is the latency in a closed loop; in an open loop the wait from the intended start
 * comes to it.
 */
int worker_step(struct worker *w);

/*
 * Steps: at most `ops`, until `deadline_ns` (the operation that passes it is the last one), the end
 * of the schedule or *stop. Counts them as progress of `progress`, and adds to the worker's
 * numbers.
 */
void worker_operate(struct worker *w, uint64_t ops, uint64_t deadline_ns, const char *progress);

#endif
