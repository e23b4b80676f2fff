#include <string.h>

#include "analyzer/export.h"
#include "analyzer/rank.h"

static const struct export_kind kinds[] = {
    {
        .name = "cpu",
        .columns = {{"samples", "count", EXPORT_TICKS}, {"cpu", "nanoseconds", METRIC_CPU_NS}},
        .column_count = 2,
        .main = 1,
        .period = {"cpu", "nanoseconds", METRIC_CPU_NS},
    },
    {
        .name = "heap",
        .columns = {{"alloc_objects", "count", METRIC_ALLOC_CALLS},
                    {"alloc_space", "bytes", METRIC_ALLOC_BYTES},
                    {"inuse_objects", "count", METRIC_LIVE_BLOCKS},
                    {"inuse_space", "bytes", METRIC_LIVE_BYTES}},
        .column_count = 4,
        .main = 1,
        .period = {"space", "bytes", METRIC_ALLOC_BYTES},
    },
    /* As Go has them: mutex is who made others wait for a lock, at the stack that gave it back;
       block is who waited. */
    {
        .name = "mutex",
        .columns = {{"contentions", "count", METRIC_BLAMED_WAITS},
                    {"delay", "nanoseconds", METRIC_BLAMED_WAIT_NS}},
        .column_count = 2,
        .main = 1,
        .period = {"contentions", "count", METRIC_BLAMED_WAITS},
    },
    {
        .name = "block",
        .columns = {{"contentions", "count", METRIC_LOCK_CONTENTIONS},
                    {"delay", "nanoseconds", METRIC_LOCK_WAIT_NS}},
        .column_count = 2,
        .main = 1,
        .period = {"contentions", "count", METRIC_LOCK_CONTENTIONS},
    },
    {
        .name = "cost",
        .columns = {{"cost", "nanoseconds", METRIC_COST_NS},
                    {"cpu", "nanoseconds", METRIC_CPU_NS},
                    {"lock_wait", "nanoseconds", METRIC_LOCK_WAIT_NS},
                    {"io_wait", "nanoseconds", METRIC_IO_WAIT_NS}},
        .column_count = 4,
        .main = 0,
        .period = {"cpu", "nanoseconds", METRIC_CPU_NS},
    },
};

static bool is_measured(const struct model *m, unsigned metric)
{
    return model_has(m, metric == EXPORT_TICKS ? METRIC_CPU_NS : (enum metric)metric);
}

bool export_kind_find(struct export_kind *kind, const char *name, const struct model *m)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct export_kind *k = &kinds[i];
        if (strcmp(k->name, name) != 0 || !is_measured(m, k->columns[k->main].metric))
            continue;
        *kind = *k;
        kind->column_count = 0;
        for (unsigned c = 0; c < k->column_count; c++) {
            if (c == k->main)
                kind->main = kind->column_count;
            if (is_measured(m, k->columns[c].metric))
                kind->columns[kind->column_count++] = k->columns[c];
        }
        return true;
    }
    return false;
}

bool export_values(const struct export_kind *kind, const struct model_sample *s,
                   int64_t values[static EXPORT_COLUMNS_MAX])
{
    bool any = false;
    for (unsigned c = 0; c < kind->column_count; c++) {
        unsigned metric = kind->columns[c].metric;
        values[c] = metric == EXPORT_TICKS ? s->ticks : s->m.v[metric];
        any |= values[c] != 0;
    }
    return any;
}

unsigned export_sample(const struct export *e, const struct model_sample *s,
                       const struct frame *stack[static FRAMES_STACK_MAX],
                       int64_t values[static EXPORT_COLUMNS_MAX])
{
    if (!export_values(e->kind, s, values))
        return 0;
    unsigned depth = frames_stack(e->frames, s->node, stack);
    return rank_selected(e->frames, frames_selection(e->frames), stack, depth) ? depth : 0;
}
