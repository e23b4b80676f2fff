/*
 * The ledger: where the time of each thread went, so that it adds up to its wall time.
 *
 *   wall = cpu + lock + io + idle + runqueue + unexplained + paused
 *
 * cpu: by the thread's clock; where that is not known (it was killed), by its ticks. The profiler's
 * own work is in it. lock, io, idle: the time of hooked waits, one under way included, less the
 * ticks that came in them, which are in cpu. runqueue: it could run and had no CPU. The kernel
 * knows how long that was in all, but the delay after each wake-up in a hooked wait is in that wait
 * already. So runqueue is what the kernel says, and at most what is left. unexplained is what is
 * left then: waits that no hook saw. It is negative where more was measured than there was time.
 * paused: recording was off.
 */
#ifndef PERFSHIM_ANALYZER_LEDGER_H
#define PERFSHIM_ANALYZER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

/* id, JSON key, column, what it is */
#define LEDGER_PARTS(X)                                                                            \
    X(CPU, cpu_ns, "cpu", "running, in the program or in the kernel")                              \
    X(LOCK, lock_wait_ns, "lock", "waiting for locks")                                             \
    X(IO, io_wait_ns, "io", "waiting for files and sockets")                                       \
    X(IDLE, idle_ns, "idle", "waiting for work: conditions, poll, sleep, joins")                   \
    X(RUNQUEUE, runqueue_ns, "runqueue", "ready to run, without a CPU")                            \
    X(UNEXPLAINED, unexplained_ns, "unexplained", "waiting where no hook is")                      \
    X(PAUSED, paused_ns, "paused", "recording was off")

enum ledger_part {
#define X(id, key, column, text) LEDGER_##id,
    LEDGER_PARTS(X)
#undef X
        LEDGER_PART_COUNT
};

struct ledger {
    int64_t wall_ns;
    int64_t v[LEDGER_PART_COUNT];
    unsigned known; /* bit per enum ledger_part; what is not known is 0 */
};

/* What was measured of a thread. A negative time is one that is not known. */
struct ledger_facts {
    int64_t wall_ns, paused_ns, cpu_ns;
    int64_t lock_ns, io_ns, idle_ns;             /* in waits */
    int64_t lock_cpu_ns, io_cpu_ns, idle_cpu_ns; /* of which it ran */
    int64_t run_delay_ns;                        /* by the kernel */
};

/* Closes the books of one thread. Pure. */
struct ledger ledger_books_close(const struct ledger_facts *facts);

/*
 * Adds a thread's to a sum, which is empty (all 0) before the first one. A part is known of the sum
 * if it is known of the threads that have 90 % of the wall time; what is not known of the others is
 * in their unexplained.
 */
struct ledger_sum {
    struct ledger all;
    int64_t known_wall_ns[LEDGER_PART_COUNT];
};
void ledger_books_add(struct ledger_sum *sum, const struct ledger *one);
void ledger_books_sum(struct ledger_sum *sum, const struct ledger_sum *more);

static inline bool ledger_has(const struct ledger *l, enum ledger_part part)
{
    return l->known >> part & 1;
}

#endif
