/*
 * The one table printer of all screens: columns as wide as their widest cell, numbers to the right,
 * text to the left. When a line would pass TEXT_COLUMNS, names give way: cut with "...", the
 * rightmost such column first, to 16 characters; then they and files to 12, then to 8, where the
 * line number of FILE:LINE stays. Not thread-safe.
 *
 *   struct table t = {0};
 *   table_column(&t, "flat", TABLE_RIGHT);
 *   table_cell(&t, "%.2fs", x);        row by row, left to right; names through text_escape() first
 *   table_print(&t, out);
 *   table_release(&t);
 */
#ifndef PERFSHIM_ANALYZER_TABLE_H
#define PERFSHIM_ANALYZER_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16u

enum table_align { TABLE_RIGHT, TABLE_LEFT, TABLE_NAME, TABLE_FILE };

struct table {
    struct {
        const char *title;
        enum table_align align;
        size_t width;
    } columns[TABLE_COLUMNS_MAX];
    unsigned column_count;
    char **cells;
    size_t cell_count, room;
    size_t fit; /* columns to stay within; 0 = TEXT_COLUMNS */
};

void table_column(struct table *t, const char *title, enum table_align align);
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Heading (unless all titles are NULL) and rows, each after one blank, without trailing blanks. */
void table_print(struct table *t, FILE *out);
/* One row alone, without headings: for a caller that has more to say below each. */
void table_print_row(struct table *t, FILE *out, size_t row);
void table_release(struct table *t);

#endif
