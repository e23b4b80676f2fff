/*
 * Reading a sweep. JSON is that of `store_bench sweep`: levels[{threads, throughput,
 * latency_us{…}, errors}]. CSV has a heading: level (or threads), throughput, and for latencies
 * p99_us and its like; other columns are left alone.
 */
#include "analyzer/plan.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/json_read.h"
#include "analyzer/memory.h"
#include "analyzer/text.h"
#include "common/units.h"

enum { FILE_MAX = 64 << 20, COLUMNS_MAX = 64 };
#define LEVEL_MAX      1e9 /* so that their products are finite, and a fit means something */
#define THROUGHPUT_MAX 1e15
#define LATENCY_MAX_NS 1e18

/* Which field of a level a column or key is. */
enum field { LEVEL, THROUGHPUT, ERRORS, LATENCY }; /* LATENCY + k is the k-th latency */

#define refuse(err, ...) (snprintf(err, PLAN_ERROR_BYTES, __VA_ARGS__), -1)

static struct plan_level level_empty(void)
{
    struct plan_level l = {.level = NAN, .throughput = NAN, .errors = NAN, .repeats = 1};

    for (size_t k = 0; k < PLAN_LATENCY_COUNT; k++)
        l.latency_ns[k] = NAN;
    return l;
}

static void level_add(struct plan_series *s, const struct plan_level *l)
{
    memory_grow((void **)&s->levels, &s->room, s->count, sizeof *s->levels);
    s->levels[s->count++] = *l;
}

/* What is wrong with v as a field, or NULL after it was stored. */
static const char *field_store(struct plan_level *l, unsigned field, double v)
{
    switch (field) {
    case LEVEL:
        if (v < 1 || v > LEVEL_MAX)
            return "is not a level: 1 to 1e9";
        l->level = v;
        return NULL;
    case THROUGHPUT:
        if (v < 0 || v > THROUGHPUT_MAX)
            return v < 0 ? "is negative" : "is more than 1e15";
        if (v == 0)
            return "means that nothing was measured there";
        l->throughput = v;
        return NULL;
    case ERRORS:
        if (v < 0)
            return "is negative";
        l->errors = v;
        return NULL;
    default:
        if (v < 0 || v * 1e3 > LATENCY_MAX_NS)
            return v < 0 ? "is negative" : "is more than 1e15 us";
        l->latency_ns[field - LATENCY] = v * 1e3;
        return NULL;
    }
}

/* --- CSV --- */

/* Cuts the text at the next comma; blanks around a value and quotes around it are left out. */
static char *cell_next(char **rest)
{
    char *cell = *rest, *end = cell ? cell + strcspn(cell, ",") : NULL;

    if (!cell)
        return NULL;
    *rest = *end ? end + 1 : NULL;
    *end = '\0';
    while (isspace((unsigned char)*cell))
        cell++;
    end = cell + strlen(cell);
    while (end > cell && isspace((unsigned char)end[-1]))
        *--end = '\0';
    if (end - cell >= 2 && *cell == '"' && end[-1] == '"') {
        end[-1] = '\0';
        cell++;
    }
    return cell;
}

/* −1 = a column that is left alone. */
static int field_find(const char *name)
{
    char wanted[16];

    if (strcmp(name, "level") == 0 || strcmp(name, "threads") == 0)
        return LEVEL;
    if (strcmp(name, "throughput") == 0)
        return THROUGHPUT;
    if (strcmp(name, "errors") == 0)
        return ERRORS;
    for (int k = 0; k < PLAN_LATENCY_COUNT; k++) {
        snprintf(wanted, sizeof wanted, "%s_us", plan_latency_name((enum plan_latency)k));
        if (strcmp(name, wanted) == 0)
            return LATENCY + k;
    }
    return -1;
}

struct columns {
    int field[COLUMNS_MAX];
    const char *name[COLUMNS_MAX]; /* in the text */
    size_t count;
};

static int heading_parse(char *line, size_t number, struct columns *c, struct plan_series *s,
                         char err[static PLAN_ERROR_BYTES])
{
    bool seen[LATENCY + PLAN_LATENCY_COUNT] = {false};
    char shown[64];

    for (char *cell; (cell = cell_next(&line));) {
        int field = field_find(cell);
        if (c->count == COLUMNS_MAX)
            return refuse(err, "line %zu: more than %d columns", number, COLUMNS_MAX);
        if (field >= 0 && seen[field])
            return refuse(err, "line %zu: column '%s' again", number,
                          text_escape(shown, sizeof shown, cell, 40));
        if (field >= 0)
            seen[field] = true;
        if (field == LEVEL)
            s->unit = strcmp(cell, "threads") == 0 ? "threads" : "level";
        c->name[c->count] = cell;
        c->field[c->count++] = field;
    }
    if (!seen[LEVEL] || !seen[THROUGHPUT])
        return refuse(err,
                      "line %zu: the heading has no column '%s' (level,throughput,p99_us); and "
                      "it is no JSON",
                      number, seen[LEVEL] ? "throughput" : "level");
    return 0;
}

static int row_parse(char *line, size_t number, const struct columns *c, struct plan_series *s,
                     char err[static PLAN_ERROR_BYTES])
{
    struct plan_level l = level_empty();
    char shown[64];
    size_t i = 0;

    for (char *cell; (cell = cell_next(&line)); i++) {
        const char *end, *why;
        double v;
        if (i == c->count)
            return refuse(err, "line %zu: more values than the heading has columns (%zu)", number,
                          c->count);
        if (c->field[i] < 0)
            continue;
        if (!*cell || strcmp(cell, "-") == 0 || strcmp(cell, "null") == 0) {
            if (c->field[i] >= ERRORS)
                continue; /* not measured */
            return refuse(err, "line %zu: %s is missing", number, c->name[i]);
        }
        text_escape(shown, sizeof shown, cell, 40);
        if (units_parse_real(cell, &v, &end) != 0 || *end)
            return refuse(err, "line %zu: %s '%s' is not a number", number, c->name[i], shown);
        if ((why = field_store(&l, (unsigned)c->field[i], v)))
            return refuse(err, "line %zu: %s %s %s", number, c->name[i], shown, why);
    }
    if (i < c->count)
        return refuse(err, "line %zu: %zu value%s, the heading has %zu columns", number, i,
                      i == 1 ? "" : "s", c->count);
    level_add(s, &l);
    return 0;
}

static int csv_parse(char *text, struct plan_series *s, char err[static PLAN_ERROR_BYTES])
{
    struct columns columns = {.count = 0};
    size_t number = 0;

    while (text) {
        char *line = text, *end = strchr(text, '\n');
        number++;
        text = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        line += strspn(line, " \t\r");
        if (!*line || *line == '#')
            continue;
        int status = columns.count ? row_parse(line, number, &columns, s, err)
                                   : heading_parse(line, number, &columns, s, err);
        if (status != 0)
            return -1;
    }
    return s->count ? 0 : refuse(err, "no levels: only a heading");
}

/* --- JSON --- */

/* A number of level i; *v stays as it is when there is none (or null) and it may be left out. */
static int number_get(const struct json_doc *doc, long i, const char *key, bool optional,
                      struct plan_level *l, unsigned field, char err[static PLAN_ERROR_BYTES])
{
    char path[64], why[JSON_ERROR_BYTES];
    double v = NAN;

    snprintf(path, sizeof path, "levels.%ld.%s", i, key);
    if (json_number_at(doc, path, &v, why) != 0) {
        if (optional && !json_string_at(doc, path))
            return 0;
        return refuse(err, "levels[%ld]: %s", i, why);
    }
    const char *wrong = field_store(l, field, v);
    return wrong ? refuse(err, "levels[%ld].%s: %g %s", i, key, v, wrong) : 0;
}

static bool has_number(const struct json_doc *doc, long i, const char *key)
{
    char path[64], why[JSON_ERROR_BYTES];
    double v;

    snprintf(path, sizeof path, "levels.%ld.%s", i, key);
    return json_number_at(doc, path, &v, why) == 0;
}

static int json_parse(const char *text, size_t bytes, struct plan_series *s,
                      char err[static PLAN_ERROR_BYTES])
{
    char why[JSON_ERROR_BYTES], shown[64], key[32];
    struct json_doc *doc = json_doc_parse(text, bytes, why);
    const char *schema = doc ? json_string_at(doc, "schema") : NULL;
    long count = doc ? json_length_at(doc, "levels") : 0;
    int status = 0;

    s->unit = "threads";
    if (!doc)
        return refuse(err, "%s", why);
    if (schema && strncmp(schema, "perfshim.sweep/", 15) != 0)
        status = refuse(err, "is a %s, not a perfshim.sweep",
                        text_escape(shown, sizeof shown, schema, 60));
    else if (count <= 0)
        status = refuse(err, count < 0 ? "there is no array 'levels' in the JSON"
                                       : "no levels: 'levels' is empty");
    for (long i = 0; status == 0 && i < count; i++) {
        struct plan_level l = level_empty();
        const char *level = has_number(doc, i, "level") ? "level" : "threads";
        if (!has_number(doc, i, level) && has_number(doc, i, "rate"))
            status =
                refuse(err, "levels[%ld] has a rate, not threads: the law is one of threads", i);
        if (status == 0)
            status = number_get(doc, i, level, false, &l, LEVEL, err);
        if (status == 0)
            status = number_get(doc, i, "throughput", false, &l, THROUGHPUT, err);
        if (status == 0)
            status = number_get(doc, i, "errors", true, &l, ERRORS, err);
        for (unsigned k = 0; status == 0 && k < PLAN_LATENCY_COUNT; k++) {
            snprintf(key, sizeof key, "latency_us.%s", plan_latency_name((enum plan_latency)k));
            status = number_get(doc, i, key, true, &l, LATENCY + k, err);
        }
        if (status == 0)
            level_add(s, &l);
    }
    json_doc_free(doc);
    return status;
}

/* --- the file --- */

int plan_parse(char *text, size_t bytes, struct plan_series *s, char err[static PLAN_ERROR_BYTES])
{
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        bytes -= 3;
    }
    size_t blanks = strspn(text, " \t\r\n");
    if (blanks == bytes)
        return refuse(err, "is empty");
    if (memchr(text, '\0', bytes))
        return refuse(err, "is neither JSON nor CSV: a zero byte at %zu", strlen(text));
    if (text[blanks] == '{' || text[blanks] == '[')
        return json_parse(text, bytes, s, err);
    return csv_parse(text, s, err);
}

int plan_read(const char *path, struct plan_series *s, char err[static PLAN_ERROR_BYTES])
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    size_t bytes = 0, room = 1 << 16;
    char *text;
    ssize_t n;
    int status;

    if (fd < 0)
        return refuse(err, "cannot open: %s", strerror(errno));
    text = memory_new(room + 1, 1);
    while ((n = read(fd, text + bytes, room - bytes)) > 0 && bytes <= FILE_MAX) {
        bytes += (size_t)n;
        if (bytes == room)
            text = memory_resize(text, (room *= 2) + 1, 1);
    }
    status = n < 0 ? refuse(err, "cannot read: %s", strerror(errno)) : 0;
    if (bytes > FILE_MAX)
        status = refuse(err, "is more than %d MiB, no sweep", FILE_MAX >> 20);
    text[bytes] = '\0';
    if (status == 0)
        status = plan_parse(text, bytes, s, err);
    free(text);
    if (fd != STDIN_FILENO)
        close(fd);
    return status;
}
