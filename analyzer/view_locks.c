#include <stdlib.h>
#include <string.h>

#include "analyzer/call_site.h"
#include "analyzer/lock_groups.h"
#include "analyzer/lock_times.h"
#include "analyzer/model_waits.h"
#include "analyzer/memory.h"
#include "analyzer/model_locks.h"
#include "analyzer/rank.h"
#include "analyzer/view_sites.h"
#include "common/units.h"

enum { name_columns = 44, inside_locks = 3, inside_rows = 4 };

/* One row. */
struct row {
    const struct lock_group *group;
    size_t index; /* of the group */
};

static int rows_compare(const void *a, const void *b)
{
    const struct lock_group *x = ((const struct row *)a)->group;
    const struct lock_group *y = ((const struct row *)b)->group;
    if (x->counts.wait_ns != y->counts.wait_ns)
        return x->counts.wait_ns < y->counts.wait_ns ? 1 : -1;
    if (x->counts.hold_ns != y->counts.hold_ns)
        return x->counts.hold_ns < y->counts.hold_ns ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* Groups that were taken at a selected stack. Returns how many. */
static size_t rows_make(const struct lock_groups *groups, struct row *rows,
                        struct model_lock_counts *totals)
{
    size_t count = 0;
    for (size_t i = 0; i < groups->count; i++) {
        if (!groups->items[i].place)
            continue;
        rows[count++] = (struct row){&groups->items[i], i};
        model_lock_counts_add(totals, &groups->items[i].counts);
    }
    if (count)
        qsort(rows, count, sizeof *rows, rows_compare);
    return count;
}

static void time_cell(struct table *t, struct text_scale scale, int64_t ns)
{
    char text[TEXT_BUF];
    table_cell(t, "%s", ns ? text_scaled(text, scale, (double)ns) : "-");
}

static void duration_cell(struct table *t, int64_t ns)
{
    char text[UNITS_BUF];
    table_cell(t, "%s", ns ? units_duration(text, (double)ns) : "-");
}

/* What a table of locks says, and in which units. */
struct look {
    void (*row)(struct table *t, const struct view *v, const struct lock_group *g,
                const struct look *look);
    struct text_scale wait, hold;
    bool holds;   /* they are measured */
    bool longest; /* stand in this table */
};

static void name_cell(struct table *t, const struct lock_group *g)
{
    char escaped[name_columns + 1];
    text_escape(escaped, sizeof escaped, g->short_name, name_columns);
    if (g->locks > 1)
        table_cell(t, "%zu x %s", g->locks, escaped);
    else
        table_cell(t, "%s", escaped);
}

static void row_put(struct table *t, const struct view *v, const struct lock_group *g,
                    const struct look *look)
{
    char text[256];
    const struct model_lock_counts *c = &g->counts;
    time_cell(t, look->wait, c->wait_ns);
    if (look->longest)
        duration_cell(t, c->wait_max_ns);
    if (look->holds) {
        time_cell(t, look->hold, c->hold_ns);
        if (look->longest)
            duration_cell(t, c->hold_max_ns);
        table_cell(t, "%s", view_calls(v, text, c->acquisitions));
        table_cell(t, "%s",
                   c->contentions
                       ? text_percent(text, (double)c->contentions, (double)c->acquisitions)
                       : "-");
    } else {
        table_cell(t, "%s", view_calls(v, text, c->contentions));
    }
    name_cell(t, g);
    sites_place_text(v, g->place, text, sizeof text, 36);
    table_cell(t, "%s", text);
}

static void times_row_put(struct table *t, const struct view *v, const struct lock_group *g,
                          const struct look *look)
{
    static const double quantiles[] = {0.5, 0.99};
    for (unsigned which = 0; which < (look->holds ? LOCK_TIMES : 1); which++) {
        for (unsigned i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
            int64_t ns = lock_times_quantile_ns(&g->times, v->model, which, quantiles[i]);
            duration_cell(t, ns < 0 ? 0 : ns);
        }
        duration_cell(t, g->times.max_ns[which]);
    }
    name_cell(t, g);
}

/* A read-write lock is two: what was taken to read, and to write. */
static void apart_put(struct table *t, const struct view *v, const struct lock_groups *groups,
                      const struct row *row, const struct look *look)
{
    const struct model *m = v->model;
    const struct frame *stack[FRAMES_STACK_MAX];
    for (int reads = 1; reads >= 0; reads--) {
        char name[LOCK_NAME_BYTES + 16];
        struct lock_group part = {.locks = row->group->locks, .short_name = name};
        struct model_lock_counts most = {0};
        for (size_t i = 0; i < m->lock_site_count; i++) {
            const struct model_lock_site *s = &m->lock_sites[i];
            if (groups->of[s->lock] != row->index || lock_call_reads(s->node, v->frames) != reads ||
                !rank_selected(v->frames, frames_selection(v->frames), stack,
                               frames_stack(v->frames, s->node, stack)))
                continue;
            model_lock_counts_add(&part.counts, &s->counts);
            lock_times_add(&part.times, m, s);
            if (!part.place || model_lock_counts_compare(&s->counts, &most) < 0) {
                part.place = lock_place(s->node, v->frames);
                most = s->counts;
            }
        }
        snprintf(name, sizeof name, "%s (%s)", row->group->short_name, reads ? "read" : "write");
        if (part.place)
            look->row(t, v, &part, look);
    }
}

static void rows_put(struct table *t, const struct view *v, const struct lock_groups *groups,
                     const struct row *rows, size_t count, const struct look *look)
{
    for (size_t i = 0; i < count && (v->all || i < v->limit); i++)
        if (rows[i].group->kind == PSHIM_LOCK_RWLOCK)
            apart_put(t, v, groups, &rows[i], look);
        else
            look->row(t, v, rows[i].group, look);
    table_print(t, v->out);
    table_release(t);
}

/* How long a single wait, a single hold took. */
static void times_put(const struct view *v, const struct lock_groups *groups,
                      const struct row *rows, size_t count, struct look look)
{
    struct table t = {0};
    look.row = times_row_put;
    table_column(&t, "wait p50", TABLE_RIGHT);
    table_column(&t, "p99", TABLE_RIGHT);
    table_column(&t, "longest", TABLE_RIGHT);
    if (look.holds) {
        table_column(&t, "hold p50", TABLE_RIGHT);
        table_column(&t, "p99", TABLE_RIGHT);
        table_column(&t, "longest", TABLE_RIGHT);
    }
    table_column(&t, "one wait, one hold of", TABLE_NAME);
    fputc('\n', v->out);
    rows_put(&t, v, groups, rows, count, &look);
}

static void table_put(const struct view *v, const struct lock_groups *groups,
                      const struct row *rows, size_t count)
{
    struct table t = {0};
    bool holds = model_has(v->model, METRIC_LOCK_HOLD_NS), ops = model_ops(v->model) != 0;
    bool times = lock_times_measured(v->model);
    int64_t longest = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i].group->counts.hold_ns > longest)
            longest = rows[i].group->counts.hold_ns;
    struct look look = {.row = row_put,
                        .wait = text_scale_for((double)rows[0].group->counts.wait_ns),
                        .hold = text_scale_for((double)longest),
                        .holds = holds,
                        .longest = !times};
    table_column(&t, "wait", TABLE_RIGHT);
    if (look.longest)
        table_column(&t, "longest", TABLE_RIGHT);
    if (holds) {
        table_column(&t, "hold", TABLE_RIGHT);
        if (look.longest)
            table_column(&t, "longest", TABLE_RIGHT);
        table_column(&t, ops ? "taken/op" : "taken", TABLE_RIGHT);
        table_column(&t, "waits", TABLE_RIGHT);
    } else {
        table_column(&t, ops ? "waits/op" : "waits", TABLE_RIGHT);
    }
    table_column(&t, "lock", TABLE_NAME);
    table_column(&t, "most at", TABLE_NAME);
    rows_put(&t, v, groups, rows, count, &look);
    if (!v->all && count > v->limit)
        fprintf(v->out, " %zu more: --all\n", count - v->limit);
    if (times)
        times_put(v, groups, rows, count, look);
}

/* The I/O and the waits in a critical section. */
static void held_calls_print(const struct view *v, const struct call_sites *calls)
{
    struct table t = {0};
    char text[256], each[UNITS_BUF], time[UNITS_BUF], count[UNITS_BUF];
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_LEFT);
    table_column(&t, NULL, TABLE_NAME);
    table_column(&t, NULL, TABLE_LEFT);
    for (size_t i = 0; i < calls->count && (v->all || i < inside_rows); i++) {
        const struct call_site *c = &calls->items[i];
        double n = (double)c->counts.calls;
        table_cell(&t, "%s", units_duration(time, (double)c->counts.time_ns));
        table_cell(&t, "in %s", model_call_name(c->call));
        sites_place_text(v, c->place, text, sizeof text, 36);
        table_cell(&t, "%s", text);
        table_cell(&t, "%s call%s, %s each", units_count(count, n), n == 1 ? "" : "s",
                   units_duration(each, n > 0 ? (double)c->counts.time_ns / n : 0));
    }
    table_print(&t, v->out);
    table_release(&t);
}

void view_lock_inside(const struct view *v, const struct lock_groups *groups, size_t group)
{
    struct lock_works works = {0};
    struct call_sites calls = {0};
    struct table t = {0};
    char text[256], buf[UNITS_BUF], hold[UNITS_BUF];
    const struct lock_group *g = &groups->items[group];
    int64_t cpu = 0;
    for (size_t i = 0; i < v->model->lock_count; i++)
        if (groups->of[i] == group) {
            lock_works_add(&works, v->model, v->frames, i);
            call_sites_of_lock(&calls, v->model, v->frames, i);
        }
    lock_works_sort(&works);
    call_sites_sort(&calls);
    for (size_t i = 0; i < works.count; i++)
        cpu = metric_sum(cpu, works.items[i].cpu_ns);
    if (works.count || calls.count) {
        fputs("\nWhile ", v->out);
        if (g->locks > 1)
            fprintf(v->out, "%zu x ", g->locks);
        fprintf(v->out, "%s %s held: cpu %s", text_escape(text, sizeof text, g->name, 44),
                g->locks > 1 ? "were" : "was", units_duration(buf, (double)cpu));
        if (g->counts.hold_ns) /* 0: never given back */
            fprintf(v->out, " of %s", units_duration(hold, (double)g->counts.hold_ns));
        if (g->counts.held_allocs)
            fprintf(v->out, ", %s allocation%s", units_count(buf, (double)g->counts.held_allocs),
                    g->counts.held_allocs == 1 ? "" : "s");
        fputc('\n', v->out);
    }
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_NAME);
    for (size_t i = 0; i < works.count && (v->all || i < inside_rows); i++) {
        const struct lock_work *w = &works.items[i];
        table_cell(&t, "%s", text_percent(text, (double)w->cpu_ns, (double)cpu));
        table_cell(&t, "%s", units_duration(buf, (double)w->cpu_ns));
        sites_place_text(v, w->frame, text, sizeof text, 36);
        if (w->callee == w->section)
            table_cell(&t, "%s, the section itself", text);
        else
            table_cell(&t, "%s", text);
    }
    table_print(&t, v->out);
    table_release(&t);
    held_calls_print(v, &calls);
    call_sites_release(&calls);
    free(works.items);
}

void view_locks_line(const struct view *v, const struct model_lock_counts *totals)
{
    char a[UNITS_BUF], b[UNITS_BUF];
    fprintf(v->out, "LOCKS   wait %s in %s wait%s", units_duration(a, (double)totals->wait_ns),
            units_count(b, (double)totals->contentions), totals->contentions == 1 ? "" : "s");
    if (model_has(v->model, METRIC_LOCK_HOLD_NS))
        fprintf(v->out, "   hold %s, taken %s time%s", units_duration(a, (double)totals->hold_ns),
                units_count(b, (double)totals->acquisitions), totals->acquisitions == 1 ? "" : "s");
    fputc('\n', v->out);
}

/* What idle threads waited for: who wants to know finds it here, but it is nobody's cost. */
static void idle_put(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], text[256];
    struct lock_groups groups;
    struct model_lock_counts totals = {0};
    struct table t = {0};
    lock_groups_build_idle(&groups, v->model, v->frames);
    struct row *rows = memory_new(groups.count, sizeof *rows);
    size_t count = rows_make(&groups, rows, &totals);
    if (totals.contentions) {
        fprintf(v->out,
                "\nIDLE    %s in %s wait%s for conditions, semaphores, futexes: in no cost\n",
                units_duration(a, (double)totals.wait_ns),
                units_count(b, (double)totals.contentions), totals.contentions == 1 ? "" : "s");
        struct text_scale wait = text_scale_for((double)rows[0].group->counts.wait_ns);
        table_column(&t, "idle", TABLE_RIGHT);
        table_column(&t, "longest", TABLE_RIGHT);
        table_column(&t, model_ops(v->model) ? "waits/op" : "waits", TABLE_RIGHT);
        table_column(&t, "kind", TABLE_NAME);
        table_column(&t, "name", TABLE_NAME);
        table_column(&t, "most at", TABLE_NAME);
        for (size_t i = 0; i < count && (v->all || i < v->limit); i++) {
            const struct lock_group *g = rows[i].group;
            time_cell(&t, wait, g->counts.wait_ns);
            duration_cell(&t, g->counts.wait_max_ns);
            table_cell(&t, "%s", view_calls(v, text, g->counts.contentions));
            table_cell(&t, "%s", lock_kind_name(g->kind));
            name_cell(&t, g);
            sites_place_text(v, g->place, text, sizeof text, 36);
            table_cell(&t, "%s", text);
        }
        table_print(&t, v->out);
        table_release(&t);
        if (!v->all && count > v->limit)
            fprintf(v->out, " %zu more: --all\n", count - v->limit);
    }
    free(rows);
    lock_groups_release(&groups);
}

void view_locks(const struct view *v)
{
    const struct model *m = v->model;
    struct lock_groups groups;
    struct model_lock_counts totals = {0};
    view_header(v);
    if (!model_has(m, METRIC_LOCK_WAIT_NS)) {
        fputs("Locks were not measured (--locks=off).\n", v->out);
        return;
    }
    lock_groups_build(&groups, m, v->frames);
    struct row *rows = memory_new(groups.count, sizeof *rows);
    size_t count = rows_make(&groups, rows, &totals);
    view_locks_line(v, &totals);
    fputc('\n', v->out);
    if (count)
        table_put(v, &groups, rows, count);
    else if (model_has(m, METRIC_LOCK_HOLD_NS))
        fputs(" no lock was taken\n", v->out);
    else
        fputs(" nobody waited for a lock\n", v->out);
    for (size_t i = 0; i < count && i < inside_locks; i++)
        view_lock_inside(v, &groups, rows[i].index);
    free(rows);
    lock_groups_release(&groups);
    idle_put(v);
}
