#include <string.h>

#include "analyzer/view.h"
#include "common/units.h"

enum { name_columns = 44 };

const char *view_calls_title(const struct view *v)
{
    return model_ops(v->model) ? "allocs/op" : "allocs";
}

char *view_calls(const struct view *v, char to[static TEXT_BUF], int64_t calls)
{
    double ops = (double)model_ops(v->model);
    if (ops > 0)
        snprintf(to, TEXT_BUF, "%.2f", (double)calls / ops);
    else
        units_count(to, (double)calls);
    return to;
}

const char *view_place(const struct rank_row *row, char *buf, size_t size)
{
    const char *slash = row->file ? strrchr(row->file, '/') : NULL;
    const char *file = slash ? slash + 1 : row->file;
    char escaped[64];
    if (file && row->line)
        snprintf(buf, size, "%s:%u", text_escape(escaped, sizeof escaped, file, 40), row->line);
    else
        text_escape(buf, size, file ? file : frames_module(row->name, row->module), 40);
    return buf;
}

static const char *by_title(enum rank_by by)
{
    return by == RANK_FILE ? "file" : by == RANK_MODULE ? "module" : "function";
}

/* What the table shows of a metric, per row. */
struct figures {
    enum metric metric;
    bool is_time;
    struct text_scale scale;
    double total;
};

static void figure_cell(struct table *t, const struct view *v, const struct figures *f, int64_t n)
{
    char text[TEXT_BUF];
    if (n == 0)
        strcpy(text, "-");
    else if (f->is_time)
        text_scaled(text, f->scale, (double)n);
    else if (f->metric == METRIC_ALLOC_CALLS)
        view_calls(v, text, n);
    else
        units_size(text, (double)n);
    table_cell(t, "%s", text);
}

/* They add up: of a wait only the time in which its thread did not run. */
static const struct {
    const char *title;
    enum metric metric, ran; /* ran: METRIC_COUNT = none */
} cost_parts[] = {{"cpu", METRIC_CPU_NS, METRIC_COUNT},
                  {"lock", METRIC_LOCK_WAIT_NS, METRIC_LOCK_CPU_NS},
                  {"io", METRIC_IO_WAIT_NS, METRIC_COUNT}};
enum { cost_part_count = sizeof cost_parts / sizeof *cost_parts };

/* Is the cost of more than one kind, so that its parts need columns, this one among them? */
static bool has_part(const struct view *v, const struct figures *f, int i)
{
    bool waits = model_has(v->model, METRIC_LOCK_WAIT_NS) || model_has(v->model, METRIC_IO_WAIT_NS);
    return f->metric == METRIC_COST_NS && waits && model_has(v->model, cost_parts[i].metric);
}

static int64_t cost_part(const struct metrics *m, int i)
{
    int64_t ran = cost_parts[i].ran == METRIC_COUNT ? 0 : m->v[cost_parts[i].ran];
    return metric_difference(m->v[cost_parts[i].metric], ran);
}

static void row_put(struct table *t, const struct view *v, const struct figures *f,
                    const struct rank_row *row, double sum)
{
    char text[TEXT_BUF], name[128], where[64];
    figure_cell(t, v, f, row->flat.v[f->metric]);
    if (row->flat.v[f->metric])
        table_cell(t, "%s", text_percent(text, (double)row->flat.v[f->metric], f->total));
    else
        table_cell(t, "-");
    table_cell(t, "%s", text_percent(text, sum, f->total));
    figure_cell(t, v, f, row->cum.v[f->metric]);
    table_cell(t, "%s", text_percent(text, (double)row->cum.v[f->metric], f->total));
    if (estimate_is(v->model, f->metric)) {
        view_error(text, v->model, f->metric, row->cum.v[f->metric], &row->cum_spread);
        table_cell(t, "%s", *text ? text + strlen(" +-") : "");
    }
    for (int i = 0; i < cost_part_count; i++)
        if (has_part(v, f, i))
            figure_cell(t, v, f, cost_part(&row->cum, i));
    if (f->is_time && model_has(v->model, METRIC_ALLOC_CALLS)) {
        if (row->cum.v[METRIC_ALLOC_CALLS])
            table_cell(t, "%s", view_calls(v, text, row->cum.v[METRIC_ALLOC_CALLS]));
        else
            table_cell(t, "-");
    }
    if (!f->is_time)
        table_cell(t, "%s", units_size(text, (double)row->cum.v[METRIC_ALLOC_BYTES]));
    table_cell(t, "%s", text_short_name(name, sizeof name, row->name, name_columns));
    if (v->by == RANK_FUNCTION)
        table_cell(t, "%s", view_place(row, where, sizeof where));
}

static void columns_set(struct table *t, const struct view *v, const struct figures *f)
{
    table_column(t, "flat", TABLE_RIGHT);
    table_column(t, "flat%", TABLE_RIGHT);
    table_column(t, "sum%", TABLE_RIGHT);
    table_column(t, "cum", TABLE_RIGHT);
    table_column(t, "cum%", TABLE_RIGHT);
    if (estimate_is(v->model, f->metric))
        table_column(t, "+-", TABLE_RIGHT);
    for (int i = 0; i < cost_part_count; i++)
        if (has_part(v, f, i))
            table_column(t, cost_parts[i].title, TABLE_RIGHT);
    if (f->is_time && model_has(v->model, METRIC_ALLOC_CALLS))
        table_column(t, view_calls_title(v), TABLE_RIGHT);
    if (!f->is_time)
        table_column(t, "bytes", TABLE_RIGHT);
    table_column(t, by_title(v->by), TABLE_NAME);
    if (v->by == RANK_FUNCTION)
        table_column(t, "", TABLE_FILE);
}

/* What --focus, --ignore and --hide left of the whole. */
static void selection_print(const struct view *v, const struct rank *rank, const struct figures *f)
{
    static const char *const options[SELECT_RULES] = {"focus", "ignore", "hide"};
    const struct selection *s = frames_selection(v->frames);
    char text[TEXT_BUF], escaped[48];
    bool any = false;
    for (int i = 0; s && i < SELECT_RULES; i++) {
        if (!s->used[i])
            continue;
        fprintf(v->out, "%s--%s=%s", any ? " " : "SELECT  ", options[i],
                text_escape(escaped, sizeof escaped, s->text[i], 20));
        any = true;
    }
    if (any)
        fprintf(v->out, ": %s of the whole\n\n",
                text_percent(text, (double)rank->selected.v[f->metric], f->total));
}

static void folded_print(const struct view *v, const struct rank *rank, const struct figures *f,
                         size_t folded, size_t more)
{
    enum { shown_most = 3 };
    static const char *const things[] = {"function", "file", "module"};
    char name[64];
    if (!folded && !more)
        return;
    char text[256];
    size_t n = 0;
    if (folded) {
        n += (size_t)snprintf(text, sizeof text, "entry frames (");
        for (size_t i = 0, shown = 0; i < rank->count && shown < shown_most; i++)
            if (rank_is_entry(rank, &rank->rows[i], f->metric)) {
                text_short_name(name, sizeof name, rank->rows[i].name, 16);
                n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", shown++ ? ", " : "", name);
            }
        n += (size_t)snprintf(text + n, sizeof text - n, "%s)%s",
                              folded > shown_most ? ", ..." : "", more ? "; " : "");
    }
    if (more)
        n += (size_t)snprintf(text + n, sizeof text - n, "%zu more %s%s", more, things[v->by],
                              more == 1 ? "" : "s");
    snprintf(text + n, sizeof text - n, ": --all");
    text_wrap(v->out, 1, "folded: ", text);
}

void view_functions(const struct view *v, enum metric metric)
{
    struct rank rank;
    struct table t = {0};
    rank_build(&rank, v->model, v->frames, v->by);
    rank_sort(&rank, v->sort == METRIC_COUNT ? metric : v->sort, v->sort_flat);
    struct figures f = {.metric = metric, .total = (double)v->model->totals.v[metric]};
    f.is_time = metric_is_time(metric);
    f.scale = text_scale_for((double)rank.selected.v[metric]);
    selection_print(v, &rank, &f);
    columns_set(&t, v, &f);
    double sum = 0;
    size_t shown = 0, folded = 0, more = 0;
    for (size_t i = 0; i < rank.count; i++) {
        const struct rank_row *row = &rank.rows[i];
        if (!v->all && row->cum.v[metric] == 0 && row->flat.v[metric] == 0)
            continue; /* of no interest to this table */
        if (!v->all && rank_is_entry(&rank, row, metric)) {
            folded++;
        } else if (v->all || shown < v->limit) {
            sum += (double)row->flat.v[metric];
            row_put(&t, v, &f, row, sum);
            shown++;
        } else {
            more++;
        }
    }
    if (shown)
        table_print(&t, v->out);
    else
        fputs(" nothing was counted here\n", v->out);
    folded_print(v, &rank, &f, folded, more);
    table_release(&t);
    rank_release(&rank);
}

void view_cpu(const struct view *v)
{
    view_header(v);
    if (!model_has(v->model, METRIC_CPU_NS)) {
        fputs("CPU time was not measured (--cpu-hz=0).\n", v->out);
        return;
    }
    char buf[UNITS_BUF];
    fprintf(v->out, "CPU     %s in %lld ticks\n\n",
            units_duration(buf, (double)v->model->totals.v[METRIC_CPU_NS]),
            (long long)v->model->cpu_ticks);
    view_functions(v, METRIC_CPU_NS);
}
