#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/bench/sweep.h"
#include "tests/unit/scarce.h"

static struct bench_config config_of(const char *line)
{
    static char words[500];
    char *argv[40] = {"store_bench", "sweep"};
    int argc = 2;
    struct bench_config config;
    snprintf(words, sizeof words, "--no-live --keys=100 %s", line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    assert_int_equal(args_parse(&config, argc, argv), ARGS_RUN);
    return config;
}

static void every_level_runs_as_often(void **state)
{
    struct bench_config c = config_of("--levels=5,1,3 --repeats=2 --ops=500");
    struct sweep_result r;
    (void)state;
    assert_int_equal(store_bench_sweep(&c, &r), 0);
    assert_int_equal(r.end, RUN_COMPLETE);
    assert_int_equal(r.count, 6);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal((int)r.runs[i].level, 1 + (int)i / 2 * 2);
        assert_int_equal(r.runs[i].repeat, 1 + i % 2);
        assert_int_equal(r.runs[i].figures.errors, 0);
        assert_true(r.runs[i].figures.throughput > 0);
        for (unsigned k = 1; k < FIGURE_LATENCIES - 1; k++) /* from p50 to max */
            assert_true(r.runs[i].figures.latency_ns[k] <= r.runs[i].figures.latency_ns[k + 1]);
        assert_true(r.runs[i].figures.latency_ns[0] <=
                    r.runs[i].figures.latency_ns[FIGURE_LATENCIES - 1]);
    }
    assert_string_equal(figure_latency_name(0), "avg");
    assert_string_equal(figure_latency_name(4), "p99");
    assert_string_equal(figure_latency_name(FIGURE_LATENCIES - 1), "max");
    sweep_result_release(&r);
}

static void an_interrupt_ends_the_sweep_and_holds_for_it_alone(void **state)
{
    struct bench_config c = config_of("--levels=1,2 --repeats=1 --duration=60s");
    struct sweep_result r;
    (void)state;
    store_bench_sweep_interrupt();
    assert_int_equal(store_bench_sweep(&c, &r), 0);
    assert_int_equal(r.end, RUN_INTERRUPTED);
    assert_int_equal(r.count, 0);
    sweep_result_release(&r);
    c.duration_ns = 0;
    c.ops = 100;
    assert_int_equal(store_bench_sweep(&c, &r), 0);
    assert_int_equal(r.end, RUN_COMPLETE);
    assert_int_equal(r.count, 2);
    sweep_result_release(&r);
}

static void without_memory_nothing_leaks(void **state)
{
    struct bench_config c = config_of("--levels=1,2 --repeats=1 --ops=100 --shards=2");
    struct sweep_result r;
    int rc = -1, kept = dup(STDERR_FILENO);
    (void)state;
    if (!SCARCE)
        skip();
    FILE *quiet = tmpfile();
    dup2(fileno(quiet), STDERR_FILENO);
    long live = scarce_live, left = 0;
    while (rc != 0 && left < 400 && scarce_live == live) {
        scarce_left = left++;
        rc = store_bench_sweep(&c, &r);
        scarce_left = -1;
    }
    if (rc == 0)
        sweep_result_release(&r);
    long leaked = scarce_live - live;
    dup2(kept, STDERR_FILENO);
    close(kept);
    fclose(quiet);
    assert_int_equal(rc, 0);
    assert_int_equal(leaked, 0);
    assert_true(left > 20);
}

/* --- output --- */

static struct sweep_run runs[] = {
    {1, 1, {100e3, {1, 2, 3, 4, 5, 6, 7}, 0}, 1},
    {1, 2, {130e3, {1, 2, 3, 4, 50, 6, 7}, 0}, 1},
    {1, 3, {110e3, {1, 2, 3, 4, 7, 6, 7}, 0}, 1},
    {20, 1, {5, {1, 2, 3, 4, 50, 6, 70000}, 2}, 1},
    {20, 2, {0, {NAN, NAN, NAN, NAN, NAN, NAN, NAN}, 9}, 0},
};

static void the_table_shows_medians_and_spread(void **state)
{
    struct bench_config c = config_of("--levels=1,20 --repeats=3");
    struct sweep_result r = {.runs = runs, .count = 5, .end = RUN_INTERRUPTED};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    sweep_table(out, &c, &r);
    fclose(out);
    assert_string_equal(
        text,
        "store_bench sweep  mixed, 50% gets, pool on, 5 of 6 runs  INTERRUPTED: a partial result\n"
        "100 keys of 16 B (uniform), values of 100 B, 64 shards, seed 1; medians of the repeats\n"
        "\n"
        "threads repeats     ops/s  spread      avg      p50      p90      p95      p99     p999"
        "      max\n"
        "      1       3     110 k   27.3%     1 ns     2 ns     3 ns     4 ns     7 ns     6 ns"
        "     7 ns\n"
        "     20       2      2.50  200.0%     1 ns     2 ns     3 ns     4 ns    50 ns     6 ns"
        "  70.0 us  errors 11\n"
        "\nNext: store_bench sweep --json=F and perfshim plan --from F --target OPS\n");
    free(text);
}

/* At 1000 and 50000 operations a second: the second ones were too many; one failed altogether. */
static struct sweep_run rated[] = {
    {1000, 1, {1000, {1, 2, 3, 4, 5, 6, 7}, 0}, 1},
    {1000, 2, {1000, {1, 2, 3, 4, 5, 6, 7}, 0}, 1},
    {50000, 1, {20e3, {1, 2, 3, 4, 5, 6, 7}, 0}, 0},
    {50000, 2, {0, {NAN, NAN, NAN, NAN, NAN, NAN, NAN}, 9}, 0},
};

static void rates_that_were_too_high_are_marked(void **state)
{
    struct bench_config c = config_of("--rates=1e3,5e4 --repeats=2 --threads=1");
    struct sweep_result r = {.runs = rated, .count = 4};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    sweep_table(out, &c, &r);
    r.runs += 2;
    r.count = 1;
    sweep_table(out, &c, &r);
    fclose(out);
    assert_non_null(strstr(text, "mixed, 50% gets, 1 thread, poisson, pool on, 4 of 4 runs\n"));
    assert_non_null(strstr(text, "   rate repeats     ops/s  spread "));
    assert_non_null(strstr(text, "\n   1000       2    1.00 k    0.0%     1 ns"));
    assert_non_null(strstr(text, "\n  50000       2    10.0 k  200.0%     1 ns"));
    assert_non_null(strstr(text, "  errors 9  INVALID 1 of 2\n"));
    assert_non_null(strstr(text, "\nThe highest rate at which every run is valid: 1000 ops/s\n"));
    assert_non_null(strstr(text, "\nAt none of the rates every run is valid\n"));
    free(text);
}

static void the_document_holds_every_run(void **state)
{
    struct bench_config c = config_of("--levels=1,20 --repeats=3");
    struct sweep_result r = {.runs = runs, .count = 5, .end = RUN_COMPLETE};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    assert_int_equal(sweep_json(out, &c, &r), 0);
    fclose(out);
    assert_non_null(strstr(text, "\"schema\": \"perfshim.sweep/1\""));
    assert_non_null(strstr(text, "\"interrupted\": false"));
    assert_non_null(strstr(text, "{\n      \"threads\": 1,\n      \"repeat\": 2,\n"
                                 "      \"throughput\": 130000.0,\n      \"latency_us\": {\n"
                                 "        \"avg\": 0.001,\n        \"p50\": 0.002,\n"));
    assert_non_null(strstr(text, "\"max\": null\n      },\n      \"errors\": 9\n"));
    assert_null(strstr(text, "nan"));
    free(text);
    out = fopen("/dev/full", "w");
    assert_int_equal(sweep_json(out, &c, &r), -1);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_runs_as_often),
        cmocka_unit_test(an_interrupt_ends_the_sweep_and_holds_for_it_alone),
        cmocka_unit_test(without_memory_nothing_leaks),
        cmocka_unit_test(the_table_shows_medians_and_spread),
        cmocka_unit_test(rates_that_were_too_high_are_marked),
        cmocka_unit_test(the_document_holds_every_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
