/*
 * The time that the load generator lives in, as a parameter: the machine's, or a virtual one in
 * which waiting takes no time, so that arrivals, queues and latencies can be tested exactly.
 *
 * Times are ns since some moment. now_ns never goes back. sleep_until_ns returns when now_ns has
 * reached the time given, at once if it has. The real clock is thread-safe; a virtual one belongs
 * to one thread.
 */
#ifndef PERFSHIM_STORE_BENCH_CLOCK_H
#define PERFSHIM_STORE_BENCH_CLOCK_H

#include <stdint.h>

struct bench_clock {
    uint64_t (*now_ns)(struct bench_clock *clock);
    void (*sleep_until_ns)(struct bench_clock *clock, uint64_t until_ns);
};

/*
 * CLOCK_MONOTONIC. It sleeps until spin_ns before the time and spins the rest: a sleeper comes back
 * late by as much as the kernel likes, about 60 us on a machine with time to spare.
 */
struct real_clock {
    struct bench_clock clock;
    uint64_t spin_ns;
};
void real_clock_init(struct real_clock *clock, uint64_t spin_ns);

/* How long to spin where `rate` sleeps a second (0: few) end, so that spinning takes no more than a
   tenth of the CPUs from what is measured: at most 60 us. */
uint64_t real_clock_spin_ns(double rate, unsigned cpus);

/* Time that stands still but while somebody sleeps. */
struct virtual_clock {
    struct bench_clock clock;
    uint64_t time_ns;
};
void virtual_clock_init(struct virtual_clock *clock);

#endif
