#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/bench/report.h"
#include "store/bench/run.h"
#include "tests/unit/scarce.h"

static struct bench_config config_of(const char *line)
{
    static char words[500];
    char *argv[40] = {"store_bench"};
    int argc = 1;
    struct bench_config config;
    snprintf(words, sizeof words, "--no-live --keys=1000 %s", line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    assert_int_equal(args_parse(&config, argc, argv), ARGS_RUN);
    return config;
}

/* stderr goes to a file from quiet_begin to quiet_end, which tells what was written. */
static FILE *quiet_file;
static int quiet_kept;
static void quiet_begin(void)
{
    quiet_file = tmpfile();
    quiet_kept = dup(STDERR_FILENO);
    dup2(fileno(quiet_file), STDERR_FILENO);
}

static const char *quiet_end(void)
{
    static char text[8192];
    dup2(quiet_kept, STDERR_FILENO);
    close(quiet_kept);
    rewind(quiet_file);
    text[fread(text, 1, sizeof text - 1, quiet_file)] = '\0';
    fclose(quiet_file);
    return text;
}

/* A number that the engine keeps, of a result r. */
#define MEASURED(name) ((uint64_t)engine_statistic(&r.engine_measured, #name))
#define WHOLE(name)    ((uint64_t)engine_statistic(&r.engine_run, #name))

static void statistic_set(struct engine_statistics *s, const char *name, uint64_t value)
{
    static const struct engine_statistic names[] = {
        {"allocs", 0},    {"alloc_bytes", 0}, {"wal_writes", 0},   {"wal_bytes", 0},
        {"wal_syncs", 0}, {"wal_sync_ns", 0}, {"wal_replayed", 0}, {"wal_cut_bytes", 0}};
    s->names = names;
    s->count = sizeof names / sizeof names[0];
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(names[i].name, name) == 0)
            s->values[i] = value;
}

static void ops_are_done_exactly_whatever_the_threads(void **state)
{
    const char *lines[] = {"--ops=1000 --threads=1", "--ops=1001 --threads=3",
                           "--ops=2 --threads=5 --pool=off", "--ops=5000 --threads=16 --verify"};
    uint64_t ops[] = {1000, 1001, 2, 5000};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct bench_config c = config_of(lines[i]);
        struct bench_result r;
        assert_int_equal(store_bench_run(&c, &r), 0);
        assert_int_equal(r.end, RUN_COMPLETE);
        assert_int_equal(op_result_ops(&r.all), ops[i]);
        assert_int_equal(op_result_ops(&r.op[OP_GET]) + op_result_ops(&r.op[OP_PUT]), ops[i]);
        assert_int_equal(op_result_errors(&r.all), 0);
        assert_int_equal(MEASURED(gets) + MEASURED(puts), ops[i]);
        assert_int_equal(WHOLE(puts), MEASURED(puts) + 1000);
        assert_int_equal(WHOLE(keys), 1000);
        assert_int_equal(WHOLE(allocs), WHOLE(frees));
        assert_int_equal(WHOLE(pool_gets), WHOLE(pool_puts));
        assert_true(bench_result_valid(&r));
        assert_true(r.duration_s > 0 && r.max_rss_bytes > 1 << 20);
        bench_result_release(&r);
    }
}

static void a_duration_is_kept(void **state)
{
    struct bench_config c = config_of("--duration=300ms --warmup=50ms --threads=2");
    struct bench_result r;
    (void)state;
    assert_int_equal(store_bench_run(&c, &r), 0);
    assert_true(r.duration_s >= 0.3 && r.duration_s < 2);
    assert_true(op_result_ops(&r.all) > 100);
    assert_true(
        fabs(op_result_throughput(&r.all, &r) * r.duration_s - (double)op_result_ops(&r.all)) < 1);
    assert_true(WHOLE(gets) > MEASURED(gets)); /* the warm-up's */
    assert_true(r.cpu_percent > 0);
    bench_result_release(&r);
}

static void the_same_seed_asks_the_same_of_the_store(void **state)
{
    uint64_t gets[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct bench_config c = config_of(i < 2 ? "--ops=9999 --seed=5" : "--ops=9999 --seed=6");
        struct bench_result r;
        assert_int_equal(store_bench_run(&c, &r), 0);
        gets[i] = op_result_ops(&r.op[OP_GET]);
        bench_result_release(&r);
    }
    assert_int_equal(gets[0], gets[1]);
    assert_true(gets[0] != gets[2]);
}

static void *interrupt_soon(void *unused)
{
    usleep(1000000); /* past loading, also in slow builds */
    store_bench_interrupt();
    return unused;
}

static void an_interrupted_run_keeps_its_partial_result(void **state)
{
    struct bench_config c = config_of("--duration=60s");
    struct bench_result r;
    pthread_t thread;
    (void)state;
    pthread_create(&thread, NULL, interrupt_soon, NULL);
    assert_int_equal(store_bench_run(&c, &r), 0);
    pthread_join(thread, NULL);
    assert_int_equal(r.end, RUN_INTERRUPTED);
    assert_true(bench_result_valid(&r));
    assert_true(r.duration_s < 30);
    bench_result_release(&r);
}

static void an_interrupt_before_the_run_leaves_nothing_measured(void **state)
{
    struct bench_config c = config_of("--duration=60s --warmup=60s");
    struct bench_result r;
    (void)state;
    store_bench_interrupt();
    assert_int_equal(store_bench_run(&c, &r), 0);
    assert_int_equal(r.end, RUN_INTERRUPTED);
    assert_false(bench_result_valid(&r));
    assert_int_equal(op_result_ops(&r.all), 0);
    bench_result_release(&r);
    c.ops = 10;
    c.warmup_ns = 0;
    assert_int_equal(store_bench_run(&c, &r), 0); /* and holds for one run only */
    assert_int_equal(r.end, RUN_COMPLETE);
    bench_result_release(&r);
}

/* 5 seconds of a load that is steady enough: a head, a line a second, and the end. */
static void live_lines_come_once_a_second_and_a_steady_load_ends_the_run(void **state)
{
    struct bench_config c =
        config_of("--steady=100 --duration=60s --rate=200 --engine=sim:mean=100us");
    struct bench_result r;
    (void)state;
    c.live = 1;
    quiet_begin();
    assert_int_equal(store_bench_run(&c, &r), 0);
    const char *text = quiet_end();
    int lines = 0;
    for (const char *at = text; (at = strstr(at, "\nrun ")); at++)
        lines++;
    assert_in_range(lines, 5, 7);
    assert_int_equal(strncmp(text, "phase      s   ops/s average     p50 ", 37), 0);
    assert_non_null(strstr(text, " write/s     lag\nrun        1 "));
    assert_true(r.is_steady && r.end == RUN_COMPLETE);
    assert_true(r.duration_s > 4 && r.duration_s < 30);
    bench_result_release(&r);
}

static void without_memory_nothing_runs_and_nothing_leaks(void **state)
{
    struct bench_config c = config_of("--ops=100 --threads=3 --shards=2 --verify");
    struct bench_result r;
    int rc = -1;
    (void)state;
    if (!SCARCE)
        skip();
    c.live = 1;
    quiet_begin();
    long live = scarce_live, left = 0;
    while (rc != 0 && left < 200) {
        scarce_left = left++;
        rc = store_bench_run(&c, &r);
        scarce_left = -1;
        if (rc != 0 && scarce_live != live)
            break;
    }
    if (rc == 0)
        bench_result_release(&r);
    long leaked = scarce_live - live;
    const char *text = quiet_end();
    assert_int_equal(rc, 0);
    assert_int_equal(leaked, 0);
    assert_true(left > 20);
    assert_non_null(strstr(text, "store_bench: cannot open the store: out of memory\n"));
    assert_non_null(strstr(text, "store_bench: cannot start thread"));
}

/* ---- the table ---- */

static void table_is(const struct bench_config *c, const struct bench_result *r, const char *want)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    report_table(out, c, r);
    fclose(out);
    assert_string_equal(text, want);
    free(text);
}

static void the_table_shows_the_whole_result(void **state)
{
    struct bench_config c = config_of("--threads=4 --keys=12345 --value-size=1K --pool=off");
    struct bench_result r;
    (void)state;
    assert_int_equal(bench_result_init(&r), 0);
    for (int i = 0; i < 1000; i++) {
        histogram_record(r.op[OP_GET].latency, i < 985 ? 700 : 1800000);
        histogram_record(r.op[OP_PUT].latency, 1500);
    }
    r.op[OP_GET].errors[ERROR_NOT_FOUND] = 2;
    histogram_add(r.all.latency, r.op[OP_GET].latency);
    histogram_add(r.all.latency, r.op[OP_PUT].latency);
    r.all.errors[ERROR_NOT_FOUND] = 2;
    r.duration_s = 0.5;
    r.cpu_percent = 187.4;
    r.max_rss_bytes = 31 << 20;
    statistic_set(&r.engine_measured, "allocs", 4004);
    statistic_set(&r.engine_measured, "alloc_bytes", 2002 * 600);
    table_is(
        &c, &r,
        "store_bench  mixed, 50% gets, 4 threads, pool off, 0.50 s\n"
        "12345 keys of 16 B (uniform), values of 1.0 KiB, 64 shards, seed 1\n\n"
        "op             ops     ops/s  errors      avg      p50      p90      p95      p99     "
        "p999      max\n"
        "get           1002    2.00 k       2  27.7 us   700 ns   700 ns   700 ns  1.80 ms  "
        "1.80 ms  1.80 ms\n"
        "put           1000    2.00 k       0  1.50 us  1.50 us  1.50 us  1.50 us  1.50 us  "
        "1.50 us  1.50 us\n"
        "all           2002    4.00 k       2  14.6 us  1.50 us  1.50 us  1.50 us  1.50 us  "
        "1.80 ms  1.80 ms\n"
        "errors: 2 not_found\n\n"
        "cpu 187%  max rss 31.0 MiB  store: 2.000 allocs/op, 600 B/op\n");
    bench_result_release(&r);
}

static void the_table_of_an_open_loop_shows_wait_and_service(void **state)
{
    struct bench_config c = config_of("--threads=4 --workload=get --rate=100 --arrivals=uniform");
    struct bench_result r;
    (void)state;
    assert_int_equal(bench_result_init(&r), 0);
    for (int i = 0; i < 100; i++) {
        uint64_t wait = i < 98 ? 1000 : 90000000;
        histogram_record(r.timing.wait, wait);
        histogram_record(r.timing.service, 50000);
        histogram_record(r.op[OP_GET].latency, wait + 50000);
    }
    histogram_record(r.timing.failed, 5000);
    r.op[OP_GET].errors[ERROR_IO] = r.all.errors[ERROR_IO] = 1;
    histogram_add(r.all.latency, r.op[OP_GET].latency);
    r.duration_s = 1;
    r.is_open = 1;
    r.open = (struct open_result){.offered = 200, .achieved = 101, .dropped = 99};
    r.timing.late = 2;
    r.timing.max_lag_ns = 90000000;
    table_is(
        &c, &r,
        "store_bench  get, 100% gets, 4 threads, pool on, 100 ops/s uniform, 1.00 s\n"
        "1000 keys of 16 B (uniform), values of 100 B, 64 shards, seed 1\n\n"
        "op             ops     ops/s  errors      avg      p50      p90      p95      p99     "
        "p999      max\n"
        "get            101       100       1  1.85 ms  51.0 us  51.0 us  51.0 us  90.0 ms  "
        "90.0 ms  90.0 ms\n"
        "all            101       100       1  1.85 ms  51.0 us  51.0 us  51.0 us  90.0 ms  "
        "90.0 ms  90.0 ms\n\n"
        "response, from the intended start     1.85 ms  51.0 us  51.0 us  51.0 us  90.0 ms  "
        "90.0 ms  90.0 ms\n"
        "wait, until it was begun              1.80 ms  1.00 us  1.00 us  1.00 us  90.0 ms  "
        "90.0 ms  90.0 ms\n"
        "service, the call alone               50.0 us  50.0 us  50.0 us  50.0 us  50.0 us  "
        "50.0 us  50.0 us\n"
        "of operations that failed             5.00 us  5.00 us  5.00 us  5.00 us  5.00 us  "
        "5.00 us  5.00 us\n"
        "offered 200 ops/s, achieved 101 (50.5%); late by more than 1 ms: 2, dropped: 99, "
        "max lag 90.0 ms\n"
        "INVALID: less than 99% of the operations asked for were begun in time\n"
        "errors: 1 io\n\n"
        "cpu 0%  max rss 0 B\n");
    bench_result_release(&r);
}

static void the_table_has_lines_of_the_log_if_there_is_one(void **state)
{
    struct bench_config c = config_of("--threads=1 --workload=put --wal-sync-every=10");
    struct bench_result r;
    (void)state;
    assert_int_equal(bench_result_init(&r), 0);
    statistic_set(&r.engine_measured, "wal_writes", 1000);
    statistic_set(&r.engine_measured, "wal_bytes", 126000);
    statistic_set(&r.engine_measured, "wal_syncs", 80);
    statistic_set(&r.engine_measured, "wal_sync_ns", 80 * 185000);
    statistic_set(&r.engine_run, "wal_replayed", 7);
    statistic_set(&r.engine_run, "wal_cut_bytes", 12);
    table_is(
        &c, &r,
        "store_bench  put, 0% gets, 1 thread, pool on, 0.00 s\n"
        "1000 keys of 16 B (uniform), values of 100 B, 64 shards, seed 1, log synced every "
        "10\n\n"
        "op             ops     ops/s  errors      avg      p50      p90      p95      p99     "
        "p999      max\n"
        "all              0         0       0\n"
        "log: 1000 writes, 126 B each; 80 syncs of 185 us, 12.50 writes/sync\n"
        "log: began with 7 writes, a torn end of 12 B cut off\n\n"
        "cpu 0%  max rss 0 B  nothing was measured\n");
    bench_result_release(&r);
}

static void a_log_is_made_filled_and_removed(void **state)
{
    struct bench_config c = config_of("--ops=500 --threads=3 --wal-sync-every=1 --keys=100");
    struct bench_result r;
    (void)state;
    assert_int_equal(store_bench_run(&c, &r), 0);
    assert_int_equal(r.close_error, ENGINE_OK);
    assert_int_equal(MEASURED(wal_writes), MEASURED(puts));
    assert_int_equal(WHOLE(wal_writes), WHOLE(puts));
    assert_in_range(MEASURED(wal_syncs), 1, MEASURED(puts));
    assert_int_equal(WHOLE(allocs), WHOLE(frees));
    bench_result_release(&r);
    c.wal_sync_every = 0;
    c.dir = "/no/such/dir";
    quiet_begin();
    int rc = store_bench_run(&c, &r);
    assert_string_equal(quiet_end(), "store_bench: cannot open the store: /no/such/dir: No such "
                                     "file or directory\n");
    assert_int_equal(rc, -2);
}

static void a_partial_or_empty_result_says_so(void **state)
{
    struct bench_config c = config_of("--threads=1 --verify --workload=get");
    struct bench_result r;
    (void)state;
    assert_int_equal(bench_result_init(&r), 0);
    r.end = RUN_INTERRUPTED;
    table_is(
        &c, &r,
        "store_bench  get, 100% gets, 1 thread, pool on, 0.00 s  INTERRUPTED: a partial "
        "result\n"
        "1000 keys of 16 B (uniform), values of 100 B, 64 shards, seed 1, verified\n\n"
        "op             ops     ops/s  errors      avg      p50      p90      p95      p99     "
        "p999      max\n"
        "all              0         0       0\n\n"
        "cpu 0%  max rss 0 B  nothing was measured\n");
    bench_result_release(&r);
}

static void unmet_requirements_are_named_with_what_was_measured(void **state)
{
    struct bench_config c = config_of("--require p50<1ms,throughput>1e12,errors=0,p99<100ns");
    struct bench_result r;
    (void)state;
    assert_int_equal(bench_result_init(&r), 0);
    histogram_record(r.all.latency, 1500);
    r.duration_s = 1;
    quiet_begin();
    int unmet = report_requirements("", &c, &r);
    const char *text = quiet_end();
    assert_int_equal(unmet, 2);
    assert_string_equal(text, "store_bench: require: throughput>1e12 not met: measured 1\n"
                              "store_bench: require: p99<100ns not met: measured 1.50 us\n");
    bench_result_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_are_done_exactly_whatever_the_threads),
        cmocka_unit_test(a_duration_is_kept),
        cmocka_unit_test(the_same_seed_asks_the_same_of_the_store),
        cmocka_unit_test(an_interrupted_run_keeps_its_partial_result),
        cmocka_unit_test(an_interrupt_before_the_run_leaves_nothing_measured),
        cmocka_unit_test(live_lines_come_once_a_second_and_a_steady_load_ends_the_run),
        cmocka_unit_test(without_memory_nothing_runs_and_nothing_leaks),
        cmocka_unit_test(the_table_shows_the_whole_result),
        cmocka_unit_test(the_table_of_an_open_loop_shows_wait_and_service),
        cmocka_unit_test(the_table_has_lines_of_the_log_if_there_is_one),
        cmocka_unit_test(a_log_is_made_filled_and_removed),
        cmocka_unit_test(a_partial_or_empty_result_says_so),
        cmocka_unit_test(unmet_requirements_are_named_with_what_was_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
