#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "shim/run_delay.h"

#define MS UINT64_C(1000000)

static void crowd_that_ends_at_once_is_not_read_for_long(void **state)
{
    (void)state;
    assert_true(run_delay_affords(0, 0));
    assert_true(run_delay_affords(50 * MS - 1, 0));
    assert_false(run_delay_affords(50 * MS, 0));
    assert_false(run_delay_affords(60 * MS, 1000 * MS));
    assert_true(run_delay_affords(60 * MS - 1, 1000 * MS));
}

static void times_of_a_line_are_told_or_it_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        "12",   "12 ",
                                      "x 3 1\n", "12 x", "12 99999999999999999999 1\n"};
    uint64_t ran = 0, delay = 0;
    assert_int_equal(run_delay_parse("12 345 6\n", 9, &ran, &delay), 0);
    assert_int_equal(ran, 12);
    assert_int_equal(delay, 345);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(run_delay_parse(bad[i], strlen(bad[i]), &ran, &delay), -1);
}

static void path_holds_the_largest_numbers(void **state)
{
    (void)state;
    char to[run_delay_path_bytes];
    run_delay_path(to, UINT32_MAX, 0);
    assert_string_equal(to, "/proc/4294967295/task/0/schedstat");
    run_delay_path(to, UINT32_MAX, UINT32_MAX);
    assert_true(strlen(to) < sizeof to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crowd_that_ends_at_once_is_not_read_for_long),
        cmocka_unit_test(times_of_a_line_are_told_or_it_is_refused),
        cmocka_unit_test(path_holds_the_largest_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
