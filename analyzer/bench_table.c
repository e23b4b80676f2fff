#include "analyzer/bench.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "analyzer/bench_run.h"
#include "common/units.h"

#define NOISE_P          0.05 /* from here on a difference is marked ~ */
#define LABEL_MAX        24
#define NAME_MAX_COLUMNS 20
#define COMMAND_MAX      66
#define SHORT_RUN_NS     5e6 /* below, the start of the shell matters */

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

/* A user's text on one line of a terminal: no control characters, cut at `max`. */
static void text_print(FILE *out, const char *text, size_t max)
{
    size_t n = strlen(text), shown = n > max ? max - 2 : n;

    for (size_t i = 0; i < shown; i++)
        fputc(iscntrl((unsigned char)text[i]) ? ' ' : text[i], out);
    fputs(n > max ? ".." : "", out);
}

static void label_print(FILE *out, const struct bench_metric *m, int width)
{
    int n = (int)strlen(m->label);

    if (n > LABEL_MAX) /* the end of a path tells more than its start */
        fprintf(out, "..%-*s", width - 2, m->label + n - LABEL_MAX + 2);
    else
        fprintf(out, "%-*s", width, m->label);
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
    char value[5][40], spread[16], quartiles[84], ends[84];

    for (int i = 0; i < 5; i++)
        value_text(value[i], &s, f.v[i]);
    for (int i = LEAST; i < MIDDLE; i++) /* the unit once is enough */
        value[i][strlen(value[i]) - strlen(s.suffix)] = '\0';
    snprintf(quartiles, sizeof quartiles, "%s .. %s", value[LOW], value[HIGH]);
    snprintf(ends, sizeof ends, "%s .. %s", value[LEAST], value[MOST]);
    label_print(out, m, width);
    fprintf(out, " %11s %7s %24s %24s\n", value[MIDDLE], spread_text(spread, &f), quartiles, ends);
}

static void two_sides_row(FILE *out, const struct bench *b, const struct bench_metric *m, int width)
{
    struct five f[2];
    char value[40], text[16], interval[40] = "-";
    double medians[2];
    struct scale s;

    for (int i = 0; i < 2; i++) {
        f[i] = five_of(m->v[i], b->side[i].runs);
        medians[i] = f[i].v[MIDDLE];
    }
    s = scale_pick(m->unit, medians, 2);
    label_print(out, m, width);
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
    const char *a_name = b->side[0].name, *b_name = b->side[1].name;
    bool wall = m == &b->metric[BENCH_WALL];
    struct stats_ratio r = m->ratio;
    char ratio[16], low[16], high[16];

    if (!wall)
        fprintf(out, "%s: ", m->label);
    if (isnan(r.low)) {
        fprintf(out, "no interval for B/A: ");
        if (b->paired ? b->side[0].runs < 6 : b->side[0].runs < 4 || b->side[1].runs < 4)
            fprintf(out, b->paired ? "it takes 6 pairs" : "it takes 4 runs of each");
        else
            fprintf(out, "values are not all above 0");
        return;
    }
    if (r.p >= NOISE_P) {
        fprintf(out, "no difference shown; if there is one, ");
        text_print(out, b_name, NAME_MAX_COLUMNS);
        fprintf(out, wall ? " takes %s to %s times as long as " : " is %s to %s times ",
                ratio_text(low, r.low), ratio_text(high, r.high));
        text_print(out, a_name, NAME_MAX_COLUMNS);
        return;
    }
    text_print(out, b_name, NAME_MAX_COLUMNS);
    if (wall && r.ratio < 1) {
        fprintf(out, " is %s times as fast as ", ratio_text(ratio, 1 / r.ratio));
        text_print(out, a_name, NAME_MAX_COLUMNS);
        fprintf(out, " (95%%: %s to %s)", ratio_text(low, 1 / r.high), ratio_text(high, 1 / r.low));
        return;
    }
    fprintf(out, wall ? " takes %s times as long as " : " is %s times ",
            ratio_text(ratio, r.ratio));
    text_print(out, a_name, NAME_MAX_COLUMNS);
    fprintf(out, " (95%%: %s to %s)", ratio_text(low, r.low), ratio_text(high, r.high));
}

static void head_print(FILE *out, const struct bench *b)
{
    char elapsed[UNITS_BUF];
    const struct bench_side *last = &b->side[b->sides - 1];
    int width = 0;

    for (int i = 0; i < b->sides; i++) {
        int n = (int)strnlen(b->side[i].name, NAME_MAX_COLUMNS);
        width = n > width ? n : width;
    }
    for (int i = 0; i < b->sides; i++) {
        int n = (int)strnlen(b->side[i].name, NAME_MAX_COLUMNS);
        text_print(out, b->side[i].name, NAME_MAX_COLUMNS);
        fprintf(out, "%*s", width - n + 2, "");
        text_print(out, b->side[i].command, COMMAND_MAX);
        if (b->sides == 2 && !b->paired && i == 0)
            fprintf(out, "  (baseline)");
        fputc('\n', out);
    }
    if (b->paired)
        fprintf(out, "%zu pairs, each in random order (seed %llu)", last->runs,
                (unsigned long long)b->seed);
    else
        fprintf(out, "%zu run%s", last->runs, last->runs == 1 ? "" : "s");
    if (b->sides == 2 && !b->paired)
        fprintf(out, " against %zu", b->side[0].runs);
    fprintf(out, ", %llu warm-up%s, %s\n", (unsigned long long)b->warmup, b->warmup == 1 ? "" : "s",
            units_duration(elapsed, (double)b->elapsed_ns));
    for (int i = 0; i < b->sides; i++)
        if (b->side[i].failures) {
            char status[64];
            text_print(out, b->side[i].name, NAME_MAX_COLUMNS);
            fprintf(out, " failed in %zu of %zu runs (last: %s)\n", b->side[i].failures,
                    b->side[i].runs, bench_status_text(b->side[i].status, status));
        }
    fputc('\n', out);
}

void bench_print(FILE *out, const struct bench *b)
{
    int width = label_width(b);
    bool noise = false, asked = bench_prints_metrics(b);
    bool named = strcmp(b->side[0].name, "A") != 0;

    head_print(out, b);
    if (b->sides == 1) {
        fprintf(out, "%*s %11s %7s %24s %24s\n", width, "", "median", "spread", "25% .. 75%",
                "min .. max");
        for (size_t i = 0; i < b->metric_count; i++)
            one_side_row(out, &b->metric[i], b->side[0].runs, width);
    } else {
        fprintf(out, "%*s ", width, "");
        for (int i = 0; i < 2; i++) {
            size_t n = strlen(b->side[i].name);
            fprintf(out, "%*s", n < 11 ? 11 - (int)n : 0, "");
            text_print(out, b->side[i].name, 11);
            fprintf(out, " %6s ", "+-");
        }
        fprintf(out, "%7s %14s %7s\n", named ? "ratio" : "B/A", "95% interval", "p");
        for (size_t i = 0; i < b->metric_count; i++) {
            two_sides_row(out, b, &b->metric[i], width);
            noise = noise || b->metric[i].ratio.p >= NOISE_P;
        }
        if (noise)
            fprintf(out, "~ may be noise (p >= %g)\n", NOISE_P);
        fputc('\n', out);
        /* on what was asked for; on wall time if nothing was */
        size_t first = asked ? BENCH_MEASURE_COUNT : BENCH_WALL;
        size_t end = asked ? b->metric_count : BENCH_WALL + 1;
        for (size_t i = first; i < end; i++) {
            verdict_print(out, b, &b->metric[i]);
            fputc('\n', out);
        }
        if (!b->paired)
            fprintf(out, "The runs lie apart in time: what changed on the machine between counts "
                         "too.\n");
    }
    if (stats_median(b->metric[BENCH_WALL].v[0], b->side[0].runs) < SHORT_RUN_NS)
        fprintf(out, "Runs under 5 ms: the start of the shell is a part of them.\n");
}
