#include <string.h>

#include "analyzer/call_site.h"
#include "analyzer/model_waits.h"
#include "analyzer/view_sites.h"
#include "common/units.h"

static double each(int64_t part, int64_t calls)
{
    return calls > 0 ? (double)part / (double)calls : 0;
}

enum { WITH_BYTES, WITH_FAILED, WITH_HELD, WITH_COLUMNS };

static void row_put(struct table *t, const struct view *v, const struct call_site *s,
                    struct text_scale scale, const bool *columns)
{
    char text[256];
    const struct model_wait_counts *c = &s->counts;
    table_cell(t, "%s", text_scaled(text, scale, (double)c->time_ns));
    table_cell(t, "%s", units_duration(text, each(c->time_ns, c->calls)));
    table_cell(t, "%s", units_duration(text, (double)c->time_max_ns));
    table_cell(t, "%s", view_calls(v, text, c->calls));
    if (columns[WITH_BYTES]) {
        table_cell(t, "%s", c->bytes ? units_size(text, (double)c->bytes) : "-");
        table_cell(t, "%s", c->bytes ? units_size(text, each(c->bytes, c->calls)) : "-");
    }
    if (columns[WITH_FAILED])
        table_cell(t, "%s", c->errors ? units_count(text, (double)c->errors) : "-");
    if (columns[WITH_HELD])
        table_cell(t, "%s",
                   s->held.calls ? text_percent(text, (double)s->held.time_ns, (double)c->time_ns)
                                 : "-");
    table_cell(t, "%s", model_call_name(s->call));
    sites_place_text(v, s->place, text, sizeof text, 32);
    table_cell(t, "%s", text);
}

static void table_put(const struct view *v, const struct call_sites *sites)
{
    struct table t = {0};
    bool columns[WITH_COLUMNS] = {false};
    for (size_t i = 0; i < sites->count; i++) {
        columns[WITH_BYTES] |= sites->items[i].counts.bytes != 0;
        columns[WITH_FAILED] |= sites->items[i].counts.errors != 0;
        columns[WITH_HELD] |= sites->items[i].held.calls != 0;
    }
    struct text_scale scale = text_scale_for((double)sites->items[0].counts.time_ns);
    table_column(&t, "time", TABLE_RIGHT);
    table_column(&t, "each", TABLE_RIGHT);
    table_column(&t, "longest", TABLE_RIGHT);
    table_column(&t, model_ops(v->model) ? "calls/op" : "calls", TABLE_RIGHT);
    if (columns[WITH_BYTES]) {
        table_column(&t, "bytes", TABLE_RIGHT);
        table_column(&t, "each", TABLE_RIGHT);
    }
    if (columns[WITH_FAILED])
        table_column(&t, "failed", TABLE_RIGHT);
    if (columns[WITH_HELD])
        table_column(&t, "locked", TABLE_RIGHT);
    table_column(&t, "call", TABLE_NAME);
    table_column(&t, "at", TABLE_NAME);
    for (size_t i = 0; i < sites->count && (v->all || i < v->limit); i++)
        row_put(&t, v, &sites->items[i], scale, columns);
    table_print(&t, v->out);
    table_release(&t);
    if (!v->all && sites->count > v->limit)
        fprintf(v->out, " %zu more: --all\n", sites->count - v->limit);
    if (columns[WITH_HELD])
        fputs(" locked: the part of the time in which the thread held a lock\n", v->out);
}

static struct model_wait_counts total_of(const struct call_sites *sites)
{
    struct model_wait_counts total = {0};
    for (size_t i = 0; i < sites->count; i++)
        model_wait_counts_add(&total, &sites->items[i].counts);
    return total;
}

static void part_put(const struct view *v, const char *title, enum pshim_wait waits)
{
    struct call_sites sites = {0};
    char a[UNITS_BUF], b[UNITS_BUF], c[UNITS_BUF];
    call_sites_build(&sites, v->model, v->frames, waits);
    struct model_wait_counts total = total_of(&sites);
    fprintf(v->out, "%s%s in %s call%s", title, units_duration(a, (double)total.time_ns),
            units_count(b, (double)total.calls), total.calls == 1 ? "" : "s");
    if (waits == PSHIM_WAIT_IO && total.calls) {
        const int64_t *t = v->model->totals.v;
        fprintf(v->out, ", %s", units_size(c, (double)total.bytes));
        if (model_has(v->model, METRIC_IO_CPU_NS))
            fprintf(v->out, "   of all: waiting %s, running %s",
                    units_duration(a, (double)t[METRIC_IO_WAIT_NS]),
                    units_duration(b, (double)t[METRIC_IO_CPU_NS]));
    }
    fputs("\n\n", v->out);
    if (sites.count)
        table_put(v, &sites);
    else
        fputs(" no call was made\n", v->out);
    call_sites_release(&sites);
}

void view_io(const struct view *v)
{
    view_header(v);
    if (!model_has(v->model, METRIC_IO_WAIT_NS)) {
        fputs("I/O was not recorded (--io=off).\n", v->out);
        return;
    }
    part_put(v, "IO      ", PSHIM_WAIT_IO);
    part_put(v, "\nIDLE    ", PSHIM_WAIT_IDLE);
}
