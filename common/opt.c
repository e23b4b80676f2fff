#include "common/opt.h"

#include "common/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 64 /* of one option name */
#define HELP_COLUMN    30 /* where the help text starts */
#define HELP_WIDTH     100

/* One argument being parsed: who speaks, and how the user wrote the option ("--runs", "-r"). */
struct at {
    const char *prog;
    const struct opt *opts;
    char label[NAME_MAX_BYTES + 8];
};

static int __attribute__((format(printf, 2, 3)))
refuse(const struct at *at, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: %s", at->prog, at->label);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return -1;
}

/* Walks "a|b|c": the next piece in *piece, *length; 0 at the end. */
static int piece_next(const char **list, const char **piece, size_t *length)
{
    if (!*list || !**list)
        return 0;
    *piece = *list;
    *length = strcspn(*list, "|");
    *list += *length + ((*list)[*length] == '|');
    return 1;
}

static char dashed(char c)
{
    return c == '_' ? '-' : c;
}

static int name_equal(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length != b_length)
        return 0;
    for (size_t i = 0; i < a_length; i++)
        if (dashed(a[i]) != dashed(b[i]))
            return 0;
    return 1;
}

/* The option that has this name; short names are those of one letter. NULL if there is none. */
static const struct opt *opt_find(const struct opt *opts, const char *name, size_t length)
{
    for (const struct opt *o = opts; o->names; o++) {
        const char *list = o->names, *piece;
        size_t n;
        while (piece_next(&list, &piece, &n))
            if (name_equal(piece, n, name, length))
                return o;
    }
    return NULL;
}

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters to insert, delete, replace or swap with a neighbour to get from a to b. */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t d[NAME_MAX_BYTES + 1][NAME_MAX_BYTES + 1];

    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t differ = dashed(a[i - 1]) != dashed(b[j - 1]);
            d[i][j] = min2(d[i - 1][j - 1] + differ, 1 + min2(d[i - 1][j], d[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = min2(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}

/* The known long name that was probably meant, its length in *length; NULL if none is close. */
static const char *name_suggest(const struct opt *opts, const char *typed, size_t typed_length,
                                size_t *length)
{
    const char *best = NULL;
    size_t best_distance = 3; /* two slips are a typo, three are another word */

    if (typed_length < 2 || typed_length > NAME_MAX_BYTES)
        return NULL;
    for (const struct opt *o = opts; o->names; o++) {
        const char *list = o->names, *piece;
        size_t n;
        while (piece_next(&list, &piece, &n)) {
            if (n < 2 || n > NAME_MAX_BYTES || o->type == OPT_RESERVED)
                continue;
            size_t distance = edit_distance(typed, typed_length, piece, n);
            if (typed_length >= 3 && n > typed_length &&
                name_equal(piece, typed_length, typed, typed_length))
                distance = 1; /* an abbreviation */
            if (distance < best_distance && distance * 2 <= typed_length) {
                best_distance = distance;
                best = piece;
                *length = n;
            }
        }
    }
    return best;
}

static int takes_value(const struct opt *o)
{
    if (o->type == OPT_CALL)
        return o->arg != NULL;
    return o->type != OPT_FLAG && o->type != OPT_OPTIONAL && o->type != OPT_RESERVED;
}

/* min and max as the option's own kind of number. */
static int range_refuse(const struct at *at, const struct opt *o, const char *value)
{
    char lo[UNITS_BUF], hi[UNITS_BUF];

    snprintf(lo, sizeof lo, "%" PRIu64, o->min);
    snprintf(hi, sizeof hi, "%" PRIu64, o->max ? o->max : UINT64_MAX);
    if (o->type == OPT_DURATION) {
        units_duration(lo, (double)o->min);
        units_duration(hi, (double)o->max);
    } else if (o->type == OPT_SIZE) {
        units_size(lo, (double)o->min);
        units_size(hi, (double)o->max);
    }
    if (!o->max && o->min)
        return refuse(at, ": '%s' is out of range: at least %s", value, lo);
    if (!o->min)
        return refuse(at, ": '%s' is out of range: at most %s", value, hi);
    return refuse(at, ": '%s' is out of range: %s to %s", value, lo, hi);
}

static int number_store(const struct at *at, const struct opt *o, const char *value)
{
    uint64_t v;

    if (o->type == OPT_UINT) {
        if (value[0] && value[strspn(value, "0123456789")] == '\0') {
            if (units_parse_uint(value, &v) != 0)
                return range_refuse(at, o, value);
        } else
            return refuse(at, ": '%s' is not a whole number", value);
    } else if (o->type == OPT_DURATION) {
        if (units_parse_duration(value, &v) != 0)
            return refuse(at, ": '%s' is not a duration (250us, 10ms, 30s, 2m)", value);
    } else if (units_parse_size(value, &v) != 0)
        return refuse(at, ": '%s' is not a size (4K, 512M, 1G)", value);
    if (v < o->min || (o->max && v > o->max))
        return range_refuse(at, o, value);
    *(uint64_t *)o->value = v;
    return 0;
}

static int real_store(const struct at *at, const struct opt *o, const char *value)
{
    double v;
    const char *end;

    if (units_parse_real(value, &v, &end) != 0 || *end)
        return refuse(at, ": '%s' is not a number", value);
    *(double *)o->value = v;
    return 0;
}

static int choice_has(const struct opt *o, const char *value)
{
    const char *list = o->choices, *piece;
    size_t n;

    while (piece_next(&list, &piece, &n))
        if (strlen(value) == n && memcmp(piece, value, n) == 0)
            return 1;
    return 0;
}

static int choice_store(const struct at *at, const struct opt *o, const char *value)
{
    if (choice_has(o, value)) {
        *(const char **)o->value = value;
        return 0;
    }
    for (const struct opt *r = at->opts; r->names; r++)
        if (r->type == OPT_RESERVED && strcmp(r->names, o->names) == 0 && choice_has(r, value))
            return refuse(at, ": '%s': not available yet", value);
    return refuse(at, ": '%s' is not one of %s", value, o->choices);
}

/* `value` is NULL where none is written. */
static int value_store(const struct at *at, const struct opt *o, const char *value)
{
    switch (o->type) {
    case OPT_FLAG:
        *(int *)o->value = 1;
        return 0;
    case OPT_STRING:
        *(const char **)o->value = value;
        return 0;
    case OPT_OPTIONAL:
        *(const char **)o->value = value ? value : "-";
        return 0;
    case OPT_CHOICE:
        return choice_store(at, o, value);
    case OPT_UINT:
    case OPT_DURATION:
    case OPT_SIZE:
        return number_store(at, o, value);
    case OPT_REAL:
        return real_store(at, o, value);
    case OPT_CALL:
        return o->call(o, value);
    case OPT_RESERVED:
        return refuse(at, ": not available yet");
    }
    return -1;
}

static int unknown_refuse(const struct at *at, const struct opt *opts, const char *name,
                          size_t length)
{
    size_t n = 0;
    const char *meant = name_suggest(opts, name, length, &n);

    if (meant)
        return refuse(at, ": unknown option; did you mean --%.*s?", (int)n, meant);
    return refuse(at, ": unknown option; --help lists them");
}

static int value_missing(const struct at *at, const struct opt *o)
{
    const char *arg = o->arg ? o->arg : o->type == OPT_CHOICE ? o->choices : NULL;

    return refuse(at, arg ? " needs a value: %s" : " needs a value", arg);
}

/* argv[*i] is --name[=value]; *i moves on when the next word is the value. */
static int long_parse(struct at *at, const struct opt *opts, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *value = strchr(name, '=');
    size_t length = value ? (size_t)(value - name) : strlen(name);
    const struct opt *o = length > 1 ? opt_find(opts, name, length) : NULL;

    snprintf(at->label, sizeof at->label, "--%.*s", (int)min2(length, NAME_MAX_BYTES), name);
    if (value)
        value++;
    if (!o && length > 3 && strncmp(name, "no", 2) == 0 && dashed(name[2]) == '-') {
        o = opt_find(opts, name + 3, length - 3);
        if (o && o->type == OPT_FLAG && length - 3 > 1 && !value) {
            *(int *)o->value = 0;
            return 0;
        }
        o = NULL;
    }
    if (!o && length == 4 && strncmp(name, "help", 4) == 0)
        return OPT_HELP;
    if (!o)
        return unknown_refuse(at, opts, name, length);
    if (value && o->type != OPT_OPTIONAL && o->type != OPT_RESERVED && !takes_value(o))
        return refuse(at, " takes no value");
    if (!value && takes_value(o)) {
        if (*i + 1 >= argc)
            return value_missing(at, o);
        value = argv[++*i];
    }
    return value_store(at, o, value);
}

/* argv[*i] is -abc: flags in a row, the last option may have its value attached or next. */
static int short_parse(struct at *at, const struct opt *opts, int argc, char **argv, int *i)
{
    for (const char *c = argv[*i] + 1; *c; c++) {
        const struct opt *o = opt_find(opts, c, 1);
        const char *value = NULL;

        snprintf(at->label, sizeof at->label, "-%c", *c);
        if (!o && *c == 'h')
            return OPT_HELP;
        if (!o)
            return unknown_refuse(at, opts, argv[*i] + 1, strlen(argv[*i] + 1));
        if (takes_value(o) || o->type == OPT_OPTIONAL) {
            if (c[1])
                value = c + 1;
            else if (takes_value(o)) {
                if (*i + 1 >= argc)
                    return value_missing(at, o);
                value = argv[++*i];
            }
            return value_store(at, o, value);
        }
        if (value_store(at, o, NULL) != 0)
            return -1;
    }
    return 0;
}

int opt_parse(const char *prog, const struct opt *opts, unsigned flags, int argc, char **argv)
{
    struct at at = {.prog = prog, .opts = opts};
    int operands = 0, ended = 0;

    for (int i = 1; i < argc; i++) {
        int status = 0;

        if (ended || argv[i][0] != '-' || !argv[i][1]) {
            ended |= flags & OPT_STOP_AT_OPERAND;
            argv[++operands] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            ended = 1;
            if (flags & OPT_KEEP_DASHES)
                argv[++operands] = argv[i];
        } else if (argv[i][1] == '-')
            status = long_parse(&at, opts, argc, argv, &i);
        else
            status = short_parse(&at, opts, argc, argv, &i);
        if (status != 0)
            return status == OPT_HELP ? OPT_HELP : OPT_ERROR;
    }
    if (argc > 0)
        argv[operands + 1] = NULL;
    return operands;
}

/* "  -r, --runs N": the left column of one option; its width. */
static int label_print(FILE *out, const struct opt *o)
{
    const char *list = o->names, *piece, *name = NULL;
    const char *arg = o->arg ? o->arg : o->type == OPT_CHOICE ? o->choices : NULL;
    size_t n, name_length = 0;
    char letter = 0;
    int columns;

    while (piece_next(&list, &piece, &n)) {
        if (n == 1 && !letter)
            letter = *piece;
        else if (n > 1 && !name) {
            name = piece;
            name_length = n;
        }
    }
    columns = letter ? fprintf(out, "  -%c%s", letter, name ? ", " : "") : fprintf(out, "      ");
    if (name)
        columns += fprintf(out, "--%.*s", (int)name_length, name);
    if (arg)
        columns += fprintf(out, o->type == OPT_OPTIONAL ? "[=%s]" : " %s", arg);
    return columns;
}

static int next_line(FILE *out)
{
    fprintf(out, "\n%*s", HELP_COLUMN, "");
    return HELP_COLUMN;
}

/* Prints text at `column`, broken at blanks and after '|'; the column after it. */
static int wrapped_print(FILE *out, const char *text, int column)
{
    while (*text) {
        int blank = *text == ' ';
        int n = blank + (int)strcspn(text + blank, " |");

        n += text[n] == '|';
        if (column + n > HELP_WIDTH && column > HELP_COLUMN) {
            column = next_line(out);
            text += blank;
            n -= blank;
        }
        column += fprintf(out, "%.*s", n, text);
        text += n;
    }
    return column;
}

void opt_help(FILE *out, const struct opt *opts)
{
    for (; opts->names; opts++) {
        if (opts->type == OPT_RESERVED)
            continue;
        int column = label_print(out, opts);

        if (column >= HELP_COLUMN)
            column = next_line(out);
        else
            column += fprintf(out, "%*s", HELP_COLUMN - column, "");
        column = wrapped_print(out, opts->help, column);
        if (opts->type == OPT_CHOICE && opts->arg) {
            column += fprintf(out, ": ");
            wrapped_print(out, opts->choices, column);
        }
        fputc('\n', out);
    }
    fprintf(out, "%-*s%s\n", HELP_COLUMN, "  -h, --help", "this text");
}
