#include "analyzer/view.h"
#include "common/units.h"

enum { name_columns = 40, rows_max = 8 };

static size_t rows(const struct view *v, size_t count)
{
    return v->all || count <= rows_max ? count : rows_max;
}

static void more(const struct view *v, size_t count, const char *what)
{
    if (rows(v, count) < count)
        fprintf(v->out, " %zu more %s: --all\n", count - rows(v, count), what);
    fputc('\n', v->out);
}

static void regions(const struct view *v)
{
    const struct model *m = v->model;
    struct table t = {0};
    char text[TEXT_BUF], size[UNITS_BUF], name[4 * name_columns + 4];
    bool cpu = model_has(m, METRIC_CPU_NS), locks = model_has(m, METRIC_LOCK_WAIT_NS);
    bool allocs = model_has(m, METRIC_ALLOC_CALLS);
    struct text_scale scale = text_scale_for((double)m->regions[0].wall_ns);
    table_column(&t, "time", TABLE_RIGHT);
    table_column(&t, "calls", TABLE_RIGHT);
    table_column(&t, "mean", TABLE_RIGHT);
    table_column(&t, "max", TABLE_RIGHT);
    if (cpu)
        table_column(&t, "cpu", TABLE_RIGHT);
    if (locks)
        table_column(&t, "lock", TABLE_RIGHT);
    if (allocs) {
        table_column(&t, "allocs", TABLE_RIGHT);
        table_column(&t, "bytes", TABLE_RIGHT);
    }
    table_column(&t, "region", TABLE_NAME);
    for (size_t i = 0; i < rows(v, m->region_count); i++) {
        const struct model_region *r = &m->regions[i];
        table_cell(&t, "%s", text_scaled(text, scale, (double)r->wall_ns));
        table_cell(&t, "%s", units_count(size, (double)r->calls));
        if (r->calls)
            table_cell(&t, "%s", units_duration(size, (double)r->wall_ns / (double)r->calls));
        else
            table_cell(&t, "-");
        table_cell(&t, "%s", units_duration(size, (double)r->wall_max_ns));
        if (cpu)
            table_cell(&t, "%s", text_scaled(text, scale, (double)r->cpu_ns));
        if (locks)
            table_cell(&t, "%s", text_scaled(text, scale, (double)r->lock_wait_ns));
        if (allocs) {
            table_cell(&t, "%s", units_count(size, (double)r->alloc_calls));
            table_cell(&t, "%s", units_size(size, (double)r->alloc_bytes));
        }
        table_cell(&t, "%s", text_escape(name, sizeof name, r->name, name_columns));
    }
    table_print(&t, v->out);
    table_release(&t);
    more(v, m->region_count, "regions");
}

static void pools(const struct view *v)
{
    const struct model *m = v->model;
    struct table t = {0};
    char size[UNITS_BUF], name[4 * name_columns + 4];
    double ops = (double)model_ops(m);
    table_column(&t, "gets", TABLE_RIGHT);
    table_column(&t, "puts", TABLE_RIGHT);
    table_column(&t, "in use", TABLE_RIGHT);
    if (ops > 0)
        table_column(&t, "gets/op", TABLE_RIGHT);
    table_column(&t, "pool", TABLE_NAME);
    for (size_t i = 0; i < rows(v, m->pool_count); i++) {
        const struct model_pool *p = &m->pools[i];
        table_cell(&t, "%s", units_count(size, (double)p->gets));
        table_cell(&t, "%s", units_count(size, (double)p->puts));
        table_cell(&t, "%s", units_count(size, (double)(p->gets - p->puts)));
        if (ops > 0)
            table_cell(&t, "%.2f", (double)p->gets / ops);
        table_cell(&t, "%s", text_escape(name, sizeof name, p->name, name_columns));
    }
    table_print(&t, v->out);
    table_release(&t);
    more(v, m->pool_count, "pools");
}

void view_named(const struct view *v)
{
    if (v->model->region_count)
        regions(v);
    if (v->model->pool_count)
        pools(v);
}
