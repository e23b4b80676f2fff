#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/bench/compare.h"

static struct bench_config config_of(const char *line)
{
    static char words[500];
    char *argv[40] = {"store_bench", "compare"};
    struct bench_config c;
    int argc = 2;
    snprintf(words, sizeof words, "--keys=100 --no-live %s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    assert_int_equal(args_parse(&c, argc, argv), ARGS_RUN);
    return c;
}

/* What it says on stderr, at most 2000 bytes. */
static int compare_quietly(const struct bench_config *c, struct compare_result *r,
                           char said[static 2001])
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    assert_non_null(file);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    int rc = store_bench_compare(c, r);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    said[fread(said, 1, 2000, file)] = '\0';
    fclose(file);
    return rc;
}

static void every_engine_runs_as_often(void **state)
{
    struct bench_config c = config_of("--engines=store,null,sim:mean=1us --repeats=3 --ops=200");
    struct compare_result r;
    unsigned runs[3] = {0};
    (void)state;
    assert_int_equal(store_bench_compare(&c, &r), 0);
    assert_int_equal(r.end, RUN_COMPLETE);
    assert_int_equal(r.count, 9);
    for (size_t i = 0; i < r.count; i++) {
        const struct compare_run *run = &r.runs[i];
        runs[run->engine]++;
        assert_int_equal(run->repeat, i / 3 + 1);
        assert_int_equal(run->state, COMPARE_MEASURED);
        assert_int_equal(run->figures.errors, 0);
        assert_true(run->figures.throughput > 0 && run->rss_bytes > 100000);
        assert_true(run->figures.latency_ns[1] <= run->figures.latency_ns[FIGURE_LATENCIES - 1]);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(runs[i], 3);
    assert_int_equal(r.error, 0);
    compare_result_release(&r);
    assert_null(r.runs);
}

static void errors_of_an_engine_are_its_own(void **state)
{
    struct bench_config c = config_of("--engines=null:errors=10,null --ops=1000 -t1");
    struct compare_result r;
    (void)state;
    assert_int_equal(store_bench_compare(&c, &r), 0);
    for (size_t i = 0; i < r.count; i++)
        assert_int_equal(r.runs[i].figures.errors, r.runs[i].engine == 0 ? 10 : 0);
    compare_result_release(&r);
}

static void a_run_that_fails_leaves_the_others(void **state)
{
    struct bench_config c = config_of(
        "--engines=redis:socket=/no/such,null,null:errors=10 --ops=1000 -t1 --max-errors=5");
    struct compare_result r;
    char said[2001];
    (void)state;
    assert_int_equal(compare_quietly(&c, &r, said), 0);
    assert_int_equal(r.end, RUN_COMPLETE);
    assert_int_equal(r.count, 3);
    for (size_t i = 0; i < r.count; i++)
        assert_int_equal(r.runs[i].state,
                         r.runs[i].engine == 1 ? COMPARE_MEASURED : COMPARE_FAILED);
    assert_true(r.failed[0] == 1 && r.failed[1] == 0 && r.failed[2] == 1);
    assert_int_not_equal(r.error, 0);
    assert_non_null(strstr(said, "null:errors=10: ended at more than 5 errors"));
    compare_result_release(&r);
}

static void a_requirement_is_judged_for_every_run(void **state)
{
    struct bench_config c = config_of(
        "--engines=null,null:errors=10 --ops=1000 --repeats=2 --require=errors<1,ops=1000");
    struct compare_result r;
    char said[2001];
    (void)state;
    assert_int_equal(compare_quietly(&c, &r, said), 0);
    assert_int_equal(r.count, 4);
    assert_true(r.unmet[0] == 0 && r.unmet[1] == 2 && r.failed[1] == 0);
    assert_int_equal(r.error, 1);
    for (size_t i = 0; i < r.count; i++) {
        assert_int_equal(r.runs[i].unmet, r.runs[i].engine);
        assert_true(r.runs[i].required[0] == (r.runs[i].engine ? 10 : 0));
        assert_true(r.runs[i].required[1] == 1000);
    }
    assert_non_null(strstr(
        said, "store_bench: null:errors=10, repeat 2: require: errors<1 not met: measured 10\n"));
    assert_null(strstr(said, "null, repeat"));
    compare_result_release(&r);
}

/* What could not be run weighs more than what was too slow. */
static void a_failure_outweighs_a_requirement(void **state)
{
    struct bench_config c = config_of(
        "--engines=null,redis:socket=/no/such --ops=100 --repeats=3 --require=throughput>1e15");
    struct compare_result r;
    char said[2001];
    (void)state;
    assert_int_equal(compare_quietly(&c, &r, said), 0);
    assert_true(r.unmet[0] == 3 && r.failed[1] == 3);
    assert_true(r.error < 0);
    compare_result_release(&r);
}

static void a_load_that_was_not_reached_is_invalid(void **state)
{
    struct bench_config c = config_of("--engines=sim:mean=10ms,null --rate=1000 -d0.1 -t1");
    struct compare_result r;
    (void)state;
    assert_int_equal(store_bench_compare(&c, &r), 0);
    assert_true(r.count == 2 && r.invalid[0] == 1);
    assert_int_equal(r.error, 1);
    compare_result_release(&r);
}

static void a_missing_library_is_told_before_anything_runs(void **state)
{
    struct bench_config c = config_of("--engines=null,lmdb:library=/no/such.so --ops=10");
    struct compare_result r;
    char said[2001];
    (void)state;
    assert_int_equal(compare_quietly(&c, &r, said), -1);
    assert_int_equal(r.count, 0);
    assert_non_null(strstr(said, "cannot open LMDB: /no/such.so"));
    assert_non_null(strstr(said, "Debian's package is liblmdb0"));
    c.skip_missing = 1;
    assert_int_equal(compare_quietly(&c, &r, said), 0);
    assert_string_equal(said, "");
    assert_true(r.count == 1 && r.missing[1] && !r.missing[0]);
    compare_result_release(&r);
}

static void end_it(int number)
{
    (void)number;
    store_bench_compare_interrupt();
}

static void an_interrupt_ends_it_and_keeps_complete_runs(void **state)
{
    struct bench_config c = config_of("--engines=null,store --repeats=100 --duration=20ms");
    struct compare_result r;
    (void)state;
    signal(SIGALRM, end_it);
    ualarm(200000, 0);
    assert_int_equal(store_bench_compare(&c, &r), 0);
    signal(SIGALRM, SIG_DFL);
    assert_int_equal(r.end, RUN_INTERRUPTED);
    assert_in_range(r.count, 0, 100);
    for (size_t i = 0; i < r.count; i++)
        assert_int_equal(r.runs[i].state, COMPARE_MEASURED);
    compare_result_release(&r);
}

/* --- output --- */

static struct compare_run runs[] = {
    {0, 1, COMPARE_MEASURED, {100e3, {1, 2, 3, 4, 5, 6, 7}, 0}, 1, 100, 1 << 20, 0, 0, 0, {0}},
    {1,
     1,
     COMPARE_MEASURED,
     {50e3, {1, 2, 3, 4, 1e6, 6, 1e7}, 2},
     0,
     150,
     1 << 30,
     12.34e6,
     0,
     1,
     {0}},
    {3, 1, COMPARE_FAILED, {0, {0}, 0}, 0, 0, 0, 0, -2, 0, {0}},
    {1, 2, COMPARE_FAILED, {0, {0}, 0}, 0, 0, 0, 0, -1, 0, {0}},
    {0, 2, COMPARE_MEASURED, {120e3, {1, 2, 3, 4, 7, 6, 7}, 0}, 1, 120, 1 << 20, 0, 0, 0, {0}},
};

static struct compare_result some_result(void)
{
    return (struct compare_result){.runs = runs,
                                   .count = 5,
                                   .missing = {0, 0, 1},
                                   .failed = {0, 1, 0, 1},
                                   .invalid = {0, 1},
                                   .unmet = {0, 1},
                                   .end = RUN_INTERRUPTED};
}

static void the_table_has_medians_a_row_an_engine(void **state)
{
    struct bench_config c = config_of("--engines=null,sim:servers=2,lmdb,redis --repeats=2");
    struct compare_result r = some_result();
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    compare_table(out, &c, &r);
    fclose(out);
    char *notes = strstr(text, "\nNot equal:\n");
    assert_non_null(notes);
    assert_non_null(strstr(notes, "  null          keeps nothing"));
    assert_non_null(strstr(notes, "  redis         another process"));
    assert_null(strstr(notes, "lmdb"));
    *notes = '\0';
    assert_string_equal(
        text, "store_bench compare  mixed, 2 threads, medians of 2 runs  INTERRUPTED: a partial"
              " result\n"
              "100 keys of 16 B (uniform), values of 100 B, seed 1\n"
              "\n"
              "engine            ops/s   ratio      p50      p99      max  errors    cpu   max rss"
              " MB/s out\n"
              "null              110 k      1x     2 ns     6 ns     7 ns       0   110%   1.0 MiB"
              "      0.0\n"
              "sim:servers=2    50.0 k  0.455x     2 ns  1.00 ms  10.0 ms       2   150%   1.0 GiB"
              "     12.3  failed 1 of 2  INVALID 1 of 2  NOT MET 1 of 2\n"
              "lmdb          not there\n"
              "redis         failed\n");
    free(text);
}

static void the_document_has_every_measured_run(void **state)
{
    struct bench_config c =
        config_of("--engines=null,sim:servers=2,lmdb,redis --repeats=2 --require=errors<1");
    struct compare_result r = some_result();
    char *text = NULL, *at;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    assert_int_equal(compare_json(out, &c, &r), 0);
    fclose(out);
    assert_non_null(strstr(text, "\"schema\": \"perfshim.compare/1\""));
    assert_non_null(strstr(text, "\"interrupted\": true"));
    assert_non_null(strstr(text, "\"engine\": \"lmdb\",\n      \"there\": false"));
    assert_non_null(strstr(text, "\"written_bytes_per_s\": 12340000.0"));
    assert_non_null(strstr(text, "\"text\": \"errors<1\",\n              \"met\": true,"));
    unsigned n = 0;
    for (at = text; (at = strstr(at, "\"repeat\": ")); at++)
        n++;
    assert_int_equal(n, 3);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_engine_runs_as_often),
        cmocka_unit_test(errors_of_an_engine_are_its_own),
        cmocka_unit_test(a_run_that_fails_leaves_the_others),
        cmocka_unit_test(a_requirement_is_judged_for_every_run),
        cmocka_unit_test(a_failure_outweighs_a_requirement),
        cmocka_unit_test(a_load_that_was_not_reached_is_invalid),
        cmocka_unit_test(a_missing_library_is_told_before_anything_runs),
        cmocka_unit_test(an_interrupt_ends_it_and_keeps_complete_runs),
        cmocka_unit_test(the_table_has_medians_a_row_an_engine),
        cmocka_unit_test(the_document_has_every_measured_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
