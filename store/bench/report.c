#include "store/bench/report.h"

#include <inttypes.h>
#include <string.h>

#include "common/units.h"
#include "store/bench/require.h"

static void op_row(FILE *out, const char *name, const struct op_result *op,
                   const struct bench_result *r)
{
    char text[UNITS_BUF];
    const struct histogram *h = op->latency;
    fprintf(out, "%-4s %11" PRIu64 " %9s %7" PRIu64, name, op_result_ops(op),
            units_count(text, op_result_throughput(op, r)), op_result_errors(op));
    if (h->count) {
        fprintf(out, " %8s", units_duration(text, histogram_mean(h)));
#define X(name, percent)                                                                           \
    fprintf(out, " %8s", units_duration(text, (double)histogram_percentile(h, percent)));
        PERCENTILES(X)
#undef X
        fprintf(out, " %8s", units_duration(text, (double)h->max));
    }
    fputc('\n', out);
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
    const struct store_statistics *s = &r->store_measured;
    if (c->wal_sync_every == LOG_OFF)
        return;
    fprintf(out, "log: %" PRIu64 " writes", s->wal_writes);
    if (s->wal_writes)
        fprintf(out, ", %s each", units_size(bytes, (double)s->wal_bytes / (double)s->wal_writes));
    fprintf(out, "; %" PRIu64 " syncs", s->wal_syncs);
    if (s->wal_syncs)
        fprintf(out, " of %s, %.2f writes/sync",
                units_duration(time, (double)s->wal_sync_ns / (double)s->wal_syncs),
                (double)s->wal_writes / (double)s->wal_syncs);
    fputc('\n', out);
    const struct store_statistics *all = &r->store_run;
    if (all->wal_replayed || all->wal_cut_bytes)
        fprintf(out, "log: began with %" PRIu64 " writes", all->wal_replayed);
    if (all->wal_cut_bytes)
        fprintf(out, ", a torn end of %" PRIu64 " B cut off", all->wal_cut_bytes);
    if (all->wal_replayed || all->wal_cut_bytes)
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

void report_table(FILE *out, const struct bench_config *c, const struct bench_result *r)
{
    char size[UNITS_BUF], bytes[UNITS_BUF], rss[UNITS_BUF], log[40];
    double ops = (double)op_result_ops(&r->all);
    fprintf(out,
            "store_bench  %s, %.4g%% gets, %" PRIu64 " thread%s, pool %s, %.2f s%s\n"
            "%" PRIu64 " keys of %d B (%s), values of %s, %" PRIu64 " shards, seed %" PRIu64
            "%s%s\n\n",
            c->workload, c->read_ratio * 100, c->threads, c->threads == 1 ? "" : "s", c->pool,
            r->duration_s, end_text(r->end), c->keys, KEY_SIZE, c->distribution,
            units_size(size, (double)c->value_size), c->shards, c->seed,
            c->verify ? ", verified" : "", report_log(log, c));
    fprintf(out, "%-4s %11s %9s %7s %8s %8s %8s %8s %8s %8s %8s\n", "op", "ops", "ops/s", "errors",
            "avg", "p50", "p90", "p95", "p99", "p999", "max");
    for (int i = 0; i < OP_KINDS; i++)
        if (op_result_ops(&r->op[i]))
            op_row(out, op_name(i), &r->op[i], r);
    op_row(out, "all", &r->all, r);
    error_rows(out, r);
    log_rows(out, c, r);
    fprintf(out, "\ncpu %.0f%%  max rss %s  ", r->cpu_percent,
            units_size(rss, (double)r->max_rss_bytes));
    if (ops > 0)
        fprintf(out, "store: %.3f allocs/op, %s/op\n", (double)r->store_measured.allocs / ops,
                units_size(bytes, (double)r->store_measured.alloc_bytes / ops));
    else
        fprintf(out, "nothing was measured\n");
}

int report_requirements(const struct bench_config *c, const struct bench_result *r)
{
    int unmet = 0;
    for (int i = 0; i < c->require_count; i++) {
        char text[UNITS_BUF];
        double measured = require_measured(&c->require[i], r);
        if (budget_met(&c->require[i], measured))
            continue;
        unmet++;
        fprintf(stderr, "store_bench: require: %s not met: measured %s\n", c->require[i].text,
                require_text(text, &c->require[i], measured));
    }
    return unmet;
}
