#include "store/bench/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/units.h"
#include "store/bench/require.h"

static void latency_cells(FILE *out, const struct histogram *h)
{
    char text[UNITS_BUF];
    if (!h->count)
        return;
    fprintf(out, " %8s", units_duration(text, histogram_mean(h)));
#define X(name, percent)                                                                           \
    fprintf(out, " %8s", units_duration(text, (double)histogram_percentile(h, percent)));
    PERCENTILES(X)
#undef X
    fprintf(out, " %8s", units_duration(text, (double)h->max));
}

static void op_row(FILE *out, const char *name, const struct op_result *op,
                   const struct bench_result *r)
{
    char text[UNITS_BUF];
    fprintf(out, "%-6s %11" PRIu64 " %9s %7" PRIu64, name, op_result_ops(op),
            units_count(text, op_result_throughput(op, r)), op_result_errors(op));
    latency_cells(out, op->latency);
    fputc('\n', out);
}

/* What stands left of the latencies in a row of operations, as wide. */
static void latency_row(FILE *out, const char *name, const struct histogram *h)
{
    fprintf(out, "%-36s", name);
    latency_cells(out, h);
    fputc('\n', out);
}

/* All operations: what they waited for their turn, and what the engine's calls took. */
static void timing_rows(FILE *out, const struct bench_result *r)
{
    if (r->is_open && r->all.latency->count) {
        fputc('\n', out);
        latency_row(out, "response, from the intended start", r->all.latency);
        latency_row(out, "wait, until it was begun", r->timing.wait);
        latency_row(out, "service, the call alone", r->timing.service);
    }
    if (r->timing.failed->count)
        latency_row(out, "of operations that failed", r->timing.failed);
}

static void open_row(FILE *out, const struct bench_result *r)
{
    char offered[UNITS_BUF], achieved[UNITS_BUF], lag[UNITS_BUF], share[24] = "";
    const struct open_result *o = &r->open;
    if (!r->is_open)
        return;
    if (o->offered > 0)
        snprintf(share, sizeof share, " (%.1f%%)", o->achieved / o->offered * 100);
    fprintf(out,
            "offered %s ops/s, achieved %s%s; late by more than 1 ms: %" PRIu64
            ", dropped: %" PRIu64 ", max lag %s\n",
            units_count(offered, o->offered), units_count(achieved, o->achieved), share,
            r->timing.late, o->dropped, units_duration(lag, (double)r->timing.max_lag_ns));
    if (bench_result_measured(r) && !bench_result_valid(r))
        fputs("INVALID: less than 99% of the operations asked for were begun in time\n", out);
}

static void error_rows(FILE *out, const struct bench_result *r)
{
    for (int i = 0; i < ERROR_CLASS_COUNT; i++)
        if (r->all.errors[i])
            fprintf(out, "errors: %" PRIu64 " %s\n", r->all.errors[i], error_class_name(i));
}

static const char *end_text(enum run_end end)
{
    return end == RUN_INTERRUPTED       ? "  INTERRUPTED: a partial result"
           : end == RUN_TOO_MANY_ERRORS ? "  ENDED by --max-errors: a partial result"
                                        : "";
}

static void log_rows(FILE *out, const struct bench_config *c, const struct bench_result *r)
{
    char time[UNITS_BUF], bytes[UNITS_BUF];
    const struct engine_statistics *s = &r->engine_measured, *all = &r->engine_run;
    double writes = engine_statistic(s, "wal_writes"), syncs = engine_statistic(s, "wal_syncs");
    if (c->wal_sync_every == LOG_OFF || isnan(writes))
        return;
    fprintf(out, "log: %.0f writes", writes);
    if (writes > 0)
        fprintf(out, ", %s each", units_size(bytes, engine_statistic(s, "wal_bytes") / writes));
    fprintf(out, "; %.0f syncs", syncs);
    if (syncs > 0)
        fprintf(out, " of %s, %.2f writes/sync",
                units_duration(time, engine_statistic(s, "wal_sync_ns") / syncs), writes / syncs);
    fputc('\n', out);
    double replayed = engine_statistic(all, "wal_replayed"),
           cut = engine_statistic(all, "wal_cut_bytes");
    if (replayed > 0 || cut > 0)
        fprintf(out, "log: began with %.0f writes", replayed);
    if (cut > 0)
        fprintf(out, ", a torn end of %.0f B cut off", cut);
    if (replayed > 0 || cut > 0)
        fputc('\n', out);
}

const char *report_log(char text[static 40], const struct bench_config *c)
{
    if (c->wal_sync_every == LOG_OFF)
        return "";
    if (c->wal_sync_every == 0)
        return ", log synced at the end";
    snprintf(text, 40, ", log synced every %" PRIu64, c->wal_sync_every);
    return text;
}

const char *report_engine(char text[static 80], const struct bench_config *c)
{
    if (strcmp(c->engine, "store") == 0)
        snprintf(text, 80, "pool %s", c->pool);
    else
        snprintf(text, 80, "engine %s", c->engine);
    return text;
}

static const char *report_distribution(char text[static 40], const struct bench_config *c)
{
    int kind = distribution_named(c->distribution);
    if (kind == DISTRIBUTION_UNIFORM)
        return c->distribution;
    if (kind == DISTRIBUTION_HOTSPOT)
        snprintf(text, 40, "%s %g/%g", c->distribution, c->hot_keys, c->hot_ops);
    else
        snprintf(text, 40, "%s %g", c->distribution, c->theta);
    return text;
}

void report_data(FILE *out, const struct bench_config *c)
{
    char size[UNITS_BUF], log[40], keys[40];
    fprintf(out, "%" PRIu64 " key%s of %d B (%s), values of %s, ", c->keys, c->keys == 1 ? "" : "s",
            KEY_SIZE, report_distribution(keys, c), units_size(size, (double)c->value_size));
    if (strcmp(c->engine, "store") == 0)
        fprintf(out, "%" PRIu64 " shards, ", c->shards);
    fprintf(out, "seed %" PRIu64 "%s%s", c->seed, c->verify ? ", verified" : "",
            report_log(log, c));
}

void report_table(FILE *out, const struct bench_config *c, const struct bench_result *r)
{
    char bytes[UNITS_BUF], rss[UNITS_BUF], engine[80];
    double ops = (double)op_result_ops(&r->all),
           allocs = engine_statistic(&r->engine_measured, "allocs");
    fprintf(out, "store_bench  %s, %.4g%% gets, %" PRIu64 " thread%s, %s, ", c->workload,
            c->read_ratio * 100, c->threads, c->threads == 1 ? "" : "s", report_engine(engine, c));
    if (c->rate > 0)
        fprintf(out, "%.6g ops/s %s, ", c->rate, c->arrivals);
    fprintf(out, "%.2f s%s%s\n", r->duration_s,
            c->steady > 0 ? r->is_steady ? ", steady" : ", not steady" : "", end_text(r->end));
    report_data(out, c);
    fputs("\n\n", out);
    fprintf(out, "%-6s %11s %9s %7s %8s %8s %8s %8s %8s %8s %8s\n", "op", "ops", "ops/s", "errors",
            "avg", "p50", "p90", "p95", "p99", "p999", "max");
    for (int i = 0; i < OP_KINDS; i++)
        if (op_result_ops(&r->op[i]))
            op_row(out, op_name(i), &r->op[i], r);
    op_row(out, "all", &r->all, r);
    timing_rows(out, r);
    open_row(out, r);
    error_rows(out, r);
    log_rows(out, c, r);
    fprintf(out, "\ncpu %.0f%%  max rss %s", r->cpu_percent,
            units_size(rss, (double)r->max_rss_bytes));
    if (ops == 0)
        fprintf(out, "  nothing was measured");
    else if (!isnan(allocs))
        fprintf(out, "  %s: %.3f allocs/op, %s/op", c->engine, allocs / ops,
                units_size(bytes, engine_statistic(&r->engine_measured, "alloc_bytes") / ops));
    fputc('\n', out);
}

int report_requirements(const char *who, const struct bench_config *c, const struct bench_result *r)
{
    int unmet = 0;
    for (int i = 0; i < c->require_count; i++) {
        char text[UNITS_BUF];
        double measured = require_measured(&c->require[i], r);
        if (budget_met(&c->require[i], measured))
            continue;
        unmet++;
        fprintf(stderr, "store_bench: %srequire: %s not met: measured %s\n", who,
                c->require[i].text, require_text(text, &c->require[i], measured));
    }
    return unmet;
}
