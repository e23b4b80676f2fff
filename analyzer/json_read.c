#include "analyzer/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct json_doc {
    json_t *root;
};

struct source {
    int fd;
    int os_error;
};

static size_t chunk_read(void *buffer, size_t bytes, void *opaque)
{
    struct source *from = opaque;
    ssize_t n = read(from->fd, buffer, bytes);

    if (n < 0) {
        from->os_error = errno;
        return (size_t)-1;
    }
    return (size_t)n;
}

/* Takes the root; NULL (parsing failed for the reason `why`) is an error. */
static struct json_doc *doc_new(json_t *root, const json_error_t *why, int os_error,
                                char err[static JSON_ERROR_BYTES])
{
    struct json_doc *doc = root ? malloc(sizeof *doc) : NULL;

    if (doc) {
        doc->root = root;
        return doc;
    }
    if (os_error)
        snprintf(err, JSON_ERROR_BYTES, "%s", strerror(os_error));
    else
        snprintf(err, JSON_ERROR_BYTES, "not JSON: line %d, column %d: %.120s", why->line,
                 why->column, why->text);
    json_decref(root);
    return NULL;
}

struct json_doc *json_doc_read(int fd, char err[static JSON_ERROR_BYTES])
{
    struct source from = {fd, 0};
    json_error_t why;
    json_t *root = json_load_callback(chunk_read, &from, JSON_REJECT_DUPLICATES, &why);

    return doc_new(root, &why, from.os_error, err);
}

struct json_doc *json_doc_parse(const char *text, size_t bytes, char err[static JSON_ERROR_BYTES])
{
    json_error_t why;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);

    return doc_new(root, &why, 0, err);
}

void json_doc_free(struct json_doc *doc)
{
    if (doc)
        json_decref(doc->root);
    free(doc);
}

static const json_t *child_find(const json_t *parent, const char *key, size_t length)
{
    char *end;
    unsigned long index;

    if (json_is_object(parent))
        return json_object_getn(parent, key, length);
    if (!json_is_array(parent) || key[0] < '0' || key[0] > '9')
        return NULL;
    index = strtoul(key, &end, 10);
    return end == key + length ? json_array_get(parent, index) : NULL;
}

/* Tries the longest key first, then the shorter ones that end before a dot. */
static const json_t *value_find(const json_t *from, const char *path)
{
    for (size_t n = strlen(path); n > 0; n--) {
        const json_t *found;

        if (path[n] != '\0' && path[n] != '.')
            continue;
        found = child_find(from, path, n);
        if (found && path[n] == '.')
            found = value_find(found, path + n + 1);
        if (found)
            return found;
    }
    return NULL;
}

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    default: /* numbers and booleans are never asked about */
        return "null (not measured)";
    }
}

static int number_get(const json_t *v, const char *path, double *value,
                      char err[static JSON_ERROR_BYTES])
{
    if (json_is_number(v))
        *value = json_number_value(v);
    else if (json_is_boolean(v))
        *value = json_is_true(v);
    else {
        snprintf(err, JSON_ERROR_BYTES, "'%.80s' is %s, not a number", path, type_name(v));
        return -1;
    }
    return 0;
}

int json_number_at(const struct json_doc *doc, const char *path, double *value,
                   char err[static JSON_ERROR_BYTES])
{
    const json_t *v = value_find(doc->root, path);

    if (!v) {
        snprintf(err, JSON_ERROR_BYTES, "there is no '%.120s' in the JSON", path);
        return -1;
    }
    return number_get(v, path, value, err);
}

int json_numbers_at(const struct json_doc *doc, const char *path, double *values, size_t max,
                    char err[static JSON_ERROR_BYTES])
{
    const json_t *v = value_find(doc->root, path);
    size_t n = json_array_size(v);

    if (!json_is_array(v) || n == 0 || n > max) {
        snprintf(err, JSON_ERROR_BYTES, "there is no array '%.80s' of 1 to %zu numbers", path, max);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (number_get(json_array_get(v, i), path, &values[i], err) != 0)
            return -1;
    return (int)n;
}

long json_length_at(const struct json_doc *doc, const char *path)
{
    const json_t *v = value_find(doc->root, path);

    return json_is_array(v) ? (long)json_array_size(v) : -1;
}

const char *json_string_at(const struct json_doc *doc, const char *path)
{
    return json_string_value(value_find(doc->root, path));
}
