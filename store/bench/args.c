#include "store/bench/config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/opt.h"
#include "common/units.h"
#include "store/bench/engine.h"
#include "store/bench/require.h"
#include "store/bench/workload.h"

enum { THREADS_MAX = 10000, DEFAULT_THREADS = 2, DEFAULT_REPEATS = 3 };
#define SECOND_NS           1000000000u
#define DEFAULT_DURATION_NS (10ull * SECOND_NS)
#define SWEEP_DURATION_NS   SECOND_NS
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

static const uint64_t default_levels[] = {1, 2, 3, 4, 6, 8, 12, 16};

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* "1,2,4" */
static int levels_set(const struct opt *opt, const char *value)
{
    struct bench_config *c = opt->value;
    char number[24], why[160];
    c->level_count = 0;
    for (const char *at = value;; at++) {
        size_t n = strcspn(at, ",");
        uint64_t level = 0;
        snprintf(number, sizeof number, "%.*s", (int)(n < 23 ? n : 23), at);
        if (units_parse_uint(number, &level) != 0 || level < 1 || level > THREADS_MAX) {
            snprintf(why, sizeof why, "'%s' is no number of threads, 1 to %d", number, THREADS_MAX);
            return refuse("levels", why);
        }
        if (c->level_count == LEVELS_MAX) {
            snprintf(why, sizeof why, "more than %d levels", LEVELS_MAX);
            return refuse("levels", why);
        }
        c->levels[c->level_count++] = level;
        at += n;
        if (!*at)
            break;
    }
    qsort(c->levels, c->level_count, sizeof *c->levels, by_number);
    for (unsigned i = 1; i < c->level_count; i++)
        if (c->levels[i] == c->levels[i - 1]) {
            snprintf(why, sizeof why, "%" PRIu64 " twice: --repeats is for that", c->levels[i]);
            return refuse("levels", why);
        }
    return 0;
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
    {"repeats", OPT_UINT, &parsed.repeats, "N", "sweep: runs of each level (3)", NULL, 1,
     REPEATS_MAX, NULL},
    {"duration|d", OPT_DURATION, &parsed.duration_ns, "TIME",
     "length of the measured phase (10s, of a sweep's runs 1s; none if --ops is given)", NULL, 1000,
     DURATION_MAX_NS, NULL},
    {"ops", OPT_UINT, &parsed.ops, "N",
     "end after N operations of all threads together; with --duration, whichever comes first", NULL,
     1, INT64_MAX, NULL},
    {"rate|R", OPT_REAL, &parsed.rate, "R",
     "open loop: begin R operations a second, however long they take; latency counts from the "
     "intended start",
     NULL, 0, 0, NULL},
    {"arrivals", OPT_CHOICE, &parsed.arrivals, NULL,
     "with --rate: at random times or evenly spaced (poisson)", "poisson|uniform", 0, 0, NULL},
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
     "what is measured: store, null (does nothing) or sim (a server of known speed); parameters as "
     "NAME:a=1,b=2, below (store)",
     NULL, 0, 0, NULL},
    {"ledger", OPT_STRING, &parsed.ledger, "F",
     "keep count in F, mapped, of each thread's acknowledged writes, to check a crash with", NULL,
     0, 0, NULL},
    {"verify", OPT_FLAG, &parsed.verify, NULL,
     "values carry key and checksum, every get checks them", NULL, 0, 0, NULL},
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
        "       store_bench sweep [--levels LIST] [--repeats N] [OPTIONS]\n"
        "Loads keys into a store in memory, with a log on disk if asked for, then measures a mix\n"
        "of gets and puts on it; sweep does so with several numbers of threads.\n\n");
    opt_help(stdout, opts);
    printf("\n--require:");
    for (size_t i = 0; i < REQUIRE_NAMES; i++)
        printf(" %s", require_name(i));
    fputc('\n', stdout);
    engine_help();
    printf("\nExit status: 0 fine, 1 --require or --max-errors said no, or less than 99 %% of "
           "--rate was "
           "begun,\n2 wrong use, 3 the log in --dir cannot be used.\n");
}

/* What only one of the verbs takes. 0, or -1 after a message. */
static int verb_resolve(struct bench_config *c)
{
    if (!c->sweep && (c->level_count || c->repeats))
        return refuse(c->level_count ? "levels" : "repeats", "only sweep takes it");
    if (c->sweep && c->threads)
        return refuse("threads", "sweep takes --levels");
    if (c->sweep && c->require_count)
        return refuse("require", "only run takes it; perfshim plan --slo judges a sweep");
    if (c->sweep && (c->live_json || !isnan(c->steady)))
        return refuse(c->live_json ? "live-json" : "steady", "only run takes it");
    if (c->sweep && (c->dir || c->ledger)) /* no level may begin with what another one left */
        return refuse(c->dir ? "dir" : "ledger", "only run takes it");
    if (!c->threads)
        c->threads = DEFAULT_THREADS;
    if (!c->sweep)
        return 0;
    if (!c->repeats)
        c->repeats = DEFAULT_REPEATS;
    if (!c->level_count) {
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
        return c->arrivals ? refuse("arrivals", "needs a --rate") : 0;
    }
    if (c->sweep)
        return refuse("rate", "only run takes it");
    if (!(c->rate > 0 && c->rate <= RATE_MAX))
        return refuse("rate", "not above 0 and at most 1e7 operations a second");
    if (!c->arrivals)
        c->arrivals = "poisson";
    return 0;
}

/* What only some engines take. 0, or -1 after a message. */
static int engine_resolve(struct bench_config *c)
{
    char why[160];
    const struct engine *engine = engine_choose(c->engine);
    if (!engine)
        return -1;
    snprintf(why, sizeof why, "the engine %s has none", engine->name);
    if (!(engine->features & ENGINE_SHARDS) && (c->pool || c->shards))
        return refuse(c->pool ? "pool" : "shards", why);
    if (!(engine->features & ENGINE_DISK) && c->dir)
        return refuse("dir", "the engine keeps nothing on a disk");
    if (!(engine->features & ENGINE_DISK) && c->wal_sync_every != LOG_OFF)
        return refuse("wal-sync-every", "the engine keeps nothing on a disk");
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
                                   .engine = "store",
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
    if (operands > 0 && strcmp(argv[1], "run") != 0 && strcmp(argv[1], "sweep") != 0) {
        int later = strcmp(argv[1], "benchmark") == 0 || strcmp(argv[1], "search") == 0 ||
                    strcmp(argv[1], "tune") == 0;
        fprintf(stderr, "store_bench: '%s': %s\n", argv[1],
                later ? "not available yet" : "unknown verb, not one of run sweep");
        return ARGS_ERROR;
    }
    if (operands > 1) {
        fprintf(stderr, "store_bench: '%s': unexpected argument\n", argv[2]);
        return ARGS_ERROR;
    }
    parsed.sweep = operands > 0 && strcmp(argv[1], "sweep") == 0;
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
        parsed.duration_ns = parsed.sweep ? SWEEP_DURATION_NS : DEFAULT_DURATION_NS;
    *config = parsed;
    return ARGS_RUN;
}
