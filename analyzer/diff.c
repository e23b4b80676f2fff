#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/advisor.h"
#include "analyzer/diff.h"
#include "analyzer/memory.h"
#include "analyzer/rank.h"
#include "analyzer/site.h"
#include "analyzer/stats.h"

/* ---- pure arithmetic ---- */

static bool any_nan(const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(v[i]))
            return true;
    return n == 0;
}

struct diff_value diff_compare(const double *a, size_t n, const double *b, size_t m,
                               struct diff_scatter scatter)
{
    const double least_change = 0.05; /* runs of one program differ that much by themselves */
    const double *q = scatter.quantum;
    struct diff_value v = {NAN, NAN, NAN, NAN, NAN, NAN, false, false};
    v.exact = scatter.relative == 0 && q[DIFF_A] == 0 && q[DIFF_B] == 0;
    if (!any_nan(a, n))
        v.a = stats_median(a, n);
    if (!any_nan(b, m))
        v.b = stats_median(b, m);
    v.delta = v.b - v.a;
    if (isnan(v.delta))
        return v;
    v.ratio = v.a != 0 ? v.b / v.a : v.b == 0 ? 1 : NAN;
    if (v.exact)
        return v;
    struct stats_ratio r = stats_ratio_unpaired(a, n, b, m);
    if (isfinite(r.low) && isfinite(r.high)) {
        v.low = r.low;
        v.high = r.high;
        v.noise = r.low <= 1 && r.high >= 1;
        return v;
    }
    double size = fmax(fabs(v.a), fabs(v.b));
    double ticks = sqrt(fabs(v.a) * q[DIFF_A] + fabs(v.b) * q[DIFF_B]);
    v.noise = fabs(v.delta) <= fmax(fmax(least_change, 2 * scatter.relative) * size, 2 * ticks);
    return v;
}

static bool run_counts(const struct diff_run *run, const char *progress, double *count)
{
    for (size_t i = 0; i < run->model.progress_count; i++)
        if (strcmp(run->model.progress[i].name, progress) == 0) {
            *count = (double)run->model.progress[i].count;
            return *count > 0;
        }
    return false;
}

const char *diff_progress(const struct diff_runs sides[static DIFF_SIDES])
{
    const struct model *first = &sides[DIFF_A].runs[0].model;
    for (size_t i = 0; i < first->progress_count; i++) {
        const char *name = first->progress[i].name;
        bool everywhere = true;
        double count;
        for (int side = 0; side < DIFF_SIDES; side++)
            for (size_t k = 0; k < sides[side].count; k++)
                everywhere = everywhere && run_counts(&sides[side].runs[k], name, &count);
        if (everywhere)
            return name;
    }
    return NULL;
}

/* ---- figures of runs ---- */

static struct diff_value
compare_runs(const struct diff *d, double (*get)(const struct diff *, const struct diff_run *, int),
             int what, struct diff_scatter scatter)
{
    double *values[DIFF_SIDES];
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct diff_runs *runs = &d->sides[side];
        values[side] = memory_new(runs->count, sizeof(double));
        for (size_t i = 0; i < runs->count; i++)
            values[side][i] = get(d, &runs->runs[i], what);
    }
    struct diff_value v = diff_compare(values[DIFF_A], d->sides[DIFF_A].count, values[DIFF_B],
                                       d->sides[DIFF_B].count, scatter);
    free(values[DIFF_A]);
    free(values[DIFF_B]);
    return v;
}

static const struct {
    enum metric metric;
    bool per_unit;
} totals[DIFF_TOTAL_COUNT] = {
#define X(metric, key, label, per_unit) {METRIC_##metric, per_unit},
    DIFF_TOTALS(X)
#undef X
};

static bool all_measured(const struct diff *d, enum metric metric)
{
    for (int side = 0; side < DIFF_SIDES; side++)
        for (size_t i = 0; i < d->sides[side].count; i++)
            if (!model_has(&d->sides[side].runs[i].model, metric))
                return false;
    return true;
}

static double get_total(const struct diff *d, const struct diff_run *run, int i)
{
    if (!model_has(&run->model, totals[i].metric))
        return NAN;
    double v = (double)run->model.totals.v[totals[i].metric];
    if (i == DIFF_COST_NS && !all_measured(d, METRIC_LOCK_WAIT_NS))
        v -= (double)run->model.totals.v[METRIC_LOCK_WAIT_NS]; /* the cost that all of them have */
    return totals[i].per_unit ? v / run->unit : v;
}

static double get_ops(const struct diff *d, const struct diff_run *run, int what)
{
    double count = NAN;
    (void)what;
    if (d->progress)
        run_counts(run, d->progress, &count);
    return count;
}

static double get_rate(const struct diff *d, const struct diff_run *run, int what)
{
    double wall_s = (double)run->model.wall_ns / 1e9;
    return wall_s > 0 ? get_ops(d, run, what) / wall_s : NAN;
}

static double get_wall(const struct diff *d, const struct diff_run *run, int what)
{
    (void)d;
    (void)what;
    return (double)run->model.wall_ns;
}

static bool exact_allocations(const struct diff *d)
{
    for (int side = 0; side < DIFF_SIDES; side++)
        for (size_t i = 0; i < d->sides[side].count; i++)
            if (d->sides[side].runs[i].model.header->alloc_mode != PSHIM_ALLOC_EXACT)
                return false;
    return true;
}

static const struct diff_scatter no_scatter, some_scatter = {.relative = 0.01};

/* Waits and holds depend on how threads happen to meet: two equal runs differ by that much. */
static const struct diff_scatter meeting_scatter = {.relative = 0.05};

/* Of sampled allocations: what one sample more or less is, on average. */
static struct diff_scatter allocation_scatter(const struct diff *d, enum metric metric,
                                              bool per_unit)
{
    if (exact_allocations(d))
        return no_scatter;
    struct diff_scatter s = some_scatter;
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct diff_run *run = &d->sides[side].runs[0];
        const struct model *m = &run->model;
        double value = (double)m->totals.v[metric];
        double unit = per_unit ? run->unit : 1;
        if (estimate_is(m, metric) && value > 0)
            s.quantum[side] = estimate_variance(&m->spread, metric, m->totals.v[metric],
                                                m->header->alloc_sample_bytes) /
                              value / unit;
    }
    return s;
}

static struct diff_scatter tick_scatter(const struct diff *d)
{
    struct diff_scatter s = some_scatter;
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct diff_run *run = &d->sides[side].runs[0];
        s.quantum[side] = (double)run->model.header->tick_period_ns / run->unit;
    }
    return s;
}

static struct diff_scatter total_scatter(const struct diff *d, int total)
{
    switch (total) {
    case DIFF_LOCK_WAIT_NS:
    case DIFF_LOCK_HOLD_NS:
    case DIFF_LOCK_CONTENTIONS:
        return meeting_scatter;
    case DIFF_LOCK_ACQUISITIONS:
        return no_scatter;
    case DIFF_PEAK_BYTES:
        if (exact_allocations(d))
            return some_scatter; /* followed in steps: known, but not to the byte */
        return allocation_scatter(d, METRIC_PEAK_BYTES, totals[total].per_unit);
    default:
        return metric_is_time(totals[total].metric)
                   ? tick_scatter(d)
                   : allocation_scatter(d, totals[total].metric, totals[total].per_unit);
    }
}

static void totals_compare(struct diff *d)
{
    for (int i = 0; i < DIFF_TOTAL_COUNT; i++)
        d->totals[i] = compare_runs(d, get_total, i, total_scatter(d, i));
    d->ops = compare_runs(d, get_ops, 0, no_scatter);
    d->rate = compare_runs(d, get_rate, 0, some_scatter);
    d->wall_ns = compare_runs(d, get_wall, 0, some_scatter);
}

/* ---- sites and functions ---- */

enum item_metric { ITEM_CALLS, ITEM_BYTES, ITEM_CPU, ITEM_POOL_CALLS, ITEM_POOL_NS, ITEM_METRICS };

struct item_key {
    const char *name, *file;
    uint64_t line;
};
struct item_index {
    struct item_key key;
    size_t item;
    UT_hash_handle hh;
};

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

static double *item_value(const struct diff *d, struct diff_item *item, enum item_metric metric,
                          int side, size_t run)
{
    size_t all = d->sides[DIFF_A].count + d->sides[DIFF_B].count;
    return &item->values[metric * all + (side == DIFF_A ? 0 : d->sides[DIFF_A].count) + run];
}

static struct diff_item *item_get(struct diff *d, struct diff_list *list, struct item_index **index,
                                  struct diff_item like)
{
    struct item_key key = {intern_get(&d->names, like.name),
                           intern_get(&d->names, base_name(like.file)), like.line};
    struct item_index *e;
    HASH_FIND(hh, *index, &key, sizeof key, e);
    if (!e) {
        e = memory_new(1, sizeof *e);
        e->key = key;
        e->item = list->count;
        HASH_ADD(hh, *index, key, sizeof key, e);
        memory_grow((void **)&list->items, &list->room, list->count, sizeof *list->items);
        size_t all = d->sides[DIFF_A].count + d->sides[DIFF_B].count;
        list->items[list->count++] =
            (struct diff_item){.name = key.name,
                               .file = key.file,
                               .module = intern_get(&d->names, like.module),
                               .line = like.line,
                               .values = memory_new(ITEM_METRICS * all, sizeof(double))};
    }
    return &list->items[e->item];
}

static void index_free(struct item_index *index)
{
    struct item_index *e, *next;
    HASH_ITER(hh, index, e, next)
    {
        HASH_DEL(index, e);
        free(e);
    }
}

static void item_note(struct diff_item *item, int side)
{
    item->in_a = item->in_a || side == DIFF_A;
    item->in_b = item->in_b || side == DIFF_B;
}

static struct diff_item *site_item(struct diff *d, const struct diff_run *r, const struct site *s,
                                   struct item_index **index)
{
    const struct function *fn = frames_function(r->frames, s->frame->function);
    return item_get(d, &d->sites, index,
                    (struct diff_item){.name = fn->name,
                                       .file = s->frame->file,
                                       .module = fn->module,
                                       .line = s->frame->line});
}

static void sites_gather(struct diff *d, int side, size_t run, struct item_index **index)
{
    struct diff_run *r = &d->sides[side].runs[run];
    struct sites sites;
    sites_build(&sites, &r->model, r->frames, METRIC_ALLOC_CALLS);
    for (size_t i = 0; i < sites.count; i++) {
        const struct site *s = &sites.sites[i];
        struct diff_item *item = site_item(d, r, s, index);
        item_note(item, side);
        *item_value(d, item, ITEM_CALLS, side, run) += (double)s->m.v[METRIC_ALLOC_CALLS] / r->unit;
        *item_value(d, item, ITEM_BYTES, side, run) += (double)s->m.v[METRIC_ALLOC_BYTES] / r->unit;
    }
    sites_release(&sites);
}

/* What the pool advisor predicts from a run of A. */
static void predictions_gather(struct diff *d, size_t run, struct item_index **index)
{
    struct diff_run *r = &d->sides[DIFF_A].runs[run];
    struct advisor a;
    advisor_build(&a, &r->model, r->frames);
    for (size_t i = 0; i < a.worth; i++) {
        const struct pooling *p = &a.items[i].pooling;
        struct diff_item *item = site_item(d, r, a.items[i].site, index);
        *item_value(d, item, ITEM_POOL_CALLS, DIFF_A, run) -= p->saved_calls / r->unit;
        *item_value(d, item, ITEM_POOL_NS, DIFF_A, run) -= p->saved_ns / r->unit;
    }
    advisor_release(&a);
}

static void functions_gather(struct diff *d, int side, size_t run, struct item_index **index)
{
    struct diff_run *r = &d->sides[side].runs[run];
    struct rank rank;
    rank_build(&rank, &r->model, r->frames, RANK_FUNCTION);
    for (size_t i = 0; i < rank.count; i++) {
        const struct rank_row *row = &rank.rows[i];
        struct diff_item *item = item_get(
            d, &d->functions, index,
            (struct diff_item){.name = row->name, .file = row->file, .module = row->module});
        item_note(item, side);
        if (row->line)
            item->line = row->line; /* B comes last */
        *item_value(d, item, ITEM_CALLS, side, run) +=
            (double)row->flat.v[METRIC_ALLOC_CALLS] / r->unit;
        *item_value(d, item, ITEM_BYTES, side, run) +=
            (double)row->flat.v[METRIC_ALLOC_BYTES] / r->unit;
        *item_value(d, item, ITEM_CPU, side, run) += (double)row->flat.v[METRIC_CPU_NS] / r->unit;
    }
    rank_release(&rank);
}

static int text_compare(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "");
}

static int by_place(const void *a, const void *b)
{
    const struct diff_item *x = a, *y = b;
    int order = text_compare(x->name, y->name);
    if (order == 0)
        order = text_compare(x->file, y->file);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static bool same_function(const struct diff_item *a, const struct diff_item *b)
{
    return a->name == b->name && a->file == b->file;
}

/* Lines move when a file is edited: sites of one function that only one side has are matched in
   their order. */
static void moved_lines_match(struct diff *d)
{
    struct diff_list *list = &d->sites;
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_place);
    for (size_t first = 0, end; first < list->count; first = end) {
        for (end = first;
             end < list->count && same_function(&list->items[first], &list->items[end]);)
            end++;
        size_t b = first;
        for (size_t a = first; a < end; a++) {
            struct diff_item *x = &list->items[a];
            if (!x->in_a || x->in_b)
                continue;
            while (b < end && (list->items[b].in_a || !list->items[b].in_b))
                b++;
            if (b == end)
                break;
            struct diff_item *y = &list->items[b++];
            for (int k = 0; k < ITEM_METRICS; k++)
                for (size_t run = 0; run < d->sides[DIFF_B].count; run++)
                    *item_value(d, x, k, DIFF_B, run) = *item_value(d, y, k, DIFF_B, run);
            x->line = y->line;
            x->in_b = true;
            y->in_b = false; /* belongs to none now: dropped below */
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].in_a || list->items[i].in_b)
            list->items[kept++] = list->items[i];
        else
            free(list->items[i].values);
    }
    list->count = kept;
}

/* `total` says whether the metric was measured: where it was not, a sum of nothing is not 0. */
static struct diff_value item_compare(const struct diff *d, struct diff_item *item,
                                      enum item_metric metric, enum diff_total total,
                                      struct diff_scatter scatter)
{
    struct diff_value v =
        diff_compare(item_value(d, item, metric, DIFF_A, 0), d->sides[DIFF_A].count,
                     item_value(d, item, metric, DIFF_B, 0), d->sides[DIFF_B].count, scatter);
    if (isnan(d->totals[total].a))
        v.a = v.delta = v.ratio = NAN;
    if (isnan(d->totals[total].b))
        v.b = v.delta = v.ratio = NAN;
    return v;
}

static void items_compare(struct diff *d, struct diff_list *list)
{
    struct diff_scatter calls = total_scatter(d, DIFF_ALLOC_CALLS);
    struct diff_scatter bytes = total_scatter(d, DIFF_ALLOC_BYTES), ticks = tick_scatter(d);
    for (size_t i = 0; i < list->count; i++) {
        struct diff_item *item = &list->items[i];
        item->calls = item_compare(d, item, ITEM_CALLS, DIFF_ALLOC_CALLS, calls);
        item->bytes = item_compare(d, item, ITEM_BYTES, DIFF_ALLOC_BYTES, bytes);
        item->cpu = item_compare(d, item, ITEM_CPU, DIFF_CPU_NS, ticks);
        size_t runs = d->sides[DIFF_A].count;
        const double *pool_ns = item_value(d, item, ITEM_POOL_NS, DIFF_A, 0);
        item->pool_calls = stats_median(item_value(d, item, ITEM_POOL_CALLS, DIFF_A, 0), runs);
        item->pool_ns = any_nan(pool_ns, runs) ? NAN : stats_median(pool_ns, runs);
        free(item->values);
        item->values = NULL;
    }
}

static int by_change(double x, double y)
{
    double a = isnan(x) ? 0 : fabs(x), b = isnan(y) ? 0 : fabs(y);
    return a < b ? 1 : a > b ? -1 : 0;
}

static int by_calls(const void *a, const void *b)
{
    const struct diff_item *x = a, *y = b;
    int order = by_change(x->calls.delta, y->calls.delta);
    return order ? order : by_place(a, b);
}

static int by_cpu(const void *a, const void *b)
{
    const struct diff_item *x = a, *y = b;
    int order = by_change(x->cpu.delta, y->cpu.delta);
    return order ? order : by_place(a, b);
}

static void lists_build(struct diff *d)
{
    struct item_index *sites = NULL, *functions = NULL;
    for (int side = 0; side < DIFF_SIDES; side++)
        for (size_t run = 0; run < d->sides[side].count; run++) {
            sites_gather(d, side, run, &sites);
            functions_gather(d, side, run, &functions);
            if (side == DIFF_A)
                predictions_gather(d, run, &sites);
        }
    index_free(sites);
    index_free(functions);
    moved_lines_match(d);
    items_compare(d, &d->sites);
    items_compare(d, &d->functions);
    if (d->sites.count)
        qsort(d->sites.items, d->sites.count, sizeof *d->sites.items, by_calls);
    if (d->functions.count)
        qsort(d->functions.items, d->functions.count, sizeof *d->functions.items, by_cpu);
}

/* ---- the pool advisor ---- */

bool diff_followed(double predicted_calls, double delta_calls)
{
    return predicted_calls < 0 && delta_calls <= predicted_calls / 2;
}

bool diff_held_less(double a_ns, double b_ns)
{
    return a_ns > 0 && b_ns <= a_ns / 2;
}

static void advisor_compare(struct diff *d)
{
    struct diff_advisor *a = &d->advisor;
    *a = (struct diff_advisor){.predicted_ns = NAN,
                               .measured_calls = d->totals[DIFF_ALLOC_CALLS].delta,
                               .measured_ns = d->totals[DIFF_CPU_NS].delta};
    for (size_t i = 0; i < d->sites.count; i++) {
        const struct diff_item *item = &d->sites.items[i];
        if (!diff_followed(item->pool_calls, item->calls.delta))
            continue;
        a->sites++;
        a->predicted_calls += item->pool_calls;
        if (!isnan(item->pool_ns))
            a->predicted_ns = (isnan(a->predicted_ns) ? 0 : a->predicted_ns) + item->pool_ns;
    }
}

/* ---- from files ---- */

static int side_load(struct diff_runs *side, char *const *paths, size_t count, char *err)
{
    side->runs = memory_new(count, sizeof *side->runs);
    for (size_t i = 0; i < count; i++) {
        struct diff_run *r = &side->runs[i];
        r->path = paths[i];
        if (reader_open(&r->reader, paths[i]) != 0 || model_load(&r->model, &r->reader) != 0) {
            snprintf(err, 512, "%s", r->reader.error);
            reader_close(&r->reader);
            return -1;
        }
        r->frames = frames_new(&r->reader, NULL);
        side->count++;
    }
    return 0;
}

static int units_set(struct diff *d, int per, char *err)
{
    d->progress = diff_progress(d->sides);
    if (per == DIFF_PER_OP && !d->progress) {
        snprintf(err, 512, "--per=op: the profiles have no progress point in common");
        return -1;
    }
    d->per = per >= 0 ? (enum diff_per)per : d->progress ? DIFF_PER_OP : DIFF_PER_SECOND;
    for (int side = 0; side < DIFF_SIDES; side++)
        for (size_t i = 0; i < d->sides[side].count; i++) {
            struct diff_run *r = &d->sides[side].runs[i];
            r->unit = d->per == DIFF_PER_OP       ? get_ops(d, r, 0)
                      : d->per == DIFF_PER_SECOND ? (double)r->model.wall_ns / 1e9
                                                  : 1;
            if (r->unit <= 0) {
                snprintf(err, 512, "%s: it ran for no time at all", r->path);
                return -1;
            }
        }
    return 0;
}

int diff_build(struct diff *d, char *const *a, size_t a_count, char *const *b, size_t b_count,
               int per, char err[static 512])
{
    *d = (struct diff){0};
    if (side_load(&d->sides[DIFF_A], a, a_count, err) != 0 ||
        side_load(&d->sides[DIFF_B], b, b_count, err) != 0 || units_set(d, per, err) != 0)
        return -1;
    totals_compare(d);
    lists_build(d);
    advisor_compare(d);
    diff_moved_compare(d);
    return 0;
}

void diff_release(struct diff *d)
{
    for (int side = 0; side < DIFF_SIDES; side++) {
        for (size_t i = 0; i < d->sides[side].count; i++) {
            struct diff_run *r = &d->sides[side].runs[i];
            frames_free(r->frames);
            model_release(&r->model);
            reader_close(&r->reader);
        }
        free(d->sides[side].runs);
    }
    free(d->sites.items);
    free(d->functions.items);
    intern_release(&d->names);
}
