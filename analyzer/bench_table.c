#include "analyzer/bench.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "analyzer/bench_run.h"
#include "common/units.h"

#define NOISE_P      0.05 /* from here on a difference is marked ~ */
#define LABEL_MAX    24
#define NAME_CUT     15  /* sizes of buffers: a side's name in the text … */
#define COLUMN_CUT   12  /* … and above its column */
#define SHORT_RUN_NS 5e6 /* below, the start of the shell matters */

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
    snprintf(buf, 40, fabs(v / s->divide) < 1e12 ? "%.*f%s" : "%.*e%s", s->decimals, v / s->divide,
             s->suffix);
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

char *bench_text_cut(char *buf, size_t size, const char *text)
{
    size_t n = strlen(text), shown = n < size ? n : size - 3;

    for (size_t i = 0; i < shown; i++)
        buf[i] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
    strcpy(buf + shown, n < size ? "" : "..");
    return buf;
}

/* A long path is cut at its start: its end tells more. */
static const char *label_text(char buf[static LABEL_MAX + 1], const struct bench_metric *m)
{
    size_t n = strlen(m->label);

    if (n <= LABEL_MAX)
        return bench_text_cut(buf, LABEL_MAX + 1, m->label);
    bench_text_cut(buf, LABEL_MAX + 1, m->label + n - LABEL_MAX);
    return memcpy(buf, "..", 2);
}

static int label_width(const struct bench *b)
{
    size_t width = 8;

    for (size_t i = 0; i < b->metric_count; i++) {
        size_t n = strlen(b->metric[i].label);
        width = n > width ? n : width;
    }
    return (int)(width > LABEL_MAX ? LABEL_MAX : width);
}

static void one_side_row(FILE *out, const struct bench_metric *m, size_t runs, int width)
{
    struct five f = five_of(m->v[0], runs);
    struct scale s = scale_pick(m->unit, f.v, 5);
    char value[5][40], label[LABEL_MAX + 1], spread[16], quartiles[84], ends[84];

    for (int i = 0; i < 5; i++)
        value_text(value[i], &s, f.v[i]);
    for (int i = LEAST; i < MIDDLE; i++) /* the unit once is enough */
        value[i][strlen(value[i]) - strlen(s.suffix)] = '\0';
    snprintf(quartiles, sizeof quartiles, "%s .. %s", value[LOW], value[HIGH]);
    snprintf(ends, sizeof ends, "%s .. %s", value[LEAST], value[MOST]);
    fprintf(out, "%-*s", width, label_text(label, m));
    fprintf(out, " %11s %7s %24s %24s\n", value[MIDDLE], spread_text(spread, &f), quartiles, ends);
}

static void two_sides_row(FILE *out, const struct bench *b, const struct bench_metric *m, int width)
{
    struct five f[2];
    char value[40], label[LABEL_MAX + 1], text[16], interval[40] = "-";
    double medians[2];
    struct scale s;

    for (int i = 0; i < 2; i++) {
        f[i] = five_of(m->v[i], b->side[i].runs);
        medians[i] = f[i].v[MIDDLE];
    }
    s = scale_pick(m->unit, medians, 2);
    fprintf(out, "%-*s", width, label_text(label, m));
    for (int i = 0; i < 2; i++) {
        fprintf(out, " %11s", value_text(value, &s, medians[i]));
        fprintf(out, " %6s", spread_text(text, &f[i]));
    }
    if (!isnan(m->ratio.low)) {
        int n = snprintf(interval, sizeof interval, "%s .. ", ratio_text(text, m->ratio.low));
        snprintf(interval + n, sizeof interval - (size_t)n, "%s", ratio_text(text, m->ratio.high));
    }
    fprintf(out, " %7s", ratio_text(text, m->ratio.ratio));
    fprintf(out, " %14s", interval);
    fprintf(out, " %7s%s\n", p_text(text, m->ratio.p), m->ratio.p >= NOISE_P ? " ~" : "");
}

/* One line on a metric's ratio, or why there is none. */
static void verdict_print(FILE *out, const struct bench *b, const struct bench_metric *m)
{
    bool wall = m == &b->metric[BENCH_WALL];
    struct stats_ratio r = m->ratio;
    char label[LABEL_MAX + 1], name_a[NAME_CUT], name_b[NAME_CUT], ratio[16], low[16], high[16];

    bench_text_cut(name_a, sizeof name_a, b->side[0].name);
    bench_text_cut(name_b, sizeof name_b, b->side[1].name);
    ratio_text(ratio, r.ratio);
    ratio_text(low, r.low);
    ratio_text(high, r.high);
    if (!wall)
        fprintf(out, "%s: ", label_text(label, m));
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
    char elapsed[UNITS_BUF], name[2][NAME_CUT], command[BENCH_COMMAND_CUT], status[64];
    size_t width = 0;

    for (int i = 0; i < b->sides; i++) {
        size_t n = strlen(bench_text_cut(name[i], sizeof name[i], b->side[i].name));
        width = n > width ? n : width;
    }
    for (int i = 0; i < b->sides; i++)
        fprintf(out, "%-*s  %s%s\n", (int)width, name[i],
                bench_text_cut(command, sizeof command, b->side[i].command),
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

static void one_side_print(FILE *out, const struct bench *b)
{
    int width = label_width(b);

    fprintf(out, "%*s %11s %7s %24s %24s\n", width, "", "median", "spread", "25% .. 75%",
            "min .. max");
    for (size_t i = 0; i < b->metric_count; i++)
        one_side_row(out, &b->metric[i], b->side[0].runs, width);
}

static void two_sides_print(FILE *out, const struct bench *b)
{
    int width = label_width(b);
    bool noise = false, named = strcmp(b->side[0].name, "A") != 0;
    bool asked = bench_prints_metrics(b); /* verdicts are on what was asked for, else on wall */
    char name[COLUMN_CUT];

    fprintf(out, "%*s", width, "");
    for (int i = 0; i < 2; i++)
        fprintf(out, " %11s %6s", bench_text_cut(name, sizeof name, b->side[i].name), "+-");
    fprintf(out, " %7s %14s %7s\n", named ? "ratio" : "B/A", "95% interval", "p");
    for (size_t i = 0; i < b->metric_count; i++) {
        two_sides_row(out, b, &b->metric[i], width);
        noise = noise || b->metric[i].ratio.p >= NOISE_P;
    }
    if (noise)
        fprintf(out, "~ may be noise (p >= %g)\n", NOISE_P);
    fputc('\n', out);
    if (!asked)
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
