#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "store/bench/require.h"

/* 98 gets of 1 ms and one of 20 ms, 1 error, in 2 s. */
static int set_up(void **state)
{
    static struct bench_result r;
    assert_int_equal(bench_result_init(&r), 0);
    for (int i = 0; i < 98; i++)
        histogram_record(r.all.latency, 1000000);
    histogram_record(r.all.latency, 20000000);
    r.all.errors[ERROR_VERIFY] = 1;
    r.duration_s = 2;
    r.cpu_percent = 150;
    r.max_rss_bytes = 64 << 20;
    static const struct engine_statistic allocs = {.name = "allocs"};
    r.engine_measured = (struct engine_statistics){.names = &allocs, .count = 1, .values = {250}};
    *state = &r;
    return 0;
}

static int tear_down(void **state)
{
    bench_result_release(*state);
    return 0;
}

static int resolve(const char *text, struct budget *b, char why[static 160])
{
    assert_int_equal(budget_parse(text, b, 1, why), 1);
    return require_resolve(b, why);
}

static void expect(void **state, const char *text, int met, const char *measured)
{
    struct budget b;
    char why[160], buf[UNITS_BUF];
    assert_int_equal(resolve(text, &b, why), 0);
    double value = require_measured(&b, *state);
    assert_int_equal(budget_met(&b, value), met);
    assert_string_equal(require_text(buf, &b, value), measured);
}

static void each_name_is_measured_in_its_unit(void **state)
{
    expect(state, "throughput>49", 1, "49.5");
    expect(state, "throughput>=50", 0, "49.5");
    expect(state, "ops=100", 1, "100");
    expect(state, "errors=0", 0, "1");
    expect(state, "errors<=1", 1, "1");
    expect(state, "avg<1.2ms", 1, "1.19 ms");
    expect(state, "p50<=1.001ms", 1, "1.00 ms");
    expect(state, "p90<1ms", 0, "1.00 ms");
    expect(state, "p95<999us", 0, "1.00 ms");
    expect(state, "p99<10ms", 1, "1.00 ms");
    expect(state, "p999>19.9ms", 1, "20.0 ms");
    expect(state, "max=20ms", 1, "20.0 ms");
    expect(state, "cpu_percent<151", 1, "150");
    expect(state, "max_rss<64M", 0, "64.0 MiB");
    expect(state, "max_rss<=67108864", 1, "64.0 MiB");
    expect(state, "allocs_per_op<2.5", 0, "2.5");
}

static void a_duration_without_unit_is_in_seconds(void **state)
{
    expect(state, "p99<0.01", 1, "1.00 ms");
    expect(state, "p99<0.0001", 0, "1.00 ms");
}

static void shares_may_be_in_percent(void **state)
{
    expect(state, "errors<=1%", 1, "1%");
    expect(state, "errors<0.5%", 0, "1%");
    expect(state, "cpu_percent<151%", 1, "150%");
    expect(state, "cpu_percent<149%", 0, "150%");
}

static void wrong_units_and_names_are_refused(void **state)
{
    struct budget b;
    char why[160];
    (void)state;
    assert_int_equal(resolve("throughput>10ms", &b, why), -1);
    assert_string_equal(why, "throughput>10ms: throughput is a plain number");
    assert_int_equal(resolve("throughput>10K", &b, why), -1);
    assert_int_equal(resolve("throughput>10%", &b, why), -1);
    assert_int_equal(resolve("max_rss<10ms", &b, why), -1);
    assert_string_equal(why, "max_rss<10ms: max_rss is a size (64M)");
    assert_int_equal(resolve("errors<10ms", &b, why), -1);
    assert_string_equal(why, "errors<10ms: errors is a plain number or in %");
    assert_int_equal(resolve("p98<10ms", &b, why), -1);
    assert_int_equal(strncmp(why, "unknown name 'p98', not one of throughput", 41), 0);
    for (size_t i = 0; i < REQUIRE_NAMES; i++)
        assert_non_null(strstr(why, require_name(i)));
}

static void what_was_not_measured_is_not_met(void **state)
{
    struct bench_result nothing;
    void *none = &nothing;
    (void)state;
    assert_int_equal(bench_result_init(&nothing), 0);
    expect(&none, "p99<10ms", 0, "nothing");
    expect(&none, "avg<10ms", 0, "nothing");
    expect(&none, "max<10ms", 0, "nothing");
    expect(&none, "allocs_per_op<1", 0, "nothing");
    expect(&none, "errors<50%", 0, "nothing");
    expect(&none, "throughput>0", 0, "0");
    bench_result_release(&nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_name_is_measured_in_its_unit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_duration_without_unit_is_in_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shares_may_be_in_percent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_units_and_names_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_measured_is_not_met, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
