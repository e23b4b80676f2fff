#include "store/bench/clock.h"

#include <errno.h>
#include <time.h>

#include "store/bench/system.h"

#define SECOND_NS    1000000000u
#define SPIN_MOST_NS 60000
#define SPIN_SHARE   0.1 /* of the CPUs */

static uint64_t real_now(struct bench_clock *clock)
{
    (void)clock;
    return system_now_ns();
}

static void real_sleep(struct bench_clock *clock, uint64_t until)
{
    uint64_t now = system_now_ns();
    uint64_t spin = ((struct real_clock *)clock)->spin_ns;
    if (now + spin < until) {
        uint64_t wake = until - spin;
        struct timespec t = {.tv_sec = (time_t)(wake / SECOND_NS),
                             .tv_nsec = (long)(wake % SECOND_NS)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
            ;
    }
    while (system_now_ns() < until)
        __builtin_ia32_pause();
}

void real_clock_init(struct real_clock *c, uint64_t spin_ns)
{
    *c = (struct real_clock){.clock = {.now_ns = real_now, .sleep_until_ns = real_sleep},
                             .spin_ns = spin_ns};
}

uint64_t real_clock_spin_ns(double rate, unsigned cpus)
{
    double most = rate > 0 ? SPIN_SHARE * cpus / rate * 1e9 : SPIN_MOST_NS;
    return most < SPIN_MOST_NS ? (uint64_t)most : SPIN_MOST_NS;
}

static uint64_t virtual_now(struct bench_clock *clock)
{
    return ((struct virtual_clock *)clock)->time_ns;
}

static void virtual_sleep(struct bench_clock *clock, uint64_t until)
{
    struct virtual_clock *v = (struct virtual_clock *)clock;
    if (v->time_ns < until)
        v->time_ns = until;
}

void virtual_clock_init(struct virtual_clock *v)
{
    *v = (struct virtual_clock){.clock = {.now_ns = virtual_now, .sleep_until_ns = virtual_sleep}};
}
