/* How large blocks are, and how they grow: --view=sizes. */
#include <stdlib.h>

#include "analyzer/histogram.h"
#include "analyzer/view_sites.h"
#include "common/units.h"

enum { chain_long = 8 };

static unsigned size_cells_used(const struct view *v, const struct model_histogram *all,
                                size_t count)
{
    double cells[HISTOGRAM_SIZE_CELLS];
    unsigned used = 1;
    for (size_t i = 0; i < count && sites_shown(v, i); i++) {
        histogram_size_cells(&all[i], cells);
        for (unsigned k = used; k < HISTOGRAM_SIZE_CELLS; k++)
            used = cells[k] > 0 ? k + 1 : used;
    }
    return used;
}

static void sizes_row(struct table *t, const struct view *v, const struct site *site,
                      const struct model_histogram *h, unsigned cells)
{
    char text[TEXT_BUF], bars[TEXT_BARS_BYTES];
    double shares[HISTOGRAM_SIZE_CELLS];
    const int64_t *m = site->m.v;
    table_cell(t, "%s", view_calls(v, text, m[METRIC_ALLOC_CALLS]));
    table_cell(t, "%s", units_size(text, (double)m[METRIC_ALLOC_BYTES]));
    table_cell(t, "%s", h->asked_count ? units_size(text, histogram_size_quantile(h, 0.5)) : "-");
    histogram_size_cells(h, shares);
    table_cell(t, "%s", text_bars(bars, shares, cells));
    table_cell(t, "%s", histogram_sizes_text(h, text));
    sites_place_cells(t, v, site);
}

static void sizes_table(const struct view *v, const struct sites *sites,
                        const struct model_histogram *all)
{
    char title[HISTOGRAM_SIZE_CELLS + 1];
    struct table t = {0};
    unsigned cells = size_cells_used(v, all, sites->count);
    snprintf(title, sizeof title, "%.*s", (int)cells, HISTOGRAM_SIZE_TITLE);
    table_column(&t, view_calls_title(v), TABLE_RIGHT);
    table_column(&t, "bytes", TABLE_RIGHT);
    table_column(&t, "median", TABLE_RIGHT);
    table_column(&t, title, TABLE_LEFT);
    table_column(&t, "sizes, bytes", TABLE_NAME);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_FILE);
    for (size_t i = 0; i < sites->count && sites_shown(v, i); i++)
        sizes_row(&t, v, &sites->sites[i], &all[i], cells);
    table_print(&t, v->out);
    table_release(&t);
    sites_more_line(v, sites->count);
    char text[300];
    snprintf(
        text, sizeof text,
        "A column of the histogram is a factor of 4: below 16 bytes (<), from 16 bytes (B), 1 KiB "
        "(K), 1 MiB (M) on; %s. Up to %u sizes are named.",
        text_bars_words(), PSHIM_SIZES);
    text_wrap(v->out, 1, "", text);
}

/* ---- growth ---- */

static int by_grown(const void *a, const void *b)
{
    const struct site *x = a, *y = b;
    int64_t v = x->m.v[METRIC_GROWN_CALLS], w = y->m.v[METRIC_GROWN_CALLS];
    if (v != w)
        return v < w ? 1 : -1;
    return x->made < y->made ? -1 : 1;
}

/* How often a block that begins at the site is grown, on average; 0 = all begin elsewhere. */
static double chain_of(const struct site *s)
{
    double grown = (double)s->m.v[METRIC_GROWN_CALLS];
    double begun = (double)s->m.v[METRIC_ALLOC_CALLS] - grown;
    return begun > 0 ? grown / begun : 0;
}

static void growth_row(struct table *t, const struct view *v, const struct site *site)
{
    char text[TEXT_BUF], each[TEXT_BUF];
    const int64_t *m = site->m.v;
    double grown = (double)m[METRIC_GROWN_CALLS];
    table_cell(t, "%s", view_calls(v, text, m[METRIC_GROWN_CALLS]));
    table_cell(t, "%s", text_percent(text, grown, (double)m[METRIC_ALLOC_CALLS]));
    snprintf(text, sizeof text, "%.1f", chain_of(site));
    table_cell(t, "%s", chain_of(site) > 0 ? text : "-");
    table_cell(t, "%s", units_size(text, (double)m[METRIC_MOVED_BYTES]));
    table_cell(t, "%s", units_size(each, (double)m[METRIC_MOVED_BYTES] / grown));
    sites_place_cells(t, v, site);
}

/* Sites that grow blocks by realloc, most first; the sites' order is lost. */
static void growth_table(const struct view *v, struct sites *sites)
{
    struct table t = {0};
    size_t count = 0;
    bool is_long = false;
    for (size_t i = 0; i < sites->count; i++)
        if (sites->sites[i].m.v[METRIC_GROWN_CALLS] > 0)
            sites->sites[count++] = sites->sites[i];
    fputc('\n', v->out);
    if (!count) {
        fputs("No site grows a block by realloc.\n", v->out);
        return;
    }
    qsort(sites->sites, count, sizeof *sites->sites, by_grown);
    table_column(&t, model_ops(v->model) ? "grown/op" : "grown", TABLE_RIGHT);
    table_column(&t, "of calls", TABLE_RIGHT);
    table_column(&t, "chain", TABLE_RIGHT);
    table_column(&t, "moved", TABLE_RIGHT);
    table_column(&t, "each", TABLE_RIGHT);
    table_column(&t, "site that grows blocks by realloc", TABLE_NAME);
    table_column(&t, "", TABLE_FILE);
    for (size_t i = 0; i < count && sites_shown(v, i); i++) {
        growth_row(&t, v, &sites->sites[i]);
        is_long = is_long || chain_of(&sites->sites[i]) >= chain_long;
    }
    table_print(&t, v->out);
    table_release(&t);
    sites_more_line(v, count);
    char text[300];
    snprintf(text, sizeof text,
             "chain: how often a block that begins there is grown (-: all begin elsewhere). "
             "Reserve its final size, as far as "
             "it is known%s.",
             is_long ? "; 8 times and more is growth in small steps: at least double it each time"
                     : "");
    text_wrap(v->out, 1, "", text);
}

void view_sizes(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], c[TEXT_BUF];
    struct sites sites;
    struct metrics sum = {0};
    view_header(v);
    if (sites_absent(v, METRIC_GROWN_CALLS))
        return;
    sites_build_by_place(&sites, v->model, v->frames, sites_sort(v, METRIC_ALLOC_CALLS));
    struct model_histogram *all = sites_histograms(&sites, v->model);
    for (size_t i = 0; i < sites.count; i++)
        metrics_add(&sum, &sites.sites[i].m);
    double calls = (double)sum.v[METRIC_ALLOC_CALLS];
    fprintf(v->out, "SIZES   %s calls  %s  average %s  %s grow a block by realloc\n\n",
            units_count(a, calls), units_size(b, (double)sum.v[METRIC_ALLOC_BYTES]),
            units_size(c, calls > 0 ? (double)sum.v[METRIC_ALLOC_BYTES] / calls : 0),
            text_percent((char[TEXT_BUF]){""}, (double)sum.v[METRIC_GROWN_CALLS], calls));
    if (sites.count) {
        sizes_table(v, &sites, all);
        growth_table(v, &sites);
    } else {
        fputs(" no allocations\n", v->out);
    }
    free(all);
    sites_release(&sites);
}
