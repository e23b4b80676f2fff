#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/top_text.h"
#include "analyzer/view.h"
#include "common/units.h"

void top_text_title(FILE *out, const struct model *m, size_t columns)
{
    char text[4 * TEXT_COLUMNS], word[4 * TEXT_COLUMNS], cut[TEXT_COLUMNS + 1];
    size_t n = (size_t)snprintf(text, sizeof text, "pid %u  %s", m->header->pid,
                                text_escape(word, sizeof word, m->program, 60));
    for (uint32_t i = 1; i < m->argc && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, " %s",
                              text_escape(word, sizeof word, m->argv[i], sizeof word - 1));
    size_t fit = columns > TOP_TAG ? columns - TOP_TAG : 1;
    fprintf(out, "%-*s%s\n", TOP_TAG, "WATCH", text_escape(cut, sizeof cut, text, fit));
}

void top_text_end(FILE *out, const struct model *m)
{
    char end[TEXT_BUF], wall[UNITS_BUF];
    fprintf(out, "%-*spid %u  %s after %s%s\n", TOP_TAG, "END", m->header->pid, view_end(end, m),
            units_duration(wall, (double)m->wall_ns),
            m->end == PSHIM_END_EXEC ? ": it runs another program now" : "");
}

static char *count_rate(char to[static UNITS_BUF], const struct top_change *c, int64_t n)
{
    return units_count(to, top_rate(c, n));
}

static void run_print(FILE *out, const struct top_change *c)
{
    const struct model *m = &c->m;
    char rate[UNITS_BUF];
    fprintf(out, "%-*s", TOP_TAG, "RUN");
    if (m->progress_count)
        fprintf(out, "ops %-11llu %7s/s  ", (unsigned long long)c->now->progress[0].count,
                count_rate(rate, c, (int64_t)m->progress[0].count));
    if (model_has(m, METRIC_CPU_NS)) {
        double cpu = top_rate(c, m->totals.v[METRIC_CPU_NS]) / 1e9;
        double profiler = top_rate(c, m->totals.v[METRIC_PROFILER_NS]) / 1e9;
        fprintf(out, "cpu %5.2f  profiler %5.2f  ", cpu, profiler);
    }
    if (m->end == PSHIM_END_RUNNING)
        fprintf(out, "threads %llu\n", (unsigned long long)c->threads);
    else
        fprintf(out, "ended\n");
}

/* Progress points other than the one that is the program's operation. */
static void points_print(FILE *out, const struct top_change *c)
{
    enum { shown_most = 4 };
    char rate[UNITS_BUF], name[40];
    for (size_t i = 1; i < c->m.progress_count && i <= shown_most; i++)
        fprintf(out, "%-*s%-20s %11llu %7s/s\n", TOP_TAG, "POINT",
                text_escape(name, sizeof name, c->m.progress[i].name, 20),
                (unsigned long long)c->now->progress[i].count,
                count_rate(rate, c, (int64_t)c->m.progress[i].count));
}

static void heap_print(FILE *out, const struct top_change *c)
{
    const int64_t *v = c->m.totals.v, *now = c->now->totals.v;
    char a[UNITS_BUF], b[UNITS_BUF], d[UNITS_BUF];
    if (!model_has(&c->m, METRIC_ALLOC_CALLS))
        return;
    fprintf(out, "%-*sallocs %7s/s  %10s/s  frees %7s/s\n", TOP_TAG, "HEAP",
            count_rate(a, c, v[METRIC_ALLOC_CALLS]),
            units_size(b, top_rate(c, v[METRIC_ALLOC_BYTES])),
            count_rate(d, c, v[METRIC_FREE_CALLS]));
    fprintf(out, "%-*s%10s in %lld blocks", TOP_TAG, "LIVE",
            units_size(a, (double)now[METRIC_LIVE_BYTES]), (long long)now[METRIC_LIVE_BLOCKS]);
    int64_t more = v[METRIC_LIVE_BYTES];
    if (more)
        fprintf(out, " (%s%s)", more > 0 ? "+" : "", units_size(b, (double)more));
    fprintf(out, "  peak %s\n", units_size(d, (double)now[METRIC_PEAK_BYTES]));
}

static void locks_print(FILE *out, const struct top_change *c)
{
    const int64_t *v = c->m.totals.v;
    char wait[UNITS_BUF], contended[UNITS_BUF], taken[UNITS_BUF];
    if (model_has(&c->m, METRIC_LOCK_WAIT_NS))
        fprintf(out, "%-*swaited %9s/s  contended %7s/s  taken %7s/s\n", TOP_TAG, "LOCKS",
                units_duration(wait, top_rate(c, v[METRIC_LOCK_WAIT_NS])),
                count_rate(contended, c, v[METRIC_LOCK_CONTENTIONS]),
                count_rate(taken, c, v[METRIC_LOCK_ACQUISITIONS]));
}

static void losses_print(FILE *out, const struct top_change *c, size_t columns)
{
    char n[UNITS_BUF], line[200], cut[200];
    for (int i = 0; i < PSHIM_LOSS_COUNT; i++) {
        if (!c->m.losses[i])
            continue;
        snprintf(line, sizeof line, "%-*s%s more, %s: %s", TOP_TAG, "LOST",
                 units_count(n, (double)c->m.losses[i]), model_loss_name(i), model_loss_text(i));
        fprintf(out, "%s\n", text_escape(cut, sizeof cut, line, columns));
    }
}

void top_text_figures(FILE *out, const struct top_change *c, size_t columns)
{
    run_print(out, c);
    points_print(out, c);
    heap_print(out, c);
    locks_print(out, c);
    losses_print(out, c, columns);
}

static void percent_cell(struct table *t, int64_t part, int64_t whole)
{
    char text[TEXT_BUF];
    table_cell(t, "%s", part ? text_percent(text, (double)part, (double)whole) : "-");
}

static void rows_put(struct table *t, const struct top_change *c, const struct rank *rank,
                     enum metric metric, size_t limit)
{
    char text[UNITS_BUF], name[128], where[64];
    int64_t whole = c->m.totals.v[metric];
    bool allocs = model_has(&c->m, METRIC_ALLOC_CALLS);
    table_column(t, " flat%", TABLE_RIGHT);
    table_column(t, "  cum%", TABLE_RIGHT);
    if (allocs)
        table_column(t, "allocs/s", TABLE_RIGHT);
    table_column(t, "function", TABLE_NAME);
    table_column(t, "", TABLE_LEFT);
    for (size_t i = 0; i < rank->count && i < limit; i++) {
        const struct rank_row *row = &rank->rows[i];
        percent_cell(t, row->flat.v[metric], whole);
        percent_cell(t, row->cum.v[metric], whole);
        int64_t calls = row->cum.v[METRIC_ALLOC_CALLS];
        if (allocs)
            table_cell(t, "%s", calls ? count_rate(text, c, calls) : "-");
        table_cell(t, "%s", text_short_name(name, sizeof name, row->name, 44));
        table_cell(t, "%s", view_place(row, where, sizeof where));
    }
}

/* What the functions' shares are shares of. */
static void basis_print(FILE *out, const struct top_change *c, enum metric metric,
                        enum top_sort sort)
{
    char sum[UNITS_BUF];
    int64_t whole = c->m.totals.v[metric];
    fprintf(out, "%-*sby %s", TOP_TAG, "TOP", top_heading(sort));
    if (metric == METRIC_ALLOC_CALLS)
        fprintf(out, ": %s allocations\n", units_count(sum, (double)whole));
    else if (metric == METRIC_COST_NS)
        fprintf(out, ": %s, %lld CPU ticks\n", units_duration(sum, (double)whole),
                (long long)c->ticks);
    else
        fprintf(out, ": %s\n", units_duration(sum, (double)whole));
}

static void lines_tag(FILE *out, const char *tag, const char *text)
{
    while (*text) {
        int n = (int)strcspn(text, "\n");
        fprintf(out, "%-*s%.*s\n", TOP_TAG, tag, n, text);
        text += n + (text[n] == '\n');
    }
}

/* Prints and releases a table. */
static void table_put(FILE *out, struct table *t, size_t columns, const char *tag)
{
    char *text;
    size_t bytes;
    t->fit = tag ? columns - TOP_TAG : columns;
    FILE *lines = tag ? memory_stream(&text, &bytes) : out;
    table_print(t, lines);
    table_release(t);
    if (tag) {
        fclose(lines);
        lines_tag(out, tag, text);
        free(text);
    }
}

void top_text_locks(FILE *out, const struct top_change *c, struct frames *f, size_t limit,
                    size_t columns, bool tagged)
{
    struct table t = {0};
    char text[TEXT_BUF], name[128];
    bool holds = model_has(&c->m, METRIC_LOCK_HOLD_NS);
    if (!model_has(&c->m, METRIC_LOCK_WAIT_NS) || !limit)
        return;
    struct top_lock *rows = memory_new(limit, sizeof *rows);
    size_t count = top_locks(c, f, rows, limit);
    table_column(&t, " wait/s", TABLE_RIGHT);
    table_column(&t, "contended/s", TABLE_RIGHT);
    table_column(&t, "taken/s", TABLE_RIGHT);
    if (holds)
        table_column(&t, "held", TABLE_RIGHT);
    table_column(&t, "lock", TABLE_NAME);
    for (size_t i = 0; i < count; i++) {
        const struct model_lock_counts *n = &rows[i].counts;
        table_cell(&t, "%s", units_duration(text, top_rate(c, n->wait_ns)));
        table_cell(&t, "%s", count_rate(text, c, n->contentions));
        table_cell(&t, "%s", count_rate(text, c, n->acquisitions));
        if (holds)
            table_cell(&t, "%s", text_percent(text, top_rate(c, n->hold_ns) / 1e9, 1));
        text_escape(name, sizeof name, rows[i].name, 80);
        if (rows[i].locks > 1)
            table_cell(&t, "%zux %s", rows[i].locks, name);
        else
            table_cell(&t, "%s", name);
    }
    if (count)
        table_put(out, &t, columns, tagged ? "LOCK" : NULL);
    else
        table_release(&t);
    free(rows);
}

void top_text_functions(FILE *out, const struct top_change *c, struct frames *f, enum top_sort sort,
                        size_t limit, size_t columns, bool tagged)
{
    struct rank rank;
    enum metric metric = top_metric(&c->m, sort);
    if (metric == METRIC_COUNT)
        return;
    basis_print(out, c, metric, sort);
    top_rank_build(&rank, c, f, sort);
    if (rank.count) {
        struct table t = {0};
        rows_put(&t, c, &rank, metric, limit);
        table_put(out, &t, columns, tagged ? "FUNC" : NULL);
    }
    rank_release(&rank);
}
