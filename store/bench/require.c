#include "store/bench/require.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum unit { COUNT, DURATION, BYTES, SHARE };

struct metric {
    const char *name;
    enum unit unit;
    double (*measure)(const struct bench_result *r, const struct metric *m);
    double percent; /* of a percentile */
    int share;      /* may also be asked for in % */
};

static double throughput(const struct bench_result *r, const struct metric *m)
{
    (void)m;
    return op_result_throughput(&r->all, r);
}

static double ops(const struct bench_result *r, const struct metric *m)
{
    (void)m;
    return (double)op_result_ops(&r->all);
}

static double errors(const struct bench_result *r, const struct metric *m)
{
    (void)m;
    return (double)op_result_errors(&r->all);
}

static double average(const struct bench_result *r, const struct metric *m)
{
    (void)m;
    return r->all.latency->count ? histogram_mean(r->all.latency) : NAN;
}

static double percentile(const struct bench_result *r, const struct metric *m)
{
    const struct histogram *h = r->all.latency;
    return h->count ? (double)histogram_percentile(h, m->percent) : NAN;
}

static double cpu_percent(const struct bench_result *r, const struct metric *m)
{
    (void)m;
    return r->cpu_percent;
}

static double max_rss(const struct bench_result *r, const struct metric *m)
{
    (void)m;
    return (double)r->max_rss_bytes;
}

static double allocs_per_op(const struct bench_result *r, const struct metric *m)
{
    return engine_statistic(&r->engine_measured, "allocs") / ops(r, m);
}

static const struct metric metrics[REQUIRE_NAMES] = {
    {.name = "throughput", .measure = throughput},
    {.name = "ops", .measure = ops},
    {.name = "errors", .measure = errors, .share = 1},
    {.name = "avg", .unit = DURATION, .measure = average},
    {.name = "p50", .unit = DURATION, .measure = percentile, .percent = 50},
    {.name = "p90", .unit = DURATION, .measure = percentile, .percent = 90},
    {.name = "p95", .unit = DURATION, .measure = percentile, .percent = 95},
    {.name = "p99", .unit = DURATION, .measure = percentile, .percent = 99},
    {.name = "p999", .unit = DURATION, .measure = percentile, .percent = 99.9},
    {.name = "max", .unit = DURATION, .measure = percentile, .percent = 100},
    {.name = "cpu_percent", .measure = cpu_percent, .share = 1},
    {.name = "max_rss", .unit = BYTES, .measure = max_rss},
    {.name = "allocs_per_op", .measure = allocs_per_op},
};

const char *require_name(size_t i)
{
    return metrics[i].name;
}

static const struct metric *metric_find(const char *name)
{
    for (size_t i = 0; i < REQUIRE_NAMES; i++)
        if (strcmp(metrics[i].name, name) == 0)
            return &metrics[i];
    return NULL;
}

/* The unit as it was written, "" if none. */
static const char *suffix_of(const struct budget *b)
{
    const char *s = b->text + strcspn(b->text, "<>=");
    double value;
    s += strspn(s, "<>= \t");
    return units_parse_real(s, &value, &s) == 0 ? s + strspn(s, " \t") : "";
}

/* Sizes are written in capitals, durations are not. */
static enum unit unit_of(const char *suffix)
{
    if (!*suffix)
        return COUNT;
    if (*suffix == '%')
        return SHARE;
    return isupper((unsigned char)*suffix) ? BYTES : DURATION;
}

int require_resolve(struct budget *b, char why[static 160])
{
    static const char *const wants[] = {"a plain number", "a duration (10ms)", "a size (64M)"};
    const struct metric *m = metric_find(b->name);
    if (!m) {
        int n = snprintf(why, 160, "unknown name '%.40s', not one of", b->name);
        for (size_t i = 0; i < REQUIRE_NAMES && n < 160; i++)
            n += snprintf(why + n, (size_t)(160 - n), " %s", metrics[i].name);
        return -1;
    }
    enum unit unit = unit_of(suffix_of(b));
    if (unit == COUNT && m->unit == DURATION)
        b->value *= 1e9;
    else if (unit != m->unit && unit != COUNT && !(unit == SHARE && m->share)) {
        snprintf(why, 160, "%s: %s is %s%s", b->text, m->name, wants[m->unit],
                 m->share ? " or in %" : "");
        return -1;
    }
    return 0;
}

static int in_percent(const struct budget *b)
{
    return unit_of(suffix_of(b)) == SHARE;
}

double require_measured(const struct budget *b, const struct bench_result *r)
{
    const struct metric *m = metric_find(b->name);
    double measured = m->measure(r, m);
    if (!in_percent(b))
        return measured;
    return m->measure == errors ? measured / ops(r, m) : measured / 100;
}

char *require_text(char buf[static UNITS_BUF], const struct budget *b, double measured)
{
    const struct metric *m = metric_find(b->name);
    if (isnan(measured))
        snprintf(buf, UNITS_BUF, "nothing");
    else if (in_percent(b))
        snprintf(buf, UNITS_BUF, "%.3g%%", measured * 100);
    else if (m->unit == DURATION)
        units_duration(buf, measured);
    else if (m->unit == BYTES)
        units_size(buf, measured);
    else
        snprintf(buf, UNITS_BUF, "%.7g", measured);
    return buf;
}
