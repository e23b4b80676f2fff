/*
 * What the views of allocation sites have in common: their cells, and what is said where there is
 * nothing to show. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_VIEW_SITES_H
#define PERFSHIM_ANALYZER_VIEW_SITES_H

#include "analyzer/site.h"
#include "analyzer/view.h"

/* Was the metric not measured? Then says why, after the header. */
bool sites_absent(const struct view *v, enum metric metric);

/* Is the i-th row shown? */
static inline bool sites_shown(const struct view *v, size_t i)
{
    return v->all || i < v->limit;
}
/* Does one of the rows shown go through another place (sites_via_cell)? */
bool sites_have_via(const struct view *v, const struct sites *s, size_t count);

/* Two cells: the function, and where in it. */
void sites_place_cells(struct table *t, const struct view *v, const struct site *site);
/* One cell: the function that it goes through, or nothing. */
void sites_via_cell(struct table *t, const struct view *v, const struct site *site);
/* One cell: how far the estimate before it may be off. */
void sites_error_cell(struct table *t, const struct view *v, enum metric metric,
                      const struct site *site);
/* One cell: text, or a dash for nothing, which is easier to see. */
void sites_dash_cell(struct table *t, int64_t n, const char *text);
/* Below a table that was cut. */
void sites_more_line(const struct view *v, size_t count);
/* "name file.c:7". Returns its length. */
size_t sites_place_text(const struct view *v, const struct frame *frame, char *to, size_t size,
                        size_t name_width);

/* The order of a view of sites: --sort=allocs|bytes, or its own. */
static inline enum metric sites_sort(const struct view *v, enum metric own)
{
    return v->sort == METRIC_ALLOC_CALLS || v->sort == METRIC_ALLOC_BYTES ? v->sort : own;
}

#endif
