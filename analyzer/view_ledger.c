#include <string.h>

#include "analyzer/bypass.h"
#include "analyzer/view.h"
#include "common/units.h"

int64_t view_ledger_part(const struct model *m, enum ledger_part part)
{
    int64_t ns = m->ledger.v[part];
    return part == LEDGER_CPU ? metric_difference(ns, m->totals.v[METRIC_PROFILER_NS]) : ns;
}

/* How many CPUs the program had, and how many it would have used. */
static void cpus_line(const struct view *v)
{
    const struct model *m = v->model;
    const struct ledger *l = &m->ledger;
    char ran[UNITS_BUF], had[UNITS_BUF], share[TEXT_BUF];
    double all = (double)m->wall_ns * m->header->cpus;
    if (!ledger_has(l, LEDGER_CPU) || all <= 0)
        return;
    fprintf(v->out, "CPUS    %s of %s on %u CPU%s (%s)",
            units_duration(ran, (double)l->v[LEDGER_CPU]), units_duration(had, all),
            m->header->cpus, m->header->cpus == 1 ? "" : "s",
            text_percent(share, (double)l->v[LEDGER_CPU], all));
    if (ledger_has(l, LEDGER_RUNQUEUE) && m->wall_ns)
        fprintf(v->out, "; %.1f threads wanted to run at a time, %.1f did",
                (double)metric_sum(l->v[LEDGER_CPU], l->v[LEDGER_RUNQUEUE]) / (double)m->wall_ns,
                (double)l->v[LEDGER_CPU] / (double)m->wall_ns);
    fputs("\n\n", v->out);
}

/* Is there a part that is not known? It is in the unexplained then. */
static bool is_partial(const struct model *m)
{
    for (int k = 0; k < LEDGER_PART_COUNT; k++)
        if (k != LEDGER_UNEXPLAINED && k != LEDGER_PAUSED && !ledger_has(&m->ledger, k))
            return true;
    return false;
}

static void parts_table(const struct view *v)
{
    static const struct {
        const char *name, *text;
    } parts[LEDGER_PART_COUNT] = {
#define X(id, key, column, text) {column, text},
        LEDGER_PARTS(X)
#undef X
    };
    const struct model *m = v->model;
    struct text_scale scale = text_scale_for((double)m->ledger.wall_ns);
    char text[TEXT_BUF];
    struct table t = {0};
    table_column(&t, "time", TABLE_RIGHT);
    table_column(&t, "%", TABLE_RIGHT);
    table_column(&t, "part", TABLE_LEFT);
    table_column(&t, "", TABLE_LEFT);
    for (int k = 0; k < LEDGER_PART_COUNT; k++) {
        if (k == LEDGER_PAUSED && !m->ledger.v[k])
            continue;
        int64_t ns = view_ledger_part(m, k);
        bool known = ledger_has(&m->ledger, k);
        table_cell(&t, "%s", known ? text_scaled(text, scale, (double)ns) : "not known");
        table_cell(&t, "%s",
                   known ? text_percent(text, (double)ns, (double)m->ledger.wall_ns) : "");
        table_cell(&t, "%s", parts[k].name);
        table_cell(&t, "%s%s", parts[k].text,
                   k == LEDGER_UNEXPLAINED && is_partial(m) ? ", and what is not known" : "");
        if (k != LEDGER_CPU || !m->totals.v[METRIC_PROFILER_NS])
            continue;
        ns = m->totals.v[METRIC_PROFILER_NS];
        table_cell(&t, "%s", text_scaled(text, scale, (double)ns));
        table_cell(&t, "%s", text_percent(text, (double)ns, (double)m->ledger.wall_ns));
        table_cell(&t, "profiler");
        table_cell(&t, "running, in perfshim's own work");
    }
    table_cell(&t, "%s", text_scaled(text, scale, (double)m->ledger.wall_ns));
    table_cell(&t, "%s", text_percent(text, 1, 1));
    table_cell(&t, "all");
    table_cell(&t, "the lives of %llu thread%s", (unsigned long long)m->thread_count,
               m->thread_count == 1 ? "" : "s");
    table_print(&t, v->out);
    table_release(&t);
}

/* Who may have waited where no hook is. */
static void bypass_put(const struct view *v)
{
    struct bypass b;
    struct table t = {0};
    enum { name_columns = 60 };
    char share[TEXT_BUF], text[256];
    bypass_build(&b, v->model, v->frames);
    if (b.asked) {
        text_percent(share, b.share, 1);
        fprintf(v->out, "\nBYPASS  %s of all time %s", share,
                is_partial(v->model) ? "is unexplained" : "no hook saw");
        if (b.thread)
            fprintf(v->out, ", most of it in %s (%s of its time)",
                    text_escape(text, sizeof text, b.thread->name, 16),
                    text_percent(share, (double)b.thread->ledger.v[LEDGER_UNEXPLAINED],
                                 (double)b.thread->ledger.wall_ns));
        fputs(b.count
                  ? "\n        code that calls the system itself, most CPU time first:\n\n"
                  : "\n        no module that can be read calls the system itself: calls that are "
                    "not hooked,\n        waits inside libc, page faults, or stops\n",
              v->out);
        table_column(&t, "cpu", TABLE_RIGHT);
        table_column(&t, "system calls", TABLE_RIGHT);
        table_column(&t, "module", TABLE_NAME);
        struct text_scale scale = text_scale_for(b.count ? (double)b.items[0].cpu_ns : 0);
        for (size_t i = 0; i < b.count && (v->all || i < v->limit); i++) {
            table_cell(&t, "%s", text_scaled(text, scale, (double)b.items[i].cpu_ns));
            table_cell(&t, "%zu", b.items[i].calls);
            const char *slash = strrchr(b.items[i].path, '/');
            table_cell(
                &t, "%s",
                text_escape(text, sizeof text, slash ? slash + 1 : b.items[i].path, name_columns));
        }
        if (b.count)
            table_print(&t, v->out);
        table_release(&t);
        if (b.made_code)
            fputs(" code of no module (made at run time) ran as well: it cannot be looked at\n",
                  v->out);
        if (b.unread)
            fprintf(v->out, " %zu module%s could not be read: gone, or changed since\n", b.unread,
                    b.unread == 1 ? "" : "s");
    }
    bypass_release(&b);
}

void view_ledger(const struct view *v)
{
    view_header(v);
    cpus_line(v);
    parts_table(v);
    fputc('\n', v->out);
    view_threads_table(v, true);
    bypass_put(v);
}
