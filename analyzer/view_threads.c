#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/view.h"
#include "common/units.h"

static int by_name(const void *a, const void *b)
{
    const struct model_thread *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_cpu(const void *a, const void *b)
{
    const struct model_thread *x = a, *y = b;
    if (x->cpu_ns != y->cpu_ns)
        return x->cpu_ns < y->cpu_ns ? 1 : -1;
    return strcmp(x->name, y->name);
}

void view_threads(const struct view *v)
{
    const struct model *m = v->model;
    struct model_thread *groups = memory_new(m->threads_kept, sizeof *groups);
    size_t count = 0;
    memcpy(groups, m->threads, m->threads_kept * sizeof *groups);
    qsort(groups, m->threads_kept, sizeof *groups, by_name);
    for (size_t i = 0; i < m->threads_kept; i++) {
        if (count && strcmp(groups[count - 1].name, groups[i].name) == 0) {
            struct model_thread *to = &groups[count - 1];
            to->cpu_ns = metric_sum(to->cpu_ns, groups[i].cpu_ns);
            to->wall_ns = metric_sum(to->wall_ns, groups[i].wall_ns);
            to->merged += 1 + groups[i].merged;
        } else {
            groups[count++] = groups[i];
        }
    }
    qsort(groups, count, sizeof *groups, by_cpu);
    int64_t total = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        total = metric_sum(total, groups[i].cpu_ns);
        largest = groups[i].wall_ns > largest ? groups[i].wall_ns : largest;
    }
    struct table t = {0};
    char text[TEXT_BUF], name[80];
    bool cpu = model_has(m, METRIC_CPU_NS);
    struct text_scale scale = text_scale_for((double)largest);
    table_column(&t, "threads", TABLE_RIGHT);
    table_column(&t, "wall", TABLE_RIGHT);
    if (cpu) {
        table_column(&t, "cpu", TABLE_RIGHT);
        table_column(&t, "cpu%", TABLE_RIGHT);
    }
    table_column(&t, "name", TABLE_NAME);
    for (size_t i = 0; i < count && (v->all || i < v->limit); i++) {
        table_cell(&t, "%llu", (unsigned long long)groups[i].merged + 1);
        table_cell(&t, "%s", text_scaled(text, scale, (double)groups[i].wall_ns));
        if (cpu) {
            table_cell(&t, "%s", text_scaled(text, scale, (double)groups[i].cpu_ns));
            table_cell(&t, "%s", text_percent(text, (double)groups[i].cpu_ns, (double)total));
        }
        table_cell(&t, "%s", text_escape(name, sizeof name, groups[i].name, 64));
    }
    view_header(v);
    table_print(&t, v->out);
    table_release(&t);
    free(groups);
}
