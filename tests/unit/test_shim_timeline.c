#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/lock_clock.h"
#include "shim/timeline.h"

#define UNIT ((uint64_t)PSHIM_MOMENT_NS)

static char path[PATH_MAX];
static struct thread_state me;

static void open_with(uint64_t bytes)
{
    int os_error;
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/timeline-%d.pshim", tmp ? tmp : "/tmp", (int)getpid());
    unlink(path);
    assert_int_equal(profile_create(path, bytes, &shim.profile, &os_error), PROFILE_OK);
    shim.profile.header->start_monotonic_ns = shim_now_ns();
    memset(&me, 0, sizeof me);
    timeline_begin(&me);
    lock_clock_is_tsc = false;
    timeline_init(true);
}

static int profile_make(void **state)
{
    (void)state;
    open_with(16 << 20);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    profile_close(&shim.profile);
    return unlink(path);
}

static uint64_t used(void)
{
    return pshim_load(&profile_region(&shim.profile, PSHIM_REGION_MOMENT)->used);
}

static const struct pshim_moment *moment(uint32_t index)
{
    assert_true(index < used());
    return profile_record(&shim.profile, PSHIM_REGION_MOMENT, index);
}

/* Tells at a time after the start, in units. */
static void tell_at(uint64_t units, uint64_t ticks)
{
    timeline_tell(&me, shim.profile.header->start_monotonic_ns + units * UNIT, ticks, 0);
}

static void the_first_256_intervals_have_a_slot_each(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 256; i++) {
        assert_int_equal(pshim_moment_slot(i * UNIT), i);
        assert_int_equal(pshim_moment_slot((i + 1) * UNIT - 1), i);
        assert_int_equal(pshim_moment_start((uint32_t)i), i * UNIT);
    }
}

static void each_doubling_has_128_slots(void **state)
{
    (void)state;
    for (unsigned octave = 0; octave < 32; octave++) {
        uint64_t first = (uint64_t)256 << octave;
        assert_int_equal(pshim_moment_slot(first * UNIT - 1), 256 + 128 * octave - 1);
        assert_int_equal(pshim_moment_slot(first * UNIT), 256 + 128 * octave);
        uint64_t width = (uint64_t)2 << octave;
        assert_int_equal(pshim_moment_slot((first + width) * UNIT - 1), 256 + 128 * octave);
        assert_int_equal(pshim_moment_slot((first + width) * UNIT), 256 + 128 * octave + 1);
    }
}

static void a_slot_begins_where_the_one_before_ends(void **state)
{
    (void)state;
    assert_int_equal(pshim_moment_slot(UINT64_MAX), 4438);
    for (uint32_t slot = 1; slot <= pshim_moment_slot(UINT64_MAX); slot++) {
        assert_int_equal(pshim_moment_slot(pshim_moment_start(slot)), slot);
        assert_int_equal(pshim_moment_slot(pshim_moment_start(slot) - 1), slot - 1);
    }
}

static void a_slot_that_no_time_comes_to_begins_never(void **state)
{
    (void)state;
    for (uint32_t slot = pshim_moment_slot(UINT64_MAX) + 1; slot < 20000; slot++)
        assert_true(pshim_moment_start(slot) == UINT64_MAX);
    assert_true(pshim_moment_start(UINT32_MAX) == UINT64_MAX);
}

static void what_is_told_lies_where_and_as_much_as_it_was(void **state)
{
    (void)state;
    me.alloc_events = 10, me.alloc_bytes = 1000;
    tell_at(0, 0);
    me.alloc_events = 13, me.alloc_bytes = 1500;
    shim.profile.header->live_bytes = 700;
    tell_at(3, 2);
    shim.profile.header->live_bytes = 400;
    tell_at(3, 1);
    assert_int_equal(moment(0)->allocs, 10);
    assert_int_equal(moment(0)->alloc_bytes, 1000);
    assert_int_equal(moment(1)->touched, 0);
    assert_int_equal(moment(3)->allocs, 3);
    assert_int_equal(moment(3)->alloc_bytes, 500);
    assert_int_equal(moment(3)->ticks, 3);
    assert_int_equal(moment(3)->live_bytes, 400);
    assert_int_equal(moment(3)->live_max, 700);
    assert_int_equal(moment(3)->touched, 1);
}

static void a_long_pause_uses_no_more_records_than_slots(void **state)
{
    (void)state;
    tell_at(360000, 1); /* an hour */
    assert_int_equal(used(), pshim_moment_slot(360000 * UNIT) + 1);
    assert_true(used() < 256 + 128 * 11);
    assert_int_equal(moment((uint32_t)used() - 1)->ticks, 1);
}

static void what_lies_past_the_table_goes_into_its_last_record(void **state)
{
    (void)state;
    profile_remove(NULL);
    open_with(1 << 20);
    uint64_t capacity = profile_region(&shim.profile, PSHIM_REGION_MOMENT)->capacity;
    assert_true(capacity < 256);
    tell_at(capacity - 1, 1);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_timeline_full], 0);
    me.alloc_events = 5;
    tell_at(capacity, 1);
    tell_at(1000000, 1);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_timeline_full], 2);
    assert_int_equal(used(), capacity);
    assert_int_equal(moment((uint32_t)capacity - 1)->ticks, 3);
    assert_int_equal(moment((uint32_t)capacity - 1)->allocs, 5);
}

static void two_threads_that_tell_for_one_tell_its_sum(void **state)
{
    (void)state;
    me.alloc_events = 100, me.alloc_bytes = 5000;
    tell_at(0, 0);
    me.alloc_events = 90, me.alloc_bytes = 4000; /* as another thread saw it a while ago */
    timeline_tell_for(&me);
    me.alloc_events = 110, me.alloc_bytes = 6000;
    tell_at(0, 0);
    assert_int_equal(moment(0)->allocs, 110);
    assert_int_equal(moment(0)->alloc_bytes, 6000);
}

static void a_thread_that_begins_tells_nothing_of_the_one_before(void **state)
{
    (void)state;
    me.alloc_events = 100, me.alloc_bytes = 5000;
    timeline_begin(&me);
    me.alloc_events += 2, me.alloc_bytes += 7;
    tell_at(0, 0);
    assert_int_equal(moment(0)->allocs, 2);
    assert_int_equal(moment(0)->alloc_bytes, 7);
}

static void what_is_live_is_noted_though_it_is_not_time_to_tell(void **state)
{
    (void)state;
    me.alloc_events = 1;
    tell_at(2, 0);
    lock_clock_is_tsc = true;
    me.told_units = UINT64_MAX / 2; /* a while from now */
    me.alloc_events = 2;
    shim.profile.header->live_bytes = 12345;
    timeline_live(&me);
    assert_int_equal(moment(2)->allocs, 1);
    assert_int_equal(moment(2)->live_max, 12345);
    shim.profile.header->live_bytes = (uint64_t)-5;
    timeline_live(&me);
    assert_int_equal(moment(2)->live_bytes, 0);
    timeline_allocs(&me);
    assert_int_equal(moment(2)->allocs, 2);
    me.alloc_events = 4;
    me.told_units = 0; /* long ago: the clock says where */
    timeline_allocs(&me);
    assert_int_equal(moment(2)->allocs, 2);
    assert_int_equal(me.told_allocs, 4);
}

static void a_switch_is_told_where_it_is(void **state)
{
    (void)state;
    timeline_switch(false);
    assert_int_equal(moment((uint32_t)used() - 1)->recording, PSHIM_MOMENT_PART | PSHIM_MOMENT_OFF);
    timeline_switch(true);
    assert_int_equal(moment((uint32_t)used() - 1)->recording, PSHIM_MOMENT_PART | PSHIM_MOMENT_ON);
    profile_remove(NULL);
    open_with(16 << 20);
    timeline_init(false);
    assert_int_equal(moment(0)->recording, PSHIM_MOMENT_OFF);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_256_intervals_have_a_slot_each),
        cmocka_unit_test(each_doubling_has_128_slots),
        cmocka_unit_test(a_slot_begins_where_the_one_before_ends),
        cmocka_unit_test(a_slot_that_no_time_comes_to_begins_never),
        TEST(what_is_told_lies_where_and_as_much_as_it_was),
        TEST(a_long_pause_uses_no_more_records_than_slots),
        TEST(what_lies_past_the_table_goes_into_its_last_record),
        TEST(two_threads_that_tell_for_one_tell_its_sum),
        TEST(a_thread_that_begins_tells_nothing_of_the_one_before),
        TEST(what_is_live_is_noted_though_it_is_not_time_to_tell),
        TEST(a_switch_is_told_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
