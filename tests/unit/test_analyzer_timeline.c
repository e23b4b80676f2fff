#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "analyzer/timeline.h"
#include "tests/unit/profile_fixture.h"

#define UNIT ((int64_t)PSHIM_MOMENT_NS)
#define S    ((int64_t)1000000000)

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;
static struct timeline t;

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "timeline");
    fixture_open(&f, path, 32 << 20);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    timeline_release(&t);
    model_release(&m);
    reader_close(&r);
    fixture_close(&f);
    return unlink(path);
}

/* The moment that holds a time, in units of 10 ms. */
static struct pshim_moment *at(uint64_t units)
{
    return fixture_moment(&f, units * PSHIM_MOMENT_NS);
}

static void ran(int64_t ns)
{
    f.h->end_monotonic_ns = f.h->start_monotonic_ns + (uint64_t)ns;
}

static void built(unsigned most)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
    timeline_build(&t, &m, most);
}

static int64_t sum_allocs(void)
{
    int64_t n = 0;
    for (size_t i = 0; i < t.count; i++)
        n += t.items[i].allocs;
    return n;
}

static void intervals_are_as_few_as_asked_for_and_read_well(void **state)
{
    (void)state;
    assert_int_equal(timeline_interval_for(0, 20), UNIT);
    assert_int_equal(timeline_interval_for(200000000, 20), UNIT);
    assert_int_equal(timeline_interval_for(200000001, 20), 2 * UNIT);
    assert_int_equal(timeline_interval_for(10 * S, 20), S / 2);
    assert_int_equal(timeline_interval_for(10 * S + 1, 20), 60 * UNIT);
    assert_int_equal(timeline_interval_for(3600 * S, 120), 30 * S);
    for (int64_t wall = 1; wall < INT64_MAX / 3; wall *= 3)
        for (unsigned most = 1; most <= 120; most += 7) {
            int64_t interval = timeline_interval_for(wall, most);
            assert_true(interval % UNIT == 0);
            assert_true(wall / interval + (wall % interval != 0) <= most);
        }
    assert_true(INT64_MAX / timeline_interval_for(INT64_MAX, 1) <= 2);
}

static void a_profile_without_moments_has_no_timeline(void **state)
{
    (void)state;
    built(20);
    assert_int_equal(t.count, 0);
}

static void moments_fold_into_their_intervals(void **state)
{
    (void)state;
    ran(S); /* 20 intervals of 50 ms */
    *at(0) = (struct pshim_moment){.touched = 1, .allocs = 3, .alloc_bytes = 30};
    *at(4) = (struct pshim_moment){.touched = 1, .allocs = 4, .alloc_bytes = 1};
    *at(5) = (struct pshim_moment){.touched = 1, .allocs = 5, .ticks = 2};
    *at(99) = (struct pshim_moment){.touched = 1, .allocs = 9};
    built(20);
    assert_int_equal(t.count, 20);
    assert_int_equal(t.interval_ns, S / 20);
    assert_int_equal(t.items[0].allocs, 7);
    assert_int_equal(t.items[0].alloc_bytes, 31);
    assert_int_equal(t.items[1].allocs, 5);
    assert_int_equal(t.items[1].cpu_ns, 2 * FIXTURE_TICK_NS);
    assert_int_equal(t.items[2].allocs, 0);
    assert_true(t.items[2].recorded);
    assert_int_equal(t.items[19].allocs, 9);
}

static void the_last_interval_is_as_long_as_the_run_leaves(void **state)
{
    (void)state;
    ran(S + S / 4);
    *at(125) = (struct pshim_moment){.touched = 1, .allocs = 2}; /* told as it ended */
    *at(200) = (struct pshim_moment){.touched = 1, .allocs = 3}; /* and after the end */
    built(10);
    assert_int_equal(t.interval_ns, 15 * UNIT);
    assert_int_equal(t.count, 9);
    assert_int_equal(t.items[8].span_ns, 5 * UNIT);
    assert_int_equal(t.items[8].allocs, 5);
    assert_int_equal(t.items[7].span_ns, 15 * UNIT);
}

static void a_moment_in_two_intervals_is_shared_out_and_nothing_is_lost(void **state)
{
    (void)state;
    ran(100 * S); /* 63 intervals of 1.6 s would not do; 2 s: moments are 0.64 s wide at the end */
    for (uint64_t units = 0; units < 10000; units += 10)
        at(units)->touched = 1, at(units)->allocs += 7;
    built(50);
    assert_int_equal(t.interval_ns, 2 * S);
    assert_int_equal(t.count, 50);
    assert_int_equal(sum_allocs(), 7000);
    for (size_t i = 0; i < t.count; i++)
        assert_in_range(t.items[i].allocs, 140 - 45, 140 + 45);
}

static void a_run_of_ten_hours_is_as_bounded_as_any(void **state)
{
    (void)state;
    ran(36000 * S);
    for (uint64_t units = 0; units < 3600000; units += 100)
        at(units)->touched = 1, at(units)->allocs++;
    built(TIMELINE_INTERVALS_MOST);
    assert_true(reader_count(&r, PSHIM_REGION_MOMENT) < 256 + 128 * 14);
    assert_int_equal(t.interval_ns, 300 * S);
    assert_int_equal(t.count, 120);
    assert_int_equal(sum_allocs(), 36000);
    for (size_t i = 0; i < t.count; i++)
        assert_in_range(t.items[i].allocs, 300 - 170, 300 + 170);
}

static void what_is_live_goes_on_until_somebody_says_other(void **state)
{
    (void)state;
    ran(S); /* 10 intervals */
    *at(12) = (struct pshim_moment){.touched = 1, .live_bytes = 50, .live_max = 80};
    *at(45) = (struct pshim_moment){.touched = 1, .live_bytes = 10, .live_max = 20};
    built(10);
    static const int64_t end[] = {0, 50, 50, 50, 10, 10, 10, 10, 10, 10};
    static const int64_t most[] = {0, 80, 50, 50, 50, 10, 10, 10, 10, 10};
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(t.items[i].live_bytes, end[i]);
        assert_int_equal(t.items[i].live_max_bytes, most[i]);
    }
}

static void what_was_not_recorded_is_not_nothing(void **state)
{
    (void)state;
    ran(S); /* 10 intervals */
    at(0)->touched = 1, at(0)->recording = PSHIM_MOMENT_OFF;
    at(25)->touched = 1, at(25)->recording = PSHIM_MOMENT_ON | PSHIM_MOMENT_PART;
    at(47)->touched = 1, at(47)->recording = PSHIM_MOMENT_OFF | PSHIM_MOMENT_PART;
    at(72)->touched = 1, at(72)->recording = PSHIM_MOMENT_OFF | PSHIM_MOMENT_PART;
    at(90)->touched = 1; /* a switch tells nothing else */
    built(10);
    static const bool recorded[] = {0, 0, 1, 1, 1, 0, 0, 1, 0, 0};
    static const bool known[] = {0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(t.items[i].recorded, recorded[i]);
        assert_int_equal(t.items[i].live_known, known[i]);
    }
}

static void cpu_time_that_was_too_much_is_taken_from_before(void **state)
{
    (void)state;
    ran(S); /* 10 intervals */
    at(5)->touched = 1, at(5)->ticks = 4;
    at(15)->touched = 1, at(15)->ticks = 1;
    at(35)->touched = 1, at(35)->extra_ns = (uint64_t) - (3 * (int64_t)FIXTURE_TICK_NS);
    at(55)->touched = 1, at(55)->extra_ns = 77;
    built(10);
    assert_int_equal(t.items[0].cpu_ns, 2 * FIXTURE_TICK_NS);
    assert_int_equal(t.items[1].cpu_ns, 0);
    assert_int_equal(t.items[3].cpu_ns, 0);
    assert_int_equal(t.items[5].cpu_ns, 77);
}

static void the_last_record_there_is_has_no_end(void **state)
{
    (void)state;
    ran(10 * S); /* 10 intervals of 1 s; the table ends at 2 s */
    f.h->regions[PSHIM_REGION_MOMENT].capacity = 200;
    at(199)->touched = 1, at(199)->allocs = 801;
    built(10);
    assert_int_equal(t.items[0].allocs, 0);
    assert_int_equal(t.items[1].allocs, 1);
    for (size_t i = 2; i < 10; i++)
        assert_int_equal(t.items[i].allocs, 100);
}

static void a_run_shorter_than_a_moment_is_one_interval(void **state)
{
    (void)state;
    ran(3000000);
    at(0)->touched = 1, at(0)->allocs = 5;
    built(20);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.items[0].span_ns, 3000000);
    assert_int_equal(t.items[0].allocs, 5);
}

static void a_killed_program_lived_until_its_last_moment(void **state)
{
    (void)state;
    f.h->end = PSHIM_END_RUNNING; /* of a pid that is not there */
    f.h->pid = 0;
    f.h->end_monotonic_ns = 0;
    at(150)->touched = 1, at(150)->allocs = 1;
    built(20);
    assert_int_equal(m.wall_ns, 150 * UNIT);
    assert_int_equal(sum_allocs(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_as_few_as_asked_for_and_read_well),
        TEST(a_profile_without_moments_has_no_timeline),
        TEST(moments_fold_into_their_intervals),
        TEST(the_last_interval_is_as_long_as_the_run_leaves),
        TEST(a_moment_in_two_intervals_is_shared_out_and_nothing_is_lost),
        TEST(a_run_of_ten_hours_is_as_bounded_as_any),
        TEST(what_is_live_goes_on_until_somebody_says_other),
        TEST(what_was_not_recorded_is_not_nothing),
        TEST(cpu_time_that_was_too_much_is_taken_from_before),
        TEST(the_last_record_there_is_has_no_end),
        TEST(a_run_shorter_than_a_moment_is_one_interval),
        TEST(a_killed_program_lived_until_its_last_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
