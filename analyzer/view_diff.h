/* A comparison as a screen and as JSON, schema "perfshim.diff/1" (docs/contract.md). */
#ifndef PERFSHIM_ANALYZER_VIEW_DIFF_H
#define PERFSHIM_ANALYZER_VIEW_DIFF_H

#include <stdio.h>

#include "analyzer/diff.h"

/* limit: rows of the list of sites; all: every one. */
void view_diff(const struct diff *d, FILE *out, size_t limit, bool all);
void diff_json(const struct diff *d, FILE *out);

#endif
