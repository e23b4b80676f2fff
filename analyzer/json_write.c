#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "analyzer/json_write.h"
#include "analyzer/memory.h"

/* Objects inside of an array of the document stand on one line each. */
enum { lines_depth = 2 };

static void break_line(struct json *j)
{
    if (j->depth <= lines_depth && !j->one_line)
        fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
    else if (j->filled[j->depth - 1])
        fputc(' ', j->out);
}

/* Does a string stand for itself between quotes? Nearly all do, and need not be encoded. */
static bool is_plain(const char *s)
{
    while ((unsigned char)(*s - ' ') <= '~' - ' ' && *s != '"' && *s != '\\')
        s++;
    return *s == '\0';
}

static void text_put(struct json *j, const char *s)
{
    if (is_plain(s)) {
        fputc('"', j->out);
        fputs(s, j->out);
        fputc('"', j->out);
        return;
    }
    json_t *value = json_string(s);
    if (!value) { /* not UTF-8 */
        char *clean = memory_new(strlen(s) + 1, 3), *to = clean;
        for (; *s; s++) {
            if ((unsigned char)*s < 0x80)
                *to++ = *s;
            else
                to += sprintf(to, "\xef\xbf\xbd");
        }
        value = json_string(clean);
        free(clean);
    }
    json_dumpf(value, j->out, JSON_ENCODE_ANY);
    json_decref(value);
}

/* Comma, line break and key before a value. */
static void value_begin(struct json *j, const char *key)
{
    if (j->depth) {
        if (j->filled[j->depth - 1])
            fputc(',', j->out);
        break_line(j);
        j->filled[j->depth - 1] = true;
    }
    if (key) {
        text_put(j, key);
        fputs(": ", j->out);
    }
}

void json_begin(struct json *j, const char *key, char bracket)
{
    value_begin(j, key);
    fputc(bracket, j->out);
    j->closing[j->depth] = bracket == '{' ? '}' : ']';
    j->filled[j->depth++] = false;
}

void json_end(struct json *j)
{
    bool filled = j->filled[--j->depth];
    if (filled && j->depth < lines_depth && !j->one_line)
        fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
    fputc(j->closing[j->depth], j->out);
    if (j->depth == 0)
        fputc('\n', j->out);
}

void json_put_string(struct json *j, const char *key, const char *s)
{
    value_begin(j, key);
    if (s)
        text_put(j, s);
    else
        fputs("null", j->out);
}

void json_put_int(struct json *j, const char *key, int64_t v)
{
    value_begin(j, key);
    fprintf(j->out, "%lld", (long long)v);
}

void json_put_real(struct json *j, const char *key, double v)
{
    if (!isfinite(v)) {
        json_put_null(j, key);
        return;
    }
    value_begin(j, key);
    fprintf(j->out, "%.9g", v);
}

void json_put_number(struct json *j, const char *key, double v)
{
    char digits[40];
    int precision = 15;

    if (!isfinite(v)) {
        json_put_null(j, key);
        return;
    }
    do /* the fewest digits: 0.1, not 0.10000000000000001 */
        snprintf(digits, sizeof digits, "%.*g", precision, v);
    while (strtod(digits, NULL) != v && ++precision <= 17);
    value_begin(j, key);
    fputs(digits, j->out);
}

void json_put_bool(struct json *j, const char *key, bool v)
{
    value_begin(j, key);
    fputs(v ? "true" : "false", j->out);
}

void json_put_null(struct json *j, const char *key)
{
    value_begin(j, key);
    fputs("null", j->out);
}

FILE *json_open(const char *prog, const char *where)
{
    if (strcmp(where, "-") == 0)
        return stdout;
    FILE *out = fopen(where, "we");
    if (!out)
        fprintf(stderr, "%s: %s: %s\n", prog, where, strerror(errno));
    return out;
}

int json_close(const char *prog, const char *where, FILE *out)
{
    bool failed = fflush(out) != 0 || ferror(out);
    int error = errno;
    if (out != stdout && fclose(out) != 0)
        failed = true;
    if (failed)
        fprintf(stderr, "%s: %s: %s\n", prog, where, strerror(error));
    return failed ? -1 : 0;
}
