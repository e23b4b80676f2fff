#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/view.h"
#include "common/units.h"

/* A thread, or all of one name. */
struct row {
    char name[17];
    uint32_t tid;
    uint64_t threads;
    struct ledger_sum sum;
};

static int by_name(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_cpu(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    const struct ledger *l = &x->sum.all, *r = &y->sum.all;
    if (l->v[LEDGER_CPU] != r->v[LEDGER_CPU])
        return l->v[LEDGER_CPU] < r->v[LEDGER_CPU] ? 1 : -1;
    if (l->wall_ns != r->wall_ns)
        return l->wall_ns < r->wall_ns ? 1 : -1;
    int names = strcmp(x->name, y->name);
    return names ? names : (x->tid > y->tid) - (x->tid < y->tid);
}

/* A row a thread; most CPU time first. The caller frees it. */
static struct row *rows_new(const struct model *m, bool gather, size_t *count)
{
    struct row *rows = memory_new(m->threads_kept, sizeof *rows);
    size_t kept = 0;
    for (size_t i = 0; i < m->threads_kept; i++) {
        memcpy(rows[i].name, m->threads[i].name, sizeof rows[i].name);
        rows[i].tid = m->threads[i].tid;
        rows[i].threads = 1 + m->threads[i].merged;
        ledger_books_add(&rows[i].sum, &m->threads[i].ledger);
    }
    *count = m->threads_kept;
    if (gather && *count) {
        qsort(rows, *count, sizeof *rows, by_name);
        for (size_t i = 1; i < *count; i++) {
            if (strcmp(rows[kept].name, rows[i].name) != 0) {
                rows[++kept] = rows[i];
                continue;
            }
            ledger_books_sum(&rows[kept].sum, &rows[i].sum);
            rows[kept].threads += rows[i].threads;
        }
        *count = kept + 1;
    }
    if (*count)
        qsort(rows, *count, sizeof *rows, by_cpu);
    return rows;
}

/* Parts worth a column: known of the whole, and not all 0 where that is the rule. */
static bool has_column(const struct model *m, enum ledger_part part)
{
    return ledger_has(&m->ledger, part) && (part != LEDGER_PAUSED || m->ledger.v[part]);
}

void view_threads_table(const struct view *v, bool gather)
{
    static const char *const titles[LEDGER_PART_COUNT] = {
#define X(id, key, column, text) column,
        LEDGER_PARTS(X)
#undef X
    };
    const struct model *m = v->model;
    size_t count;
    int64_t largest = 0;
    struct row *rows = rows_new(m, gather, &count);
    for (size_t i = 0; i < count; i++)
        largest = rows[i].sum.all.wall_ns > largest ? rows[i].sum.all.wall_ns : largest;
    struct table t = {0};
    char text[TEXT_BUF], name[80];
    struct text_scale scale = text_scale_for((double)largest);
    table_column(&t, gather ? "threads" : "tid", TABLE_RIGHT);
    table_column(&t, "wall", TABLE_RIGHT);
    for (int k = 0; k < LEDGER_PART_COUNT; k++) {
        if (has_column(m, k))
            table_column(&t, titles[k], TABLE_RIGHT);
        if (k == LEDGER_CPU && has_column(m, k))
            table_column(&t, "cpu%", TABLE_RIGHT);
    }
    table_column(&t, "name", TABLE_NAME);
    for (size_t i = 0; i < count && (v->all || i < v->limit); i++) {
        const struct ledger *l = &rows[i].sum.all;
        table_cell(&t, "%llu", (unsigned long long)(gather ? rows[i].threads : rows[i].tid));
        table_cell(&t, "%s", text_scaled(text, scale, (double)l->wall_ns));
        for (int k = 0; k < LEDGER_PART_COUNT; k++) {
            if (!has_column(m, k))
                continue;
            if (ledger_has(l, k) && l->v[k])
                table_cell(&t, "%s", text_scaled(text, scale, (double)l->v[k]));
            else
                table_cell(&t, "%s", ledger_has(l, k) ? "-" : "?");
            if (k == LEDGER_CPU)
                table_cell(&t, "%s", text_percent(text, (double)l->v[k], (double)m->ledger.v[k]));
        }
        table_cell(&t, "%s", text_escape(name, sizeof name, rows[i].name, 64));
    }
    table_print(&t, v->out);
    if (!v->all && count > v->limit)
        fprintf(v->out, " %zu more: --all\n", count - v->limit);
    table_release(&t);
    free(rows);
}

void view_threads(const struct view *v)
{
    view_header(v);
    view_threads_table(v, false);
}

void view_thread_names(const struct view *v)
{
    view_header(v);
    view_threads_table(v, true);
}
