/* Waits that were left: found by their place in the stack, booked until the moment they were left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "shim/waits.h"

enum { lo = 0x10000, hi = 0x20000, altstack = 0x90000, coroutine = 0x80000 };

static struct pshim_header header;
static struct shim_control control, *control_before;
static struct pshim_thread record;
static struct thread_state ts;

/* In a wait for I/O with its hook at `sp`, since 1000; recording, on a clock of 2 units a ns. */
static int in_a_wait_at(uintptr_t sp)
{
    memset(&record, 0, sizeof record);
    memset(&ts, 0, sizeof ts);
    ts.record = &record;
    ts.stack = (struct unwind_range){lo, hi};
    ts.waiting.what = PSHIM_WAIT_IO;
    ts.waiting.sp = sp;
    ts.waiting.ticks = 3;
    record.waiting = 1000 | PSHIM_WAIT_IO;
    control.recording = 1;
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    control_before = shim_control;
    shim_control = &control;
    shim.profile.header = &header;
    header.clock_first_units = header.clock_first_ns = 100;
    header.clock_last_ns = 1100;
    header.clock_last_units = 2100;
    return in_a_wait_at(0x18000);
}

static int tear_down(void **state)
{
    (void)state;
    shim_control = control_before;
    shim.profile.header = NULL;
    return 0;
}

static void wait_is_left_when_the_thread_is_further_out(void **state)
{
    (void)state;
    assert_true(wait_is_left(&ts, 0x18008));
    assert_true(wait_is_left(&ts, 0x18000)); /* the hook's frame is another's now */
    assert_false(wait_is_left(&ts, 0x17ff8));
}

static void handler_on_an_alternate_stack_is_within_the_wait(void **state)
{
    (void)state;
    assert_false(wait_is_left(&ts, altstack));
    in_a_wait_at(coroutine);
    assert_true(wait_is_left(&ts, 0x18000)); /* back on its own stack */
    assert_false(wait_is_left(&ts, coroutine - 8));
    assert_true(wait_is_left(&ts, coroutine + 8));
}

static void time_is_booked_until_it_is_seen(void **state)
{
    (void)state;
    wait_left(&ts, 5000, 0);
    assert_int_equal(record.wait[PSHIM_WAIT_IO], 4000);
    assert_int_equal(record.wait_ticks[PSHIM_WAIT_IO], 3);
    assert_int_equal(record.waiting, 0);
    assert_int_equal(ts.waiting.what, PSHIM_WAIT_RUN);
}

static void what_it_ran_since_is_no_wait(void **state)
{
    (void)state;
    wait_left(&ts, 5000, 700); /* ns */
    assert_int_equal(record.wait[PSHIM_WAIT_IO], 4000 - 2 * 700);
    in_a_wait_at(0x18000);
    wait_left(&ts, 5000, 100000);
    assert_int_equal(record.wait[PSHIM_WAIT_IO], 0);
}

static void moment_of_the_jump_counts(void **state)
{
    (void)state;
    ts.waiting.left = 4200;
    wait_left(&ts, 5000, 700);
    assert_int_equal(record.wait[PSHIM_WAIT_IO], 3200);
    in_a_wait_at(0x18000);
    ts.waiting.left = 900; /* out of an earlier wait */
    wait_left(&ts, 5000, 0);
    assert_int_equal(record.wait[PSHIM_WAIT_IO], 4000);
}

static void nothing_is_booked_while_paused_or_where_no_record_is_its_own(void **state)
{
    (void)state;
    control.recording = 0;
    wait_left(&ts, 5000, 0);
    assert_int_equal(record.wait[PSHIM_WAIT_IO], 0);
    assert_int_equal(record.waiting, 0);
    in_a_wait_at(0x18000);
    ts.record_is_shared = true;
    wait_left(&ts, 5000, 0);
    assert_int_equal(record.wait[PSHIM_WAIT_IO], 0);
    assert_int_equal(ts.waiting.what, PSHIM_WAIT_RUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(wait_is_left_when_the_thread_is_further_out),
        TEST(handler_on_an_alternate_stack_is_within_the_wait),
        TEST(time_is_booked_until_it_is_seen),
        TEST(what_it_ran_since_is_no_wait),
        TEST(moment_of_the_jump_counts),
        TEST(nothing_is_booked_while_paused_or_where_no_record_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
