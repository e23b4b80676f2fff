/*
 * The lines of `perfshim top`, for the plain output and for the screen alike: plain ASCII, each
 * with a tag of TOP_TAG columns in front, so that a log of them can be searched. Pure.
 */
#ifndef PERFSHIM_ANALYZER_TOP_TEXT_H
#define PERFSHIM_ANALYZER_TOP_TEXT_H

#include <stdio.h>

#include "analyzer/top.h"

#define TOP_TAG 6

/* WATCH: what is watched, cut at `columns`. */
void top_text_title(FILE *out, const struct model *m, size_t columns);
/* RUN, POINT, HEAP, LIVE, LOCKS, LOST: the figures of the interval. */
void top_text_figures(FILE *out, const struct top_change *c, size_t columns);
/* END: how it ended. */
void top_text_end(FILE *out, const struct model *m);

/* TOP: what the functions are ordered by and rest on; then the table of functions, whose lines are
   tagged only if asked for. */
void top_text_functions(FILE *out, const struct top_change *c, struct frames *f, enum top_sort sort,
                        size_t limit, size_t columns, bool tagged);

/* The table of the locks that were waited for most; nothing where locks were not measured. */
void top_text_locks(FILE *out, const struct top_change *c, struct frames *f, size_t limit,
                    size_t columns, bool tagged);

#endif
