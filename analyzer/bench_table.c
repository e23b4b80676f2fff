#include "analyzer/bench.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "analyzer/bench_run.h"
#include "analyzer/table.h"
#include "analyzer/text.h"
#include "common/units.h"

#define NOISE_P       0.05 /* from here on a difference is marked ~ */
#define LABEL_COLUMNS 24   /* of a metric in the text */
#define NAME_COLUMNS  14   /* of a command's name */
#define TITLE_COLUMNS 11   /* of that name above its column */
#define SHORT_RUN_NS  5e6  /* below, the start of the shell matters */

/* A row's values share one unit and one number of decimals, so that they can be compared by eye. */
struct scale {
    double divide;
    int decimals;
    const char *suffix;
};

struct step {
    double from, divide;
    const char *suffix;
};

static const struct step TIMES[] = {
    {1e9, 1e9, " s"}, {1e6, 1e6, " ms"}, {1e3, 1e3, " us"}, {0, 1, " ns"}};
static const struct step SIZES[] = {{1LL << 30, 1LL << 30, " GiB"},
                                    {1 << 20, 1 << 20, " MiB"},
                                    {1 << 10, 1 << 10, " KiB"},
                                    {0, 1, " B"}};
static const struct step NUMBERS[] = {{1e9, 1e9, " G"}, {1e6, 1e6, " M"}, {0, 1, ""}};

/* Unit of the largest value, decimals for four digits of the smallest. */
static struct scale scale_pick(enum bench_unit unit, const double *values, size_t n)
{
    const struct step *s = unit == BENCH_NS ? TIMES : unit == BENCH_BYTES ? SIZES : NUMBERS;
    double least = INFINITY, most = 0;
    bool whole = true;
    struct scale out;

    for (size_t i = 0; i < n; i++) {
        double v = fabs(values[i]);
        most = fmax(most, v);
        if (v > 0)
            least = fmin(least, v);
        whole = whole && v == floor(v);
    }
    while (most < s->from)
        s++;
    out.divide = s->divide;
    out.suffix = s->suffix;
    out.decimals = 0;
    if (isfinite(least) && !(whole && s->divide == 1)) {
        double digits = floor(log10(least / s->divide));
        out.decimals = digits >= 3 ? 0 : digits <= 0 ? 3 : 3 - (int)digits;
    }
    return out;
}

static const char *value_text(char buf[static 40], const struct scale *s, double v)
{
    snprintf(buf, 40, fabs(v / s->divide) < 1e12 ? "%.*f" : "%.*e", s->decimals, v / s->divide);
    return buf;
}

/* Median, quartiles and ends of one side. */
struct five {
    double v[5];
};
enum { LEAST, LOW, MIDDLE, HIGH, MOST };

static struct five five_of(const double *v, size_t n)
{
    double sorted[BENCH_RUNS_MAX];
    struct five out;

    memcpy(sorted, v, n * sizeof *v);
    stats_sort(sorted, n);
    for (int i = 0; i < 5; i++)
        out.v[i] = stats_quantile(sorted, n, i / 4.0);
    return out;
}

/* Half the distance of the quartiles, of the median: "0.4%". */
static const char *spread_text(char buf[static 16], const struct five *f)
{
    double spread = (f->v[HIGH] - f->v[LOW]) / 2 / fabs(f->v[MIDDLE]) * 100;

    if (f->v[HIGH] == f->v[LOW])
        spread = 0;
    if (isinf(spread))
        snprintf(buf, 16, "-");
    else if (spread < 999.5)
        snprintf(buf, 16, "%.*f%%", spread < 9.95 ? 1 : 0, spread);
    else
        snprintf(buf, 16, ">999%%");
    return buf;
}

static const char *ratio_text(char buf[static 16], double ratio)
{
    if (isnan(ratio))
        snprintf(buf, 16, "-");
    else if (isinf(ratio))
        snprintf(buf, 16, "new");
    else if (ratio != 0 && (fabs(ratio) < 0.00995 || fabs(ratio) >= 99999.5))
        snprintf(buf, 16, "%.2g", ratio);
    else
        snprintf(buf, 16, "%.*f", fabs(ratio) < 9.9995 ? 3 : fabs(ratio) < 99.95 ? 1 : 0, ratio);
    return buf;
}

static const char *p_text(char buf[static 16], double p)
{
    if (p < 0.0001)
        snprintf(buf, 16, "<0.0001");
    else
        snprintf(buf, 16, "%.4f", p);
    return buf;
}

static const char *name_text(char buf[static NAME_COLUMNS + 1], const struct bench_side *side)
{
    return text_escape(buf, NAME_COLUMNS + 1, side->name, NAME_COLUMNS);
}

static void label_cell(struct table *t, const struct bench_metric *m)
{
    char label[TEXT_BUF];
    table_cell(t, "%s", text_escape(label, sizeof label, m->label, sizeof label));
}

static void one_side_print(FILE *out, const struct bench *b)
{
    struct table t = {0};

    table_column(&t, "", TABLE_NAME);
    table_column(&t, "median", TABLE_RIGHT);
    table_column(&t, "+-", TABLE_RIGHT);
    table_column(&t, "25% .. 75%", TABLE_RIGHT);
    table_column(&t, "min .. max", TABLE_RIGHT);
    for (size_t i = 0; i < b->metric_count; i++) {
        const struct bench_metric *m = &b->metric[i];
        struct five f = five_of(m->v[0], b->side[0].runs);
        struct scale s = scale_pick(m->unit, f.v, 5);
        char from[40], to[40], spread[16];

        label_cell(&t, m);
        table_cell(&t, "%s%s", value_text(to, &s, f.v[MIDDLE]), s.suffix);
        table_cell(&t, "%s", spread_text(spread, &f));
        table_cell(&t, "%s .. %s%s", value_text(from, &s, f.v[LOW]), value_text(to, &s, f.v[HIGH]),
                   s.suffix);
        table_cell(&t, "%s .. %s%s", value_text(from, &s, f.v[LEAST]),
                   value_text(to, &s, f.v[MOST]), s.suffix);
    }
    table_print(&t, out);
    table_release(&t);
}

static void ratio_cells(struct table *t, const struct stats_ratio *r)
{
    char text[16], high[16];

    table_cell(t, "%s", ratio_text(text, r->ratio));
    if (isnan(r->low))
        table_cell(t, "-");
    else
        table_cell(t, "%s .. %s", ratio_text(text, r->low), ratio_text(high, r->high));
    table_cell(t, "%s", p_text(text, r->p));
    table_cell(t, "%s", r->p >= NOISE_P ? "~" : "");
}

static void two_sides_table(FILE *out, const struct bench *b)
{
    struct table t = {0};
    bool named = strcmp(b->side[0].name, "A") != 0;
    char title[2][TITLE_COLUMNS + 1], text[40];

    table_column(&t, "", TABLE_NAME);
    for (int i = 0; i < 2; i++) {
        text_escape(title[i], sizeof title[i], b->side[i].name, TITLE_COLUMNS);
        table_column(&t, title[i], TABLE_RIGHT);
        table_column(&t, "+-", TABLE_RIGHT);
    }
    table_column(&t, named ? "ratio" : "B/A", TABLE_RIGHT);
    table_column(&t, "95% interval", TABLE_RIGHT);
    table_column(&t, "p", TABLE_RIGHT);
    table_column(&t, "", TABLE_LEFT);
    for (size_t i = 0; i < b->metric_count; i++) {
        const struct bench_metric *m = &b->metric[i];
        struct five f[2] = {five_of(m->v[0], b->side[0].runs), five_of(m->v[1], b->side[1].runs)};
        double medians[2] = {f[0].v[MIDDLE], f[1].v[MIDDLE]};
        struct scale s = scale_pick(m->unit, medians, 2);

        label_cell(&t, m);
        for (int side = 0; side < 2; side++) {
            table_cell(&t, "%s%s", value_text(text, &s, medians[side]), s.suffix);
            table_cell(&t, "%s", spread_text(text, &f[side]));
        }
        ratio_cells(&t, &m->ratio);
    }
    table_print(&t, out);
    table_release(&t);
}

/* One line on a metric's ratio, or why there is none. */
static void verdict_print(FILE *out, const struct bench *b, const struct bench_metric *m)
{
    bool wall = m == &b->metric[BENCH_WALL];
    struct stats_ratio r = m->ratio;
    char label[LABEL_COLUMNS + 1], ratio[16], low[16], high[16];
    char name_a[NAME_COLUMNS + 1], name_b[NAME_COLUMNS + 1];

    name_text(name_a, &b->side[0]);
    name_text(name_b, &b->side[1]);
    ratio_text(ratio, r.ratio);
    ratio_text(low, r.low);
    ratio_text(high, r.high);
    if (!wall)
        fprintf(out, "%s: ", text_escape(label, sizeof label, m->label, LABEL_COLUMNS));
    if (isnan(r.low)) {
        size_t n = b->side[1].runs;
        double least =
            b->paired ? stats_signed_rank_least(n) : stats_rank_sum_least(b->side[0].runs, n);
        fprintf(out, "no interval for %s/%s: %s\n", name_b, name_a,
                least <= 1 - STATS_CONFIDENCE ? "not all values are above 0"
                : b->paired                   ? "it takes 6 pairs"
                                              : "it takes more runs, such as 4 of each");
    } else if (r.p >= NOISE_P) {
        fprintf(out, "no difference shown: %s %s %s to %s times %s%s\n", name_b,
                wall ? "takes" : "is", low, high, wall ? "as long as " : "", name_a);
    } else if (wall && r.ratio < 1) {
        fprintf(out, "%s is %s times as fast as %s (95%%: %s to %s)\n", name_b,
                ratio_text(ratio, 1 / r.ratio), name_a, ratio_text(low, 1 / r.high),
                ratio_text(high, 1 / r.low));
    } else {
        fprintf(out, "%s %s %s times %s%s (95%%: %s to %s)\n", name_b, wall ? "takes" : "is", ratio,
                wall ? "as long as " : "", name_a, low, high);
    }
}

static void head_print(FILE *out, const struct bench *b)
{
    const struct bench_side *last = &b->side[b->sides - 1];
    char elapsed[UNITS_BUF], name[2][NAME_COLUMNS + 1], status[64];
    char command[BENCH_COMMAND_COLUMNS + 1];
    size_t width = 0;

    for (int i = 0; i < b->sides; i++) {
        size_t n = strlen(name_text(name[i], &b->side[i]));
        width = n > width ? n : width;
    }
    for (int i = 0; i < b->sides; i++)
        fprintf(out, "%-*s  %s%s\n", (int)width, name[i],
                text_escape(command, sizeof command, b->side[i].command, BENCH_COMMAND_COLUMNS),
                b->sides == 2 && !b->paired && i == 0 ? "  (baseline)" : "");
    if (b->paired)
        fprintf(out, "%zu pairs, each in random order (seed %" PRIu64 ")", last->runs, b->seed);
    else
        fprintf(out, "%zu run%s", last->runs, last->runs == 1 ? "" : "s");
    if (b->sides == 2 && !b->paired)
        fprintf(out, " against %zu", b->side[0].runs);
    fprintf(out, ", %" PRIu64 " warm-up%s, %s\n", b->warmup, b->warmup == 1 ? "" : "s",
            units_duration(elapsed, (double)b->elapsed_ns));
    for (int i = 0; i < b->sides; i++)
        if (b->side[i].failures)
            fprintf(out, "%s failed in %zu of %zu runs (last: %s)\n", name[i], b->side[i].failures,
                    b->side[i].runs, bench_status_text(b->side[i].status, status));
    fputc('\n', out);
}

static void two_sides_print(FILE *out, const struct bench *b)
{
    bool noise = false, asked = bench_prints_metrics(b);

    two_sides_table(out, b);
    for (size_t i = 0; i < b->metric_count; i++)
        noise = noise || b->metric[i].ratio.p >= NOISE_P;
    if (noise)
        fprintf(out, " ~ may be noise (p >= %g)\n", NOISE_P);
    fputc('\n', out);
    if (!asked) /* the last words are on what was asked for, or on wall time */
        verdict_print(out, b, &b->metric[BENCH_WALL]);
    for (size_t i = BENCH_MEASURE_COUNT; i < b->metric_count; i++)
        verdict_print(out, b, &b->metric[i]);
    if (!b->paired)
        fprintf(out, "The runs lie apart in time: what changed on the machine counts too.\n");
}

void bench_print(FILE *out, const struct bench *b)
{
    head_print(out, b);
    if (b->sides == 1)
        one_side_print(out, b);
    else
        two_sides_print(out, b);
    if (stats_median(b->metric[BENCH_WALL].v[b->sides - 1], b->side[b->sides - 1].runs) <
        SHORT_RUN_NS)
        fprintf(out, "Runs under 5 ms: the start of the shell is a part of them.\n");
}
