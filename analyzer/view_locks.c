#include <stdlib.h>
#include <string.h>

#include "analyzer/lock.h"
#include "analyzer/memory.h"
#include "analyzer/model_locks.h"
#include "analyzer/view.h"
#include "common/units.h"

enum { name_columns = 44, inside_locks = 3, inside_rows = 4 };

/* Locks of one name: the shards of a table, say. */
struct group {
    char *name;
    size_t locks;
    size_t busiest; /* index of the first one in m->locks: they are sorted */
    struct model_lock_counts counts;
    int64_t held_cpu_ns;
};

static void group_add(struct group *g, const struct model_lock *lock)
{
    g->locks++;
    model_lock_counts_add(&g->counts, &lock->counts);
    g->held_cpu_ns = metric_sum(g->held_cpu_ns, lock->held_cpu_ns);
}

static int groups_compare(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->counts.wait_ns != y->counts.wait_ns)
        return x->counts.wait_ns < y->counts.wait_ns ? 1 : -1;
    if (x->counts.hold_ns != y->counts.hold_ns)
        return x->counts.hold_ns < y->counts.hold_ns ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* A lock's place passes --focus and --ignore if any of its sites does. */
static bool is_selected(const struct view *v, size_t lock)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    size_t count, first = lock_first_site(v->model, lock, &count);
    for (size_t i = first; i < first + count; i++) {
        unsigned depth = frames_stack(v->frames, v->model->lock_sites[i].node, stack);
        if (rank_selected(v->frames, frames_selection(v->frames), stack, depth))
            return true;
    }
    return count == 0;
}

static size_t groups_make(const struct view *v, struct group *groups)
{
    const struct model *m = v->model;
    char name[LOCK_NAME_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < m->lock_count; i++) {
        if (!is_selected(v, i))
            continue;
        lock_name(&m->locks[i], v->frames, name);
        size_t k = 0;
        while (k < count && strcmp(groups[k].name, name) != 0)
            k++;
        if (k == count)
            groups[count++] = (struct group){.name = memory_string(name), .busiest = i};
        group_add(&groups[k], &m->locks[i]);
    }
    if (count)
        qsort(groups, count, sizeof *groups, groups_compare);
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

/* "name file.c:12" of a frame. */
static char *place_text(const struct view *v, const struct frame *frame, char *to, size_t size)
{
    char name[128], place[160], escaped[64];
    text_short_name(name, sizeof name, frames_function(v->frames, frame->function)->name, 36);
    frames_place(v->frames, frame, place, sizeof place);
    text_escape(escaped, sizeof escaped, place, 40);
    snprintf(to, size, "%s%s%s", name, *escaped ? " " : "", escaped);
    return to;
}

static void row_put(struct table *t, const struct view *v, const struct group *g,
                    struct text_scale wait, struct text_scale hold, bool holds)
{
    char text[256], name[LOCK_NAME_BYTES], escaped[name_columns + 1];
    const struct model_lock_counts *c = &g->counts;
    size_t sites, first = lock_first_site(v->model, g->busiest, &sites);
    time_cell(t, wait, c->wait_ns);
    duration_cell(t, c->wait_max_ns);
    if (holds) {
        time_cell(t, hold, c->hold_ns);
        duration_cell(t, c->hold_max_ns);
        table_cell(t, "%s", view_calls(v, text, c->acquisitions));
        table_cell(t, "%s",
                   c->contentions
                       ? text_percent(text, (double)c->contentions, (double)c->acquisitions)
                       : "-");
    } else {
        table_cell(t, "%s", view_calls(v, text, c->contentions));
    }
    lock_short_name(&v->model->locks[g->busiest], v->frames, name);
    text_escape(escaped, sizeof escaped, name, name_columns);
    if (g->locks > 1)
        table_cell(t, "%zu x %s", g->locks, escaped);
    else
        table_cell(t, "%s", escaped);
    table_cell(t, "%s",
               sites ? place_text(v, lock_place(v->model->lock_sites[first].node, v->frames), text,
                                  sizeof text)
                     : "");
}

static void table_put(const struct view *v, const struct group *groups, size_t count)
{
    struct table t = {0};
    bool holds = model_has(v->model, METRIC_LOCK_HOLD_NS), ops = model_ops(v->model) != 0;
    int64_t longest = 0;
    for (size_t i = 0; i < count; i++)
        longest = groups[i].counts.hold_ns > longest ? groups[i].counts.hold_ns : longest;
    struct text_scale wait = text_scale_for((double)groups[0].counts.wait_ns);
    struct text_scale hold = text_scale_for((double)longest);
    table_column(&t, "wait", TABLE_RIGHT);
    table_column(&t, "longest", TABLE_RIGHT);
    if (holds) {
        table_column(&t, "hold", TABLE_RIGHT);
        table_column(&t, "longest", TABLE_RIGHT);
        table_column(&t, ops ? "taken/op" : "taken", TABLE_RIGHT);
        table_column(&t, "waits", TABLE_RIGHT);
    } else {
        table_column(&t, ops ? "waits/op" : "waits", TABLE_RIGHT);
    }
    table_column(&t, "lock", TABLE_NAME);
    table_column(&t, "most at", TABLE_NAME);
    for (size_t i = 0; i < count && (v->all || i < v->limit); i++)
        row_put(&t, v, &groups[i], wait, hold, holds);
    table_print(&t, v->out);
    table_release(&t);
    if (!v->all && count > v->limit)
        fprintf(v->out, " %zu more: --all\n", count - v->limit);
}

/* What the holders of a group's busiest lock did, by their ticks. */
static void inside_put(const struct view *v, const struct group *g)
{
    struct lock_work *works;
    struct table t = {0};
    char text[256], buf[UNITS_BUF], hold[UNITS_BUF];
    size_t count = lock_works(v->model, v->frames, g->busiest, &works);
    const struct model_lock *lock = &v->model->locks[g->busiest];
    if (count == 0)
        return;
    fprintf(v->out, "\nWhile %s was held: cpu %s of %s",
            text_escape(text, sizeof text, g->name, 60),
            units_duration(buf, (double)lock->held_cpu_ns),
            units_duration(hold, (double)lock->counts.hold_ns));
    if (lock->counts.held_allocs)
        fprintf(v->out, ", %s allocations", units_count(buf, (double)lock->counts.held_allocs));
    fputc('\n', v->out);
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_NAME);
    for (size_t i = 0; i < count && (v->all || i < inside_rows); i++) {
        const struct lock_work *w = &works[i];
        table_cell(&t, "%s", text_percent(text, (double)w->cpu_ns, (double)lock->held_cpu_ns));
        table_cell(&t, "%s", units_duration(buf, (double)w->cpu_ns));
        place_text(v, w->frame, text, sizeof text);
        if (w->callee == w->section)
            table_cell(&t, "%s, the section itself", text);
        else
            table_cell(&t, "%s", text);
    }
    table_print(&t, v->out);
    table_release(&t);
    free(works);
}

void view_locks(const struct view *v)
{
    const struct model *m = v->model;
    char a[UNITS_BUF], b[UNITS_BUF];
    view_header(v);
    if (!model_has(m, METRIC_LOCK_WAIT_NS)) {
        fputs("Locks were not measured (--locks=off).\n", v->out);
        return;
    }
    struct group *groups = memory_new(m->lock_count, sizeof *groups);
    size_t count = groups_make(v, groups);
    fprintf(v->out, "LOCKS   wait %s in %s waits",
            units_duration(a, (double)m->totals.v[METRIC_LOCK_WAIT_NS]),
            units_count(b, (double)m->totals.v[METRIC_LOCK_CONTENTIONS]));
    if (model_has(m, METRIC_LOCK_HOLD_NS)) {
        fprintf(v->out, "   hold %s", units_duration(a, (double)m->totals.v[METRIC_LOCK_HOLD_NS]));
        fprintf(v->out, ", taken %s times",
                units_count(b, (double)m->totals.v[METRIC_LOCK_ACQUISITIONS]));
    }
    fputs("\n\n", v->out);
    if (count == 0)
        fputs(" no lock was taken\n", v->out);
    else
        table_put(v, groups, count);
    for (size_t i = 0; i < count && i < inside_locks; i++)
        inside_put(v, &groups[i]);
    for (size_t i = 0; i < count; i++)
        free(groups[i].name);
    free(groups);
}
