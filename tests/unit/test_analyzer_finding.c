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

static void half_of_the_time_under_a_lock_in_waking_others_is_held_too_long(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.200);
    e.waited_share = 0.200;
    e.acquisitions = 1000;
    e.contentions = 10;
    e.held_ticks = 20;
    e.held_run = 0.5;
    e.held_waking = 0.499; /* by several calls: none has half of it */
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_waking = 0.500;
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
    e.held_allocs = 1;
    e.held_allocator = 0.499;
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
    e.held_ticks = 19;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
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

/* A lock that threads wait for, held for most of the run, with nothing wrong inside. */
static struct finding_evidence busy_lock(void)
{
    struct finding_evidence e = of(SUBJECT_LOCK, 0.200);
    e.waited_share = 0.200;
    e.acquisitions = 1000;
    e.contentions = 100;
    e.held_ticks = 100;
    e.held_run = 0.5;
    e.hold_ns = e.handoff = e.wait_holds = e.owner_changes = NAN;
    return e;
}

static void allocations_under_a_lock_are_one_for_each_hold_and_a_quarter_of_it(void **state)
{
    (void)state;
    struct finding_evidence e = busy_lock();
    e.held_allocs = 1.0;
    e.held_allocator = 0.249;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_allocator = 0.250;
    assert_int_equal(finding_judge(&e), FINDING_ALLOC_UNDER_LOCK);
    e.share = 0.800; /* more to the point than "focus first" */
    assert_int_equal(finding_judge(&e), FINDING_ALLOC_UNDER_LOCK);
    e.share = 0.200;
    e.held_allocs = 0.999;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_allocs = 24;
    e.held_run = 0.099;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_run = 0.100;
    e.held_ticks = 19;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.held_ticks = 20;
    e.waited_share = 0.009; /* nobody waits for it */
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
}

static void work_that_allocates_a_little_is_held_too_long(void **state)
{
    (void)state;
    struct finding_evidence e = busy_lock();
    e.held_allocs = 1;
    e.held_work = 0.9;
    e.held_allocator = 0.499;
    assert_int_equal(finding_judge(&e), FINDING_HELD_TOO_LONG);
    e.held_allocator = 0.500;
    assert_int_equal(finding_judge(&e), FINDING_ALLOC_UNDER_LOCK);
    e.held_io = 0.5; /* I/O comes before both */
    assert_int_equal(finding_judge(&e), FINDING_IO_UNDER_LOCK);
}

static void waiting_while_nobody_has_it_is_a_convoy(void **state)
{
    (void)state;
    struct finding_evidence e = busy_lock();
    e.handoff = 0.500;
    e.wait_holds = 10;
    e.owner_changes = 0.010;
    e.contentions = 20;
    e.held_run = 0.499;
    assert_int_equal(finding_judge(&e), FINDING_CONVOY);
    e.share = 0.400; /* more to the point than "focus first", if half of it are waits */
    assert_int_equal(finding_judge(&e), FINDING_CONVOY);
    e.share = 0.401;
    assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
    e.share = 0.200;
    e.held_work = 1; /* and than work that it is held for */
    assert_int_equal(finding_judge(&e), FINDING_CONVOY);
    e.held_work = 0;
    struct finding_evidence less = e;
    less.handoff = 0.499;
    assert_int_equal(finding_judge(&less), FINDING_CHECK_CONTENTION);
    less = e;
    less.wait_holds = 9.9;
    assert_int_equal(finding_judge(&less), FINDING_CHECK_CONTENTION);
    less = e;
    less.owner_changes = 0.0099;
    assert_int_equal(finding_judge(&less), FINDING_CHECK_CONTENTION);
    less = e;
    less.held_run = 0.500;
    assert_int_equal(finding_judge(&less), FINDING_CHECK_CONTENTION);
    less = e;
    less.contentions = 19;
    assert_int_equal(finding_judge(&less), FINDING_CHECK_CONTENTION);
    less = e;
    less.handoff = NAN; /* holds were not measured */
    assert_int_equal(finding_judge(&less), FINDING_CHECK_CONTENTION);
    less = e;
    less.waited_share = 0.009;
    assert_int_equal(finding_judge(&less), FINDING_OPTIMISE);
}

static void calls_that_cost_5_percent_with_brief_holds_are_too_many(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_LOCK, 0.050);
    e.acquisitions = 1000000;
    e.calls_share = 0.050;
    e.hold_ns = 1000;
    assert_int_equal(finding_judge(&e), FINDING_TAKEN_TOO_OFTEN);
    e.calls_share = 0.049;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
    e.calls_share = 0.050;
    e.hold_ns = 1001;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
    e.hold_ns = NAN; /* not measured */
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
    e.hold_ns = 40;
    e.share = 0.100; /* half of it are waits */
    e.waited_share = 0.050;
    e.contentions = 100;
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.share = 0.099;
    assert_int_equal(finding_judge(&e), FINDING_TAKEN_TOO_OFTEN);
    e.contentions = 1000001; /* it spins: not too many holds, but too many attempts */
    assert_int_equal(finding_judge(&e), FINDING_CHECK_CONTENTION);
    e.contentions = 0;
    e.share = e.calls_share = 0.500;
    assert_int_equal(finding_judge(&e), FINDING_TAKEN_TOO_OFTEN);
    e.ticks = 19;
    e.waited_share = 0.010;
    assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
}

static void syncing_for_few_bytes_is_too_often_from_10_percent_on(void **state)
{
    (void)state;
    struct finding_evidence e = of(SUBJECT_SYNC, 0.100);
    e.ticks = 0; /* it is timed */
    e.sync_bytes = 512;
    assert_int_equal(finding_judge(&e), FINDING_SYNC_OFTEN);
    e.share = 0.099;
    assert_int_equal(finding_judge(&e), FINDING_OPTIMISE);
    e.share = 0.049;
    assert_int_equal(finding_judge(&e), FINDING_NONE);
    e.share = 0.800;
    assert_int_equal(finding_judge(&e), FINDING_SYNC_OFTEN);
    e.sync_bytes = (256 << 10) - 1;
    assert_int_equal(finding_judge(&e), FINDING_SYNC_OFTEN);
    e.sync_bytes = 256 << 10; /* that is what a disk can write meanwhile */
    assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
    e.sync_bytes = 0; /* what was written went past our hooks */
    assert_int_equal(finding_judge(&e), FINDING_FOCUS_FIRST);
}

static void group_makes_the_share_of_syncing_5_percent(void **state)
{
    (void)state;
    static const double shares[] = {0.06, 0.1, 0.3, 0.5, 0.9, 0.98};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        unsigned n = finding_sync_group(shares[i]);
        double s = shares[i] / n, one_less = shares[i] / (n - 1);
        assert_true(s / (s + 1 - shares[i]) <= 0.05 + 1e-9);
        assert_true(one_less / (one_less + 1 - shares[i]) > 0.05);
    }
    assert_int_equal(finding_sync_group(0.5), 19);
    assert_int_equal(finding_sync_group(0.05), 1);
    assert_int_equal(finding_sync_group(0), 1);
    assert_int_equal(finding_sync_group(0.999), 1000);
    assert_int_equal(finding_sync_group(1), 1000);
}

static void threads_that_wait_for_a_syncing_one_count(void **state)
{
    (void)state;
    assert_float_equal(finding_sync_waiting(800, 0, 1000), 1, 1e-9);    /* one thread, one file */
    assert_float_equal(finding_sync_waiting(800, 1600, 1000), 3, 1e-9); /* under one lock */
    assert_float_equal(finding_sync_waiting(4000, 0, 1000), 4, 1e-9);   /* each for itself */
    assert_float_equal(finding_sync_waiting(0, 0, 1000), 0, 0);
    assert_float_equal(finding_sync_waiting(10, 0, 0), 0, 0);
}

static void wait_that_is_left_is_that_of_a_closed_queue(void **state)
{
    (void)state;
    /* Two threads, hold 1, outside 1: R(2) = 1 + 1/2, so the wait is 1/2. Moved by 1/2: R = 1/2 *
       (1 + 1/4): the wait is 1/8. */
    assert_float_equal(finding_wait_left(1000, 500, 1000, 2), 0.25, 1e-9);
    assert_float_equal(finding_wait_left(1000, 0, 1000, 2), 1, 0);
    assert_float_equal(finding_wait_left(1000, 1000, 1000, 2), 0, 0);
    assert_float_equal(finding_wait_left(1000, 2000, 1000, 2), 0, 0); /* no more than there is */
    assert_float_equal(finding_wait_left(1000, -1, 1000, 2), 1, 0);
    assert_float_equal(finding_wait_left(1000, 500, 1000, 1), 1, 0); /* nobody waits: as it was */
    assert_float_equal(finding_wait_left(1000, 500, 1000, 0), 1, 0);
    assert_float_equal(finding_wait_left(0, 0, 1000, 4), 1, 0);
    assert_float_equal(finding_wait_left(NAN, 0, 1000, 4), 1, 0);
    double crowd = finding_wait_left(1000, 100, -5, 4000000000u); /* a lock that is never free */
    assert_true(crowd > 0.8 && crowd < 1);
}

static struct finding_threads too_many(void)
{
    return (struct finding_threads){
        .wall_ns = 1000, .cpu_ns = 1600, .ready_ns = 400, .cpus = 2, .threads = 8};
}

static void more_that_want_to_run_than_cpus_are_too_many(void **state)
{
    (void)state;
    struct finding_threads t = too_many();
    assert_int_equal(finding_threads_judge(&t), 2);
    t.ready_ns = 399; /* a quarter of the CPU time is the least */
    assert_int_equal(finding_threads_judge(&t), 0);
    t.ready_ns = -1; /* no schedstat */
    assert_int_equal(finding_threads_judge(&t), 0);
    t = too_many();
    t.cpu_ns = 1599; /* others had the CPUs */
    t.ready_ns = 5000;
    assert_int_equal(finding_threads_judge(&t), 0);
    t = too_many();
    t.threads = 2; /* others on the machine are in the way */
    assert_int_equal(finding_threads_judge(&t), 0);
    t.threads = 3;
    assert_int_equal(finding_threads_judge(&t), 2);
    t.cpus = 0;
    assert_int_equal(finding_threads_judge(&t), 0);
}

static void threads_that_wait_for_io_need_no_cpu_of_their_own(void **state)
{
    (void)state;
    struct finding_threads t = too_many();
    t.io_ns = 1600; /* as long as they compute */
    assert_int_equal(finding_threads_judge(&t), 4);
    t.io_ns = 1601;
    assert_int_equal(finding_threads_judge(&t), 5);
    t.io_ns = 6400;
    assert_int_equal(finding_threads_judge(&t), 0); /* ten would do, there are eight */
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
        cmocka_unit_test(half_of_the_time_under_a_lock_in_waking_others_is_held_too_long),
        cmocka_unit_test(a_lock_held_less_than_10_percent_of_the_run_is_not_held_too_long),
        cmocka_unit_test(allocating_counts_from_2_percent_on),
        cmocka_unit_test(a_few_ticks_are_no_finding),
        cmocka_unit_test(what_was_timed_needs_no_ticks),
        cmocka_unit_test(gain_is_amdahls),
        cmocka_unit_test(scatter_is_that_of_a_share_of_ticks),
        cmocka_unit_test(allocations_under_a_lock_are_one_for_each_hold_and_a_quarter_of_it),
        cmocka_unit_test(work_that_allocates_a_little_is_held_too_long),
        cmocka_unit_test(waiting_while_nobody_has_it_is_a_convoy),
        cmocka_unit_test(calls_that_cost_5_percent_with_brief_holds_are_too_many),
        cmocka_unit_test(syncing_for_few_bytes_is_too_often_from_10_percent_on),
        cmocka_unit_test(group_makes_the_share_of_syncing_5_percent),
        cmocka_unit_test(threads_that_wait_for_a_syncing_one_count),
        cmocka_unit_test(wait_that_is_left_is_that_of_a_closed_queue),
        cmocka_unit_test(more_that_want_to_run_than_cpus_are_too_many),
        cmocka_unit_test(threads_that_wait_for_io_need_no_cpu_of_their_own),
        cmocka_unit_test(more_attempts_in_vain_than_locks_taken_is_spinning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
