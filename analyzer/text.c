#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/text.h"

static bool color, blocks;

char *text_escape(char *to, size_t size, const char *s, size_t columns)
{
    size_t n = 0, whole = 0; /* whole: where "..." would go */
    size_t limit = columns < size - 1 ? columns : size - 1;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char piece[5];
        size_t bytes = 1;
        if (c < ' ' || c > '~')
            bytes = (size_t)snprintf(piece, sizeof piece, "\\x%02x", c);
        else
            piece[0] = (char)c;
        if (n + bytes > limit)
            break;
        memcpy(to + n, piece, bytes);
        n += bytes;
        if (n + 3 <= limit)
            whole = n;
    }
    if (*s && limit >= 3) {
        memcpy(to + whole, "...", 3);
        n = whole + 3;
    }
    to[n] = '\0';
    return to;
}

/* Copies name with all template arguments as "<>". */
static void templates_leave_out(char *to, size_t size, const char *name)
{
    size_t n = 0;
    unsigned depth = 0;
    for (const char *s = name; *s && n + 2 < size; s++) {
        bool in_operator = s - name >= 8 && strncmp(s - 8, "operator", 8) == 0;
        if (*s == '<' && !in_operator) {
            if (depth++ == 0) {
                to[n++] = '<';
                to[n++] = '>';
            }
        } else if (*s == '>' && depth) {
            depth--;
        } else if (depth == 0) {
            to[n++] = *s;
        }
    }
    to[n] = '\0';
}

/* Where the parameter list of a demangled name starts, or NULL. "operator()" is no list. */
static const char *parameters(const char *name)
{
    unsigned depth = 0;
    for (const char *s = name; *s; s++) {
        if (*s == '<')
            depth++;
        else if (*s == '>' && depth && s[-1] != '-')
            depth--;
        else if (*s == '(' && depth == 0 && s > name && strncmp(s, "(anonymous", 10) != 0 &&
                 !(s - name >= 8 && strncmp(s - 8, "operator", 8) == 0))
            return s;
    }
    return NULL;
}

char *text_short_name(char *to, size_t size, const char *name, size_t columns)
{
    char kept[1024], without[1024];
    const char *list = parameters(name);
    snprintf(kept, sizeof kept, "%.*s", list ? (int)(list - name) : (int)strlen(name), name);
    if (strlen(kept) > columns && list) {
        templates_leave_out(without, sizeof without, kept);
        return text_escape(to, size, without, columns);
    }
    return text_escape(to, size, kept, columns);
}

void text_wrap(FILE *out, unsigned indent, const char *before, const char *words)
{
    size_t margin = indent + strlen(before), at = margin;
    fprintf(out, "%*s%s", (int)indent, "", before);
    while (*words) {
        size_t n = strcspn(words, " ");
        if (at > margin && at + 1 + n > TEXT_COLUMNS) {
            fprintf(out, "\n%*s", (int)margin, "");
            at = margin;
        }
        at += (size_t)fprintf(out, "%s%.*s", at > margin ? " " : "", (int)n, words);
        words += n + (words[n] == ' ');
    }
    fputc('\n', out);
}

/* What setlocale(3) would look at, in its order. */
static bool locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *locale = getenv(names[i]);
        if (locale && *locale)
            return strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
    }
    return false;
}

void text_color_choose(const char *when, FILE *out)
{
    blocks = isatty(fileno(out)) && locale_is_utf8();
    const char *no = getenv("NO_COLOR");
    if (when && strcmp(when, "always") == 0)
        color = true;
    else if (when && strcmp(when, "never") == 0)
        color = false;
    else
        color = !(no && *no) && isatty(fileno(out));
}

const char *text_bold(void)
{
    return color ? "\033[1m" : "";
}

const char *text_plain(void)
{
    return color ? "\033[0m" : "";
}

const char *text_bars_words(void)
{
    return blocks ? "the higher, the more" : "digits are tenths, \".\" is less, \"#\" all";
}

char *text_bars(char to[static TEXT_BARS_BYTES], const double *parts, unsigned count)
{
    static const char digits[] = ".123456789#";
    enum { tenths = 10, heights = 8 };
    char *at = to;
    for (unsigned i = 0; i < count && i < TEXT_BARS_MAX; i++) {
        double part = parts[i] < 1 ? parts[i] : 1;
        if (part <= 0) {
            *at++ = ' ';
        } else if (blocks) { /* U+2581 to U+2588 */
            int height = (int)(part * heights + 0.5);
            memcpy(at, "\xe2\x96\x81", 3);
            at[2] = (char)(at[2] + (height > 1 ? height - 1 : 0));
            at += 3;
        } else {
            *at++ = digits[(int)(part * tenths + 0.5)];
        }
    }
    *at = '\0';
    return to;
}

size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

struct text_scale text_scale_for(double largest_ns)
{
    if (largest_ns >= 2e9)
        return (struct text_scale){1e9, "s", 2};
    if (largest_ns >= 2e6)
        return (struct text_scale){1e6, "ms", 1};
    return (struct text_scale){1e3, "us", 1};
}

char *text_scaled(char to[static TEXT_BUF], struct text_scale scale, double ns)
{
    snprintf(to, TEXT_BUF, "%.*f%s", scale.decimals, ns / scale.divisor, scale.unit);
    return to;
}

char *text_percent(char to[static TEXT_BUF], double part, double whole)
{
    if (whole == 0)
        snprintf(to, TEXT_BUF, "-");
    else
        snprintf(to, TEXT_BUF, "%.1f%%", 100 * part / whole);
    return to;
}
