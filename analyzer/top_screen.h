/*
 * The terminal of `perfshim top`: the only user of ncurses. One screen a process; not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_TOP_SCREEN_H
#define PERFSHIM_ANALYZER_TOP_SCREEN_H

#include <stdbool.h>

enum top_key {
    TOP_KEY_NONE, /* nothing pressed, or a key that means nothing */
    TOP_KEY_QUIT,
    TOP_KEY_PAUSE,
    TOP_KEY_SORT,
    TOP_KEY_SLOWER,
    TOP_KEY_FASTER,
    TOP_KEY_RESIZE,
};

/* Takes the terminal. False: it cannot place text (TERM is dumb or not known); nothing was done.
 * emphasis: bold and reverse may be used. */
bool top_screen_open(bool emphasis);
/* Gives the terminal back as it was. May be called twice, and without an open screen. */
void top_screen_close(void);

void top_screen_size(unsigned *lines, unsigned *columns);
/* A key that was pressed, without waiting. */
enum top_key top_screen_key(void);

/* The lines of `text` from the top, cut at the screen's edges, and `status` on the last line.
   Tags at the beginning of a line (in capitals) are emphasised, so is the heading of a table. */
void top_screen_draw(const char *text, const char *status);

#endif
