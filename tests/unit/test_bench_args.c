#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/bench/config.h"

static struct bench_config config;
static char said[2000]; /* on stderr, by the last parse */

/* Splits at blanks, parses, and keeps what it said. */
static enum args_outcome parse(const char *line)
{
    static char words[500];
    char *argv[40] = {"store_bench"};
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    fflush(stderr);
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    enum args_outcome outcome = args_parse(&config, argc, argv);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
    return outcome;
}

static void refused(const char *line, const char *why)
{
    assert_int_equal(parse(line), ARGS_ERROR);
    if (!strstr(said, why))
        print_error("'%s' said: %s", line, said);
    assert_non_null(strstr(said, why));
    assert_int_equal(strncmp(said, "store_bench: ", 13), 0);
}

static void defaults_are_as_documented(void **state)
{
    (void)state;
    assert_int_equal(parse(""), ARGS_RUN);
    assert_int_equal(config.threads, 2);
    assert_int_equal(config.duration_ns, 10000000000u);
    assert_int_equal(config.ops, 0);
    assert_int_equal(config.warmup_ns, 0);
    assert_string_equal(config.workload, "mixed");
    assert_true(config.read_ratio == 0.5);
    assert_int_equal(config.keys, 100000);
    assert_int_equal(config.value_size, 100);
    assert_string_equal(config.distribution, "uniform");
    assert_true(config.theta == 0.99 && config.hot_keys == 0.2 && config.hot_ops == 0.8);
    assert_true(config.compressibility == 0 && config.scan_length == 100 && config.steady == 0);
    assert_null(config.live_json);
    assert_int_equal(config.seed, 1);
    assert_string_equal(config.pool, "on");
    assert_int_equal(config.shards, 64);
    assert_true(config.wal_sync_every == LOG_OFF);
    assert_null(config.dir);
    assert_null(config.ledger);
    assert_string_equal(config.engine, "store");
    assert_int_equal(config.load, 1);
    assert_int_equal(config.verify, 0);
    assert_true(config.max_errors == UINT64_MAX);
    assert_string_equal(config.profile_phase, "all");
    assert_null(config.json);
    assert_int_equal(config.require_count, 0);
}

static void every_option_reaches_its_field(void **state)
{
    (void)state;
    assert_int_equal(parse("run --threads=3 --duration 5s --ops=77 --warmup 250ms --workload "
                           "write-heavy --keys=12 --value_size=4K --distribution uniform --seed=9 "
                           "--pool=off --shards=8 --verify --max-errors=5 --profile-phase=measured "
                           "--wal-sync-every=7 --dir=d --no-load --ledger=l --live "
                           "--json=out.json --require p99<10ms,errors=0 --require ops>1"),
                     ARGS_RUN);
    assert_int_equal(config.threads, 3);
    assert_int_equal(config.duration_ns, 5000000000u);
    assert_int_equal(config.ops, 77);
    assert_int_equal(config.warmup_ns, 250000000);
    assert_string_equal(config.workload, "write-heavy");
    assert_true(config.read_ratio == 0.05);
    assert_int_equal(config.keys, 12);
    assert_int_equal(config.value_size, 4096);
    assert_int_equal(config.seed, 9);
    assert_string_equal(config.pool, "off");
    assert_int_equal(config.shards, 8);
    assert_int_equal(config.wal_sync_every, 7);
    assert_string_equal(config.dir, "d");
    assert_string_equal(config.ledger, "l");
    assert_int_equal(config.load, 0);
    assert_int_equal(config.verify, 1);
    assert_int_equal(config.max_errors, 5);
    assert_string_equal(config.profile_phase, "measured");
    assert_int_equal(config.live, 1);
    assert_string_equal(config.json, "out.json");
    assert_int_equal(config.require_count, 3);
    assert_string_equal(config.require[2].name, "ops");
}

static void aliases_mean_the_same(void **state)
{
    (void)state;
    assert_int_equal(parse("-t 7 -d 3 --num 5 --json --no-live"), ARGS_RUN);
    assert_int_equal(config.threads, 7);
    assert_int_equal(config.duration_ns, 3000000000u);
    assert_int_equal(config.keys, 5);
    assert_string_equal(config.json, "-");
    assert_int_equal(config.live, 0);
    assert_int_equal(parse("--concurrency=100"), ARGS_RUN);
    assert_int_equal(config.threads, 100);
}

static void ops_alone_mean_no_time_limit(void **state)
{
    (void)state;
    assert_int_equal(parse("--ops=5"), ARGS_RUN);
    assert_int_equal(config.duration_ns, 0);
}

static void a_read_ratio_is_a_custom_mix(void **state)
{
    (void)state;
    assert_int_equal(parse("--read-ratio=0.25"), ARGS_RUN);
    assert_string_equal(config.workload, "custom");
    assert_true(config.read_ratio == 0.25);
    assert_int_equal(parse("--read-ratio=0"), ARGS_RUN);
    assert_int_equal(parse("--read-ratio=1"), ARGS_RUN);
}

static void an_engine_may_have_parameters(void **state)
{
    (void)state;
    assert_int_equal(parse("--engine sim:servers=2,mean=5ms"), ARGS_RUN);
    assert_string_equal(config.engine, "sim:servers=2,mean=5ms");
    assert_int_equal(parse("--engine=null:"), ARGS_RUN);
    assert_int_equal(parse("--engine=store --pool=off --shards=8"), ARGS_RUN);
}

static void a_rate_makes_an_open_loop(void **state)
{
    (void)state;
    assert_int_equal(parse(""), ARGS_RUN);
    assert_true(config.rate == 0 && !config.arrivals);
    assert_int_equal(parse("--rate=1000"), ARGS_RUN);
    assert_true(config.rate == 1000);
    assert_string_equal(config.arrivals, "poisson");
    assert_int_equal(parse("-R 0.5 --arrivals=uniform"), ARGS_RUN);
    assert_true(config.rate == 0.5);
    assert_string_equal(config.arrivals, "uniform");
}

static void a_workload_brings_its_shares_and_its_distribution(void **state)
{
    (void)state;
    assert_int_equal(parse("--workload=ycsb-d"), ARGS_RUN);
    assert_true(config.share[OP_GET] == 0.95 && config.share[OP_INSERT] == 0.05);
    assert_true(config.share[OP_PUT] == 0);
    assert_string_equal(config.distribution, "latest");
    assert_true(config.theta == 0.99 && config.read_ratio == 0.95);
    assert_int_equal(parse("--workload=ycsb-f --distribution=uniform"), ARGS_RUN);
    assert_true(config.share[OP_RMW] == 0.5);
    assert_string_equal(config.distribution, "uniform");
    assert_int_equal(parse("--workload=ycsb-e --engine=null --scan-length=7"), ARGS_RUN);
    assert_true(config.share[OP_SCAN] == 0.95 && config.scan_length == 7);
    assert_int_equal(parse("--distribution=zipfian --theta=1.2 --compressibility=0.5"), ARGS_RUN);
    assert_true(config.theta == 1.2 && config.compressibility == 0.5);
    assert_int_equal(parse("--distribution=hotspot --hot-keys=0.1 --hot-ops=0.9"), ARGS_RUN);
    assert_true(config.hot_keys == 0.1 && config.hot_ops == 0.9);
    assert_int_equal(parse("--read-ratio=0.25"), ARGS_RUN);
    assert_true(config.share[OP_GET] == 0.25 && config.share[OP_PUT] == 0.75);
    assert_int_equal(parse("--steady=2 --live-json=f"), ARGS_RUN);
    assert_true(config.steady == 2);
    assert_string_equal(config.live_json, "f");
}

static void one_parse_leaves_nothing_to_the_next(void **state)
{
    (void)state;
    assert_int_equal(parse("--verify --require ops>1 --read-ratio=0.1 --json=x --version"),
                     ARGS_VERSION);
    assert_int_equal(parse(""), ARGS_RUN);
    assert_int_equal(config.verify, 0);
    assert_int_equal(config.require_count, 0);
    assert_string_equal(config.workload, "mixed");
    assert_null(config.json);
}

static void a_directory_alone_means_a_log_synced_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(parse("--dir=d"), ARGS_RUN);
    assert_int_equal(config.wal_sync_every, 0);
    assert_int_equal(parse("--wal_sync_every=3"), ARGS_RUN);
    assert_int_equal(config.wal_sync_every, 3);
    assert_null(config.dir);
    refused("--dir=", "--dir: a name is missing");
    refused("--no-load", "--no-load: needs a --dir that holds the keys");
}

static void help_and_version_are_told_apart_from_a_run(void **state)
{
    (void)state;
    assert_int_equal(parse("--help"), ARGS_HELP);
    assert_int_equal(parse("-h"), ARGS_HELP);
    assert_int_equal(parse("--version"), ARGS_VERSION);
}

static void wrong_use_is_refused_with_its_reason(void **state)
{
    (void)state;
    refused("--threads=0", "--threads: '0' is out of range");
    refused("--threads=10001", "out of range");
    refused("--threads=x", "not a whole number");
    refused("--duration=0", "--duration");
    refused("--duration=soon", "not a duration");
    refused("--ops=0", "--ops");
    refused("--keys=0", "--keys");
    refused("--value-size=2G", "--value-size");
    refused("--workload=scan", "not one of get|put|read-heavy|mixed|write-heavy|ycsb-a|");
    refused("--distribution=gauss", "'gauss' is not one of uniform|zipfian|scrambled|latest|hots");
    refused("--theta=0.5", "--theta: only the distributions zipfian, scrambled and latest take it");
    refused("--distribution=zipfian --theta=11", "--theta: not between 0 and 10");
    refused("--workload=ycsb-a --hot-ops=0.5", "--hot-ops: only the distribution hotspot takes it");
    refused("--distribution=hotspot --hot-keys=2", "--hot-keys: not between 0 and 1");
    refused("--compressibility=1.5", "--compressibility: not between 0 and 1");
    refused("--compressibility=-1", "--compressibility: not between 0 and 1");
    refused("--scan-length=0", "--scan-length: '0' is out of range");
    refused("--steady=0", "--steady: not above 0 and at most 100 per cent");
    refused("--steady=101", "--steady: not above 0");
    refused("sweep --steady=5", "--steady: only run takes it");
    refused("sweep --live-json", "--live-json: only run takes it");
    refused("--distribution=zipf", "not one of uniform");
    refused("--pool=maybe", "not one of on|off");
    refused("--shards=6", "--shards: not a power of two");
    refused("--read-ratio=1.5", "--read-ratio: not between 0 and 1");
    refused("--read-ratio=-0.1", "--read-ratio: not between 0 and 1");
    refused("--read-ratio=.5 --workload=get", "one of the two");
    refused("--verify --value-size=23", "--verify: needs a --value-size of at least 24");
    refused("--require latency<1ms", "unknown name 'latency'");
    refused("--require p99", "--require: ");
    refused("--require p99<10%", "p99 is a duration");
    refused("--rate=0", "--rate: not above 0 and at most 1e7 operations a second");
    refused("--rate=-5", "--rate: not above 0");
    refused("-R 2e7", "--rate: not above 0 and at most 1e7");
    refused("--rate=fast", "--rate: 'fast' is not a number");
    refused("--arrivals=poisson", "--arrivals: needs a --rate");
    refused("--rate=5 --arrivals=bursts", "--arrivals: 'bursts' is not one of poisson|uniform");
    refused("sweep --rate=5", "--rate: only run and compare take it");
    refused("--engine=lsm", "--engine: 'lsm' is not one of store|null|sim");
    refused("--engine=", "--engine: '' is not one of store|null|sim");
    refused("--engine=store:a=1", "--engine: 'store' takes no parameters");
    refused("--engine=sim:servers=0", "--engine=sim: --servers: '0' is out of range: 1 to 1024");
    refused("--engine=sim:mean=fast", "--engine=sim: --mean: 'fast' is not a duration");
    refused("--engine=sim:speed=1", "--engine=sim: --speed: unknown option");
    refused("--engine=sim:servers", "--engine=sim: --servers needs a value");
    refused("--engine=null:errors=1,error=odd", "--engine=null: --error: 'odd' is not one of");
    refused("--engine=null:,", "--engine=null: parameters are written NAME=VALUE,NAME=VALUE");
    refused("--engine=null:help", "--engine=null: parameters are written NAME=VALUE");
    refused("--engine=null:errors=1,errors=1,errors=1,errors=1,errors=1,errors=1,errors=1,errors=1,"
            "errors=1,errors=1,errors=1,errors=1,errors=1,errors=1,errors=1,errors=1,errors=1",
            "--engine=null: too many parameters");
    refused("--engine=null --pool=on", "--pool: the engine null has none");
    refused("--engine=null --shards=8", "--shards: the engine null has none");
    refused("--engine=sim --dir=d", "--dir: the engine sim keeps nothing on a disk");
    refused("--engine=sim --wal-sync-every=1", "--wal-sync-every: the engine sim keeps nothing on");
    refused("swim", "'swim': unknown verb, not one of run sweep compare benchmark\n");
    refused("--levels=1,2", "--levels: only sweep takes it");
    refused("run --repeats=2", "--repeats: only sweep and compare take it\n");
    refused("sweep --threads=2", "--threads: sweep takes it with --rates, else --levels");
    refused("sweep --levels=1 --rates=2", "--rates: --levels are given too: one of the two");
    refused("sweep --rates=2 --levels=1", "--levels: --rates are given too: one of the two");
    refused("sweep --rates=0", "--rates: '0' is no rate, above 0 and at most 1e+07");
    refused("sweep --rates=1,nan", "--rates: 'nan' is no rate");
    refused("sweep --rates=1k", "--rates: '1k' is no rate");
    refused("sweep --rates=", "--rates: '' is no rate");
    refused("sweep --rates=1e3,1000", "--rates: 1000 twice: --repeats is for that");
    refused("--rates=1", "--rates: only sweep takes it");
    refused("compare --engines=null --rates=1", "--rates: only sweep takes it");
    refused("sweep --require p99<1ms", "--require: only run and compare take it");
    refused("sweep --levels=", "--levels: '' is no number of threads, 1 to 10000");
    refused("sweep --levels=1,", "--levels: '' is no number of threads");
    refused("sweep --levels=1,x", "--levels: 'x' is no number of threads");
    refused("sweep --levels=0,1", "--levels: '0' is no number of threads");
    refused("sweep --levels=10001", "--levels: '10001' is no number of threads");
    refused("sweep --levels=1-8", "--levels: '1-8' is no number of threads");
    refused("sweep --levels=99999999999999999999999999", "is no number of threads");
    refused("sweep --levels=4,1,4", "--levels: 4 twice: --repeats is for that");
    refused("sweep --repeats=0", "--repeats: '0' is out of range: 1 to 1000");
    refused("sweep now", "'now': unexpected argument");
    refused("run now", "'now': unexpected argument");
}

static void a_sweep_has_levels_in_order(void **state)
{
    static const double defaults[] = {1, 2, 3, 4, 6, 8, 12, 16};
    (void)state;
    assert_int_equal(parse("sweep"), ARGS_RUN);
    assert_int_equal(config.verb, VERB_SWEEP);
    assert_int_equal(config.level_count, 8);
    assert_memory_equal(config.levels, defaults, sizeof defaults);
    assert_int_equal(config.repeats, 3);
    assert_int_equal(config.duration_ns, 1000000000);
    assert_int_equal(parse("--levels 1 sweep --levels=16,2,10000 --repeats=1 --ops=5"), ARGS_RUN);
    assert_int_equal(config.level_count, 3);
    assert_true(config.levels[0] == 2 && config.levels[1] == 16 && config.levels[2] == 10000);
    assert_int_equal(config.by_rate, 0);
    assert_int_equal(config.repeats, 1);
    assert_int_equal(config.duration_ns, 0);
    assert_int_equal(parse("sweep --rates=2e3,0.5,1e7 --threads=9"), ARGS_RUN);
    assert_int_equal(config.by_rate, 1);
    assert_int_equal(config.level_count, 3);
    assert_true(config.levels[0] == 0.5 && config.levels[1] == 2000 && config.levels[2] == 1e7);
    assert_int_equal(config.threads, 9);
    assert_string_equal(config.arrivals, "poisson");
    assert_int_equal(parse("sweep --rates=1 --arrivals=uniform"), ARGS_RUN);
    assert_string_equal(config.arrivals, "uniform");
    assert_int_equal(parse(""), ARGS_RUN);
    assert_int_equal(config.verb, VERB_RUN);
}

static void compare_takes_engines_each_with_its_parameters(void **state)
{
    (void)state;
    assert_int_equal(parse("compare --engines=null"), ARGS_RUN);
    assert_int_equal(config.verb, VERB_COMPARE);
    assert_int_equal(config.engine_count, 1);
    assert_int_equal(config.repeats, 1);
    assert_int_equal(config.duration_ns, 5000000000u);
    assert_false(config.skip_missing);
    assert_int_equal(parse("compare --skip-missing --repeats=4 -d2 "
                           "--engines=store,sim:servers=2,mean=5ms,null:errors=3,store"),
                     ARGS_RUN);
    assert_int_equal(config.engine_count, 4);
    assert_string_equal(config.engines[0], "store");
    assert_string_equal(config.engines[1], "sim:servers=2,mean=5ms");
    assert_string_equal(config.engines[2], "null:errors=3");
    assert_string_equal(config.engines[3], "store");
    assert_true(config.skip_missing && config.repeats == 4);
    assert_int_equal(parse("compare --engines=null,store --pool=off"), ARGS_RUN);
    assert_string_equal(config.pool, "off");
    refused("compare", "--engines: compare needs a list of them");
    refused("--engines=null", "--engines: only compare takes it");
    refused("sweep --skip-missing", "--skip-missing: only compare takes it");
    refused("compare --engines=", "--engines: a name is missing");
    refused("compare --engines=null,", "--engines: a name is missing");
    refused("compare --engines=servers=2,sim", "'servers=2' is not one of");
    refused("compare --engines=null,swim", "'swim' is not one of store|null|");
    refused("compare --engines=null:errors=1,error=odd", "--error: 'odd' is not one of");
    refused("compare --engines=null --shards=2", "--shards: none of the engines has one");
    refused("compare --engines=store,null --wal-sync-every=1", "the engine null keeps nothing");
    refused("compare --engines=null --engine=null", "--engine: only run, sweep and benchmark take");
    refused("compare --engines=store --dir=d", "--dir: only run takes it");
    refused("compare --engines=store --ledger=l", "--ledger: only run takes it");
    refused("benchmark --require=errors=0", "--require: only run and compare take it");
    char line[500] = "compare --engines=null";
    for (int i = 1; i < ENGINES_MAX; i++)
        strcat(line, ",null");
    assert_int_equal(parse(line), ARGS_RUN);
    strcat(line, ",null");
    refused(line, "--engines: more than 16");
}

static void benchmark_takes_a_pattern_and_how_long(void **state)
{
    (void)state;
    assert_int_equal(parse("benchmark"), ARGS_RUN);
    assert_int_equal(config.verb, VERB_BENCHMARK);
    assert_null(config.pattern);
    assert_int_equal(config.benchtime_ns, 1000000000);
    assert_int_equal(config.count, 1);
    assert_int_equal(parse("benchmark Get --benchtime=20ms --count=3 --engine=null -t1"), ARGS_RUN);
    assert_string_equal(config.pattern, "Get");
    assert_int_equal(config.benchtime_ns, 20000000);
    assert_int_equal(config.count, 3);
    refused("benchmark Get Put", "'Put': unexpected argument");
    refused("--benchtime=1s", "--benchtime: only benchmark takes it");
    refused("sweep --count=2", "--count: only benchmark takes it");
    refused("benchmark --duration=1", "--duration: only run, sweep and compare take it");
    refused("benchmark --workload=get", "--workload: only run, sweep and compare take it");
    refused("benchmark --rate=5", "--rate: only run and compare take it");
    refused("benchmark --json", "--json: only run, sweep and compare take it");
}

static void as_many_levels_as_there_is_room_for(void **state)
{
    char line[500] = "sweep --levels=1";
    (void)state;
    for (int i = 2; i <= LEVELS_MAX; i++)
        sprintf(line + strlen(line), ",%d", i);
    assert_int_equal(parse(line), ARGS_RUN);
    assert_int_equal(config.level_count, LEVELS_MAX);
    strcat(line, ",100");
    refused(line, "--levels: more than 64 levels");
}

static void a_hundred_requirements_are_too_many(void **state)
{
    char line[500] = "--require ops>1";
    (void)state;
    for (int i = 1; i < REQUIRE_MAX; i++)
        strcat(line, ",ops>1");
    assert_int_equal(parse(line), ARGS_RUN);
    assert_int_equal(config.require_count, REQUIRE_MAX);
    strcat(line, ",ops>1");
    refused(line, "too many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(every_option_reaches_its_field),
        cmocka_unit_test(aliases_mean_the_same),
        cmocka_unit_test(ops_alone_mean_no_time_limit),
        cmocka_unit_test(a_read_ratio_is_a_custom_mix),
        cmocka_unit_test(an_engine_may_have_parameters),
        cmocka_unit_test(a_rate_makes_an_open_loop),
        cmocka_unit_test(a_workload_brings_its_shares_and_its_distribution),
        cmocka_unit_test(one_parse_leaves_nothing_to_the_next),
        cmocka_unit_test(a_directory_alone_means_a_log_synced_at_the_end),
        cmocka_unit_test(help_and_version_are_told_apart_from_a_run),
        cmocka_unit_test(wrong_use_is_refused_with_its_reason),
        cmocka_unit_test(a_sweep_has_levels_in_order),
        cmocka_unit_test(compare_takes_engines_each_with_its_parameters),
        cmocka_unit_test(benchmark_takes_a_pattern_and_how_long),
        cmocka_unit_test(as_many_levels_as_there_is_room_for),
        cmocka_unit_test(a_hundred_requirements_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
