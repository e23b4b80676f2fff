/*
 * Histograms of sizes and lifetimes for people: figures, and a column of a table with one character
 * for a range of values, the same ranges in every row, so that rows can be compared (text_bars()).
 *
 *   lifetimes  < 1 us, then a decade each: 1, 10, 100 us, 1, 10, 100 ms, 1 s, 10 s, 100 s and more
 *   sizes      < 16 B, then a factor of 4 each: 16, 64, 256 B, 1, 4 … 256 KiB, 1 MiB … and more
 *
 * A title has a letter where a unit begins. Pure functions.
 */
#ifndef PERFSHIM_ANALYZER_HISTOGRAM_H
#define PERFSHIM_ANALYZER_HISTOGRAM_H

#include "analyzer/model.h"
#include "analyzer/text.h"

#define HISTOGRAM_LIFE_TITLE "<u..m..s.."
#define HISTOGRAM_SIZE_TITLE "<B..K....M....G"
enum {
    HISTOGRAM_LIFE_CELLS = sizeof HISTOGRAM_LIFE_TITLE - 1,
    HISTOGRAM_SIZE_CELLS = sizeof HISTOGRAM_SIZE_TITLE - 1
};

/* Each cell's share of all. */
void histogram_life_cells(const struct model *m, const struct model_histogram *h,
                          double to[static HISTOGRAM_LIFE_CELLS]);
void histogram_size_cells(const struct model_histogram *h, double to[static HISTOGRAM_SIZE_CELLS]);

/* The smallest size: exact if it is one of the first seen, else where its bucket begins. */
uint64_t histogram_size_least(const struct model_histogram *h);
/* The size that a share `q` of the blocks does not exceed, no more than the largest, no less than
   the smallest. 0 if there is none. */
double histogram_size_quantile(const struct model_histogram *h, double q);
/* In bytes: "48", "16 48", or "17..4096" if there are too many to name. Returns to. */
char *histogram_sizes_text(const struct model_histogram *h, char to[static TEXT_BUF]);

#endif
