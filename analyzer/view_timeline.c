#include <string.h>

#include "analyzer/timeline.h"
#include "analyzer/view.h"
#include "common/units.h"

enum { bar_columns = 18 };

/* Since the start: seconds, or hours, minutes and seconds. */
static char *time_text(char to[static TEXT_BUF], int64_t ns, bool long_run)
{
    enum { minute = 60, hour = 3600 };
    long long s = ns / 1000000000;
    if (long_run)
        snprintf(to, TEXT_BUF, "%lld:%02lld:%02lld", s / hour, s % hour / minute, s % minute);
    else
        snprintf(to, TEXT_BUF, "%.2fs", (double)ns / 1e9);
    return to;
}

/* A figure, and how large it is beside the largest: a dot is more than nothing. */
static void bar_cells(struct table *t, const char *text, double value, double largest)
{
    char bar[bar_columns + 1] = "";
    unsigned n = largest > 0 && value > 0 ? (unsigned)(value / largest * bar_columns + 0.5) : 0;
    n = n < bar_columns ? n : bar_columns;
    memset(bar, '#', n);
    bar[n] = '\0';
    table_cell(t, "%s", text);
    table_cell(t, "%s", n == 0 && value > 0 ? "." : bar);
}

static void unknown_cells(struct table *t)
{
    table_cell(t, "-");
    table_cell(t, "%s", "");
}

static double per_second(const struct timeline_interval *i, int64_t n)
{
    return i->span_ns > 0 ? (double)n * 1e9 / (double)i->span_ns : 0;
}

static double cpus(const struct timeline_interval *i)
{
    return per_second(i, i->cpu_ns) / 1e9;
}

static void largest_find(const struct timeline *t, double *live, double *rate, double *cpu)
{
    *live = *rate = *cpu = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct timeline_interval *at = &t->items[i];
        double r = per_second(at, at->allocs), c = cpus(at);
        *live = (double)at->live_max_bytes > *live ? (double)at->live_max_bytes : *live;
        *rate = r > *rate ? r : *rate;
        *cpu = c > *cpu ? c : *cpu;
    }
}

static void rows_print(const struct view *v, const struct timeline *timeline)
{
    struct table t = {0};
    char text[TEXT_BUF];
    bool allocs = model_has(v->model, METRIC_ALLOC_CALLS), cpu = model_has(v->model, METRIC_CPU_NS);
    bool long_run = v->model->wall_ns >= 600 * (int64_t)1000000000;
    double most_live, most_rate, most_cpu;
    largest_find(timeline, &most_live, &most_rate, &most_cpu);
    table_column(&t, "from", TABLE_RIGHT);
    if (allocs) {
        table_column(&t, "live", TABLE_RIGHT);
        table_column(&t, "", TABLE_LEFT);
        table_column(&t, "allocs/s", TABLE_RIGHT);
        table_column(&t, "", TABLE_LEFT);
    }
    if (cpu) {
        table_column(&t, "CPUs", TABLE_RIGHT);
        table_column(&t, "", TABLE_LEFT);
    }
    for (size_t i = 0; i < timeline->count; i++) {
        const struct timeline_interval *at = &timeline->items[i];
        double rate = per_second(at, at->allocs);
        table_cell(&t, "%s", time_text(text, (int64_t)i * timeline->interval_ns, long_run));
        if (allocs && at->live_known)
            bar_cells(&t, units_size(text, (double)at->live_max_bytes), (double)at->live_max_bytes,
                      most_live);
        else if (allocs)
            unknown_cells(&t);
        if (allocs && at->recorded)
            bar_cells(&t, units_count(text, rate), rate, most_rate);
        else if (allocs)
            unknown_cells(&t);
        snprintf(text, sizeof text, "%.2f", cpus(at));
        if (cpu && at->recorded)
            bar_cells(&t, text, cpus(at), most_cpu);
        else if (cpu)
            unknown_cells(&t);
    }
    table_print(&t, v->out);
    table_release(&t);
}

void view_timeline(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF];
    struct timeline timeline;
    view_header(v);
    size_t most = v->all || v->limit > TIMELINE_INTERVALS_MOST ? TIMELINE_INTERVALS_MOST : v->limit;
    timeline_build(&timeline, v->model, (unsigned)most);
    bool allocs = model_has(v->model, METRIC_ALLOC_CALLS), cpu = model_has(v->model, METRIC_CPU_NS);
    if (!timeline.count || (!allocs && !cpu)) {
        fprintf(v->out, "The timeline was not measured.\n");
        timeline_release(&timeline);
        return;
    }
    fprintf(v->out, "TIMELINE  %zu interval%s of %s", timeline.count,
            timeline.count == 1 ? "" : "s", units_duration(a, (double)timeline.interval_ns));
    if (timeline.count > 1 && timeline.items[timeline.count - 1].span_ns < timeline.interval_ns)
        fprintf(v->out, ", the last %s",
                units_duration(b, (double)timeline.items[timeline.count - 1].span_ns));
    if (allocs)
        fputs("; live: most in each", v->out);
    if (cpu)
        fputs("; CPUs: how many busy", v->out);
    fputs("\n\n", v->out);
    rows_print(v, &timeline);
    timeline_release(&timeline);
}
