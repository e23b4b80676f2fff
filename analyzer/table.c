#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/table.h"
#include "analyzer/text.h"

void table_column(struct table *t, const char *title, enum table_align align)
{
    if (t->column_count == TABLE_COLUMNS_MAX)
        return;
    t->columns[t->column_count].title = title;
    t->columns[t->column_count].align = align;
    t->columns[t->column_count++].width = title ? strlen(title) : 0;
}

void table_cell(struct table *t, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memory_grow((void **)&t->cells, &t->room, t->cell_count, sizeof *t->cells);
    unsigned column = (unsigned)(t->cell_count % t->column_count);
    size_t n = text_width(text);
    if (n > t->columns[column].width)
        t->columns[column].width = n;
    t->cells[t->cell_count++] = memory_string(text);
}

static void widths_fit(struct table *t)
{
    static const size_t narrowest_name[] = {16, 12, 8};
    size_t fit = t->fit ? t->fit : TEXT_COLUMNS, total = 1;
    for (unsigned i = 0; i < t->column_count; i++)
        total += t->columns[i].width + (i ? 2 : 0);
    for (size_t pass = 0; pass < sizeof narrowest_name / sizeof *narrowest_name; pass++)
        for (unsigned i = t->column_count; i-- > 0 && total > fit;) {
            size_t *width = &t->columns[i].width;
            enum table_align align = t->columns[i].align;
            bool gives = align == TABLE_NAME || (align == TABLE_FILE && pass > 0);
            if (!gives || *width <= narrowest_name[pass])
                continue;
            size_t give = *width - narrowest_name[pass];
            if (give > total - fit)
                give = total - fit;
            *width -= give;
            total -= give;
        }
}

/* What a cut text keeps of its end: the line of FILE:LINE, which is why one looks at it. */
static size_t tail_length(const char *text, size_t width)
{
    size_t n = strlen(text), digits = 0;
    while (digits < n && text[n - 1 - digits] >= '0' && text[n - 1 - digits] <= '9')
        digits++;
    bool line = digits && digits < n && text[n - 1 - digits] == ':' && !strchr(text, ' ');
    return line && digits + 5 <= width ? digits + 1 : 0;
}

static void line_print(const struct table *t, const char *const *texts, FILE *out)
{
    size_t blanks = 1; /* they wait until something follows them */
    for (unsigned i = 0; i < t->column_count; i++) {
        size_t width = t->columns[i].width, n = strlen(texts[i]), columns = text_width(texts[i]);
        bool cut = columns > width; /* only names are ever wider than their column: plain ASCII */
        size_t tail = cut ? tail_length(texts[i], width) : 0, length = n;
        if (cut)
            n = width - 3 - tail;
        size_t pad = cut ? 0 : width - columns;
        if (t->columns[i].align == TABLE_RIGHT)
            blanks += pad;
        if (n) {
            fprintf(out, "%*s%.*s%s%s", (int)blanks, "", (int)n, texts[i], cut ? "..." : "",
                    texts[i] + length - tail);
            blanks = 0;
        }
        if (t->columns[i].align != TABLE_RIGHT)
            blanks += pad;
        blanks += 2;
    }
}

void table_print(struct table *t, FILE *out)
{
    const char *titles[TABLE_COLUMNS_MAX];
    widths_fit(t);
    bool titled = false;
    for (unsigned i = 0; i < t->column_count; i++) {
        titled = titled || t->columns[i].title;
        titles[i] = t->columns[i].title ? t->columns[i].title : "";
    }
    if (titled) {
        fputs(text_bold(), out);
        line_print(t, titles, out);
        fprintf(out, "%s\n", text_plain());
    }
    for (size_t i = 0; (i + 1) * t->column_count <= t->cell_count; i++)
        table_print_row(t, out, i);
}

void table_print_row(struct table *t, FILE *out, size_t row)
{
    widths_fit(t);
    line_print(t, (const char *const *)t->cells + row * t->column_count, out);
    fputc('\n', out);
}

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->cell_count; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}
