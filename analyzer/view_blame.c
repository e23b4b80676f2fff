#include "analyzer/blame.h"
#include "analyzer/lock_groups.h"
#include "analyzer/view.h"
#include "common/units.h"

enum { name_columns = 36, place_columns = 40, inside_locks = 3 };

/* "name file.c:12" of a frame. */
static void place_cell(struct table *t, const struct view *v, const struct frame *frame)
{
    char name[128], place[160], escaped[64];
    if (!frame) {
        table_cell(t, "[not known]");
        return;
    }
    text_short_name(name, sizeof name, frames_function(v->frames, frame->function)->name,
                    name_columns);
    frames_place(v->frames, frame, place, sizeof place);
    text_escape(escaped, sizeof escaped, place, place_columns);
    table_cell(t, "%s%s%s", name, *escaped ? " " : "", escaped);
}

/* `waits`: all that the shares are of. */
static void table_put(const struct view *v, const struct lock_groups *groups,
                      const struct blame_pairs *pairs, int64_t waits)
{
    struct table t = {0};
    char text[256], buf[UNITS_BUF];
    struct text_scale scale = text_scale_for((double)pairs->items[0].wait_ns);
    table_column(&t, "blamed", TABLE_RIGHT);
    table_column(&t, "of waits", TABLE_RIGHT);
    table_column(&t, "longest", TABLE_RIGHT);
    table_column(&t, model_ops(v->model) ? "waits/op" : "waits", TABLE_RIGHT);
    table_column(&t, "given back at", TABLE_NAME);
    table_column(&t, "waited at", TABLE_NAME);
    table_column(&t, "lock", TABLE_NAME);
    for (size_t i = 0; i < pairs->count && (v->all || i < v->limit); i++) {
        const struct blame_pair *p = &pairs->items[i];
        const struct lock_group *g = &groups->items[p->group];
        table_cell(&t, "%s", text_scaled(text, scale, (double)p->wait_ns));
        table_cell(&t, "%s", text_percent(text, (double)p->wait_ns, (double)waits));
        table_cell(&t, "%s", units_duration(buf, (double)p->wait_max_ns));
        table_cell(&t, "%s", view_calls(v, text, p->waits));
        place_cell(&t, v, p->holder);
        place_cell(&t, v, p->waiter);
        text_escape(text, sizeof text, g->brief_name, name_columns);
        if (g->locks > 1)
            table_cell(&t, "%zu x %s", g->locks, text);
        else
            table_cell(&t, "%s", text);
    }
    table_print(&t, v->out);
    table_release(&t);
    if (!v->all && pairs->count > v->limit)
        fprintf(v->out, " %zu more: --all\n", pairs->count - v->limit);
}

/* Of all locks that somebody holds: nobody answers for the others' waits. Returns all waits. */
static int64_t line_put(const struct view *v)
{
    char waits[UNITS_BUF], blamed[UNITS_BUF], rest[UNITS_BUF], part[TEXT_BUF], other[UNITS_BUF];
    const struct model *m = v->model;
    int64_t wait = 0, charged = 0, unowned = 0;
    for (size_t i = 0; i < m->lock_count; i++) {
        const struct model_lock *l = &m->locks[i];
        bool owned = l->kind == PSHIM_LOCK_MUTEX || l->kind == PSHIM_LOCK_RWLOCK ||
                     l->kind == PSHIM_LOCK_SPIN || l->kind == PSHIM_LOCK_NONE;
        if (owned) {
            wait = metric_sum(wait, l->counts.wait_ns);
            charged = metric_sum(charged, l->blamed_ns);
        } else if (l->kind != PSHIM_LOCK_COND) {
            unowned = metric_sum(unowned, l->counts.wait_ns);
        }
    }
    int64_t handoff = wait > charged ? metric_difference(wait, charged) : 0;
    fprintf(v->out, "BLAME   waits %s: %s (%s) for who held the lock, %s hand-off\n",
            units_duration(waits, (double)wait), units_duration(blamed, (double)charged),
            text_percent(part, (double)charged, (double)wait),
            units_duration(rest, (double)handoff));
    if (unowned)
        fprintf(v->out, "        %s more for what nobody holds (semaphores, barriers): see locks\n",
                units_duration(other, (double)unowned));
    return wait;
}

void view_blame(const struct view *v)
{
    const struct model *m = v->model;
    struct lock_groups groups;
    struct blame_pairs pairs = {0};
    view_header(v);
    if (!model_has(m, METRIC_BLAMED_WAIT_NS)) {
        fputs(model_has(m, METRIC_LOCK_WAIT_NS)
                  ? "Who held the locks was not measured: that needs --locks=on.\n"
                  : "Locks were not measured (--locks=off).\n",
              v->out);
        return;
    }
    lock_groups_build(&groups, m, v->frames);
    for (size_t i = 0; i < m->lock_count; i++)
        blame_pairs_add(&pairs, m, v->frames, i, groups.of[i]);
    blame_pairs_join(&pairs);
    int64_t waits = line_put(v);
    fputc('\n', v->out);
    if (pairs.count)
        table_put(v, &groups, &pairs, waits);
    else
        fputs(" nobody was made to wait\n", v->out);
    size_t told[inside_locks], count = 0;
    for (size_t i = 0; i < pairs.count && count < inside_locks; i++) {
        bool again = false;
        for (size_t k = 0; k < count; k++)
            again = again || told[k] == pairs.items[i].group;
        if (again)
            continue;
        told[count++] = pairs.items[i].group;
        view_lock_inside(v, &groups, pairs.items[i].group);
    }
    blame_pairs_release(&pairs);
    lock_groups_release(&groups);
}
