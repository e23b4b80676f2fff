#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/plan.h"

#define RAYTRACER                                                                                  \
    "level,throughput,p99_us\n1,64.9,1000\n18,995.9,2000\n36,1652.4,8000\n72,1853.2,14000\n"       \
    "108,1828.9,20000\n144,1775.0,30000\n216,1702.2,44000\n"

static char err[PLAN_ERROR_BYTES];

static int parse(const char *text, struct plan_series *s)
{
    char *copy = strdup(text);
    *s = (struct plan_series){0};
    err[0] = '\0';
    int status = plan_parse(copy, strlen(copy), s, err);
    free(copy);
    return status;
}

static struct plan asked(const char *text, double target, const char *slo)
{
    struct plan p = {.target = target, .util = .7, .at = NAN, .from = text ? "sweep" : NULL};
    if (text) {
        assert_int_equal(parse(text, &p.sweep), 0);
        plan_combine(&p.sweep);
    }
    if (slo)
        p.slo_count = plan_slo_parse(slo, p.slo, err);
    assert_true(p.slo_count >= 0);
    return p;
}

static void computed(struct plan *p)
{
    if (plan_compute(p, err) != 0)
        fail_msg("refused: %s", err);
}

/* A CSV of levels 1 … count that scales with N. */
static char *scaling(int count)
{
    static char text[1000];
    int n = sprintf(text, "level,throughput,p99_us\n");
    for (int i = 1; i <= count; i++)
        n += sprintf(text + n, "%d,%d,%d\n", i, 100 * i, i);
    return text;
}

static void ten_thousand_at_70_percent_are_14286(void **state)
{
    (void)state;
    assert_true(plan_provisioned(10000, .7) == 14286);
    assert_true(plan_provisioned(7000, .7) == 10000); /* 10000.000000000002 in binary */
    assert_true(plan_provisioned(700, .7) == 1000);
    assert_true(plan_provisioned(21, .07) == 300);
    assert_true(plan_provisioned(10000, 1) == 10000);
    assert_true(plan_provisioned(10000.5, 1) == 10001);
    assert_true(plan_provisioned(1, .3) == 4);
    assert_true(isnan(plan_provisioned(NAN, .7)));
    struct plan p = asked(NULL, 10000, NULL);
    computed(&p);
    assert_true(p.provisioned == 14286);
    assert_int_equal(p.answer, PLAN_NONE);
}

static void unsorted_repeats_become_sorted_medians(void **state)
{
    struct plan_series s;
    (void)state;
    assert_int_equal(parse("level,p99_us,throughput,errors\n4,30,400,1\n1,10,100,\n4,,440,2\n"
                           "1,14,120,\n4,50,500,0\n",
                           &s),
                     0);
    plan_combine(&s);
    assert_int_equal(s.count, 2);
    assert_true(s.levels[0].level == 1 && s.levels[1].level == 4);
    assert_true(s.levels[0].throughput == 110 && s.levels[1].throughput == 440);
    assert_true(s.levels[0].latency_ns[PLAN_P99] == 12000);
    assert_true(s.levels[1].latency_ns[PLAN_P99] == 40000); /* of the two that were measured */
    assert_true(isnan(s.levels[0].latency_ns[PLAN_P50]));
    assert_true(isnan(s.levels[0].errors) && s.levels[1].errors == 3);
    assert_int_equal(s.levels[0].repeats, 2);
    assert_int_equal(s.levels[1].repeats, 3);
    plan_series_release(&s);
}

static void csv_may_be_written_by_anybody(void **state)
{
    struct plan_series s;
    (void)state;
    assert_int_equal(
        parse("\xef\xbb\xbf# made by hand\r\n\r\n \"threads\" , \"throughput\",host\r\n"
              "\"1\", 2.5e3 ,x\r\n\r\n# more\r\n2,+4000,y",
              &s),
        0);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.unit, "threads");
    assert_true(s.levels[0].throughput == 2500 && s.levels[1].level == 2);
    plan_series_release(&s);
}

static void json_of_store_bench_is_read(void **state)
{
    struct plan_series s;
    (void)state;
    assert_int_equal(parse(" {\"schema\": \"perfshim.sweep/1\", \"levels\": [\n"
                           "{\"threads\": 2, \"throughput\": 30.5, \"repeat\": 1, \"errors\": 0,\n"
                           " \"latency_us\": {\"avg\": 1, \"p99\": 2.5, \"p999\": null}},\n"
                           "{\"level\": 1, \"throughput\": 20}]}",
                           &s),
                     0);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.unit, "threads");
    assert_true(s.levels[0].level == 2 && s.levels[0].throughput == 30.5);
    assert_true(s.levels[0].latency_ns[PLAN_P99] == 2500 && s.levels[0].errors == 0);
    assert_true(isnan(s.levels[0].latency_ns[PLAN_P999]));
    assert_true(s.levels[1].level == 1 && isnan(s.levels[1].errors));
    plan_series_release(&s);
}

static void bad_sweeps_are_told_with_their_place(void **state)
{
    static const char *const t[][2] = {
        {"", "is empty"},
        {" \n\t\n", "is empty"},
        {"hello\n", "line 1: the heading has no column 'level'"},
        {"level,p99_us\n1,2\n", "line 1: the heading has no column 'throughput'"},
        {"level,throughput\n", "no levels: only a heading"},
        {"level,throughput\n1,2\n\n2,nan\n", "line 4: throughput 'nan' is not a number"},
        {"level,throughput\n1,inf\n", "line 2: throughput 'inf' is not a number"},
        {"level,throughput\n1,0x10\n", "line 2: throughput '0x10' is not a number"},
        {"level,throughput\n1,5 ops\n", "line 2: throughput '5 ops' is not a number"},
        {"level,throughput\n1,-5\n", "line 2: throughput -5 is negative"},
        {"level,throughput\n1,0\n", "line 2: throughput 0 means that nothing was measured there"},
        {"level,throughput\n1,1e16\n", "line 2: throughput 1e16 is more than 1e15"},
        {"level,throughput\n0.5,1\n", "line 2: level 0.5 is not a level: 1 to 1e9"},
        {"level,throughput\n-1,1\n", "line 2: level -1 is not a level"},
        {"level,throughput\n2e9,1\n", "line 2: level 2e9 is not a level"},
        {"level,throughput\n,1\n", "line 2: level is missing"},
        {"level,throughput\n1,\n", "line 2: throughput is missing"},
        {"level,throughput\n1\n", "line 2: 1 value, the heading has 2 columns"},
        {"level,throughput\n1,2,3\n", "line 2: more values than the heading has columns (2)"},
        {"level,throughput,p99_us\n1,2,-3\n", "line 2: p99_us -3 is negative"},
        {"level,throughput,errors\n1,2,-3\n", "line 2: errors -3 is negative"},
        {"level,throughput,level\n1,2,3\n", "line 1: column 'level' again"},
        {"level,threads,throughput\n1,2,3\n", "line 1: column 'threads' again"},
        {"{", "not JSON: line 1, column 1"},
        {"{\"levels\": [\n{\"threads\": NaN}]}", "not JSON: line 2"},
        {"{\"levels\": [], \"levels\": []}", "not JSON: line 1, column 23: duplicate object key"},
        {"{}", "there is no array 'levels'"},
        {"[1]", "there is no array 'levels'"},
        {"{\"levels\": {}}", "there is no array 'levels'"},
        {"{\"levels\": []}", "no levels: 'levels' is empty"},
        {"{\"levels\": [7]}", "levels[0]: there is no 'levels.0.threads'"},
        {"{\"levels\": [{\"threads\": 1}]}", "levels[0]: there is no 'levels.0.throughput'"},
        {"{\"levels\": [{\"threads\": 1, \"throughput\": null}]}",
         "levels[0]: 'levels.0.throughput' is null (not measured)"},
        {"{\"levels\": [{\"threads\": 1, \"throughput\": 2}, {\"threads\": 0, \"throughput\": 2}]}",
         "levels[1].threads: 0 is not a level"},
        {"{\"levels\": [{\"threads\": 1, \"throughput\": 2, \"latency_us\": {\"p99\": \"x\"}}]}",
         "levels[0]: 'levels.0.latency_us.p99' is a string"},
        {"{\"levels\": [{\"rate\": 1, \"throughput\": 2}]}", "levels[0] has a rate, not threads"},
        {"{\"schema\": \"perfshim.report/1\", \"levels\": []}",
         "is a perfshim.report/1, not a perfshim.sweep"},
    };
    struct plan_series s;
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_int_equal(parse(t[i][0], &s), -1);
        if (strncmp(err, t[i][1], strlen(t[i][1])) != 0)
            print_error("%s: %s\n", t[i][0], err);
        assert_int_equal(strncmp(err, t[i][1], strlen(t[i][1])), 0);
        plan_series_release(&s);
    }
    char zero[] = "level,throughput\n1,\0002\n";
    s = (struct plan_series){0};
    assert_int_equal(plan_parse(zero, sizeof zero - 1, &s, err), -1);
    assert_string_equal(err, "is neither JSON nor CSV: a zero byte at 19");
}

static void many_columns_are_refused(void **state)
{
    char text[1000] = "level,throughput";
    struct plan_series s;
    (void)state;
    for (int i = 0; i < 62; i++)
        strcat(text, ",x");
    assert_int_equal(parse(text, &s), -1);
    assert_string_equal(err, "no levels: only a heading");
    strcat(text, ",x");
    assert_int_equal(parse(text, &s), -1);
    assert_string_equal(err, "line 1: more than 64 columns");
}

static void five_levels_are_too_few_and_six_are_not(void **state)
{
    struct plan p = asked(scaling(5), 10, NULL);
    (void)state;
    assert_int_equal(plan_compute(&p, err), -1);
    assert_string_equal(err, "5 levels, too few: a fit needs 6 different ones");
    plan_series_release(&p.sweep);
    p = asked("level,throughput\n1,1\n1,2\n1,3\n1,4\n1,5\n1,6\n1,7\n", 10, NULL);
    assert_int_equal(plan_compute(&p, err), -1);
    assert_string_equal(err, "1 level, too few: a fit needs 6 different ones");
    plan_series_release(&p.sweep);
    p = asked(scaling(6), 10, NULL);
    computed(&p);
    plan_series_release(&p.sweep);
}

static void the_sweep_of_r_is_answered(void **state)
{
    struct plan p = asked(RAYTRACER, 10000, NULL);
    (void)state;
    computed(&p);
    assert_true(fabs(p.fit.alpha - .0277285) < 5e-8 && fabs(p.fit.beta - .000104365) < 5e-10);
    assert_true(fabs(p.peak - 96.5196) < 5e-5);
    assert_true(fabs(p.limit - 1883.9) < .05);
    assert_int_equal(p.highest, 3);
    assert_int_equal(p.capacity, 3);
    assert_int_equal(p.slo_broken, -1);
    assert_int_equal(p.binds, PLAN_BINDS_CONTENTION);
    assert_int_equal(p.answer, PLAN_SHORT);
    assert_true(p.instances == 8); /* 14286 / 1853.2 = 7.7 */
    assert_true(isnan(p.needed_level));
    assert_false(plan_slo_says_no(&p));
    plan_series_release(&p.sweep);
}

static void enough_is_what_was_measured(void **state)
{
    struct plan p = asked(RAYTRACER, 1853 * .7, NULL);
    (void)state;
    computed(&p);
    assert_int_equal(p.answer, PLAN_ENOUGH);
    assert_true(p.needed_level == 72);
    assert_true(p.instances == 1);
    p.target = 1854 * .7; /* the fit would have 1883 */
    computed(&p);
    assert_int_equal(p.answer, PLAN_SHORT);
    p.target = 995 * .7;
    computed(&p);
    assert_int_equal(p.answer, PLAN_ENOUGH);
    assert_true(p.needed_level == 18);
    plan_series_release(&p.sweep);
}

static void an_slo_bounds_the_capacity(void **state)
{
    struct plan p = asked(RAYTRACER, 1000, "p99=10ms");
    (void)state;
    computed(&p);
    assert_int_equal(p.slo_last, 2);
    assert_int_equal(p.slo_broken, 3);
    assert_int_equal(p.capacity, 2);
    assert_int_equal(p.highest, 3);
    assert_int_equal(p.binds, PLAN_BINDS_SLO);
    assert_int_equal(p.answer, PLAN_ENOUGH);
    assert_false(plan_slo_says_no(&p));
    p.target = 1652.4 * .7 + 1; /* more than N=36 has; N=72 would */
    computed(&p);
    assert_int_equal(p.answer, PLAN_SHORT);
    assert_true(plan_slo_says_no(&p));
    p.target = NAN;
    computed(&p);
    assert_int_equal(p.answer, PLAN_NONE);
    assert_false(plan_slo_says_no(&p));
    p.slo[0].limit_ns = 1e5; /* met at no level */
    computed(&p);
    assert_int_equal(p.slo_last, -1);
    assert_int_equal(p.capacity, -1);
    assert_true(plan_slo_says_no(&p));
    p.target = 1;
    computed(&p);
    assert_int_equal(p.answer, PLAN_SHORT);
    assert_true(isnan(p.instances));
    assert_true(plan_slo_says_no(&p));
    plan_series_release(&p.sweep);
}

static void an_slo_is_met_at_its_limit_unless_strict(void **state)
{
    struct plan p = asked(RAYTRACER, NAN, "p99<=8ms");
    (void)state;
    computed(&p);
    assert_int_equal(p.slo_last, 2);
    p.slo_count = plan_slo_parse("p99<8ms", p.slo, err);
    computed(&p);
    assert_int_equal(p.slo_last, 1);
    plan_series_release(&p.sweep);
}

/* Later levels that meet it again are no promise. */
static void what_counts_is_the_first_level_that_breaks_the_slo(void **state)
{
    struct plan p =
        asked("level,throughput,p99_us\n1,10,1\n2,19,1\n3,27,9\n4,35,1\n5,42,1\n6,48,9\n", NAN,
              "p99<5us");
    (void)state;
    computed(&p);
    assert_int_equal(p.slo_last, 1);
    assert_int_equal(p.slo_broken, 2);
    assert_int_equal(p.capacity, 1);
    plan_series_release(&p.sweep);
}

static void an_slo_needs_its_latency_at_every_level(void **state)
{
    struct plan p =
        asked("level,throughput,p99_us\n1,1,1\n2,2,1\n3,3,1\n4,4,\n5,5,1\n6,6,1\n", NAN, "p99<5us");
    (void)state;
    assert_int_equal(plan_compute(&p, err), -1);
    assert_string_equal(err, "--slo p99<5us: p99 was not measured at level 4");
    p.slo_count = plan_slo_parse("max=1s", p.slo, err);
    assert_int_equal(plan_compute(&p, err), -1);
    assert_string_equal(err, "--slo max=1s: max was not measured at level 1");
    plan_series_release(&p.sweep);
}

static void the_fit_is_believed_up_to_one_and_a_half_times_the_range(void **state)
{
    struct plan p = asked(scaling(8), 0, NULL); /* 800 measured; 12 threads would give 1200 */
    (void)state;
    p.util = 1;
    p.target = 1199;
    p.at = 12;
    computed(&p);
    assert_int_equal(p.answer, PLAN_PREDICTED);
    assert_true(p.needed_level == 12);
    assert_true(fabs(p.at_throughput - 1200) < 1e-3);
    assert_int_equal(p.binds, PLAN_BINDS_NOTHING);
    assert_true(isnan(p.peak) && isnan(p.limit));
    p.target = 1201;
    p.at = 12.01;
    computed(&p);
    assert_int_equal(p.answer, PLAN_UNKNOWN);
    assert_true(isnan(p.needed_level));
    assert_true(isnan(p.at_throughput));
    p.extrapolate = true;
    computed(&p);
    assert_int_equal(p.answer, PLAN_PREDICTED);
    assert_true(p.needed_level == 13);
    assert_true(fabs(p.at_throughput - 1201) < 1e-3);
    plan_series_release(&p.sweep);
}

static void a_limit_without_a_peak_is_believed_only_when_asked(void **state)
{
    struct plan p =
        asked("level,throughput\n1,100\n2,181.818\n3,250\n4,307.692\n5,357.143\n6,400\n", 5000,
              NULL); /* alpha 0.1: at most 1000 */
    (void)state;
    computed(&p);
    assert_int_equal(p.answer, PLAN_UNKNOWN);
    p.extrapolate = true;
    computed(&p);
    assert_int_equal(p.answer, PLAN_SHORT);
    assert_true(p.limit > 900 && p.limit < 1100);
    assert_int_equal(p.binds, PLAN_BINDS_CONTENTION);
    plan_series_release(&p.sweep);
}

static void coherency_binds_where_it_costs_more(void **state)
{
    struct plan p = asked(
        "level,throughput\n1,1\n2,1.8868\n4,3.0769\n6,3.5294\n8,3.5398\n10,3.3557\n", 1, NULL);
    (void)state;
    computed(&p);
    assert_int_equal(p.binds, PLAN_BINDS_COHERENCY);
    assert_true(fabs(p.contention - .12) < .001 && fabs(p.coherency - .84) < .001);
    assert_true(fabs(p.peak - 7) < .01);
    plan_series_release(&p.sweep);
}

static void slos_are_latencies_below_something(void **state)
{
    static const char *const t[][2] = {
        {"p98=1ms", "unknown name 'p98', not one of avg p50 p90 p95 p99 p999 max"},
        {"throughput=5", "unknown name 'throughput'"},
        {"p99>1ms", "p99>1ms: a latency must stay below something"},
        {"p99>=1ms", "p99>=1ms: a latency must stay below something"},
        {"p99=1M", "p99=1M: not a duration"},
        {"p99=5%", "p99=5%: not a duration"},
        {"p99=0ms", "p99=0ms: not a duration"},
        {"p99=-1ms", "p99=-1ms: not a duration"},
        {"p99", "one of < <= > >= = is missing"},
    };
    struct plan_slo slo[PLAN_SLOS_MAX];
    char why[160];
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_int_equal(plan_slo_parse(t[i][0], slo, why), -1);
        assert_non_null(strstr(why, t[i][1]));
    }
    assert_int_equal(plan_slo_parse("p99=10ms,avg<1ms,max<=2", slo, why), 3);
    assert_true(slo[0].limit_ns == 1e7 && !slo[0].strict && slo[0].latency == PLAN_P99);
    assert_true(slo[1].limit_ns == 1e6 && slo[1].strict && slo[1].latency == PLAN_AVG);
    assert_true(slo[2].limit_ns == 2e9 && !slo[2].strict && slo[2].latency == PLAN_MAX);
    assert_false(plan_slo_met(&slo[0], NAN));
}

static void a_queue_is_expected_at_the_utilisation(void **state)
{
    struct plan p = asked(NULL, NAN, "p99<=10ms");
    (void)state;
    p.servers = 4;
    p.service_ns = 2e6;
    computed(&p);
    assert_true(fabs(p.queue_rate - 1400) < 1e-6);
    assert_true(fabs(p.queue_ns[PLAN_P99] - 5.49 * 2e6) < .005 * 2e6);
    assert_true(isnan(p.queue_ns[PLAN_MAX]));
    assert_true(isnan(p.servers_needed));
    assert_true(plan_slo_says_no(&p));
    p.slo_count = plan_slo_parse("p99<=11ms,max<1ms", p.slo, err); /* nobody knows the maximum */
    p.target = 10000;
    computed(&p);
    assert_false(plan_slo_says_no(&p));
    assert_true(p.servers_needed == 29); /* 10000 × 2 ms / 0.7 = 28.6 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_at_70_percent_are_14286),
        cmocka_unit_test(unsorted_repeats_become_sorted_medians),
        cmocka_unit_test(csv_may_be_written_by_anybody),
        cmocka_unit_test(json_of_store_bench_is_read),
        cmocka_unit_test(bad_sweeps_are_told_with_their_place),
        cmocka_unit_test(many_columns_are_refused),
        cmocka_unit_test(five_levels_are_too_few_and_six_are_not),
        cmocka_unit_test(the_sweep_of_r_is_answered),
        cmocka_unit_test(enough_is_what_was_measured),
        cmocka_unit_test(an_slo_bounds_the_capacity),
        cmocka_unit_test(an_slo_is_met_at_its_limit_unless_strict),
        cmocka_unit_test(what_counts_is_the_first_level_that_breaks_the_slo),
        cmocka_unit_test(an_slo_needs_its_latency_at_every_level),
        cmocka_unit_test(the_fit_is_believed_up_to_one_and_a_half_times_the_range),
        cmocka_unit_test(a_limit_without_a_peak_is_believed_only_when_asked),
        cmocka_unit_test(coherency_binds_where_it_costs_more),
        cmocka_unit_test(slos_are_latencies_below_something),
        cmocka_unit_test(a_queue_is_expected_at_the_utilisation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
