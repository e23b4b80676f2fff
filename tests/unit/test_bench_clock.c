#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/bench/clock.h"
#include "store/bench/system.h"

static void the_real_clock_is_the_monotonic_one_and_never_wakes_early(void **state)
{
    struct real_clock real;
    struct bench_clock *clock = &real.clock;
    uint64_t waits_ns[] = {0, 1000, 50000, 70000, 3000000};
    (void)state;
    real_clock_init(&real, 60000);
    for (int i = 0; i < 5; i++) {
        uint64_t before = system_now_ns(), now = clock->now_ns(clock);
        assert_in_range(now, before, system_now_ns());
        clock->sleep_until_ns(clock, now + waits_ns[i]);
        assert_true(system_now_ns() >= now + waits_ns[i]);
    }
    uint64_t now = clock->now_ns(clock);
    clock->sleep_until_ns(clock, 0); /* which has passed */
    assert_true(clock->now_ns(clock) - now < 1000000000u);
}

static void spinning_takes_a_tenth_of_the_cpus_at_most(void **state)
{
    (void)state;
    assert_int_equal(real_clock_spin_ns(0, 2), 60000);
    assert_int_equal(real_clock_spin_ns(1000, 2), 60000);
    assert_int_equal(real_clock_spin_ns(10000, 2), 20000); /* 10 000 x 20 us: 0.2 CPUs */
    assert_int_equal(real_clock_spin_ns(10000, 64), 60000);
    assert_int_equal(real_clock_spin_ns(1e7, 1), 10);
}

static void in_virtual_time_a_sleep_is_the_time_and_nothing_else_is(void **state)
{
    struct virtual_clock v;
    (void)state;
    virtual_clock_init(&v);
    assert_int_equal(v.clock.now_ns(&v.clock), 0);
    v.clock.sleep_until_ns(&v.clock, 3600000000000u);
    assert_int_equal(v.clock.now_ns(&v.clock), 3600000000000u);
    v.clock.sleep_until_ns(&v.clock, 5);
    assert_int_equal(v.clock.now_ns(&v.clock), 3600000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_clock_is_the_monotonic_one_and_never_wakes_early),
        cmocka_unit_test(spinning_takes_a_tenth_of_the_cpus_at_most),
        cmocka_unit_test(in_virtual_time_a_sleep_is_the_time_and_nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
