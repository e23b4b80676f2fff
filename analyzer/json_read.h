/*
 * Reading JSON that others wrote: a command's figures, a saved comparison.
 *
 * A path names a value: keys and array indexes joined by dots, "latency_us.p99", "levels.0.ops". A
 * key that holds dots itself ("rocksdb.db.get.micros") is found too; the longest key wins.
 * Not thread-safe. Errors: −1 or NULL, and err says what and where.
 */
#ifndef PERFSHIM_ANALYZER_JSON_READ_H
#define PERFSHIM_ANALYZER_JSON_READ_H

#include <stddef.h>

#define JSON_ERROR_BYTES 200

struct json_doc; /* one document; the caller frees it with json_doc_free() */

/* What the descriptor holds from its position to the end must be one object or array. */
struct json_doc *json_doc_read(int fd, char err[static JSON_ERROR_BYTES]);
/* The same of text in memory. */
struct json_doc *json_doc_parse(const char *text, size_t bytes, char err[static JSON_ERROR_BYTES]);
void json_doc_free(struct json_doc *doc); /* NULL is fine */

/* A number (true and false are 1 and 0; null is an error: it means "not measured"). */
int json_number_at(const struct json_doc *doc, const char *path, double *value,
                   char err[static JSON_ERROR_BYTES]);
/* An array of 1 … max numbers: how many. */
int json_numbers_at(const struct json_doc *doc, const char *path, double *values, size_t max,
                    char err[static JSON_ERROR_BYTES]);
/* How many elements an array has; −1 if there is no array at this path. */
long json_length_at(const struct json_doc *doc, const char *path);
/* A string that lives as long as the document, or NULL if there is none. */
const char *json_string_at(const struct json_doc *doc, const char *path);

#endif
