#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/bench/steady.h"

static void it_takes_all_windows_within_the_share_of_their_mean(void **state)
{
    const double rising[] = {10, 50, 90, 100, 101, 99, 100, 100};
    const int want[] = {0, 0, 0, 0, 0, 0, 0, 1}; /* 90 … 101 is too far apart, 99 … 101 is not */
    struct steady s = {.within = 0.02};
    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(steady_add(&s, rising[i]), want[i]);
    assert_int_equal(steady_add(&s, 102), 0); /* 99 … 102 */
}

static void nothing_is_not_steady(void **state)
{
    struct steady s = {.within = 1};
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(steady_add(&s, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_takes_all_windows_within_the_share_of_their_mean),
        cmocka_unit_test(nothing_is_not_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
