#include "store/bench/benchmark.h"

#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "shim/perfshim.h"
#include "store/bench/crew.h"
#include "store/bench/session.h"
#include "store/bench/system.h"
#include "store/bench/workload.h"

enum { SCAN_ENTRIES = 100, GROWTH_MAX = 100 };
#define ITERATIONS_MAX 1000000000000u

struct bench;
struct bench_thread {
    struct bench *bench;
    void *thread; /* the engine's */
    struct rng rng;
    uint64_t iterations, inserted, failed;
    int error; /* the last one, of enum engine_error */
    char key[KEY_SIZE];
} __attribute__((aligned(64)));

struct benchmark {
    const char *name;
    int (*run)(struct bench_thread *t); /* one iteration: an error of the engine */
    int scans;
};

struct bench {
    const struct bench_config *config;
    const struct benchmark *what; /* NULL: load the keys */
    const struct engine *engine;
    struct session session;
    struct crew *crew;
    struct bench_thread *threads;
    char *value; /* value_size random bytes */
    char region[64];
};

static int interrupted;

void store_bench_benchmark_interrupt(void)
{
    __atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
}

/* ---- what is measured ---- */

static void key_draw(struct bench_thread *t)
{
    key_write(t->key, rng_below(&t->rng, t->bench->config->keys));
}

static int get_key(struct bench_thread *t)
{
    const struct engine *engine = t->bench->engine;
    struct engine_value value;
    int error = engine->get(t->thread, t->key, KEY_SIZE, &value);
    if (error == ENGINE_OK)
        engine->release(t->thread, &value);
    return error;
}

static int put_key(struct bench_thread *t)
{
    return t->bench->engine->put(t->thread, t->key, KEY_SIZE, t->bench->value,
                                 t->bench->config->value_size);
}

static int run_get(struct bench_thread *t)
{
    key_draw(t);
    return get_key(t);
}

static int run_get_missing(struct bench_thread *t)
{
    key_draw(t);
    t->key[0] = 'x'; /* no key begins so */
    int error = get_key(t);
    return error == ENGINE_NOT_FOUND ? ENGINE_OK : error == ENGINE_OK ? ENGINE_OTHER : error;
}

static int run_put(struct bench_thread *t)
{
    key_draw(t);
    return put_key(t);
}

/* Threads take turns at numbers, so that nobody has to share a counter. */
static int run_insert(struct bench_thread *t)
{
    const struct bench_config *c = t->bench->config;
    uint64_t number = (uint64_t)(t - t->bench->threads);
    key_write(t->key, c->keys + t->inserted++ * c->threads + number);
    return put_key(t);
}

static int run_mixed(struct bench_thread *t)
{
    return rng_next(&t->rng) >> 63 ? run_get(t) : run_put(t);
}

static int run_read_modify_write(struct bench_thread *t)
{
    int error = run_get(t);
    return error == ENGINE_OK ? put_key(t) : error;
}

static int visit_nothing(void *context, const void *key, size_t key_size, const void *value,
                         size_t value_size)
{
    (void)context, (void)key, (void)key_size, (void)value, (void)value_size;
    return 0;
}

static int run_scan(struct bench_thread *t)
{
    key_draw(t);
    int n = t->bench->engine->scan(t->thread, t->key, KEY_SIZE, SCAN_ENTRIES, visit_nothing, NULL);
    return n < 0 ? n : ENGINE_OK;
}

static const struct benchmark benchmarks[] = {
    {"Get", run_get, 0},     {"GetMissing", run_get_missing, 0},
    {"Put", run_put, 0},     {"Insert", run_insert, 0},
    {"Mixed", run_mixed, 0}, {"ReadModifyWrite", run_read_modify_write, 0},
    {"Scan", run_scan, 1},
};
enum { BENCHMARK_COUNT = sizeof benchmarks / sizeof benchmarks[0] };

const char *benchmark_name(unsigned i)
{
    return i < BENCHMARK_COUNT ? benchmarks[i].name : NULL;
}

/* ---- how ---- */

static int stopped(void)
{
    return __atomic_load_n(&interrupted, __ATOMIC_RELAXED);
}

static void work_load(struct bench_thread *t, unsigned number)
{
    const struct bench_config *c = t->bench->config;
    for (uint64_t i = number; i < c->keys && t->error == ENGINE_OK && !stopped(); i += c->threads) {
        key_write(t->key, i);
        t->error = put_key(t);
    }
}

static void work(void *context, unsigned number)
{
    struct bench *b = context;
    struct bench_thread *t = &b->threads[number];
    if (!b->what) {
        work_load(t, number);
        return;
    }
    perfshim_region_begin(b->region);
    for (uint64_t left = t->iterations; left--;) {
        int error = b->what->run(t);
        if (__builtin_expect(error != ENGINE_OK, 0)) {
            t->error = error;
            t->failed++;
        }
        if (__builtin_expect(stopped(), 0))
            break;
    }
    perfshim_region_end(b->region);
    perfshim_progress_add(b->region, t->iterations);
}

static uint64_t phase(struct bench *b)
{
    uint64_t begin = system_now_ns();
    crew_begin(b->crew);
    while (!crew_wait(b->crew, UINT64_MAX))
        continue;
    return system_now_ns() - begin;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "store_bench: %s: %s\n", what, why);
    return -1;
}

/* A failed operation is no operation: a figure of it would mean nothing. */
static int phase_check(const struct bench *b, const char *name)
{
    for (uint64_t i = 0; i < b->config->threads; i++) {
        const struct bench_thread *t = &b->threads[i];
        if (t->error == ENGINE_OK)
            continue;
        const char *more = b->engine->error_text ? b->engine->error_text(t->thread) : NULL;
        failed(name, more && *more ? more : engine_error_text(t->error));
        return t->error == ENGINE_IO || t->error == ENGINE_NO_SPACE ? -2 : -1;
    }
    return 0;
}

static int bench_threads(struct bench *b)
{
    const struct bench_config *c = b->config;
    struct engine_trouble trouble = {.text = ""};
    unsigned started;
    b->threads = aligned_alloc(_Alignof(struct bench_thread), c->threads * sizeof *b->threads);
    b->value = malloc(c->value_size + 1);
    if (!b->threads || !b->value)
        return failed("cannot start threads", "out of memory");
    memset(b->threads, 0, c->threads * sizeof *b->threads);
    for (unsigned i = 0; i < c->threads; i++) {
        struct bench_thread *t = &b->threads[i];
        t->bench = b;
        rng_init(&t->rng, c->seed, i);
        if (b->engine->thread_open(b->session.self, i, &t->thread, &trouble) != ENGINE_OK)
            return failed("cannot start threads", trouble.text);
    }
    struct rng bytes;
    rng_init(&bytes, c->seed, UINT64_MAX);
    for (size_t i = 0; i < c->value_size; i++)
        b->value[i] = (char)rng_next(&bytes);
    int error = crew_new(&b->crew, (unsigned)c->threads, work, b, &started);
    return error ? failed("cannot start threads", strerror(error)) : 0;
}

static int bench_load(struct bench *b)
{
    const struct bench_config *c = b->config;
    if (b->engine->features & ENGINE_EMPTY)
        return 0;
    int later = b->engine->sync_every && c->wal_sync_every != LOG_OFF; /* as a run does */
    if (later)
        b->engine->sync_every(b->session.self, 0);
    b->what = NULL;
    phase(b);
    int error = phase_check(b, "cannot load the keys");
    if (!error && later && b->engine->sync_every(b->session.self, c->wal_sync_every) != ENGINE_OK)
        error = failed("cannot load the keys", "they cannot be synced") - 1;
    return error;
}

uint64_t benchmark_next(uint64_t n, uint64_t ns, uint64_t wanted_ns)
{
    double each = (double)(ns ? ns : 1) / (double)n;
    double next = (double)wanted_ns / each * 1.2;
    if (next > (double)n * GROWTH_MAX)
        next = (double)n * GROWTH_MAX;
    if (next > ITERATIONS_MAX)
        next = ITERATIONS_MAX;
    return next > (double)(n + 1) ? (uint64_t)next : n + 1;
}

static int bench_measure(struct bench *b, const struct benchmark *what, struct benchmark_line *line)
{
    const struct bench_config *c = b->config;
    struct engine_statistics before, after;
    uint64_t n = 1, ns;
    b->what = what;
    snprintf(b->region, sizeof b->region, "Benchmark%s", what->name);
    for (;; n = benchmark_next(n, ns, c->benchtime_ns)) {
        for (uint64_t i = 0; i < c->threads; i++)
            b->threads[i].iterations = n / c->threads + (i < n % c->threads);
        b->engine->statistics(b->session.self, &before);
        ns = phase(b);
        b->engine->statistics(b->session.self, &after);
        int error = phase_check(b, b->region);
        if (error || stopped())
            return error;
        if (ns >= c->benchtime_ns || n >= ITERATIONS_MAX)
            break;
    }
    engine_statistics_subtract(&after, &before);
    *line =
        (struct benchmark_line){.name = what->name,
                                .threads = c->threads,
                                .iterations = n,
                                .ns_per_op = (double)ns / (double)n,
                                .bytes_per_op = engine_statistic(&after, "alloc_bytes") / (double)n,
                                .allocs_per_op = engine_statistic(&after, "allocs") / (double)n};
    return 0;
}

static int bench_close(struct bench *b, int error)
{
    struct engine_statistics last;
    struct engine_trouble trouble = {.text = ""};
    crew_free(b->crew);
    for (uint64_t i = 0; b->threads && i < b->config->threads; i++)
        if (b->threads[i].thread)
            b->engine->thread_close(b->threads[i].thread);
    free(b->threads);
    free(b->value);
    int closing = session_close(&b->session, &last, &trouble);
    if (closing != ENGINE_OK && !error) {
        failed("the last writes are not synced", trouble.text);
        error = trouble.disk ? -2 : -1;
    }
    return error;
}

static int bench_run(const struct bench_config *c, const struct benchmark *what,
                     struct benchmark_line *line)
{
    struct bench b = {.config = c};
    struct real_clock clock; /* sim sleeps by it */
    real_clock_init(&clock, 0);
    int error = session_open(&b.session, c, &clock.clock, what->scans);
    b.engine = b.session.engine;
    if (!error)
        error = bench_threads(&b);
    if (!error)
        error = bench_load(&b);
    if (!error && !stopped())
        error = bench_measure(&b, what, line);
    return bench_close(&b, error);
}

/* ---- the text ---- */

/* Go's way: four significant digits, none behind the point of large numbers and of 0. */
static void value_print(FILE *out, double value, const char *unit)
{
    int digits = value == 0 || value >= 999.95 ? 0
                 : value >= 99.995             ? 1
                 : value >= 9.9995             ? 2
                 : value >= 0.99995            ? 3
                 : value >= 0.099995           ? 4
                                               : 5;
    fprintf(out, "\t%*.*f %s", digits ? 11 + digits : 10, digits, value, unit);
}

void benchmark_print(FILE *out, const struct benchmark_line *line, int width)
{
    char name[80];
    if (line->threads == 1)
        snprintf(name, sizeof name, "Benchmark%s", line->name);
    else
        snprintf(name, sizeof name, "Benchmark%s-%" PRIu64, line->name, line->threads);
    fprintf(out, "%-*s\t%8" PRIu64, width, name, line->iterations);
    value_print(out, line->ns_per_op, "ns/op");
    if (!isnan(line->allocs_per_op))
        fprintf(out, "\t%8.0f B/op\t%8.0f allocs/op", floor(line->bytes_per_op),
                floor(line->allocs_per_op));
    fputc('\n', out);
}

static void head_print(FILE *out, const struct bench_config *c)
{
    char cpu[128];
    fprintf(out, "goos: linux\ngoarch: amd64\npkg: perfshim/store_bench\n");
    if (system_cpu_name(cpu, sizeof cpu))
        fprintf(out, "cpu: %s\n", cpu);
    fprintf(out, "engine: %s\n", c->engine);
    if (strcmp(c->engine, "store") == 0)
        fprintf(out, "pool: %s\n", c->pool);
    fprintf(out, "keys: %" PRIu64 "\nvalue-size: %" PRIu64 "\n", c->keys, c->value_size);
    if (c->wal_sync_every != LOG_OFF)
        fprintf(out, "wal-sync-every: %" PRIu64 "\n", c->wal_sync_every);
}

/* An engine that keeps nothing finds any key. */
static int benchmark_can(const struct benchmark *what, const struct engine *engine)
{
    return what->run != run_get_missing || !(engine->features & ENGINE_EMPTY);
}

int store_bench_benchmark(FILE *out, const struct bench_config *c)
{
    const struct engine *engine = engine_choose(c->engine);
    const char *pattern = c->pattern ? c->pattern : "";
    char why[160], name[64];
    int chosen = 0, width = 0, error = 0;
    unsigned char wanted[BENCHMARK_COUNT] = {0};
    regex_t regex;
    if (!engine)
        return -1;
    int bad = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (bad) {
        regerror(bad, &regex, why, sizeof why);
        return failed(pattern, why);
    }
    for (int i = 0; i < BENCHMARK_COUNT; i++) {
        int n = snprintf(name, sizeof name, "Benchmark%s", benchmarks[i].name);
        if (regexec(&regex, name, 0, NULL, 0) != 0 || !benchmark_can(&benchmarks[i], engine))
            continue;
        wanted[i] = 1;
        chosen++;
        n += c->threads == 1 ? 0 : snprintf(NULL, 0, "-%" PRIu64, c->threads);
        width = n > width ? n : width;
    }
    regfree(&regex);
    if (!chosen)
        return failed(pattern, "finds none of the benchmarks (--help lists them)");
    head_print(out, c);
    for (int i = 0; i < BENCHMARK_COUNT && !error; i++)
        for (uint64_t k = 0; wanted[i] && k < c->count && !error && !stopped(); k++) {
            struct benchmark_line line;
            error = bench_run(c, &benchmarks[i], &line);
            if (!error && !stopped()) {
                benchmark_print(out, &line, width);
                fflush(out); /* each takes its time */
            }
        }
    if (!error && !stopped())
        fprintf(out, "PASS\n");
    return error;
}
