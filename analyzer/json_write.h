/*
 * JSON out, value by value: a report of any size needs no memory of its own. Strings are encoded by
 * jansson; bytes that are not UTF-8 become U+FFFD. Keys are NULL inside arrays. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_JSON_WRITE_H
#define PERFSHIM_ANALYZER_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16u

struct json {
    FILE *out;
    bool one_line; /* the document, for a stream of them */
    unsigned depth;
    char closing[JSON_DEPTH_MAX];
    bool filled[JSON_DEPTH_MAX]; /* a comma is due before the next value */
};

void json_begin(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_end(struct json *j);
void json_put_string(struct json *j, const char *key, const char *s); /* NULL gives null */
void json_put_int(struct json *j, const char *key, int64_t v);
void json_put_real(struct json *j, const char *key, double v);   /* not finite gives null */
void json_put_number(struct json *j, const char *key, double v); /* so that it reads back equal */
void json_put_bool(struct json *j, const char *key, bool v);
void json_put_null(struct json *j, const char *key);

/* Opens the destination of --json[=F]: "-" is stdout. NULL with a message "PROG: …" on stderr. */
FILE *json_open(const char *prog, const char *where);
/* Flushes and closes (not stdout). 0, or −1 with a message. */
int json_close(const char *prog, const char *where, FILE *out);

#endif
