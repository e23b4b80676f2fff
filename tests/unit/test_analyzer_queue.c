#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "analyzer/queue.h"

static void p99_is_that_of_the_table(void **state)
{
    static const struct {
        uint64_t servers;
        double utilisation, p99;
    } t[] = {{1, .7, 15.35}, {1, .8, 23.03}, {1, .9, 46.05}, {2, .7, 8.27}, {2, .8, 11.94},
             {2, .9, 23.34}, {4, .7, 5.49},  {4, .8, 6.89},  {4, .9, 12.19}};
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        assert_true(fabs(queue_quantile(t[i].servers, t[i].utilisation, .99) - t[i].p99) < .005);
}

static void one_server_answers_exponentially(void **state)
{
    (void)state;
    for (double u = 0; u < 1; u += 1.0 / 64) {
        assert_true(fabs(queue_erlang_c(1, u) - u) < 1e-12);
        assert_true(fabs(queue_mean(1, u) - 1 / (1 - u)) < 1e-9 / (1 - u));
        for (double q = 0; q < 1; q += .11)
            assert_true(fabs(queue_quantile(1, u, q) + log(1 - q) / (1 - u)) < 1e-9 / (1 - u));
    }
}

static void erlangs_c_of_two_and_three_servers(void **state)
{
    (void)state;
    /* 2 servers: 2 u² / (1 + u); 3 servers: from the definition */
    assert_true(fabs(queue_erlang_c(2, .7) - 2 * .49 / 1.7) < 1e-12);
    double a = 2.1, top = a * a * a / 6 / .3;
    assert_true(fabs(queue_erlang_c(3, .7) - top / (1 + a + a * a / 2 + top)) < 1e-12);
    assert_true(queue_erlang_c(7, 0) == 0);
}

static void without_load_only_service_remains(void **state)
{
    (void)state;
    for (uint64_t c = 1; c < 10; c++) {
        assert_true(queue_mean(c, 0) == 1);
        assert_true(fabs(queue_quantile(c, 0, .99) - log(100)) < 1e-9);
    }
}

/* servers × (1 − utilisation) = 1 divides by zero; around it and far from it nothing may jump. */
static void the_tail_is_smooth_where_the_formula_divides_by_zero(void **state)
{
    (void)state;
    for (double t = .01; t < 50; t *= 1.5) {
        double at = queue_tail(2, .5, t), c = queue_erlang_c(2, .5);
        assert_true(fabs(at - ((1 - c) * exp(-t) + c * exp(-t) * (1 + t))) < 1e-15);
        for (double e = 1e-15; e < 1e-6; e *= 10) {
            assert_true(fabs(queue_tail(2, .5 + e, t) - at) < 20 * e + 1e-15);
            assert_true(fabs(queue_tail(2, .5 - e, t) - at) < 20 * e + 1e-15);
        }
    }
}

static void the_tail_falls_from_one_to_nothing(void **state)
{
    static const double loads[] = {0, .3, .5, .75, .9, .999, .999999};
    (void)state;
    for (uint64_t c = 1; c <= 1024; c *= 4)
        for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
            double before = queue_tail(c, loads[i], 0);
            assert_true(fabs(before - 1) < 1e-12);
            for (double t = .001; t < 1e9; t *= 1.3) {
                double now = queue_tail(c, loads[i], t);
                assert_true(now <= before + 1e-12 && now >= 0);
                before = now;
            }
            assert_true(before < 1e-12);
            assert_true(fabs(queue_tail(c, loads[i], queue_quantile(c, loads[i], .999)) - .001) <
                        1e-9);
        }
}

static void many_servers_are_computed_at_once(void **state)
{
    (void)state;
    double c = queue_erlang_c(1000000, .9999);
    assert_true(c > 0 && c < 1);
    assert_true(queue_erlang_c(1000, .5) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p99_is_that_of_the_table),
        cmocka_unit_test(one_server_answers_exponentially),
        cmocka_unit_test(erlangs_c_of_two_and_three_servers),
        cmocka_unit_test(without_load_only_service_remains),
        cmocka_unit_test(the_tail_is_smooth_where_the_formula_divides_by_zero),
        cmocka_unit_test(the_tail_falls_from_one_to_nothing),
        cmocka_unit_test(many_servers_are_computed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
