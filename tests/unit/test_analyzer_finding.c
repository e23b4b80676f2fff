#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "analyzer/finding.h"

/* A subject of this share, measured well. */
static struct finding_evidence of(enum finding_subject subject, double share)
{
    return (struct finding_evidence){
        .subject = subject, .share = share, .ticks = 1000, .own = true};
}

static enum finding_kind own_function(double share)
{
    struct finding_evidence e = of(SUBJECT_FUNCTION, share);
    return finding_judge(&e);
}

static enum finding_kind contended_lock(double share)
{
    struct finding_evidence e = of(SUBJECT_LOCK, share);
    e.waited_share = share;
    e.acquisitions = 1000;
    e.contentions = 10;
    return finding_judge(&e);
}

static enum finding_kind judged(enum finding_subject subject, double share)
{
    struct finding_evidence e = of(subject, share);
    return finding_judge(&e);
}

static void from_30_percent_on_anything_is_looked_at_first(void **state)
{
    (void)state;
    assert_int_equal(own_function(0.299), FINDING_OPTIMISE);
    assert_int_equal(own_function(0.300), FINDING_FOCUS_FIRST);
    assert_int_equal(own_function(0.301), FINDING_FOCUS_FIRST);
    assert_int_equal(contended_lock(0.299), FINDING_CHECK_CONTENTION);
    assert_int_equal(contended_lock(0.301), FINDING_FOCUS_FIRST);
    assert_int_equal(judged(SUBJECT_ALLOCATOR, 0.299), FINDING_REDUCE_ALLOCATIONS);
    assert_int_equal(judged(SUBJECT_ALLOCATOR, 0.301), FINDING_FOCUS_FIRST);
    assert_int_equal(judged(SUBJECT_MEMORY, 0.299), FINDING_OPTIMISE);
    assert_int_equal(judged(SUBJECT_MEMORY, 0.301), FINDING_FOCUS_FIRST);
}

static void own_code_from_5_percent_on_is_worth_a_try(void **state)
{
    (void)state;
    assert_int_equal(own_function(0.049), FINDING_NOT_WORTH_IT);
    assert_int_equal(own_function(0.050), FINDING_OPTIMISE);
    assert_int_equal(own_function(0.051), FINDING_OPTIMISE);
}

static void others_code_is_told_only_from_30_percent_on(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_FUNCTION, 0.299);
    e.own = false;
    assert_int_equal(finding_judge(&e), FINDING_NONE);
    e.share = 0.301;
    assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
}

static void a_memory_routine_up_to_15_percent_is_not_worth_it(void **state)
{
    (void)state;
    assert_int_equal(judged(SUBJECT_MEMORY, 0.149), FINDING_NOT_WORTH_IT);
    assert_int_equal(judged(SUBJECT_MEMORY, 0.150), FINDING_NOT_WORTH_IT);
    assert_int_equal(judged(SUBJECT_MEMORY, 0.151), FINDING_OPTIMISE);
}

static void nor_past_15_percent_by_what_may_be_chance(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_MEMORY, 0.160);
    e.deviation = 0.0051;
    assert_int_equal(finding_judge(&e), FINDING_NOT_WORTH_IT);
    e.deviation = 0.0049;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
}

static void waiting_for_a_lock_counts_from_1_percent_on(void **state)
{
    (void)state;
    assert_int_equal(contended_lock(0.009), FINDING_NONE);
    assert_int_equal(contended_lock(0.010), FINDING_CHECK_CONTENTION);
    assert_int_equal(contended_lock(0.011), FINDING_CHECK_CONTENTION);
}

static void a_lock_that_nobody_waits_for_is_at_most_costly_to_take(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.049);
    e.acquisitions = 1000000;
    e.held_work = 1;
    e.held_ticks = 1000;
    assert_int_equal(finding_judge(&e), FINDING_NONE);
    e.share = 0.051;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
}

static void the_cost_of_the_calls_is_not_contention(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.100);
    e.acquisitions = 1000000;
    e.contentions = 100;
    e.held_work = e.held_run = 1;
    e.held_ticks = 1000;
    e.waited_share = 0.009;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
    e.waited_share = 0.011;
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
    e.held_work = 0;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.waited_share = 0.004;
    e.spin_share = 0.006;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.spin_share = 0.005;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
}

static void half_of_the_time_under_a_lock_in_one_callee_is_held_too_long(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.200);
    e.waited_share = 0.200;
    e.acquisitions = 1000;
    e.contentions = 10;
    e.held_ticks = 20;
    e.held_run = 0.5;
    e.held_work = 0.499;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_work = 0.500;
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
    e.share = 0.800; /* more to the point than "focus first" */
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
    e.held_ticks = 19;
    assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
}

static void a_lock_held_less_than_10_percent_of_the_run_is_not_held_too_long(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.200);
    e.waited_share = 0.200;
    e.acquisitions = 1000;
    e.contentions = 10;
    e.held_ticks = 100;
    e.held_work = 1;
    e.held_run = 0.099;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_run = 0.100;
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
    e.held_run = 0.101;
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
}

static void half_of_the_time_under_a_lock_in_io_is_io_under_a_lock(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.200);
    e.waited_share = 0.200;
    e.acquisitions = 1000;
    e.contentions = 10;
    e.held_io = 0.499;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_io = 0.500;
    assert_int_equal(finding_judge(&e), FINDING_IO_UNDER_LOCK);
    e.held_sync = true;
    assert_int_equal(finding_judge(&e), FINDING_SYNC_UNDER_LOCK);
    e.share = 0.800; /* more to the point than "focus first" */
    assert_int_equal(finding_judge(&e), FINDING_SYNC_UNDER_LOCK);
    e.waited_share = 0.009; /* nobody waits for it */
    e.share = 0.200;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
}

static void allocating_counts_from_2_percent_on(void **state)
{
    (void)state;
    assert_int_equal(judged(SUBJECT_ALLOCATOR, 0.019), FINDING_NOT_WORTH_IT);
    assert_int_equal(judged(SUBJECT_ALLOCATOR, 0.020), FINDING_REDUCE_ALLOCATIONS);
    assert_int_equal(judged(SUBJECT_ALLOCATOR, 0.021), FINDING_REDUCE_ALLOCATIONS);
}

static void a_few_ticks_are_no_finding(void **state)
{
    (void)state;
    static const enum finding_subject subjects[] = {SUBJECT_FUNCTION, SUBJECT_LOCK, SUBJECT_MEMORY};
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct finding_evidence e = of(subjects[i], 0.5);
        e.contentions = 1;
        e.ticks = 19;
        assert_int_equal(finding_judge(&e), FINDING_NONE);
        e.ticks = 20;
        assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
    }
    struct finding_evidence e = of(SUBJECT_ALLOCATOR, 0.1);
    e.ticks = 4;
    assert_int_equal(finding_judge(&e), FINDING_NONE);
    e.ticks = 5;
    assert_int_equal(finding_judge(&e), FINDING_REDUCE_ALLOCATIONS);
}

static void what_was_timed_needs_no_ticks(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.4);
    e.contentions = 3;
    e.ticks = 0;
    e.waited_share = 0.4;
    assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
}

static void gain_is_amdahls(void **state)
{
    (void)state;
    assert_float_equal(finding_max_gain(0), 1, 0);
    assert_float_equal(finding_max_gain(-0.1), 1, 0);
    assert_float_equal(finding_max_gain(0.15), 1.176471, 1e-6);
    assert_float_equal(finding_max_gain(0.313), 1.455604, 1e-6);
    assert_float_equal(finding_max_gain(0.5), 2, 0);
    assert_true(isinf(finding_max_gain(1)));
}

static void scatter_is_that_of_a_share_of_ticks(void **state)
{
    (void)state;
    assert_float_equal(finding_deviation(15, 100), 0.0357071, 1e-6);
    assert_float_equal(finding_deviation(50, 100), 0.05, 1e-6);
    assert_float_equal(finding_deviation(0, 0), 0, 0);
    assert_float_equal(finding_deviation(5, 5), 0, 0);
}

static void more_attempts_in_vain_than_locks_taken_is_spinning(void **state)
{
    (void)state;
    assert_false(finding_spins(0, 0));
    assert_false(finding_spins(10, 10)); /* every one had to wait */
    assert_true(finding_spins(10, 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_30_percent_on_anything_is_looked_at_first),
        cmocka_unit_test(own_code_from_5_percent_on_is_worth_a_try),
        cmocka_unit_test(others_code_is_told_only_from_30_percent_on),
        cmocka_unit_test(a_memory_routine_up_to_15_percent_is_not_worth_it),
        cmocka_unit_test(nor_past_15_percent_by_what_may_be_chance),
        cmocka_unit_test(waiting_for_a_lock_counts_from_1_percent_on),
        cmocka_unit_test(a_lock_that_nobody_waits_for_is_at_most_costly_to_take),
        cmocka_unit_test(the_cost_of_the_calls_is_not_contention),
        cmocka_unit_test(half_of_the_time_under_a_lock_in_one_callee_is_held_too_long),
        cmocka_unit_test(half_of_the_time_under_a_lock_in_io_is_io_under_a_lock),
        cmocka_unit_test(a_lock_held_less_than_10_percent_of_the_run_is_not_held_too_long),
        cmocka_unit_test(allocating_counts_from_2_percent_on),
        cmocka_unit_test(a_few_ticks_are_no_finding),
        cmocka_unit_test(what_was_timed_needs_no_ticks),
        cmocka_unit_test(gain_is_amdahls),
        cmocka_unit_test(scatter_is_that_of_a_share_of_ticks),
        cmocka_unit_test(more_attempts_in_vain_than_locks_taken_is_spinning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
