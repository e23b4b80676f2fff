/* How long blocks live: --view=temporary and --view=lifetime. */
#include <math.h>
#include <stdlib.h>

#include "analyzer/memory.h"
#include "analyzer/histogram.h"
#include "analyzer/view_sites.h"
#include "common/units.h"

/* Keeps, in order, the sites that have some of a metric. Returns how many. */
static size_t sites_keep(struct sites *s, enum metric metric)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->sites[i].m.v[metric] > 0)
            s->sites[kept++] = s->sites[i];
    return kept;
}

/* ---- temporary ---- */

static void temporary_row(struct table *t, const struct view *v, const struct site *site,
                          double total, bool via)
{
    char text[TEXT_BUF];
    const int64_t *m = site->m.v;
    double n = (double)m[METRIC_TEMPORARY_CALLS], calls = (double)m[METRIC_ALLOC_CALLS];
    double each = calls > 0 ? (double)m[METRIC_ALLOC_BYTES] / calls : 0;
    table_cell(t, "%s", view_calls(v, text, m[METRIC_TEMPORARY_CALLS]));
    if (estimate_is(v->model, METRIC_TEMPORARY_CALLS))
        sites_error_cell(t, v, METRIC_TEMPORARY_CALLS, site);
    table_cell(t, "%s", text_percent(text, n, total));
    table_cell(t, "%s", text_percent(text, n, calls));
    table_cell(t, "%s", units_size(text, n * each));
    table_cell(t, "%s", units_size(text, each));
    sites_place_cells(t, v, site);
    if (via)
        sites_via_cell(t, v, site);
}

static void temporary_table(const struct view *v, const struct sites *sites, size_t count,
                            double total)
{
    struct table t = {0};
    bool via = sites_have_via(v, sites, count);
    table_column(&t, model_ops(v->model) ? "temp/op" : "temporary", TABLE_RIGHT);
    if (estimate_is(v->model, METRIC_TEMPORARY_CALLS))
        table_column(&t, "+-", TABLE_RIGHT);
    table_column(&t, "share", TABLE_RIGHT);
    table_column(&t, "of its own", TABLE_RIGHT);
    table_column(&t, "bytes", TABLE_RIGHT);
    table_column(&t, "average", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_FILE);
    if (via)
        table_column(&t, "through", TABLE_NAME);
    for (size_t i = 0; i < count && sites_shown(v, i); i++)
        temporary_row(&t, v, &sites->sites[i], total, via);
    table_print(&t, v->out);
    table_release(&t);
    sites_more_line(v, count);
}

void view_temporary(const struct view *v)
{
    char a[UNITS_BUF], share[TEXT_BUF], off[TEXT_BUF];
    const struct model *m = v->model;
    struct sites sites;
    struct metrics sum = {0};
    struct estimate_spread spread = {0};
    view_header(v);
    if (sites_absent(v, METRIC_TEMPORARY_CALLS))
        return;
    sites_build(&sites, m, v->frames, sites_sort(v, METRIC_TEMPORARY_CALLS));
    for (size_t i = 0; i < sites.count; i++) {
        metrics_add(&sum, &sites.sites[i].m);
        estimate_add(&spread, &sites.sites[i].spread);
    }
    int64_t n = sum.v[METRIC_TEMPORARY_CALLS];
    size_t count = sites_keep(&sites, METRIC_TEMPORARY_CALLS);
    fprintf(v->out, "TEMP    %s calls%s, %s of all: freed next by the same thread\n\n",
            units_count(a, (double)n), view_error(off, m, METRIC_TEMPORARY_CALLS, n, &spread),
            text_percent(share, (double)n, (double)sum.v[METRIC_ALLOC_CALLS]));
    if (count) {
        temporary_table(v, &sites, count, (double)n);
        fputs(" A buffer that is kept from call to call, or is on the stack, saves malloc and "
              "free.\n",
              v->out);
    } else {
        fputs(" no site allocates what is freed next\n", v->out);
    }
    sites_release(&sites);
}

/* ---- lifetime ---- */

static const char *life_text(const struct view *v, const struct model_histogram *h, double q,
                             char to[static TEXT_BUF])
{
    double ns = model_life_ns(v->model, histogram_quantile(h->lived, q));
    /* The end of a bucket: no block outlived the run. */
    if (v->model->wall_ns > 0)
        ns = fmin(ns, (double)v->model->wall_ns);
    return h->lived_count ? units_duration(to, ns) : "-";
}

static unsigned life_cells_used(const struct view *v, const struct model_histogram *all,
                                size_t count)
{
    double cells[HISTOGRAM_LIFE_CELLS];
    unsigned used = 1;
    for (size_t i = 0; i < count && sites_shown(v, i); i++) {
        histogram_life_cells(v->model, &all[i], cells);
        for (unsigned k = used; k < HISTOGRAM_LIFE_CELLS; k++)
            used = cells[k] > 0 ? k + 1 : used;
    }
    return used;
}

static void lifetime_row(struct table *t, const struct view *v, const struct site *site,
                         const struct model_histogram *h, unsigned cells)
{
    char text[TEXT_BUF], bars[TEXT_BARS_BYTES];
    double shares[HISTOGRAM_LIFE_CELLS];
    const int64_t *m = site->m.v;
    table_cell(t, "%s", view_calls(v, text, m[METRIC_ALLOC_CALLS]));
    table_cell(t, "%s", life_text(v, h, 0.5, text));
    table_cell(t, "%s", life_text(v, h, 0.9, text));
    table_cell(t, "%s", life_text(v, h, 1, text));
    histogram_life_cells(v->model, h, shares);
    table_cell(t, "%s", text_bars(bars, shares, cells));
    sites_dash_cell(
        t, m[METRIC_LIVE_BLOCKS],
        text_percent(text, (double)m[METRIC_LIVE_BLOCKS], (double)m[METRIC_ALLOC_CALLS]));
    sites_dash_cell(
        t, m[METRIC_CROSS_THREAD_FREES],
        text_percent(text, (double)m[METRIC_CROSS_THREAD_FREES], (double)m[METRIC_FREE_CALLS]));
    sites_place_cells(t, v, site);
}

static void lifetime_table(const struct view *v, const struct sites *sites,
                           const struct model_histogram *all)
{
    char title[HISTOGRAM_LIFE_CELLS + 1];
    struct table t = {0};
    unsigned cells = life_cells_used(v, all, sites->count);
    snprintf(title, sizeof title, "%.*s", (int)cells, HISTOGRAM_LIFE_TITLE);
    table_column(&t, view_calls_title(v), TABLE_RIGHT);
    table_column(&t, "median", TABLE_RIGHT);
    table_column(&t, "90%", TABLE_RIGHT);
    table_column(&t, "longest", TABLE_RIGHT);
    table_column(&t, title, TABLE_LEFT);
    table_column(&t, "live", TABLE_RIGHT);
    table_column(&t, "by others", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_FILE);
    for (size_t i = 0; i < sites->count && sites_shown(v, i); i++)
        lifetime_row(&t, v, &sites->sites[i], &all[i], cells);
    table_print(&t, v->out);
    table_release(&t);
    sites_more_line(v, sites->count);
}

static void lifetime_line(const struct view *v, const struct sites *sites,
                          const struct model_histogram *all)
{
    char a[UNITS_BUF], b[TEXT_BUF], c[TEXT_BUF], d[TEXT_BUF];
    struct metrics sum = {0};
    struct model_histogram h = {0};
    for (size_t i = 0; i < sites->count; i++) {
        metrics_add(&sum, &sites->sites[i].m);
        model_histogram_add(&h, &all[i]);
    }
    const int64_t *m = sum.v;
    char text[300];
    size_t n = (size_t)snprintf(text, sizeof text, "%s blocks",
                                units_count(a, (double)m[METRIC_ALLOC_CALLS]));
    if (m[METRIC_FREE_CALLS] > 0 && h.lived_count)
        snprintf(
            text + n, sizeof text - n,
            "; of those freed, half lived up to %s, 9 in 10 up to %s; %s freed by another thread",
            life_text(v, &h, 0.5, b), life_text(v, &h, 0.9, c),
            text_percent(d, (double)m[METRIC_CROSS_THREAD_FREES], (double)m[METRIC_FREE_CALLS]));
    text_wrap(v->out, 0, "LIFE    ", text);
    fputc('\n', v->out);
}

void view_lifetime(const struct view *v)
{
    struct sites sites;
    view_header(v);
    if (sites_absent(v, METRIC_CROSS_THREAD_FREES))
        return;
    sites_build_by_place(&sites, v->model, v->frames, sites_sort(v, METRIC_ALLOC_CALLS));
    struct model_histogram *all = sites_histograms(&sites, v->model);
    lifetime_line(v, &sites, all);
    if (sites.count) {
        lifetime_table(v, &sites, all);
        char text[400];
        snprintf(
            text, sizeof text,
            "Lifetimes are of a sample of the blocks that were freed. A column of the histogram "
            "is a decade: below 1 us (<), from 1 us (u), 1 ms (m), 1 s (s) on; %s. live: not "
            "freed. by others: freed by another thread than allocated it, of those freed.",
            text_bars_words());
        text_wrap(v->out, 1, "", text);
    } else {
        fputs(" no allocations\n", v->out);
    }
    free(all);
    sites_release(&sites);
}
