#include <math.h>

#include "analyzer/json_write.h"
#include "analyzer/view_diff.h"

static void put_value(struct json *j, const char *key, const struct diff_value *v)
{
    if (isnan(v->a) && isnan(v->b)) {
        json_put_null(j, key);
        return;
    }
    json_begin(j, key, '{');
    json_put_real(j, "a", v->a);
    json_put_real(j, "b", v->b);
    json_put_real(j, "delta", v->delta);
    json_put_real(j, "ratio", v->ratio);
    json_put_real(j, "ci_low", v->low);
    json_put_real(j, "ci_high", v->high);
    if (isnan(v->delta))
        json_put_null(j, "noise");
    else
        json_put_bool(j, "noise", v->noise);
    json_end(j);
}

static void put_side(struct json *j, const char *key, const struct diff_runs *runs)
{
    json_begin(j, key, '[');
    for (size_t i = 0; i < runs->count; i++) {
        const struct model *m = &runs->runs[i].model;
        json_begin(j, NULL, '{');
        json_put_string(j, "profile", runs->runs[i].path);
        json_put_string(j, "exe", m->exe);
        json_begin(j, "argv", '[');
        for (uint32_t k = 0; k < m->argc; k++)
            json_put_string(j, NULL, m->argv[k]);
        json_end(j);
        json_put_int(j, "wall_ns", m->wall_ns);
        if (model_ops(m))
            json_put_int(j, "ops", (int64_t)model_ops(m));
        else
            json_put_null(j, "ops");
        json_end(j);
    }
    json_end(j);
}

static void put_item(struct json *j, const struct diff_item *item, bool with_cpu)
{
    json_begin(j, NULL, '{');
    json_put_string(j, "name", item->name);
    json_put_string(j, "file", item->file);
    if (item->line)
        json_put_int(j, "line", item->line);
    else
        json_put_null(j, "line");
    json_put_string(j, "module", item->module);
    json_put_string(j, "state", item->in_a && item->in_b ? "both" : item->in_b ? "new" : "gone");
    put_value(j, "alloc_calls", &item->calls);
    put_value(j, "alloc_bytes", &item->bytes);
    if (with_cpu) {
        put_value(j, "cpu_ns", &item->cpu);
        put_value(j, "cost_ns",
                  &item->cpu); /* cost is CPU time as long as waits are not measured */
    }
    json_end(j);
}

static void put_totals(struct json *j, const struct diff *d)
{
    static const char *const keys[] = {
#define X(metric, key, label, per_unit) #key,
        DIFF_TOTALS(X)
#undef X
    };
    json_begin(j, "totals", '{');
    for (int i = 0; i < DIFF_TOTAL_COUNT; i++)
        put_value(j, keys[i], &d->totals[i]);
    put_value(j, "ops", &d->ops);
    put_value(j, "ops_per_second", &d->rate);
    put_value(j, "wall_ns", &d->wall_ns);
    json_end(j);
}

static void put_changes(struct json *j, const char *key, double calls, double ns)
{
    json_begin(j, key, '{');
    json_put_real(j, "alloc_calls", calls);
    json_put_real(j, "cpu_ns", ns);
    json_end(j);
}

static void put_advisor(struct json *j, const struct diff_advisor *a)
{
    if (!a->sites) {
        json_put_null(j, "advisor");
        return;
    }
    json_begin(j, "advisor", '{');
    json_put_int(j, "sites", (int64_t)a->sites);
    put_changes(j, "predicted", a->predicted_calls, a->predicted_ns);
    put_changes(j, "measured", a->measured_calls, a->measured_ns);
    json_end(j);
}

static void put_cost(struct json *j, const char *key, double ns)
{
    json_begin(j, key, '{');
    json_put_real(j, "cost_ns", ns);
    json_end(j);
}

static void put_moved(struct json *j, const struct diff_moved *moved)
{
    if (!*moved->lock) {
        json_put_null(j, "lock_advisor");
        return;
    }
    json_begin(j, "lock_advisor", '{');
    json_put_string(j, "lock", moved->lock);
    put_cost(j, "predicted", moved->predicted_ns);
    put_cost(j, "measured", moved->measured_ns);
    json_end(j);
}

void diff_json(const struct diff *d, FILE *out)
{
    static const char *const units[] = {"op", "second", "total"};
    struct json j = {.out = out};
    json_begin(&j, NULL, '{');
    json_put_string(&j, "schema", "perfshim.diff/1");
    json_put_string(&j, "perfshim_version", PERFSHIM_VERSION);
    put_side(&j, "a", &d->sides[DIFF_A]);
    put_side(&j, "b", &d->sides[DIFF_B]);
    json_put_string(&j, "per", units[d->per]);
    json_put_string(&j, "progress", d->progress);
    put_totals(&j, d);
    json_begin(&j, "functions", '[');
    for (size_t i = 0; i < d->functions.count; i++)
        put_item(&j, &d->functions.items[i], true);
    json_end(&j);
    json_begin(&j, "sites", '[');
    for (size_t i = 0; i < d->sites.count; i++)
        put_item(&j, &d->sites.items[i], false);
    json_end(&j);
    put_advisor(&j, &d->advisor);
    put_moved(&j, &d->moved);
    json_end(&j);
}
