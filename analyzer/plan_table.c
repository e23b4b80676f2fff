#include "analyzer/plan.h"

#include <math.h>
#include <string.h>

#include "analyzer/table.h"
#include "analyzer/text.h"
#include "common/units.h"

/* Below this share of what throughput varies, the law explains too little. */
#define POOR_FIT 0.9

/* Operations a second, with all digits: what is bought is counted. */
static char *rate(char to[static TEXT_BUF], double v)
{
    if (v >= 1e12 || v < .1)
        snprintf(to, TEXT_BUF, "%.4g", v);
    else
        snprintf(to, TEXT_BUF, "%.*f", v >= 1000 || v == floor(v) ? 0 : v >= 10 ? 1 : 2, v);
    return to;
}

static char *level(char to[static TEXT_BUF], double n)
{
    if (n == floor(n) && n < 1e6)
        snprintf(to, TEXT_BUF, "N=%.0f", n);
    else
        snprintf(to, TEXT_BUF, n < 1e6 ? "N=%.1f" : "N=%.4g", n);
    return to;
}

static void heading(FILE *out, const char *what)
{
    fprintf(out, "%s%-7s%s ", text_bold(), what, text_plain());
}

static void target_print(FILE *out, const struct plan *p)
{
    char a[TEXT_BUF], b[TEXT_BUF];

    heading(out, "TARGET");
    fprintf(out, "%s ops/s at %.4g%% utilisation: provision %s ops/s\n", rate(a, p->target),
            100 * p->util, rate(b, p->provisioned));
}

/* --- the sweep --- */

/* Latencies that are shown: all that an SLO names, and p99. */
static bool is_shown(const struct plan *p, unsigned latency)
{
    bool shown = latency == PLAN_P99, measured = false;

    for (int i = 0; i < p->slo_count; i++)
        shown = shown || p->slo[i].latency == latency;
    for (size_t i = 0; i < p->sweep.count; i++)
        measured = measured || !isnan(p->sweep.levels[i].latency_ns[latency]);
    return shown && measured;
}

static double errors_of(const struct plan *p)
{
    double sum = 0;

    for (size_t i = 0; i < p->sweep.count; i++)
        if (p->sweep.levels[i].errors > 0)
            sum += p->sweep.levels[i].errors;
    return sum;
}

static const char *slo_word(const struct plan *p, size_t i)
{
    for (int k = 0; k < p->slo_count; k++)
        if (!plan_slo_met(&p->slo[k], p->sweep.levels[i].latency_ns[p->slo[k].latency]))
            return "broken";
    return "met";
}

static void levels_print(FILE *out, const struct plan *p)
{
    struct table t = {0};
    char text[TEXT_BUF], duration[UNITS_BUF];
    bool errors = errors_of(p) > 0;

    table_column(&t, p->sweep.unit, TABLE_RIGHT);
    table_column(&t, "ops/s", TABLE_RIGHT);
    table_column(&t, "fit", TABLE_RIGHT);
    table_column(&t, "off", TABLE_RIGHT);
    for (unsigned k = 0; k < PLAN_LATENCY_COUNT; k++)
        if (is_shown(p, k))
            table_column(&t, plan_latency_name(k), TABLE_RIGHT);
    if (p->slo_count)
        table_column(&t, "slo", TABLE_LEFT);
    if (errors)
        table_column(&t, "errors", TABLE_RIGHT);
    table_column(&t, "", TABLE_LEFT);
    for (size_t i = 0; i < p->sweep.count; i++) {
        const struct plan_level *l = &p->sweep.levels[i];
        double fit = usl_throughput(&p->fit, l->level);
        table_cell(&t, "%.10g", l->level);
        table_cell(&t, "%s", rate(text, l->throughput));
        table_cell(&t, "%s", rate(text, fit));
        table_cell(&t, "%+.1f%%", 100 * (fit / l->throughput - 1));
        for (unsigned k = 0; k < PLAN_LATENCY_COUNT; k++)
            if (is_shown(p, k))
                table_cell(&t, "%s", units_duration(duration, l->latency_ns[k]));
        if (p->slo_count)
            table_cell(&t, "%s", slo_word(p, i));
        if (errors)
            table_cell(&t, "%.10g", l->errors);
        table_cell(&t, "%s", (long)i == p->highest ? "measured maximum" : "");
    }
    table_print(&t, out);
    table_release(&t);
}

static void sweep_print(FILE *out, const struct plan *p)
{
    const struct plan_series *s = &p->sweep;
    char name[48], from[TEXT_BUF], to[TEXT_BUF];
    size_t least = s->levels[0].repeats, most = least;

    for (size_t i = 0; i < s->count; i++) {
        least = s->levels[i].repeats < least ? s->levels[i].repeats : least;
        most = s->levels[i].repeats > most ? s->levels[i].repeats : most;
    }
    heading(out, "SWEEP");
    fprintf(out, "%s: %zu levels, %s to %s, ", text_escape(name, sizeof name, p->from, 40),
            s->count, level(from, s->levels[0].level),
            level(to, s->levels[s->count - 1].level) + 2);
    if (most == 1)
        fprintf(out, "measured once each\n");
    else if (least == most)
        fprintf(out, "medians of %zu repeats\n", most);
    else
        fprintf(out, "medians of %zu to %zu repeats\n", least, most);
    levels_print(out, p);
}

static void fit_print(FILE *out, const struct plan *p)
{
    char n[TEXT_BUF], x[TEXT_BUF];

    heading(out, "FIT");
    fprintf(out, "X(N) = gamma N / (1 + alpha (N-1) + beta N (N-1))");
    if (!isnan(p->fit.r_squared))
        fprintf(out, "  R2 %.4f%s", p->fit.r_squared,
                p->fit.r_squared < POOR_FIT ? ": poor, trust what was measured" : "");
    fprintf(out, "\n        gamma %s ops/s  alpha %.4g (contention)  beta %.4g (coherency)\n",
            rate(x, p->fit.gamma), p->fit.alpha, p->fit.beta);
    fprintf(out, "        ");
    if (isnan(p->knee))
        fprintf(out, "knee: none up to %s", level(n, floor(p->reach)));
    else
        fprintf(out, "knee %s, %s ops/s", level(n, p->knee),
                rate(x, usl_throughput(&p->fit, p->knee)));
    if (!isnan(p->peak))
        fprintf(out, "   predicted maximum %s ops/s at %s\n", rate(x, p->limit), level(n, p->peak));
    else if (isnan(p->limit))
        fprintf(out, "   maximum past %s, %gx what was measured\n", level(n, floor(p->reach)),
                PLAN_REACH);
    else if (isfinite(p->limit))
        fprintf(out, "   predicted maximum %s ops/s, never quite reached\n", rate(x, p->limit));
    else
        fprintf(out, "   no maximum: it scales with N\n");
    if (!isnan(p->at_throughput))
        fprintf(out, "        at %s: %s ops/s%s\n", level(n, p->at), rate(x, p->at_throughput),
                p->at > p->sweep.levels[p->sweep.count - 1].level ? ", not measured" : "");
}

static void binds_print(FILE *out, const struct plan *p)
{
    char n[TEXT_BUF];

    heading(out, "BINDS");
    if (p->fit.r_squared < POOR_FIT && p->binds != PLAN_BINDS_SLO)
        fprintf(out, "by a poor fit, ");
    if (p->binds == PLAN_BINDS_SLO)
        fprintf(out, "the SLO: more throughput was measured where it is broken");
    else if (p->binds == PLAN_BINDS_NOTHING)
        fprintf(out, "nothing");
    else
        fprintf(out, "%s",
                p->binds == PLAN_BINDS_CONTENTION ? "contention: threads wait for their turn"
                                                  : "coherency: threads wait for each other");
    fprintf(out,
            "\n        at %s contention adds %.3g and coherency %.3g to the 1 of an op alone\n",
            level(n, p->binds_level), p->contention, p->coherency);
}

static void slo_print(FILE *out, const struct plan *p)
{
    char n[TEXT_BUF], x[TEXT_BUF], shown[32], all[PLAN_SLOS_MAX * sizeof p->slo[0].text];
    size_t used = 0;

    heading(out, "SLO");
    for (int i = 0; i < p->slo_count; i++)
        used +=
            (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? "," : "", p->slo[i].text);
    fprintf(out, "%s", text_escape(shown, sizeof shown, all, 28));
    if (p->slo_last < 0)
        fprintf(out, ": met at no level\n");
    else {
        const struct plan_level *last = &p->sweep.levels[p->slo_last];
        fprintf(out, ": last met at %s, %s ops/s", level(n, last->level),
                rate(x, last->throughput));
        if (p->slo_broken < 0)
            fprintf(out, ", the largest measured\n");
        else
            fprintf(out, ", first broken at %s\n", level(n, p->sweep.levels[p->slo_broken].level));
    }
}

/* --- the queue --- */

static void queue_print(FILE *out, const struct plan *p)
{
    char a[TEXT_BUF], service[UNITS_BUF], text[UNITS_BUF], shown[32];

    heading(out, "QUEUE");
    fprintf(out, "M/M/%llu: %s mean service at %.4g%%: %s ops/s, p99 %.2f services\n",
            (unsigned long long)p->servers, units_duration(service, p->service_ns), 100 * p->util,
            rate(a, p->queue_rate), p->queue_ns[PLAN_P99] / p->service_ns);
    int column = fprintf(out, "        response");
    for (unsigned k = 0; k < PLAN_LATENCY_COUNT; k++) {
        char item[TEXT_BUF];
        if (isnan(p->queue_ns[k]))
            continue;
        int n = snprintf(item, sizeof item, "%s %s", plan_latency_name(k),
                         units_duration(text, p->queue_ns[k]));
        if (k)
            column += fprintf(out, ",");
        if (column + 1 + n >= TEXT_COLUMNS) /* the comma that may follow counts, too */
            column = fprintf(out, "\n        %s", item) - 1;
        else
            column += fprintf(out, " %s", item);
    }
    fputc('\n', out);
    for (int i = 0; i < p->slo_count; i++) {
        double expected = p->queue_ns[p->slo[i].latency];
        if (!isnan(expected))
            fprintf(out, "        %s is %s: %s expected\n",
                    text_escape(shown, sizeof shown, p->slo[i].text, 28),
                    plan_slo_met(&p->slo[i], expected) ? "met" : "broken",
                    units_duration(text, expected));
    }
}

/* --- the last line --- */

static void short_print(FILE *out, const struct plan *p, const char *where)
{
    char have[TEXT_BUF], need[TEXT_BUF];

    if (p->capacity < 0) {
        fprintf(out, "Short: the SLO is met at no measured level.\n");
        return;
    }
    double there = p->sweep.levels[p->capacity].throughput;
    fprintf(out, "Short: %s of %s ops/s%s, %.1f%% less; %.10g such instances would do.\n",
            rate(have, there), rate(need, p->provisioned), where,
            100 * (1 - there / p->provisioned), p->instances);
}

/* Without a sweep. */
static void queue_answer_print(FILE *out, const struct plan *p)
{
    char text[TEXT_BUF], p99[UNITS_BUF];
    unsigned long long servers = p->servers;
    const char *many = servers == 1 ? "" : "s";

    units_duration(p99, p->queue_ns[PLAN_P99]);
    if (!p->servers)
        fprintf(out, "Provision %s ops/s. --from SWEEP tells whether it is there.\n",
                rate(text, p->provisioned));
    else if (isnan(p->target))
        fprintf(out, "%llu server%s: %s ops/s with a p99 of %s.\n", servers, many,
                rate(text, p->queue_rate), p99);
    else if ((double)servers < p->servers_needed)
        fprintf(out, "Short: %llu server%s, and the target takes %.0f.\n", servers, many,
                p->servers_needed);
    else
        fprintf(out, "Provision %s ops/s: %llu server%s, with a p99 of at most %s.\n",
                rate(text, p->provisioned), servers, many, p99);
}

static void answer_print(FILE *out, const struct plan *p)
{
    char have[TEXT_BUF], n[TEXT_BUF];
    const char *where = p->slo_broken >= 0 ? " within the SLO" : "";

    switch (p->answer) {
    case PLAN_ENOUGH: {
        double there = p->sweep.levels[p->capacity].throughput;
        fprintf(out, "Enough: %s ops/s measured%s, %.2fx what to provision; %s is enough.\n",
                rate(have, there), where, there / p->provisioned, level(n, p->needed_level));
        break;
    }
    case PLAN_PREDICTED:
        fprintf(out, "Not measured, but predicted: %s gives %s ops/s. Measure %sthere.\n",
                level(n, p->needed_level), rate(have, usl_throughput(&p->fit, p->needed_level)),
                p->slo_count ? "that and the SLO " : "");
        break;
    case PLAN_SHORT:
        short_print(out, p, where);
        break;
    case PLAN_UNKNOWN:
        fprintf(out, "Unknown: %s ops/s measured, and whether more threads give it is past %s.\n",
                rate(have, p->sweep.levels[p->capacity].throughput), level(n, floor(p->reach)));
        break;
    case PLAN_NONE:
        if (p->from && p->capacity >= 0)
            fprintf(out, "Most%s: %s ops/s, measured at %s. --target tells whether it is enough.\n",
                    where, rate(have, p->sweep.levels[p->capacity].throughput),
                    level(n, p->sweep.levels[p->capacity].level));
        else if (p->from)
            fprintf(out, "The SLO is met at no measured level.\n");
        else
            queue_answer_print(out, p);
    }
}

void plan_print(FILE *out, const struct plan *p)
{
    if (!isnan(p->target))
        target_print(out, p);
    if (p->from) {
        sweep_print(out, p);
        fit_print(out, p);
        binds_print(out, p);
        if (p->slo_count)
            slo_print(out, p);
        if (errors_of(p) > 0)
            fprintf(out, "        operations failed: throughput counts those that did not\n");
    }
    if (p->servers)
        queue_print(out, p);
    fputc('\n', out);
    answer_print(out, p);
}
