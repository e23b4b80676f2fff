#include "store/bench/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/perfshim.h"
#include "store/bench/crew.h"
#include "store/bench/ledger.h"
#include "store/bench/live.h"
#include "store/bench/session.h"
#include "store/bench/steady.h"
#include "store/bench/system.h"
#include "store/bench/worker.h"

#define SECOND_NS 1000000000u

enum phase { PHASE_LOAD, PHASE_WARMUP, PHASE_MEASURE };

struct run {
    const struct bench_config *config;
    struct workload workload;
    struct worker_shared shared;
    struct worker *workers;
    struct crew *crew;
    struct live *live;
    struct ledger ledger;
    struct arrivals arrivals; /* with a rate */
    struct real_clock clock;
    struct session session;
    enum phase phase;
    uint64_t deadline_ns; /* of the phase */
    struct steady steady; /* its windows, and the last one's end */
    uint64_t seen_ops, seen_ns;
    int is_steady;
    FILE *live_json; /* NULL: none */
};

static int stop;        /* the workers' */
static int interrupted; /* by store_bench_interrupt */

void store_bench_interrupt(void)
{
    __atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "store_bench: %s: %s\n", what, why);
    return -1;
}

/* Of n things among `shares`, where the share of number i begins; it ends where the next begins. */
static uint64_t share_begin(uint64_t n, uint64_t shares, uint64_t i)
{
    uint64_t rest = n % shares;
    return n / shares * i + (i < rest ? i : rest);
}

static void run_work(void *context, unsigned i)
{
    struct run *run = context;
    const struct bench_config *c = run->config;
    struct worker *w = &run->workers[i];
    if (run->shared.arrivals)
        system_timers_sharpen();
    if (run->phase == PHASE_LOAD) {
        worker_load(w, share_begin(c->keys, c->threads, i),
                    share_begin(c->keys, c->threads, i + 1));
    } else if (run->phase == PHASE_WARMUP) {
        worker_operate(w, UINT64_MAX, run->deadline_ns, "warmup");
    } else {
        uint64_t ops = share_begin(c->ops, c->threads, i + 1) - share_begin(c->ops, c->threads, i);
        if (!c->ops || w->shared->arrivals) /* an open loop's schedule ends by itself */
            ops = UINT64_MAX;
        worker_operate(w, ops, run->deadline_ns, "op");
    }
}

/* A second more of the measured phase. */
static void steady_look(struct run *run)
{
    uint64_t now = system_now_ns(), ops = 0;
    for (uint64_t i = 0; i < run->config->threads; i++)
        for (int k = 0; k < OP_KINDS; k++)
            if (run->workers[i].op[k].latency)
                ops += __atomic_load_n(&run->workers[i].op[k].latency->count, __ATOMIC_RELAXED);
    if (steady_add(&run->steady, (double)(ops - run->seen_ops) / (double)(now - run->seen_ns))) {
        run->is_steady = 1;
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    }
    run->seen_ops = ops;
    run->seen_ns = now;
}

/* duration_ns 0: until the work is done. */
static void run_phase(struct run *run, enum phase phase, const char *name, uint64_t duration_ns)
{
    run->phase = phase;
    run->shared.errors = 0;
    for (uint64_t i = 0; i < run->config->threads; i++)
        worker_reset(&run->workers[i]);
    uint64_t now = system_now_ns();
    run->steady = (struct steady){.within = run->config->steady / 100};
    run->seen_ops = 0;
    run->seen_ns = now;
    run->deadline_ns = duration_ns ? now + duration_ns : UINT64_MAX;
    run->shared.arrivals = run->config->rate > 0 && phase != PHASE_LOAD ? &run->arrivals : NULL;
    if (run->shared.arrivals)
        arrivals_begin(&run->arrivals, now, run->deadline_ns,
                       phase == PHASE_MEASURE && run->config->ops ? run->config->ops : UINT64_MAX);
    live_begin(run->live, name);
    crew_begin(run->crew);
    while (!crew_wait(run->crew, now += SECOND_NS)) {
        live_tick(run->live);
        if (phase == PHASE_MEASURE && run->config->steady > 0)
            steady_look(run);
    }
    live_end(run->live);
}

/*
 * The log is synced once, behind the last key: what the load must outlive is only known then, and
 * a sync for each key would take longer than the run. Not with a ledger, which holds every
 * acknowledged write to the promise of --wal-sync-every.
 */
static int run_load(struct run *run)
{
    const struct bench_config *c = run->config;
    const struct engine *engine = run->shared.engine;
    const char *why = NULL;
    int error = ENGINE_OK, later = engine->sync_every && !c->ledger && c->wal_sync_every != LOG_OFF;
    uint64_t loaded = 0;
    if (later)
        engine->sync_every(run->shared.self, 0);
    run_phase(run, PHASE_LOAD, "load", 0);
    for (uint64_t i = 0; i < c->threads; i++) {
        struct worker *w = &run->workers[i];
        loaded += w->loaded;
        if (error == ENGINE_OK && w->load_error != ENGINE_OK) {
            error = w->load_error;
            why = engine->error_text ? engine->error_text(w->thread) : NULL;
        }
    }
    if (later && error == ENGINE_OK)
        error = engine->sync_every(run->shared.self, c->wal_sync_every);
    if (error == ENGINE_OK)
        return 0;
    fprintf(stderr, "store_bench: cannot load the keys: %s after %" PRIu64 " of %" PRIu64 "\n",
            why ? why : engine_error_text(error), loaded, c->keys);
    return error == ENGINE_IO || error == ENGINE_NO_SPACE ? -2 : -1;
}

static void op_result_add(struct op_result *sum, const struct op_result *more)
{
    if (more->latency)
        histogram_add(sum->latency, more->latency);
    for (int i = 0; i < ERROR_CLASS_COUNT; i++)
        sum->errors[i] += more->errors[i];
}

static void run_measure(struct run *run, struct bench_result *r)
{
    const struct bench_config *c = run->config;
    int profiled = strcmp(c->profile_phase, "measured") == 0;
    const struct engine *engine = run->shared.engine;
    struct engine_statistics before;
    run->shared.max_errors = c->max_errors;
    if (profiled)
        perfshim_start();
    engine->statistics(run->shared.self, &before);
    uint64_t written = system_written_bytes();
    uint64_t begin = system_now_ns(), cpu = system_cpu_ns(), end = begin;
    run_phase(run, PHASE_MEASURE, "run", c->duration_ns);
    cpu = system_cpu_ns() - cpu;
    uint64_t cpu_wall = system_now_ns() - begin;
    r->written_bytes = written == UINT64_MAX ? written : system_written_bytes() - written;
    engine->statistics(run->shared.self, &r->engine_measured);
    engine_statistics_subtract(&r->engine_measured, &before);
    if (engine->features & ENGINE_SHARDS && strcmp(c->pool, "on") == 0)
        /* at once: told at each object, the pool would be slower */
        perfshim_pool_add("store", (uint64_t)engine_statistic(&r->engine_measured, "pool_gets"),
                          (uint64_t)engine_statistic(&r->engine_measured, "pool_puts"));
    if (profiled)
        perfshim_stop();
    for (uint64_t i = 0; i < c->threads; i++) {
        struct worker *w = &run->workers[i];
        for (int k = 0; k < OP_KINDS; k++) {
            op_result_add(&r->op[k], &w->op[k]);
            op_result_add(&r->all, &w->op[k]);
        }
        timing_add(&r->timing, &w->timing);
        if (w->end_ns > end)
            end = w->end_ns;
    }
    r->is_open = run->shared.arrivals != NULL;
    /* behind the last start of a schedule nothing was due, which is a part of its rate */
    if (r->is_open && arrivals_over(&run->arrivals) && !__atomic_load_n(&stop, __ATOMIC_RELAXED) &&
        run->deadline_ns > end)
        end = run->deadline_ns;
    r->duration_s = (double)(end - begin) / 1e9;
    if (r->is_open)
        arrivals_judge(&run->arrivals, &r->open, op_result_ops(&r->all), r->timing.last_start_ns,
                       end);
    r->cpu_percent = (double)cpu / (double)cpu_wall * 100;
}

static int run_open_live(struct run *run)
{
    const struct bench_config *c = run->config;
    int aside = c->live_json && strcmp(c->live_json, "-") != 0;
    if (c->live_json)
        run->live_json = aside ? fopen(c->live_json, "w") : stderr;
    if (c->live_json && !run->live_json) {
        fprintf(stderr, "store_bench: cannot write %s: %s\n", c->live_json, strerror(errno));
        return -1;
    }
    if (!c->live && !c->live_json)
        return 0;
    run->live = live_new(c->live && run->live_json != stderr ? stderr : NULL, run->live_json,
                         run->workers, (unsigned)c->threads, c->keys);
    return run->live ? 0 : failed("cannot show the run", "out of memory");
}

static int run_open(struct run *run)
{
    const struct bench_config *c = run->config;
    unsigned threads = (unsigned)c->threads, started;
    struct engine_trouble trouble = {.text = ""};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    real_clock_init(&run->clock, real_clock_spin_ns(c->rate, cpus > 0 ? (unsigned)cpus : 1));
    run->shared.clock = &run->clock.clock;
    int error = session_open(&run->session, c, run->shared.clock, c->share[OP_SCAN] > 0);
    if (error)
        return error;
    run->shared.engine = run->session.engine;
    run->shared.self = run->session.self;
    if (c->ledger && ledger_open(&run->ledger, c->ledger, threads) != 0) {
        fprintf(stderr, "store_bench: cannot keep the ledger %s: %s\n", c->ledger, strerror(errno));
        return -2;
    }
    struct workload_setup setup = {.keys = c->keys,
                                   .value_size = c->value_size,
                                   .compressibility = c->compressibility,
                                   .seed = c->seed,
                                   .verify = c->verify,
                                   .distribution =
                                       (enum distribution_kind)distribution_named(c->distribution),
                                   .theta = c->theta,
                                   .hot_keys = c->hot_keys,
                                   .hot_ops = c->hot_ops,
                                   .scan_length = c->scan_length};
    memcpy(setup.share, c->share, sizeof setup.share);
    if (workload_init(&run->workload, &setup) != 0)
        return failed("cannot make values", "out of memory");
    run->shared.workload = &run->workload;
    run->shared.max_errors = UINT64_MAX; /* the limit is the measured phase's */
    run->shared.stop = &stop;
    run->shared.arrivals = c->rate > 0 ? &run->arrivals : NULL;
    run->workers = aligned_alloc(_Alignof(struct worker), threads * sizeof *run->workers);
    if (!run->workers)
        return failed("cannot start threads", "out of memory");
    memset(run->workers, 0, threads * sizeof *run->workers);
    for (unsigned i = 0; i < threads; i++) {
        if (worker_init(&run->workers[i], &run->shared, i, &trouble) != 0)
            return failed("cannot start threads", trouble.text);
        run->workers[i].acknowledged = ledger_count(&run->ledger, i);
    }
    if (run_open_live(run) != 0)
        return -1;
    error = crew_new(&run->crew, threads, run_work, run, &started);
    if (error) {
        fprintf(stderr, "store_bench: cannot start thread %u of %u: %s\n", started + 1, threads,
                strerror(error));
        return -1;
    }
    return 0;
}

/* In the order that lets an engine count all threads' caches as given back. */
static void run_close(struct run *run, struct bench_result *r)
{
    crew_free(run->crew);
    live_free(run->live);
    if (run->live_json && run->live_json != stderr) {
        r->live_lost = ferror(run->live_json) != 0;
        r->live_lost |= fclose(run->live_json) != 0;
    }
    for (uint64_t i = 0; run->workers && i < run->config->threads; i++)
        worker_release(&run->workers[i]);
    free(run->workers);
    workload_release(&run->workload);
    if (run->config->rate > 0)
        arrivals_release(&run->arrivals);
    r->close_error = session_close(&run->session, &r->engine_run, &r->close_trouble);
    ledger_close(&run->ledger);
    __atomic_store_n(&interrupted, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
}

int store_bench_run(const struct bench_config *config, struct bench_result *r)
{
    struct run run = {.config = config};
    if (config->rate > 0)
        arrivals_init(&run.arrivals,
                      strcmp(config->arrivals, "uniform") == 0 ? ARRIVALS_UNIFORM
                                                               : ARRIVALS_POISSON,
                      config->rate, config->seed);
    if (bench_result_init(r) != 0) {
        bench_result_release(r);
        if (config->rate > 0)
            arrivals_release(&run.arrivals);
        return failed("cannot keep results", "out of memory");
    }
    int error = run_open(&run);
    if (!error && config->load && !(run.shared.engine->features & ENGINE_EMPTY))
        error = run_load(&run);
    if (!error && config->warmup_ns)
        run_phase(&run, PHASE_WARMUP, "warm-up", config->warmup_ns);
    if (!error) {
        run_measure(&run, r);
        r->max_rss_bytes = system_max_rss_bytes();
        r->is_steady = run.is_steady;
        r->end = __atomic_load_n(&interrupted, __ATOMIC_RELAXED)  ? RUN_INTERRUPTED
                 : op_result_errors(&r->all) > config->max_errors ? RUN_TOO_MANY_ERRORS
                                                                  : RUN_COMPLETE;
    }
    run_close(&run, r);
    if (error)
        bench_result_release(r);
    return error;
}
