#include "store/bench/config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/opt.h"
#include "common/units.h"
#include "store/bench/benchmark.h"
#include "store/bench/engine.h"
#include "store/bench/require.h"
#include "store/bench/workload.h"

enum { THREADS_MAX = 10000, DEFAULT_THREADS = 2, DEFAULT_REPEATS = 3, ENGINES_TEXT = 2048 };
#define SECOND_NS           1000000000u
#define DEFAULT_DURATION_NS (10ull * SECOND_NS)
#define SWEEP_DURATION_NS   SECOND_NS
#define COMPARE_DURATION_NS (5ull * SECOND_NS)
#define DURATION_MAX_NS     (366ull * 24 * 3600 * SECOND_NS)
#define VALUE_MAX           (1u << 30)
#define RATE_MAX            1e7 /* starts a second; the schedule is one for all threads */
enum { SHARDS_MAX = 65536, DEFAULT_SHARDS = 64 };

static int refuse(const char *option, const char *what)
{
    fprintf(stderr, "store_bench: --%s: %s\n", option, what);
    return -1;
}

static int require_add(const struct opt *opt, const char *value)
{
    struct bench_config *c = opt->value;
    char why[160];
    struct budget *first = c->require + c->require_count;
    int n = budget_parse(value, first, (size_t)(REQUIRE_MAX - c->require_count), why);
    if (n < 0)
        return refuse("require", why);
    for (int i = 0; i < n; i++)
        if (require_resolve(&first[i], why) != 0)
            return refuse("require", why);
    c->require_count += n;
    return 0;
}

/*
 * "store,rocksdb:cache=64M,write-buffer=8M,lmdb": a word with a '=' that is not behind a ':' goes
 * on with the parameters of the engine before it.
 */
static int engines_set(const struct opt *opt, const char *value)
{
    static char words[ENGINES_TEXT];
    struct bench_config *c = opt->value;
    size_t size = strlen(value);
    c->engine_count = 0;
    if (size >= sizeof words)
        return refuse("engines", "too long");
    memcpy(words, value, size + 1);
    for (char *at = words, *next; at; at = next) {
        size_t n = strcspn(at, ",");
        next = at[n] ? at + n + 1 : NULL;
        if (c->engine_count && at[strcspn(at, ":=,")] == '=') {
            at[-1] = ',';
            at[n] = '\0';
            continue;
        }
        at[n] = '\0';
        if (!n)
            return refuse("engines", "a name is missing");
        if (c->engine_count == ENGINES_MAX)
            return refuse("engines", "more than 16");
        c->engines[c->engine_count++] = at;
    }
    return 0;
}

static const double default_levels[] = {1, 2, 3, 4, 6, 8, 12, 16};

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int threads_read(const char *text, double *level)
{
    uint64_t n;
    if (units_parse_uint(text, &n) != 0 || n < 1 || n > THREADS_MAX)
        return -1;
    *level = (double)n;
    return 0;
}

static int rate_valid(double rate)
{
    return rate > 0 && rate <= RATE_MAX;
}

static int rate_read(const char *text, double *level)
{
    const char *end;
    return units_parse_real(text, level, &end) == 0 && !*end && rate_valid(*level) ? 0 : -1;
}

/* The levels of a sweep, "1,2,4": numbers of threads, or rates. */
static int levels_read(struct bench_config *c, const char *value, int by_rate)
{
    const char *option = by_rate ? "rates" : "levels";
    char number[24], why[160];
    if (c->level_count && c->by_rate != by_rate)
        return refuse(option, by_rate ? "--levels are given too: one of the two"
                                      : "--rates are given too: one of the two");
    c->level_count = 0;
    c->by_rate = by_rate;
    for (const char *at = value;; at++) {
        size_t n = strcspn(at, ",");
        double level;
        snprintf(number, sizeof number, "%.*s", (int)(n < 23 ? n : 23), at);
        if ((by_rate ? rate_read : threads_read)(number, &level) != 0) {
            snprintf(why, sizeof why, "'%s' is no %s, %s %.7g", number,
                     by_rate ? "rate" : "number of threads",
                     by_rate ? "above 0 and at most" : "1 to",
                     by_rate ? RATE_MAX : (double)THREADS_MAX);
            return refuse(option, why);
        }
        if (c->level_count == LEVELS_MAX) {
            snprintf(why, sizeof why, "more than %d levels", LEVELS_MAX);
            return refuse(option, why);
        }
        c->levels[c->level_count++] = level;
        at += n;
        if (!*at)
            break;
    }
    qsort(c->levels, c->level_count, sizeof *c->levels, by_number);
    for (unsigned i = 1; i < c->level_count; i++)
        if (c->levels[i] == c->levels[i - 1]) {
            snprintf(why, sizeof why, "%.7g twice: --repeats is for that", c->levels[i]);
            return refuse(option, why);
        }
    return 0;
}

static int levels_set(const struct opt *opt, const char *value)
{
    return levels_read(opt->value, value, 0);
}

static int rates_set(const struct opt *opt, const char *value)
{
    return levels_read(opt->value, value, 1);
}

/* What the table's addresses point to; args_parse hands out a copy. */
static struct bench_config parsed;
static int version;

/* With a bar in front, which is not shown. */
#define X(name, get, put, insert, rmw, scan, distribution) "|" name
static const char workload_names[] = WORKLOADS(X);
#undef X
#define X(id, name) "|" name
static const char distribution_names[] = DISTRIBUTIONS(X);
#undef X

static const struct opt opts[] = {
    {"threads|t|concurrency", OPT_UINT, &parsed.threads, "N", "worker threads (2)", NULL, 1,
     THREADS_MAX, NULL},
    {"levels", OPT_CALL, &parsed, "LIST", "sweep: numbers of threads (1,2,3,4,6,8,12,16)", NULL, 0,
     0, levels_set},
    {"engines", OPT_CALL, &parsed, "LIST",
     "compare: the engines, each as for --engine, separated by commas", NULL, 0, 0, engines_set},
    {"skip-missing", OPT_FLAG, &parsed.skip_missing, NULL,
     "compare: leave out engines that are not installed", NULL, 0, 0, NULL},
    {"repeats", OPT_UINT, &parsed.repeats, "N",
     "sweep, compare: runs of each level (3), of each engine (1)", NULL, 1, REPEATS_MAX, NULL},
    {"benchtime", OPT_DURATION, &parsed.benchtime_ns, "TIME",
     "benchmark: how long each one is to run (1s)", NULL, 1000, DURATION_MAX_NS, NULL},
    {"count", OPT_UINT, &parsed.count, "N", "benchmark: run each one N times (1)", NULL, 1,
     REPEATS_MAX, NULL},
    {"duration|d", OPT_DURATION, &parsed.duration_ns, "TIME",
     "length of the measured phase (10s, of a sweep's runs 1s, of compare's 5s; none if --ops is "
     "given)",
     NULL, 1000, DURATION_MAX_NS, NULL},
    {"ops", OPT_UINT, &parsed.ops, "N",
     "end after N operations of all threads together; with --duration, whichever comes first", NULL,
     1, INT64_MAX, NULL},
    {"rate|R", OPT_REAL, &parsed.rate, "R",
     "open loop: begin R operations a second, however long they take; latency counts from the "
     "intended start",
     NULL, 0, 0, NULL},
    {"rates", OPT_CALL, &parsed, "LIST",
     "sweep: rates of open loops with --threads, in place of numbers of threads", NULL, 0, 0,
     rates_set},
    {"arrivals", OPT_CHOICE, &parsed.arrivals, NULL,
     "with --rate or --rates: at random times or evenly spaced (poisson)", "poisson|uniform", 0, 0,
     NULL},
    {"warmup", OPT_DURATION, &parsed.warmup_ns, "TIME",
     "run the workload this long before measuring (0)", NULL, 0, DURATION_MAX_NS, NULL},
    {"steady", OPT_REAL, &parsed.steady, "PERCENT",
     "end when the last 5 seconds' throughputs lie within PERCENT of their mean", NULL, 0, 0, NULL},
    {"workload", OPT_CHOICE, &parsed.workload, "MIX",
     "what is asked: 100, 0, 95, 50, 5 % gets, the rest puts, of keys that are there; or a core "
     "workload of YCSB (mixed)",
     workload_names + 1, 0, 0, NULL},
    {"read-ratio", OPT_REAL, &parsed.read_ratio, "R", "share of gets, 0 to 1, in place of a mix",
     NULL, 0, 0, NULL},
    {"keys|num", OPT_UINT, &parsed.keys, "N", "keys, all put before measuring (100000)", NULL, 1,
     KEYS_MAX, NULL},
    {"value-size", OPT_SIZE, &parsed.value_size, "SIZE", "bytes of each value (100)", NULL, 0,
     VALUE_MAX, NULL},
    {"compressibility", OPT_REAL, &parsed.compressibility, "R",
     "share of each value that is zeros, 0 to 1; the rest is random (0)", NULL, 0, 0, NULL},
    {"distribution", OPT_CHOICE, &parsed.distribution, "NAME",
     "how keys are chosen (uniform; of YCSB's workloads scrambled, of ycsb-d latest)",
     distribution_names + 1, 0, 0, NULL},
    {"theta", OPT_REAL, &parsed.theta, "T", "exponent of zipfian, scrambled and latest (0.99)",
     NULL, 0, 0, NULL},
    {"hot-keys", OPT_REAL, &parsed.hot_keys, "R", "hotspot: share of the keys that are hot (0.2)",
     NULL, 0, 0, NULL},
    {"hot-ops", OPT_REAL, &parsed.hot_ops, "R",
     "hotspot: share of the operations that go to them (0.8)", NULL, 0, 0, NULL},
    {"scan-length", OPT_UINT, &parsed.scan_length, "N",
     "entries of the longest scan; each takes 1 to N (100)", NULL, 1, SCAN_MAX, NULL},
    {"seed", OPT_UINT, &parsed.seed, "N", "of all random choices (1)", NULL, 0, INT64_MAX, NULL},
    {"pool", OPT_CHOICE, &parsed.pool, NULL, "the store's object pool (on)", "on|off", 0, 0, NULL},
    {"shards", OPT_UINT, &parsed.shards, "N", "shards of the store, a power of two (64)", NULL, 1,
     SHARDS_MAX, NULL},
    {"wal-sync-every", OPT_UINT, &parsed.wal_sync_every, "N",
     "keep a write-ahead log and sync it every N writes; 0: only at the end (0 with --dir, else "
     "no log)",
     NULL, 0, INT64_MAX, NULL},
    {"dir", OPT_STRING, &parsed.dir, "DIR",
     "keep the log there, and begin with what it holds (a temporary directory that is removed)",
     NULL, 0, 0, NULL},
    {"load", OPT_FLAG, &parsed.load, NULL,
     "put all keys before measuring; --no-load: the keys are those that --dir holds", NULL, 0, 0,
     NULL},
    {"engine", OPT_STRING, &parsed.engine, "NAME",
     "what is measured: store, null (does nothing), sim (a server of known speed), rocksdb, "
     "leveldb, lmdb or redis; parameters as NAME:a=1,b=2, below (store)",
     NULL, 0, 0, NULL},
    {"ledger", OPT_STRING, &parsed.ledger, "F",
     "keep count in F, mapped, of each thread's acknowledged writes, to check a crash with", NULL,
     0, 0, NULL},
    {"verify", OPT_FLAG, &parsed.verify, NULL,
     "values carry key and checksum, every get and scan checks them", NULL, 0, 0, NULL},
    {"require", OPT_CALL, &parsed, "LIST",
     "e.g. 'throughput>10000,p99<10ms,errors=0'; exit status 1 if one is not met", NULL, 0, 0,
     require_add},
    {"max-errors", OPT_UINT, &parsed.max_errors, "N",
     "end the run at more than N failed operations, exit status 1", NULL, 0, 0, NULL},
    {"profile-phase", OPT_CHOICE, &parsed.profile_phase, NULL,
     "measured: perfshim_start() and perfshim_stop() around the measured phase, for "
     "PERFSHIM_START=0 (all)",
     "all|measured", 0, 0, NULL},
    {"live", OPT_FLAG, &parsed.live, NULL,
     "a line a second on stderr, terminal or not; --no-live: never", NULL, 0, 0, NULL},
    {"live-json", OPT_OPTIONAL, &parsed.live_json, "F",
     "a line of JSON a second to F; without F to stderr, in place of the other", NULL, 0, 0, NULL},
    {"json", OPT_OPTIONAL, &parsed.json, "F",
     "the result as JSON to F; without F to stdout, in place of the table", NULL, 0, 0, NULL},
#define RESERVED(names, values)                                                                    \
    {                                                                                              \
        names, OPT_RESERVED, NULL, NULL, NULL, values, 0, 0, NULL                                  \
    }
    RESERVED("preset|cache-size|memtable-size", NULL),
#undef RESERVED
    {"version", OPT_FLAG, &version, NULL, "print the version", NULL, 0, 0, NULL},
    OPT_END,
};

void args_help(void)
{
    printf(
        "usage: store_bench [run] [OPTIONS]\n"
        "       store_bench sweep [--levels LIST | --rates LIST] [--repeats N] [OPTIONS]\n"
        "       store_bench compare --engines LIST [--repeats N] [OPTIONS]\n"
        "       store_bench benchmark [REGEX] [--benchtime TIME] [--count N] [OPTIONS]\n"
        "Loads keys into a store in memory, with a log on disk if asked for, then measures a mix\n"
        "of gets and puts on it; sweep does so with several numbers of threads or rates, compare\n"
        "with several engines. benchmark prints single operations in the format of Go's "
        "benchmarks.\n\n");
    opt_help(stdout, opts);
    printf("\n--require:");
    for (size_t i = 0; i < REQUIRE_NAMES; i++)
        printf(" %s", require_name(i));
    printf("\nbenchmark:");
    for (unsigned i = 0; benchmark_name(i); i++)
        printf(" %s", benchmark_name(i));
    fputc('\n', stdout);
    engine_help();
    printf("\nExit status: 0 fine, 1 --require or --max-errors said no, or less than 99 %% of "
           "--rate was "
           "begun,\n2 wrong use, 3 the log in --dir cannot be used.\n");
}

static const char *verb_name(enum bench_verb verb)
{
    static const char *const names[VERB_COUNT] = {
#define X(id, name) name,
        VERBS(X)
#undef X
    };
    return names[verb];
}

/* The verb, or -1 after a message. */
static int verb_find(const char *word)
{
    for (int verb = 0; verb < VERB_COUNT; verb++)
        if (strcmp(word, verb_name(verb)) == 0)
            return verb;
    fprintf(stderr, "store_bench: '%s': ", word);
    if (strcmp(word, "search") == 0 || strcmp(word, "tune") == 0) {
        fprintf(stderr, "not available yet\n");
        return -1;
    }
    fprintf(stderr, "unknown verb, not one of");
    for (int verb = 0; verb < VERB_COUNT; verb++)
        fprintf(stderr, " %s", verb_name(verb));
    fputc('\n', stderr);
    return -1;
}

/* "only sweep and compare take it" */
static int refuse_but(const char *option, unsigned verbs)
{
    char why[80] = "only";
    size_t at = 4;
    for (int verb = 0, left = __builtin_popcount(verbs); verb < VERB_COUNT; verb++)
        if (verbs & 1u << verb)
            at += (size_t)snprintf(why + at, sizeof why - at, " %s%s", verb_name(verb),
                                   --left > 1  ? ","
                                   : left == 1 ? " and"
                                               : "");
    snprintf(why + at, sizeof why - at, " take%s it", (verbs & (verbs - 1)) ? "" : "s");
    return refuse(option, why);
}

/* What only some of the verbs take. 0, or -1 after a message. */
static int verb_resolve(struct bench_config *c)
{
    enum {
        RUN = 1 << VERB_RUN,
        SWEEP = 1 << VERB_SWEEP,
        COMPARE = 1 << VERB_COMPARE,
        BENCHMARK = 1 << VERB_BENCHMARK
    };
    const struct {
        int given;
        const char *option;
        unsigned verbs;
    } some[] = {
        {c->level_count > 0, c->by_rate ? "rates" : "levels", SWEEP},
        {c->repeats > 0, "repeats", SWEEP | COMPARE},
        {c->engine_count > 0, "engines", COMPARE},
        {c->skip_missing, "skip-missing", COMPARE},
        {c->benchtime_ns > 0, "benchtime", BENCHMARK},
        {c->count > 0, "count", BENCHMARK},
        {c->engine != NULL, "engine", RUN | SWEEP | BENCHMARK},
        {c->require_count > 0, "require", RUN | COMPARE},
        /* no run may begin with what another one left */
        {c->dir != NULL, "dir", RUN},
        {c->ledger != NULL, "ledger", RUN},
        {c->workload != NULL, "workload", RUN | SWEEP | COMPARE},
        {!isnan(c->read_ratio), "read-ratio", RUN | SWEEP | COMPARE},
        {c->duration_ns > 0, "duration", RUN | SWEEP | COMPARE},
        {c->ops > 0, "ops", RUN | SWEEP | COMPARE},
        {!isnan(c->rate), "rate", RUN | COMPARE},
        {!isnan(c->steady), "steady", RUN},
        {c->live_json != NULL, "live-json", RUN},
        {c->distribution != NULL, "distribution", RUN | SWEEP | COMPARE},
        {c->warmup_ns > 0, "warmup", RUN | SWEEP | COMPARE},
        {c->verify, "verify", RUN | SWEEP | COMPARE},
        {c->max_errors != UINT64_MAX, "max-errors", RUN | SWEEP | COMPARE},
        {c->json != NULL, "json", RUN | SWEEP | COMPARE},
    };
    if (c->verb == VERB_SWEEP && c->threads && !c->by_rate)
        return refuse("threads", "sweep takes it with --rates, else --levels");
    if (c->verb == VERB_SWEEP && c->require_count)
        return refuse("require",
                      "only run and compare take it; perfshim plan --slo judges a sweep");
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
        if (some[i].given && !(some[i].verbs & 1u << c->verb))
            return refuse_but(some[i].option, some[i].verbs);
    if (c->verb == VERB_COMPARE && !c->engine_count)
        return refuse("engines", "compare needs a list of them");
    if (!c->engine)
        c->engine = "store";
    if (!c->threads)
        c->threads = DEFAULT_THREADS;
    if (!c->repeats)
        c->repeats = c->verb == VERB_SWEEP ? DEFAULT_REPEATS : 1;
    if (!c->count)
        c->count = 1;
    if (!c->benchtime_ns)
        c->benchtime_ns = SECOND_NS;
    if (c->verb == VERB_SWEEP && !c->level_count) {
        c->level_count = sizeof default_levels / sizeof *default_levels;
        memcpy(c->levels, default_levels, sizeof default_levels);
    }
    return 0;
}

/* A share or an exponent that only some distributions take: within 0 to `most`, or its default. */
static int part_resolve(double *part, const char *option, int taken, const char *by, double most,
                        double otherwise)
{
    char why[160];
    if (isnan(*part)) {
        *part = otherwise;
        return 0;
    }
    if (!taken) {
        snprintf(why, sizeof why, "only the distribution%s", by);
        return refuse(option, why);
    }
    if (*part >= 0 && *part <= most)
        return 0;
    snprintf(why, sizeof why, "not between 0 and %g", most);
    return refuse(option, why);
}

static int distribution_resolve(struct bench_config *c)
{
    int kind = distribution_named(c->distribution), hotspot = kind == DISTRIBUTION_HOTSPOT;
    int zipf = kind == DISTRIBUTION_ZIPFIAN || kind == DISTRIBUTION_SCRAMBLED ||
               kind == DISTRIBUTION_LATEST;
    if (part_resolve(&c->theta, "theta", zipf, "s zipfian, scrambled and latest take it", 10, 0.99))
        return -1;
    if (part_resolve(&c->hot_keys, "hot-keys", hotspot, " hotspot takes it", 1, 0.2))
        return -1;
    return part_resolve(&c->hot_ops, "hot-ops", hotspot, " hotspot takes it", 1, 0.8);
}

static int workload_resolve(struct bench_config *c)
{
    if (!isnan(c->read_ratio)) {
        if (c->workload)
            return refuse("read-ratio", "a --workload is given too: one of the two");
        if (c->read_ratio < 0 || c->read_ratio > 1)
            return refuse("read-ratio", "not between 0 and 1");
        c->workload = "custom";
        c->share[OP_GET] = c->read_ratio;
        c->share[OP_PUT] = 1 - c->read_ratio;
    } else {
        const struct mix *mix = mix_named(c->workload ? c->workload : "mixed");
        c->workload = mix->name;
        memcpy(c->share, mix->share, sizeof c->share);
        c->read_ratio = c->share[OP_GET];
        if (!c->distribution)
            c->distribution = mix->distribution;
    }
    if (!c->distribution)
        c->distribution = "uniform";
    if (!isnan(c->steady) && !(c->steady > 0 && c->steady <= 100))
        return refuse("steady", "not above 0 and at most 100 per cent");
    if (isnan(c->steady))
        c->steady = 0;
    if (c->compressibility < 0 || c->compressibility > 1)
        return refuse("compressibility", "not between 0 and 1");
    return distribution_resolve(c);
}

static int rate_resolve(struct bench_config *c)
{
    if (isnan(c->rate)) {
        c->rate = 0;
        if (!c->by_rate)
            return c->arrivals ? refuse("arrivals", "needs a --rate") : 0;
    } else if (!rate_valid(c->rate))
        return refuse("rate", "not above 0 and at most 1e7 operations a second");
    if (!c->arrivals)
        c->arrivals = "poisson";
    return 0;
}

/* What one engine does not take; *pooled if it has a pool and shards. */
static int engine_check(const struct bench_config *c, const char *text, int *pooled)
{
    char why[160];
    const struct engine *engine = engine_choose(text);
    if (!engine)
        return -1;
    snprintf(why, sizeof why, "the engine %s keeps nothing on a disk", engine->name);
    if (!(engine->features & ENGINE_DISK) && c->dir)
        return refuse("dir", why);
    if (!(engine->features & ENGINE_DISK) && c->wal_sync_every != LOG_OFF)
        return refuse("wal-sync-every", why);
    *pooled |= (engine->features & ENGINE_SHARDS) != 0;
    return 0;
}

/* What only some engines take. 0, or -1 after a message. */
static int engine_resolve(struct bench_config *c)
{
    char why[160];
    int pooled = 0;
    for (unsigned i = 0; i < c->engine_count; i++) {
        if (engine_check(c, c->engines[i], &pooled) != 0)
            return -1;
        if (i == 0 || strcmp(c->engines[i], "store") == 0)
            c->engine = c->engines[i]; /* for what the head of the table says of them all */
    }
    if (!c->engine_count && engine_check(c, c->engine, &pooled) != 0)
        return -1;
    if (c->engine_count)
        snprintf(why, sizeof why, "none of the engines has one");
    else
        snprintf(why, sizeof why, "the engine %.*s has none", (int)strcspn(c->engine, ":"),
                 c->engine);
    if (!pooled && (c->pool || c->shards))
        return refuse(c->pool ? "pool" : "shards", why);
    if (!c->pool)
        c->pool = "on";
    if (!c->shards)
        c->shards = DEFAULT_SHARDS;
    return 0;
}

enum args_outcome args_parse(struct bench_config *config, int argc, char **argv)
{
    version = 0;
    parsed = (struct bench_config){.rate = NAN,
                                   .steady = NAN,
                                   .theta = NAN,
                                   .hot_keys = NAN,
                                   .hot_ops = NAN,
                                   .scan_length = SCAN_DEFAULT,
                                   .read_ratio = NAN,
                                   .keys = 100000,
                                   .value_size = 100,
                                   .seed = 1,
                                   .wal_sync_every = LOG_OFF,
                                   .load = 1,
                                   .max_errors = UINT64_MAX,
                                   .profile_phase = "all",
                                   .live = isatty(STDERR_FILENO)};
    int operands = opt_parse("store_bench", opts, 0, argc, argv);
    if (operands == OPT_HELP)
        return ARGS_HELP;
    if (operands == OPT_ERROR)
        return ARGS_ERROR;
    if (version)
        return ARGS_VERSION;
    int verb = operands > 0 ? verb_find(argv[1]) : VERB_RUN;
    if (verb < 0)
        return ARGS_ERROR;
    parsed.verb = verb;
    if (verb == VERB_BENCHMARK && operands > 1)
        parsed.pattern = argv[2];
    if (operands > 1 + (verb == VERB_BENCHMARK)) {
        fprintf(stderr, "store_bench: '%s': unexpected argument\n", argv[operands]);
        return ARGS_ERROR;
    }
    if (verb_resolve(&parsed) != 0)
        return ARGS_ERROR;
    if (rate_resolve(&parsed) != 0)
        return ARGS_ERROR;
    if (workload_resolve(&parsed) != 0)
        return ARGS_ERROR;
    if (engine_resolve(&parsed) != 0)
        return ARGS_ERROR;
    if (parsed.shards & (parsed.shards - 1))
        return refuse("shards", "not a power of two");
    if (parsed.verify && parsed.value_size < sizeof(struct value_header))
        return refuse("verify", "needs a --value-size of at least 24");
    if (parsed.dir && !*parsed.dir)
        return refuse("dir", "a name is missing");
    if (!parsed.load && !parsed.dir)
        return refuse("no-load", "needs a --dir that holds the keys");
    if (parsed.dir && parsed.wal_sync_every == LOG_OFF)
        parsed.wal_sync_every = 0;
    if (!parsed.duration_ns && !parsed.ops)
        parsed.duration_ns = parsed.verb == VERB_SWEEP     ? SWEEP_DURATION_NS
                             : parsed.verb == VERB_COMPARE ? COMPARE_DURATION_NS
                                                           : DEFAULT_DURATION_NS;
    *config = parsed;
    return ARGS_RUN;
}
