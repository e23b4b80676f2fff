#include <math.h>
#include <string.h>

#include "analyzer/findings.h"
#include "analyzer/table.h"
#include "analyzer/text.h"
#include "analyzer/view_diff.h"
#include "common/units.h"

static const char *per_suffix(const struct diff *d)
{
    return d->per == DIFF_PER_OP ? "/op" : d->per == DIFF_PER_SECOND ? "/s" : "";
}

static const char *per_words(const struct diff *d)
{
    return d->per == DIFF_PER_OP ? " per op" : d->per == DIFF_PER_SECOND ? " per second" : "";
}

static bool has(const char *const *argv, uint32_t argc, const char *arg)
{
    for (uint32_t i = 1; i < argc; i++)
        if (strcmp(argv[i], arg) == 0)
            return true;
    return false;
}

/* ---- the two sides ---- */

/* The arguments that the other side does not have: what was changed. */
static void own_arguments(const struct model *m, const struct model *other, char *to, size_t size)
{
    size_t n = 0;
    char arg[64];
    to[0] = '\0';
    for (uint32_t i = 1; i < m->argc && n < size; i++)
        if (!has(other->argv, other->argc, m->argv[i]))
            n += (size_t)snprintf(to + n, size - n, "%s%s", n ? " " : "",
                                  text_escape(arg, sizeof arg, m->argv[i], 40));
}

static void side_row(struct table *t, const struct diff *d, int side)
{
    char text[UNITS_BUF], path[80], args[128];
    const struct diff_runs *runs = &d->sides[side];
    const struct diff_value *v[] = {&d->wall_ns, &d->ops, &d->rate};
    double value[3];
    for (int i = 0; i < 3; i++)
        value[i] = side == DIFF_A ? v[i]->a : v[i]->b;
    table_cell(t, side == DIFF_A ? "A" : "B");
    text_escape(path, sizeof path, runs->runs[0].path, 48);
    if (runs->count > 1)
        table_cell(t, "%s and %zu more", path, runs->count - 1);
    else
        table_cell(t, "%s", path);
    own_arguments(&runs->runs[0].model, &d->sides[1 - side].runs[0].model, args, sizeof args);
    table_cell(t, "%s", args);
    table_cell(t, "%s", units_duration(text, value[0]));
    if (d->progress) {
        table_cell(t, "%s ops", units_count(text, value[1]));
        table_cell(t, "%s/s", units_count(text, value[2]));
        if (side == DIFF_B && isfinite(d->rate.ratio))
            table_cell(t, "%+.1f%%", 100 * (d->rate.ratio - 1));
        else
            table_cell(t, "%s", "");
    }
}

static void sides_print(const struct diff *d, FILE *out)
{
    struct table t = {0};
    table_column(&t, NULL, TABLE_LEFT);
    table_column(&t, NULL, TABLE_NAME);
    table_column(&t, NULL, TABLE_NAME);
    for (int i = 0; i < (d->progress ? 4 : 1); i++)
        table_column(&t, NULL, TABLE_RIGHT);
    for (int side = 0; side < DIFF_SIDES; side++)
        side_row(&t, d, side);
    table_print(&t, out);
    table_release(&t);
}

static void unit_line(const struct diff *d, FILE *out)
{
    char a[UNITS_BUF], b[UNITS_BUF], name[64], text[400];
    text_escape(name, sizeof name, d->progress ? d->progress : "", 40);
    units_count(a, d->ops.a);
    units_count(b, d->ops.b);
    const char *unit =
        d->per == DIFF_TOTAL ? "In total."
        : d->progress        ? "Per second of run time."
                      : "Per second of run time: the profiles have no progress point in common.";
    char per_op[200];
    if (d->per == DIFF_PER_OP) {
        bool same = d->ops.a == d->ops.b;
        snprintf(per_op, sizeof per_op, "Per op (progress point \"%s\": %s %s%s).", name, a,
                 same ? "in both" : "and ", same ? "" : b);
        unit = per_op;
    }
    snprintf(text, sizeof text, "%s Change is B - A, minus is less.  ~ may be noise", unit);
    text_wrap(out, 0, "", text);
    fputc('\n', out);
}

/* ---- totals ---- */

/* Nearly all is not all: decimals are added until it does not look like 100 %, or cut off. */
static char *percent_text(double percent, const char *sign, char to[static TEXT_BUF])
{
    for (int decimals = 1; decimals <= 4; decimals++) {
        snprintf(to, TEXT_BUF, *sign ? "%+.*f%%" : "%.*f%%", decimals, percent);
        if (fabs(percent) == 100 || !strstr(to, "100.0"))
            return to;
    }
    if (fabs(percent) < 100)
        snprintf(to, TEXT_BUF, "%s99.9999%%", percent < 0 ? "-" : sign);
    return to;
}

static char *change_text(const struct diff_value *v, char to[static TEXT_BUF])
{
    if (isnan(v->delta))
        strcpy(to, "-");
    else if (v->delta == 0)
        strcpy(to, "=");
    else if (isnan(v->ratio))
        strcpy(to, "from 0");
    else if (v->ratio > 10)
        snprintf(to, TEXT_BUF, v->ratio < 100 ? "%.1fx" : "%.0fx", v->ratio);
    else
        percent_text(100 * (v->ratio - 1), "+", to);
    return to;
}

static void figure_text(const struct diff *d, int total, double v, char to[static TEXT_BUF])
{
    if (isnan(v))
        strcpy(to, "-");
    else if (total == DIFF_ALLOC_CALLS || total == DIFF_TEMPORARY_CALLS ||
             total == DIFF_LOCK_ACQUISITIONS || total == DIFF_LOCK_CONTENTIONS)
        d->per == DIFF_PER_OP ? (void)snprintf(to, TEXT_BUF, "%.3f", v) : (void)units_count(to, v);
    else if (total == DIFF_LIVE_BLOCKS)
        units_count(to, v);
    else if (total == DIFF_COST_NS || total == DIFF_CPU_NS || total == DIFF_LOCK_WAIT_NS ||
             total == DIFF_IO_WAIT_NS || total == DIFF_LOCK_HOLD_NS || total == DIFF_PROFILER_NS)
        units_duration(to, v);
    else
        units_size(to, v);
}

static void remark_text(const struct diff *d, int total, char to[static TEXT_BUF])
{
    const struct diff_value *v = &d->totals[total], *wait = &d->totals[DIFF_LOCK_WAIT_NS];
    *to = '\0';
    if (isnan(v->delta))
        strcpy(to, "not measured on both sides");
    else if (total == DIFF_COST_NS && isnan(wait->a) != isnan(wait->b))
        strcpy(to, "of cpu alone");
    else if (isfinite(v->low))
        snprintf(to, TEXT_BUF, "%+.1f%% .. %+.1f%%%s", 100 * (v->low - 1), 100 * (v->high - 1),
                 v->noise ? "  ~" : "");
    else if (total == DIFF_PEAK_BYTES && d->totals[DIFF_ALLOC_CALLS].exact)
        strcpy(to, "within 1%"); /* sampled ones are far wider */
    else if (total == DIFF_PROFILER_NS || (total == DIFF_LOCK_HOLD_NS && !v->noise))
        strcpy(to, "not in cost");
    else if (v->exact)
        strcpy(to, "exact");
    else if (v->noise && v->delta != 0)
        strcpy(to, "~");
}

static void totals_print(const struct diff *d, FILE *out)
{
    static const struct {
        const char *label;
        bool per_unit;
    } rows[] = {
#define X(metric, key, label, per_unit) {label, per_unit},
        DIFF_TOTALS(X)
#undef X
    };
    struct table t = {0};
    char text[TEXT_BUF];
    bool waits =
        !isnan(d->totals[DIFF_LOCK_WAIT_NS].delta) || !isnan(d->totals[DIFF_IO_WAIT_NS].delta);
    table_column(&t, "", TABLE_LEFT);
    table_column(&t, "A", TABLE_RIGHT);
    table_column(&t, "B", TABLE_RIGHT);
    table_column(&t, "change", TABLE_RIGHT);
    table_column(&t, "", TABLE_LEFT);
    for (int i = 0; i < DIFF_TOTAL_COUNT; i++) {
        const struct diff_value *v = &d->totals[i];
        bool part_of_cost = i == DIFF_CPU_NS || i == DIFF_LOCK_WAIT_NS || i == DIFF_IO_WAIT_NS;
        if ((isnan(v->a) && isnan(v->b)) || (part_of_cost && !waits))
            continue;
        if (i == DIFF_PROFILER_NS && v->a == 0 && v->b == 0)
            continue;
        table_cell(&t, " %s%s%s", part_of_cost ? "  " : "", rows[i].label,
                   rows[i].per_unit ? per_suffix(d) : "");
        figure_text(d, i, v->a, text);
        table_cell(&t, "%s", text);
        figure_text(d, i, v->b, text);
        table_cell(&t, "%s", text);
        table_cell(&t, "%s", change_text(v, text));
        remark_text(d, i, text);
        table_cell(&t, "%s", text);
    }
    table_print(&t, out);
    table_release(&t);
}

/* ---- sites and functions ---- */

static char *calls_text(const struct diff *d, double v, const char *sign, char to[static TEXT_BUF])
{
    char text[UNITS_BUF];
    if (d->per == DIFF_PER_OP)
        snprintf(to, TEXT_BUF, *sign ? "%+.3f" : "%.3f", v);
    else
        snprintf(to, TEXT_BUF, "%s%s", *sign && v > 0 ? "+" : "", units_count(text, v));
    return to;
}

/* Too small a change to show with three decimals. */
static bool is_shown(const struct diff *d, const struct diff_item *item)
{
    double least = d->per == DIFF_PER_OP ? 0.0005 : 0.5;
    return fabs(item->calls.delta) >= least;
}

static void sites_print(const struct diff *d, FILE *out, size_t limit, bool all)
{
    struct table t = {0};
    char text[TEXT_BUF], title[32], name[128], place[64];
    size_t changed = 0, shown = 0;
    if (isnan(d->totals[DIFF_ALLOC_CALLS].delta))
        return;
    snprintf(title, sizeof title, "allocs%s: A", per_suffix(d));
    table_column(&t, title, TABLE_RIGHT);
    table_column(&t, "B", TABLE_RIGHT);
    table_column(&t, "change", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_FILE);
    table_column(&t, "", TABLE_LEFT);
    for (size_t i = 0; i < d->sites.count; i++) {
        const struct diff_item *item = &d->sites.items[i];
        if (!all && !is_shown(d, item))
            continue;
        if (changed++ >= limit && !all)
            continue;
        shown++;
        table_cell(&t, "%s", item->in_a ? calls_text(d, item->calls.a, "", text) : "-");
        table_cell(&t, "%s", item->in_b ? calls_text(d, item->calls.b, "", text) : "-");
        table_cell(&t, "%s", calls_text(d, item->calls.delta, "+", text));
        table_cell(&t, "%s", text_short_name(name, sizeof name, item->name, 44));
        if (item->line)
            snprintf(place, sizeof place, "%.40s:%u", item->file ? item->file : "?", item->line);
        else
            snprintf(place, sizeof place, "%.40s", item->module ? item->module : "");
        table_cell(&t, "%s", place);
        table_cell(&t, "%s", !item->in_a ? "new" : !item->in_b ? "gone" : "");
    }
    fputc('\n', out);
    if (shown)
        table_print(&t, out);
    else
        fputs(" No site allocates more or less.\n", out);
    if (changed > shown)
        fprintf(out, " %zu more changed sites: --all\n", changed - shown);
    table_release(&t);
}

/* One line of the functions whose own time changed most: "ns/op, flat: malloc 697 -> 8 ...". */
static void functions_line(const struct diff *d, FILE *out)
{
    enum { shown_most = 6 };
    char line[TEXT_COLUMNS + 1] = "", name[64], piece[200], a[UNITS_BUF], b[UNITS_BUF];
    size_t n = 0, shown = 0;
    if (isnan(d->totals[DIFF_CPU_NS].delta))
        return;
    n = (size_t)snprintf(line, sizeof line, " cpu%s, flat:", per_suffix(d));
    for (size_t i = 0; i < d->functions.count && shown < shown_most; i++) {
        const struct diff_item *item = &d->functions.items[i];
        if (item->cpu.noise || item->cpu.delta == 0)
            continue;
        text_short_name(name, sizeof name, item->name, 28);
        units_duration(a, item->cpu.a);
        units_duration(b, item->cpu.b);
        int bytes = item->in_a && item->in_b
                        ? snprintf(piece, sizeof piece, "  %s %s -> %s", name, a, b)
                    : item->in_b ? snprintf(piece, sizeof piece, "  %s +%s new", name, b)
                                 : snprintf(piece, sizeof piece, "  %s -%s gone", name, a);
        if (n + (size_t)bytes > TEXT_COLUMNS)
            break;
        memcpy(line + n, piece, (size_t)bytes + 1);
        n += (size_t)bytes;
        shown++;
    }
    if (shown)
        fprintf(out, "%s\n", line);
}

/* ---- in words ---- */

static const char *more_or_less(const struct diff_value *v)
{
    return v->delta < 0 ? "less" : "more";
}

/* "12.3% less", "14 times as much" */
static char *change_words(const struct diff_value *v, char to[static TEXT_BUF])
{
    char percent[TEXT_BUF];
    if (v->ratio > 10)
        snprintf(to, TEXT_BUF, "%.0f times as much", v->ratio);
    else
        snprintf(to, TEXT_BUF, "%.20s %s", percent_text(100 * fabs(v->ratio - 1), "", percent),
                 more_or_less(v));
    return to;
}

static void sentence(const struct diff *d, FILE *out)
{
    char text[400] = "B", size[UNITS_BUF], change[TEXT_BUF];
    size_t n = 1;
    const struct diff_value *allocs = &d->totals[DIFF_ALLOC_CALLS];
    const struct diff_value *cost = &d->totals[DIFF_COST_NS], *peak = &d->totals[DIFF_PEAK_BYTES];
#define SAY(...) (n += (size_t)snprintf(text + n, sizeof text - n, __VA_ARGS__))
    if (!isnan(allocs->delta)) {
        if (allocs->delta == 0)
            SAY(" allocates as often%s", per_words(d));
        else if (isnan(allocs->ratio))
            SAY(" allocates, which A did not");
        else
            SAY(" allocates %s%s", change_words(allocs, change), per_words(d));
    }
    if (!isnan(cost->delta) && !isnan(cost->ratio)) {
        SAY("%s costs ", n > 1 ? " and" : "");
        if (cost->noise)
            SAY("the same%s%s", per_words(d), cost->delta != 0 ? ", as far as one can tell" : "");
        else
            SAY("%s%s", change_words(cost, change), per_words(d));
    }
    if (!isnan(peak->delta) && !peak->noise)
        SAY("%s holds %s %s at its peak", n > 1 ? "; it" : "", units_size(size, fabs(peak->delta)),
            more_or_less(peak));
    SAY(".");
#undef SAY
    if (text[1] == '.')
        return; /* nothing was measured on both sides */
    fputc('\n', out);
    text_wrap(out, 0, "", text);
}

/* "-2.30 allocs/op, -0.21 us/op" */
static char *advisor_text(const struct diff *d, double calls, double ns,
                          char to[static 2 * TEXT_BUF])
{
    char text[TEXT_BUF];
    size_t n;
    if (d->per == DIFF_PER_OP)
        n = (size_t)snprintf(to, 2 * TEXT_BUF, "%+.2f allocs/op", calls);
    else
        n = (size_t)snprintf(to, 2 * TEXT_BUF, "%s allocs%s", calls_text(d, calls, "+", text),
                             per_suffix(d));
    if (!isnan(ns)) {
        units_duration(text, fabs(ns));
        snprintf(to + n, 2 * TEXT_BUF - n, ", %s%s%s", ns < 0 ? "-" : "+", text, per_suffix(d));
    }
    return to;
}

static void advisor_line(const struct diff *d, FILE *out)
{
    char predicted[2 * TEXT_BUF], measured[2 * TEXT_BUF], words[6 * TEXT_BUF];
    const struct diff_advisor *a = &d->advisor;
    if (!a->sites)
        return;
    snprintf(words, sizeof words, "Pool advisor, %zu site%s: predicted %s; measured %s%s.",
             a->sites, a->sites == 1 ? "" : "s",
             advisor_text(d, a->predicted_calls, a->predicted_ns, predicted),
             advisor_text(d, a->measured_calls, a->measured_ns, measured),
             d->totals[DIFF_CPU_NS].noise ? " (cpu: may be noise)" : "");
    text_wrap(out, 0, "", words);
}

static const char *signed_time(double ns, char to[static TEXT_BUF])
{
    char text[UNITS_BUF];
    snprintf(to, TEXT_BUF, "%s%s", ns < 0 ? "-" : "+", units_duration(text, fabs(ns)));
    return to;
}

static void moved_line(const struct diff *d, FILE *out)
{
    char predicted[TEXT_BUF], measured[TEXT_BUF], lock[64], words[6 * TEXT_BUF];
    const struct diff_moved *m = &d->moved;
    if (!*m->lock || isnan(m->measured_ns))
        return;
    snprintf(words, sizeof words, "Lock %s, held for less: predicted cost %s%s; measured %s%s%s.",
             text_escape(lock, sizeof lock, m->lock, 40), signed_time(m->predicted_ns, predicted),
             per_suffix(d), signed_time(m->measured_ns, measured), per_suffix(d),
             d->totals[DIFF_COST_NS].noise ? " (may be noise)" : "");
    text_wrap(out, 0, "", words);
}

static void runs_line(const struct diff *d, FILE *out)
{
    size_t a = d->sides[DIFF_A].count, b = d->sides[DIFF_B].count;
    if (a == 1 && b == 1)
        fputs(
            "One run a side: times have no interval. diff A1 A2 A3 A4 -- B1 B2 B3 B4 gives one.\n",
            out);
    else if (isnan(d->totals[DIFF_COST_NS].low))
        fprintf(out, "Medians of %zu and %zu runs; an interval needs 4 a side.\n", a, b);
    else
        fprintf(out,
                "Medians of %zu and %zu runs; intervals hold the true change in 95%% of cases.\n",
                a, b);
}

/* What to do next: the first finding about B. */
static void next_line(const struct diff *d, FILE *out)
{
    char text[FINDINGS_WHERE_BYTES], words[TEXT_COLUMNS + FINDINGS_WHERE_BYTES];
    const struct diff_run *run = &d->sides[DIFF_B].runs[0];
    struct findings findings;
    findings_build(&findings, &run->model, run->frames);
    if (findings.worth) {
        const struct finding *top = &findings.items[0];
        findings_where(top, run->frames, text);
        if (top->kind == FINDING_OVERRUN)
            snprintf(words, sizeof words, "%s: %s", top->title, text);
        else if (top->kind == FINDING_RSS_OVER_LIVE)
            snprintf(words, sizeof words, "%s, %.1f%% of B's peak RSS", top->title,
                     100 * top->peak_share);
        else if (top->kind == FINDING_OVERSUBSCRIPTION)
            snprintf(words, sizeof words, "%s, %.1f%% of B's time without a CPU", top->title,
                     100 * top->ready_share);
        else
            snprintf(words, sizeof words, "%s, %.1f%% of B: %s", top->title, 100 * top->share,
                     text);
        text_wrap(out, 0, "Next: ", words);
    }
    findings_release(&findings);
}

void view_diff(const struct diff *d, FILE *out, size_t limit, bool all)
{
    sides_print(d, out);
    unit_line(d, out);
    totals_print(d, out);
    sites_print(d, out, limit, all);
    functions_line(d, out);
    sentence(d, out);
    advisor_line(d, out);
    moved_line(d, out);
    runs_line(d, out);
    next_line(d, out);
}
