/*
 * Text for a screen: plain ASCII (but for text_bars() on a terminal), at most TEXT_COLUMNS wide, no
 * control characters from a profile. Colour only where it was asked for. Pure, except for the
 * switches that text_color_choose() sets once at start.
 */
#ifndef PERFSHIM_ANALYZER_TEXT_H
#define PERFSHIM_ANALYZER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_COLUMNS 100
#define TEXT_BUF     64 /* enough for any formatted figure */

/* Copies s with every byte outside of printable ASCII as \xNN, cut with "..." at `columns`
   characters (and at size − 1). Returns to. */
char *text_escape(char *to, size_t size, const char *s, size_t columns);

/*
 * A C++ name short enough to read: the parameter list is left out, template arguments become "<>"
 * if the rest is longer than `columns`. Names of other languages are unchanged.
 */
char *text_short_name(char *to, size_t size, const char *name, size_t columns);

/*
 * Prints words, broken before TEXT_COLUMNS: `before` after `indent` blanks, further lines below the
 * first word.
 */
void text_wrap(FILE *out, unsigned indent, const char *before, const char *words);

/* --color=always|never|auto (auto: out is a terminal, NO_COLOR is not set). NULL = auto. Chooses
   the characters of text_bars() too: by `out` and the locale alone. */
void text_color_choose(const char *when, FILE *out);
/* Escape sequences, or "" without colour. */
const char *text_bold(void);
const char *text_plain(void);

/*
 * Parts of a whole (1), a character each: blank for nothing, "." for less than 5 %, 1 to 9 for
 * tenths, "#" from 95 % on; on a terminal that shows UTF-8, blocks of eight heights. Returns to.
 */
enum { TEXT_BARS_MAX = 20, TEXT_BARS_BYTES = 3 * TEXT_BARS_MAX + 1 };
char *text_bars(char to[static TEXT_BARS_BYTES], const double *parts, unsigned count);
/* What the characters mean, for a legend. */
const char *text_bars_words(void);
/* Columns that a text takes: characters of UTF-8. */
size_t text_width(const char *s);

/* One unit for all times of a column: s, ms, us or ns, by the largest. */
struct text_scale {
    double divisor;
    const char *unit;
    int decimals;
};
struct text_scale text_scale_for(double largest_ns);
char *text_scaled(char to[static TEXT_BUF], struct text_scale scale, double ns);

/* "36.8%"; "-" when whole is 0. */
char *text_percent(char to[static TEXT_BUF], double part, double whole);

#endif
