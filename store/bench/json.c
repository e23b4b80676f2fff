/* The only file that knows jansson: the documents of a run and of a sweep, and live lines. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "store/bench/compare.h"
#include "store/bench/live.h"
#include "store/bench/report.h"
#include "store/bench/require.h"
#include "store/bench/sweep.h"

static json_t *count_json(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* null = not measured. */
static json_t *real_json(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *latency_json(const struct histogram *h)
{
    json_t *o = json_object();
    double none = h->count ? 0 : NAN; /* added to what an empty histogram has not measured */
    json_object_set_new(o, "avg", real_json(histogram_mean(h) / 1e3 + none));
#define X(name, percent)                                                                           \
    json_object_set_new(o, name, real_json((double)histogram_percentile(h, percent) / 1e3 + none));
    PERCENTILES(X)
#undef X
    json_object_set_new(o, "max", real_json((double)h->max / 1e3 + none));
    return o;
}

static json_t *errors_json(const struct op_result *op)
{
    json_t *o = json_object();
    for (int i = 0; i < ERROR_CLASS_COUNT; i++)
        json_object_set_new(o, error_class_name(i), count_json(op->errors[i]));
    return o;
}

/* What the whole and each kind of operation have in common. */
static void op_fill(json_t *o, const struct op_result *op, const struct bench_result *r)
{
    json_object_set_new(o, "ops", count_json(op_result_ops(op)));
    json_object_set_new(o, "errors", count_json(op_result_errors(op)));
    json_object_set_new(o, "errors_by_class", errors_json(op));
    json_object_set_new(o, "throughput", real_json(op_result_throughput(op, r)));
    json_object_set_new(o, "latency_us", latency_json(op->latency));
}

/* null: not measured, in a closed loop, or nothing failed. */
static void open_fill(json_t *o, const struct bench_result *r)
{
    const struct timing *t = &r->timing;
    int open = r->is_open;
    json_object_set_new(o, "offered", open ? real_json(r->open.offered) : json_null());
    json_object_set_new(o, "achieved", open ? real_json(r->open.achieved) : json_null());
    json_object_set_new(o, "late", open ? count_json(t->late) : json_null());
    json_object_set_new(o, "dropped", open ? count_json(r->open.dropped) : json_null());
    json_object_set_new(o, "max_lag_us",
                        open ? json_real((double)t->max_lag_ns / 1e3) : json_null());
    json_object_set_new(o, "service_us", latency_json(open ? t->service : r->all.latency));
    json_object_set_new(o, "wait_us", open ? latency_json(t->wait) : json_null());
    json_object_set_new(o, "failed_us", t->failed->count ? latency_json(t->failed) : json_null());
}

static json_t *by_op_json(const struct bench_result *r)
{
    json_t *all = json_object();
    for (int i = 0; i < OP_KINDS; i++) {
        if (!op_result_ops(&r->op[i]))
            continue;
        json_t *o = json_object();
        op_fill(o, &r->op[i], r);
        json_object_set_new(all, op_name(i), o);
    }
    return all;
}

static json_t *statistics_json(const struct engine_statistics *s)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < s->count; i++)
        json_object_set_new(o, s->names[i].name, count_json(s->values[i]));
    return o;
}

static json_t *config_json(const struct bench_config *c)
{
    int log = c->wal_sync_every != LOG_OFF, kind = distribution_named(c->distribution);
    int hotspot = kind == DISTRIBUTION_HOTSPOT, zipf = !hotspot && kind != DISTRIBUTION_UNIFORM;
    return json_pack(
        "{s:I, s:o, s:o, s:f, s:s, s:f, s:I, s:i, s:I, s:s, s:I, s:s, s:I, s:b, s:s, "
        "s:o, s:s?, s:b, s:s?, s:s, s:o, s:s?, s:f, s:o, s:o, s:o, s:I, s:o}",
        "threads", (json_int_t)c->threads, "duration_s",
        c->duration_ns ? json_real((double)c->duration_ns / 1e9) : json_null(), "ops",
        c->ops ? count_json(c->ops) : json_null(), "warmup_s", (double)c->warmup_ns / 1e9,
        "workload", c->workload, "read_ratio", c->read_ratio, "keys", (json_int_t)c->keys,
        "key_size", KEY_SIZE, "value_size", (json_int_t)c->value_size, "distribution",
        c->distribution, "seed", (json_int_t)c->seed, "pool", c->pool, "shards",
        (json_int_t)c->shards, "verify", c->verify, "profile_phase", c->profile_phase,
        "wal_sync_every", log ? count_json(c->wal_sync_every) : json_null(), "dir", c->dir, "load",
        c->load, "ledger", c->ledger, "engine", c->engine, "rate",
        c->rate > 0 ? json_real(c->rate) : json_null(), "arrivals", c->arrivals, "compressibility",
        c->compressibility, "theta", zipf ? json_real(c->theta) : json_null(), "hot_keys",
        hotspot ? json_real(c->hot_keys) : json_null(), "hot_ops",
        hotspot ? json_real(c->hot_ops) : json_null(), "scan_length", (json_int_t)c->scan_length,
        "steady_percent", c->steady > 0 ? json_real(c->steady) : json_null());
}

/* measured: for each of the budgets. */
static json_t *require_json(const struct bench_config *c, const double *measured)
{
    json_t *all = json_array();
    for (int i = 0; i < c->require_count; i++)
        json_array_append_new(all, json_pack("{s:s, s:b, s:o}", "text", c->require[i].text, "met",
                                             budget_met(&c->require[i], measured[i]), "measured",
                                             real_json(measured[i])));
    return all;
}

/* Takes the document. */
static int document_write(FILE *out, json_t *o)
{
    int failed = json_dumpf(o, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0;
    json_decref(o);
    failed |= fputc('\n', out) == EOF;
    failed |= fflush(out) != 0;
    return failed ? -1 : 0;
}

static json_t *live_operations(const struct live_line *l)
{
    double allocs = engine_statistic(l->measured, "allocs") / (double)l->ops;
    return json_pack(
        "{s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "interval_s",
        l->interval_s, "ops", count_json(l->ops), "errors", count_json(l->errors), "throughput",
        real_json((double)l->latency->count / l->interval_s), "average", real_json(l->average),
        "latency_us", latency_json(l->latency), "lag_us",
        l->is_open ? json_real((double)l->lag_ns / 1e3) : json_null(), "cpu_percent",
        real_json(l->cpu_percent), "rss_bytes",
        l->rss_bytes ? count_json(l->rss_bytes) : json_null(), "written_bytes_per_s",
        real_json(l->written_rate), "allocs_per_op", real_json(allocs), "profiled_allocs_per_op",
        real_json(l->profiled_allocs / (double)l->ops), "engine", statistics_json(l->measured));
}

void live_json(FILE *out, const struct live_line *l)
{
    json_t *o = json_pack("{s:s, s:s, s:f}", "schema", "perfshim.live/1", "phase", l->phase,
                          "time_s", l->time_s);
    json_t *rest = l->is_load ? json_pack("{s:o, s:o}", "loaded", count_json(l->loaded), "keys",
                                          count_json(l->keys))
                              : live_operations(l);
    json_object_update(o, rest);
    json_decref(rest);
    json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(o);
    fputc('\n', out);
    fflush(out);
}

int report_json(FILE *out, const struct bench_config *c, const struct bench_result *r)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:b}", "schema", "perfshim.store_bench/1",
                          "perfshim_version", PERFSHIM_VERSION, "name", c->workload, "valid",
                          bench_result_valid(r), "interrupted", r->end == RUN_INTERRUPTED);
    double required[REQUIRE_MAX];
    for (int i = 0; i < c->require_count; i++)
        required[i] = require_measured(&c->require[i], r);
    op_fill(o, &r->all, r);
    open_fill(o, r);
    json_object_set_new(o, "steady", c->steady > 0 ? json_boolean(r->is_steady) : json_null());
    json_object_set_new(o, "duration_s", json_real(r->duration_s));
    json_object_set_new(o, "threads", count_json(c->threads));
    json_object_set_new(o, "by_op", by_op_json(r));
    json_object_set_new(o, "cpu_percent", json_real(r->cpu_percent));
    json_object_set_new(o, "max_rss_bytes", count_json(r->max_rss_bytes));
    json_object_set_new(o, "require", require_json(c, required));
    json_t *engine = statistics_json(&r->engine_run);
    json_object_set_new(engine, "measured", statistics_json(&r->engine_measured));
    /* "store" is the older name, of the one engine there was */
    int store = strcmp(c->engine, "store") == 0;
    json_object_set_new(o, "store", store ? json_incref(engine) : json_null());
    json_object_set_new(o, "engine", engine);
    json_object_set_new(o, "config", config_json(c));
    return document_write(out, o);
}

static void figures_fill(json_t *o, const struct figures *f)
{
    json_t *latency = json_object();
    for (unsigned i = 0; i < FIGURE_LATENCIES; i++)
        json_object_set_new(latency, figure_latency_name(i), real_json(f->latency_ns[i] / 1e3));
    json_object_set_new(o, "throughput", real_json(f->throughput));
    json_object_set_new(o, "latency_us", latency);
    json_object_set_new(o, "errors", count_json(f->errors));
}

int sweep_json(FILE *out, const struct bench_config *c, const struct sweep_result *r)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:b}", "schema", "perfshim.sweep/1", "perfshim_version",
                  PERFSHIM_VERSION, "name", c->workload, "interrupted", r->end == RUN_INTERRUPTED);
    json_t *levels = json_array(), *config = config_json(c);
    for (size_t i = 0; i < r->count; i++) {
        const struct sweep_run *run = &r->runs[i];
        json_t *level = json_object();
        json_object_set_new(level, c->by_rate ? "rate" : "threads",
                            c->by_rate ? json_real(run->level) : count_json((uint64_t)run->level));
        json_object_set_new(level, "repeat", count_json(run->repeat));
        figures_fill(level, &run->figures);
        if (c->by_rate)
            json_object_set_new(level, "valid", json_boolean(run->valid));
        json_array_append_new(levels, level);
    }
    json_object_set_new(o, "levels", levels);
    json_object_del(config, c->by_rate ? "rate" : "threads"); /* each level has its own */
    json_object_set_new(config, "repeats", count_json(c->repeats));
    json_object_set_new(o, "config", config);
    return document_write(out, o);
}

static json_t *compare_runs_json(const struct bench_config *c, const struct compare_result *r,
                                 unsigned engine)
{
    json_t *runs = json_array();
    for (size_t i = 0; i < r->count; i++) {
        const struct compare_run *run = &r->runs[i];
        if (run->engine != engine || run->state != COMPARE_MEASURED)
            continue;
        json_t *o = json_object();
        json_object_set_new(o, "repeat", count_json(run->repeat));
        json_object_set_new(o, "valid", json_boolean(run->valid));
        figures_fill(o, &run->figures);
        json_object_set_new(o, "cpu_percent", real_json(run->cpu_percent));
        json_object_set_new(o, "max_rss_bytes", count_json(run->rss_bytes));
        json_object_set_new(o, "written_bytes_per_s", real_json(run->written_bytes_per_s));
        json_object_set_new(o, "require", require_json(c, run->required));
        json_array_append_new(runs, o);
    }
    return runs;
}

int compare_json(FILE *out, const struct bench_config *c, const struct compare_result *r)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:b}", "schema", "perfshim.compare/1", "perfshim_version",
                  PERFSHIM_VERSION, "name", c->workload, "interrupted", r->end == RUN_INTERRUPTED);
    json_t *engines = json_array(), *config = config_json(c);
    for (unsigned i = 0; i < c->engine_count; i++)
        json_array_append_new(engines,
                              json_pack("{s:s, s:b, s:i, s:o, s:s}", "engine", c->engines[i],
                                        "there", !r->missing[i], "failed", (int)r->failed[i],
                                        "runs", compare_runs_json(c, r, i), "differs",
                                        compare_differs(c->engines[i])));
    json_object_set_new(o, "engines", engines);
    json_object_del(config, "engine"); /* each has its own */
    json_object_set_new(config, "repeats", count_json(c->repeats));
    json_object_set_new(o, "config", config);
    return document_write(out, o);
}
