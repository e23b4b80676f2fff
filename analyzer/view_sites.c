#include <string.h>

#include "analyzer/view_sites.h"
#include "common/units.h"

enum { callers_shown = 2 };

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
        n += sites_place_text(v, stack[i], text + n, sizeof text - n, 30);
    }
    table_cell(t, "%s", text);
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
    if (!estimate) /* the intervals need its room */
        table_column(&t, "sum", TABLE_RIGHT);
    table_column(&t, "bytes", TABLE_RIGHT);
    table_column(&t, estimate ? "+-" : "average", TABLE_RIGHT);
    table_column(&t, "temp", TABLE_RIGHT);
    table_column(&t, "live", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_FILE);
    bool via = sites_have_via(v, &sites, sites.count);
    if (via)
        table_column(&t, "through", TABLE_NAME);
    for (size_t i = 0; i < sites.count && sites_shown(v, i); i++) {
        const int64_t *m = sites.sites[i].m.v;
        double n = (double)m[METRIC_ALLOC_CALLS];
        sum += n;
        table_cell(&t, "%s", view_calls(v, text, m[METRIC_ALLOC_CALLS]));
        if (estimate)
            sites_error_cell(&t, v, METRIC_ALLOC_CALLS, &sites.sites[i]);
        table_cell(&t, "%s", text_percent(text, n, calls));
        if (!estimate)
            table_cell(&t, "%s", text_percent(text, sum, calls));
        table_cell(&t, "%s", units_size(text, (double)m[METRIC_ALLOC_BYTES]));
        if (estimate)
            sites_error_cell(&t, v, METRIC_ALLOC_BYTES, &sites.sites[i]);
        else
            table_cell(&t, "%s", units_size(text, n ? (double)m[METRIC_ALLOC_BYTES] / n : 0));
        sites_dash_cell(&t, m[METRIC_TEMPORARY_CALLS],
                        text_percent(text, (double)m[METRIC_TEMPORARY_CALLS], n));
        sites_dash_cell(&t, m[METRIC_LIVE_BYTES], units_size(text, (double)m[METRIC_LIVE_BYTES]));
        sites_place_cells(&t, v, &sites.sites[i]);
        if (via)
            sites_via_cell(&t, v, &sites.sites[i]);
    }
    table_print(&t, v->out);
    sites_more_line(v, sites.count);
    table_release(&t);
    sites_release(&sites);
}

/* ---- mappings ---- */

/* What the program mapped itself; nothing, if it did not. */
static void mapping_sites(const struct view *v)
{
    struct sites sites;
    struct table t = {0};
    char text[TEXT_BUF], live[TEXT_BUF];
    const int64_t *total = v->model->totals.v;
    if (!model_has(v->model, METRIC_MAPPED_BYTES) || total[METRIC_MAPPED_CALLS] == 0)
        return;
    sites_build(&sites, v->model, v->frames, METRIC_MAPPED_BYTES);
    fprintf(v->out, "\nMAPPED  %lld mapping%s of 64 KiB or more, %s, %s of them live %s\n\n",
            (long long)total[METRIC_MAPPED_CALLS], total[METRIC_MAPPED_CALLS] == 1 ? "" : "s",
            units_size(text, (double)total[METRIC_MAPPED_BYTES]),
            units_size(live, (double)total[METRIC_MAPPED_LIVE_BYTES]), view_end_words(v->model));
    table_column(&t, "mappings", TABLE_RIGHT);
    table_column(&t, "bytes", TABLE_RIGHT);
    table_column(&t, "share", TABLE_RIGHT);
    table_column(&t, "live", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_LEFT);
    table_column(&t, "called from", TABLE_NAME);
    for (size_t i = 0; i < sites.count && (v->all || i < v->limit); i++) {
        const int64_t *m = sites.sites[i].m.v;
        table_cell(&t, "%lld", (long long)m[METRIC_MAPPED_CALLS]);
        table_cell(&t, "%s", units_size(text, (double)m[METRIC_MAPPED_BYTES]));
        table_cell(
            &t, "%s",
            text_percent(text, (double)m[METRIC_MAPPED_BYTES], (double)total[METRIC_MAPPED_BYTES]));
        sites_dash_cell(&t, m[METRIC_MAPPED_LIVE_BYTES],
                        units_size(text, (double)m[METRIC_MAPPED_LIVE_BYTES]));
        sites_place_cells(&t, v, &sites.sites[i]);
        callers_cell(&t, v, &sites.sites[i]);
    }
    if (sites.count)
        table_print(&t, v->out);
    sites_more_line(v, sites.count);
    table_release(&t);
    sites_release(&sites);
}

void view_alloc(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], c[TEXT_BUF], off_a[TEXT_BUF], off_b[TEXT_BUF];
    view_header(v);
    if (sites_absent(v, METRIC_ALLOC_CALLS))
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
    mapping_sites(v);
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
    table_column(&t, "", TABLE_FILE);
    bool via = sites_have_via(v, &sites, count);
    if (via)
        table_column(&t, "through", TABLE_NAME);
    table_column(&t, "called from", TABLE_NAME);
    for (size_t i = 0; i < count && sites_shown(v, i); i++) {
        const int64_t *m = sites.sites[i].m.v;
        sum += (double)m[bytes];
        if (with_blocks)
            table_cell(&t, "%lld", (long long)m[METRIC_LIVE_BLOCKS]);
        table_cell(&t, "%s", units_size(text, (double)m[bytes]));
        if (estimate)
            sites_error_cell(&t, v, bytes, &sites.sites[i]);
        table_cell(&t, "%s", text_percent(text, (double)m[bytes], total));
        table_cell(&t, "%s", text_percent(text, sum, total));
        sites_place_cells(&t, v, &sites.sites[i]);
        if (via)
            sites_via_cell(&t, v, &sites.sites[i]);
        callers_cell(&t, v, &sites.sites[i]);
    }
    if (count)
        table_print(&t, v->out);
    sites_more_line(v, count);
    table_release(&t);
    sites_release(&sites);
}

void view_peak(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], off[TEXT_BUF];
    view_header(v);
    if (sites_absent(v, METRIC_ALLOC_CALLS))
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
    if (sites_absent(v, METRIC_ALLOC_CALLS))
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
