#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include <ncurses.h>
#include <term.h>

/* term.h calls capabilities of a terminal so. */
#undef lines
#undef columns

#include "analyzer/top_screen.h"

static SCREEN *screen;
static attr_t bold, reverse;

bool top_screen_open(bool emphasis)
{
    int error;
    if (setupterm(NULL, STDOUT_FILENO, &error) != OK || !cursor_address || !clear_screen)
        return false;
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return false;
    bold = emphasis ? A_BOLD : 0;
    reverse = emphasis ? A_REVERSE : 0;
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    return true;
}

void top_screen_close(void)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen);
    screen = NULL;
}

void top_screen_size(unsigned *lines, unsigned *columns)
{
    *lines = LINES > 0 ? (unsigned)LINES : 1;
    *columns = COLS > 0 ? (unsigned)COLS : 1;
}

enum top_key top_screen_key(void)
{
    for (;;)
        switch (getch()) {
        case ERR:
            return TOP_KEY_NONE;
        case 'q':
        case 'Q':
            return TOP_KEY_QUIT;
        case ' ':
            return TOP_KEY_PAUSE;
        case 's':
            return TOP_KEY_SORT;
        case '+':
            return TOP_KEY_SLOWER;
        case '-':
            return TOP_KEY_FASTER;
        case KEY_RESIZE:
            return TOP_KEY_RESIZE;
        default:; /* what else is waiting */
        }
}

/* A tag of capitals, then a blank. */
static int tag_length(const char *line)
{
    int n = 0;
    while (isupper((unsigned char)line[n]))
        n++;
    return n > 1 && line[n] == ' ' ? n : 0;
}

static void line_draw(int y, const char *line, int n)
{
    bool heading = n > 7 && (strncmp(line, "  flat%", 7) == 0 || strncmp(line, "  wait/s", 8) == 0);
    int tag = tag_length(line);
    if (n > COLS)
        n = COLS;
    if (tag > n)
        tag = n;
    attrset(bold);
    mvaddnstr(y, 0, line, tag);
    attrset(heading ? reverse : 0);
    addnstr(line + tag, n - tag);
    attrset(0);
}

void top_screen_draw(const char *text, const char *status)
{
    erase();
    for (int y = 0; *text && y < LINES - 1; y++) {
        int n = (int)strcspn(text, "\n");
        line_draw(y, text, n);
        text += n + (text[n] == '\n');
    }
    attrset(reverse);
    /* The last cell of the last line is left alone: some terminals scroll when it is written. */
    mvaddnstr(LINES - 1, 0, status, COLS - 1);
    attrset(0);
    refresh();
}
