#include <string.h>

#include "analyzer/site.h"
#include "analyzer/view.h"
#include "common/units.h"

enum { name_columns = 36, callers_shown = 2 };

static bool not_measured(const struct view *v)
{
    if (model_has(v->model, METRIC_ALLOC_CALLS))
        return false;
    fputs("Allocations were not measured.\n", v->out);
    return true;
}

/* "name file.c:7" */
static size_t place_text(const struct view *v, const struct frame *frame, char *to, size_t size,
                         size_t name_width)
{
    char name[128], place[160], escaped[64];
    text_short_name(name, sizeof name, frames_function(v->frames, frame->function)->name,
                    name_width);
    frames_place(v->frames, frame, place, sizeof place);
    text_escape(escaped, sizeof escaped, place, 40);
    int n = snprintf(to, size, "%s%s%s", name, *escaped ? " " : "", escaped);
    return (size_t)n < size ? (size_t)n : size - 1;
}

/* Two cells: the function, and where in it. */
static void place_cells(struct table *t, const struct view *v, const struct site *site)
{
    char name[128], place[160], escaped[64];
    const struct function *fn = frames_function(v->frames, site->frame->function);
    table_cell(t, "%s", text_short_name(name, sizeof name, fn->name, name_columns));
    frames_place(v->frames, site->frame, place, sizeof place);
    table_cell(t, "%s", text_escape(escaped, sizeof escaped, place, 40));
}

/* One cell: the function that it goes through, or nothing. */
static void via_cell(struct table *t, const struct view *v, const struct site *site)
{
    char text[128] = "";
    if (site->via)
        text_short_name(text, sizeof text, frames_function(v->frames, site->via->function)->name,
                        30);
    table_cell(t, "%s", text);
}

static bool has_via(const struct view *v, const struct sites *s, size_t count)
{
    for (size_t i = 0; i < count && (v->all || i < v->limit); i++)
        if (s->sites[i].via)
            return true;
    return false;
}

/* One cell: who called it, "b c.c:7 < a c.c:3", in the stack that has most of it. */
static void callers_cell(struct table *t, const struct view *v, const struct site *site)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(v->frames, site->node, stack), i = 0, shown = 0;
    char text[512] = "";
    size_t n = 0;
    while (i < depth && !frames_same_place(stack[i], site->frame))
        i++;
    for (i++; i < depth && shown < callers_shown; i++, shown++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", shown ? " < " : "");
        n += place_text(v, stack[i], text + n, sizeof text - n, 30);
    }
    table_cell(t, "%s", text);
}

static void more_line(const struct view *v, size_t count)
{
    if (!v->all && count > v->limit)
        fprintf(v->out, " %zu more site%s: --all\n", count - v->limit,
                count - v->limit == 1 ? "" : "s");
}

/* Nothing is easier to see as a dash. */
static void dash_cell(struct table *t, int64_t n, const char *text)
{
    table_cell(t, "%s", n ? text : "-");
}

/* One cell: how far the estimate before it may be off. */
static void error_cell(struct table *t, const struct view *v, enum metric metric,
                       const struct site *site)
{
    char text[TEXT_BUF];
    view_error(text, v->model, metric, site->m.v[metric], &site->spread);
    table_cell(t, "%s", *text ? text + strlen(" +-") : "");
}

/* ---- alloc ---- */

static void allocation_sites(const struct view *v)
{
    struct sites sites;
    struct table t = {0};
    char text[TEXT_BUF];
    enum metric sort = v->sort == METRIC_ALLOC_BYTES ? v->sort : METRIC_ALLOC_CALLS;
    sites_build(&sites, v->model, v->frames, sort);
    double calls = (double)v->model->totals.v[METRIC_ALLOC_CALLS], sum = 0;
    bool estimate = estimate_is(v->model, METRIC_ALLOC_CALLS);
    table_column(&t, view_calls_title(v), TABLE_RIGHT);
    if (estimate)
        table_column(&t, "+-", TABLE_RIGHT);
    table_column(&t, "share", TABLE_RIGHT);
    table_column(&t, "sum", TABLE_RIGHT);
    table_column(&t, "bytes", TABLE_RIGHT);
    if (estimate)
        table_column(&t, "+-", TABLE_RIGHT);
    table_column(&t, "average", TABLE_RIGHT);
    table_column(&t, "temp", TABLE_RIGHT);
    table_column(&t, "live", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_LEFT);
    bool via = has_via(v, &sites, sites.count);
    if (via)
        table_column(&t, "through", TABLE_NAME);
    for (size_t i = 0; i < sites.count && (v->all || i < v->limit); i++) {
        const int64_t *m = sites.sites[i].m.v;
        double n = (double)m[METRIC_ALLOC_CALLS];
        sum += n;
        table_cell(&t, "%s", view_calls(v, text, m[METRIC_ALLOC_CALLS]));
        if (estimate)
            error_cell(&t, v, METRIC_ALLOC_CALLS, &sites.sites[i]);
        table_cell(&t, "%s", text_percent(text, n, calls));
        table_cell(&t, "%s", text_percent(text, sum, calls));
        table_cell(&t, "%s", units_size(text, (double)m[METRIC_ALLOC_BYTES]));
        if (estimate)
            error_cell(&t, v, METRIC_ALLOC_BYTES, &sites.sites[i]);
        table_cell(&t, "%s", units_size(text, n ? (double)m[METRIC_ALLOC_BYTES] / n : 0));
        dash_cell(&t, m[METRIC_TEMPORARY_CALLS],
                  text_percent(text, (double)m[METRIC_TEMPORARY_CALLS], n));
        dash_cell(&t, m[METRIC_LIVE_BYTES], units_size(text, (double)m[METRIC_LIVE_BYTES]));
        place_cells(&t, v, &sites.sites[i]);
        if (via)
            via_cell(&t, v, &sites.sites[i]);
    }
    table_print(&t, v->out);
    more_line(v, sites.count);
    table_release(&t);
    sites_release(&sites);
}

void view_alloc(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], c[TEXT_BUF], off_a[TEXT_BUF], off_b[TEXT_BUF];
    view_header(v);
    if (not_measured(v))
        return;
    const int64_t *m = v->model->totals.v;
    const struct estimate_spread *spread = &v->model->spread;
    fprintf(v->out, "ALLOC   %s calls%s  %s%s  %s freed next by the same thread\n\n",
            units_count(a, (double)m[METRIC_ALLOC_CALLS]),
            view_error(off_a, v->model, METRIC_ALLOC_CALLS, m[METRIC_ALLOC_CALLS], spread),
            units_size(b, (double)m[METRIC_ALLOC_BYTES]),
            view_error(off_b, v->model, METRIC_ALLOC_BYTES, m[METRIC_ALLOC_BYTES], spread),
            text_percent(c, (double)m[METRIC_TEMPORARY_CALLS], (double)m[METRIC_ALLOC_CALLS]));
    allocation_sites(v);
    fputc('\n', v->out);
    view_functions(v, METRIC_ALLOC_CALLS);
}

/* ---- peak and leaks: what is live ---- */

static void live_sites(const struct view *v, enum metric bytes, bool with_blocks)
{
    struct sites sites;
    struct table t = {0};
    char text[TEXT_BUF];
    sites_build(&sites, v->model, v->frames, bytes);
    double total = 0, sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < sites.count; i++) {
        /* A site may have blocks of no bytes at all, which is why both are asked. */
        bool live = sites.sites[i].m.v[bytes] > 0 ||
                    (with_blocks && sites.sites[i].m.v[METRIC_LIVE_BLOCKS] > 0);
        if (live)
            sites.sites[count++] = sites.sites[i];
        total += live ? (double)sites.sites[count - 1].m.v[bytes] : 0;
    }
    if (with_blocks)
        table_column(&t, "blocks", TABLE_RIGHT);
    bool estimate = estimate_is(v->model, bytes);
    table_column(&t, "bytes", TABLE_RIGHT);
    if (estimate)
        table_column(&t, "+-", TABLE_RIGHT);
    table_column(&t, "share", TABLE_RIGHT);
    table_column(&t, "sum", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_LEFT);
    bool via = has_via(v, &sites, count);
    if (via)
        table_column(&t, "through", TABLE_NAME);
    table_column(&t, "called from", TABLE_NAME);
    for (size_t i = 0; i < count && (v->all || i < v->limit); i++) {
        const int64_t *m = sites.sites[i].m.v;
        sum += (double)m[bytes];
        if (with_blocks)
            table_cell(&t, "%lld", (long long)m[METRIC_LIVE_BLOCKS]);
        table_cell(&t, "%s", units_size(text, (double)m[bytes]));
        if (estimate)
            error_cell(&t, v, bytes, &sites.sites[i]);
        table_cell(&t, "%s", text_percent(text, (double)m[bytes], total));
        table_cell(&t, "%s", text_percent(text, sum, total));
        place_cells(&t, v, &sites.sites[i]);
        if (via)
            via_cell(&t, v, &sites.sites[i]);
        callers_cell(&t, v, &sites.sites[i]);
    }
    if (count)
        table_print(&t, v->out);
    more_line(v, count);
    table_release(&t);
    sites_release(&sites);
}

void view_peak(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], off[TEXT_BUF];
    view_header(v);
    if (not_measured(v))
        return;
    const struct pshim_header *h = v->model->header;
    uint64_t when = pshim_load(&h->peak_monotonic_ns);
    int64_t peak = v->model->totals.v[METRIC_PEAK_BYTES];
    fprintf(v->out, "PEAK    %s live%s", units_size(a, (double)peak),
            view_error(off, v->model, METRIC_PEAK_BYTES, peak, &v->model->spread));
    if (when > h->start_monotonic_ns)
        fprintf(v->out, ", %s after the start",
                units_duration(b, (double)(when - h->start_monotonic_ns)));
    fprintf(v->out, "; known within %s (sites: within 1%% more)\n\n",
            units_size(b, (double)pshim_load(&h->live_bound_bytes)));
    live_sites(v, METRIC_PEAK_BYTES, false);
}

void view_leaks(const struct view *v)
{
    char a[UNITS_BUF], off_a[TEXT_BUF], off_b[TEXT_BUF];
    view_header(v);
    if (not_measured(v))
        return;
    const int64_t *m = v->model->totals.v;
    const char *when = view_end_words(v->model);
    const struct estimate_spread *spread = &v->model->spread;
    if (m[METRIC_LIVE_BLOCKS] == 0) {
        fprintf(v->out, "LEAKS   no leaks%s: 0 blocks live %s",
                estimate_is(v->model, METRIC_LIVE_BYTES) ? " seen" : "", when);
        if (estimate_is(v->model, METRIC_LIVE_BYTES))
            fprintf(v->out, " (sampled: with 95 %% certainty less than %s)",
                    units_size(a, estimate_interval(spread, METRIC_LIVE_BYTES, 0,
                                                    v->model->header->alloc_sample_bytes)
                                      .high));
        fputc('\n', v->out);
        return;
    }
    fprintf(v->out, "LEAKS   %lld block%s%s, %s%s live %s\n\n", (long long)m[METRIC_LIVE_BLOCKS],
            m[METRIC_LIVE_BLOCKS] == 1 ? "" : "s",
            view_error(off_a, v->model, METRIC_LIVE_BLOCKS, m[METRIC_LIVE_BLOCKS], spread),
            units_size(a, (double)m[METRIC_LIVE_BYTES]),
            view_error(off_b, v->model, METRIC_LIVE_BYTES, m[METRIC_LIVE_BYTES], spread), when);
    live_sites(v, METRIC_LIVE_BYTES, true);
}
