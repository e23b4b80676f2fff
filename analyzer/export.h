/*
 * A profile in the formats of other tools: the stacks, names and selection of `report`.
 *
 * What an export holds is its kind; each kind has columns, of which those that were not measured
 * are left out. A stack that has nothing in any column is not written. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_EXPORT_H
#define PERFSHIM_ANALYZER_EXPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "analyzer/frames.h"
#include "analyzer/model.h"

#define EXPORT_COLUMNS_MAX 4u
#define EXPORT_TICKS       METRIC_COUNT /* a column's metric: model_sample.ticks */

/* The types and units are the words that pprof's readers know. */
struct export_column {
    const char *type, *unit;
    unsigned metric; /* enum metric or EXPORT_TICKS */
};

struct export_kind {
    const char *name;
    struct export_column columns[EXPORT_COLUMNS_MAX];
    unsigned column_count;
    unsigned main; /* the column that a format with one value has, and that pprof shows first */
    struct export_column period; /* of what and in which unit samples are taken */
};

struct export
{
    const struct export_kind *kind; /* with the columns that this profile has */
    const struct model *model;
    struct frames *frames;
};

/* The kind of that name with the columns that were measured; false if its main column was not, or
   there is no such kind. */
bool export_kind_find(struct export_kind *kind, const char *name, const struct model *m);

/* Fills values[0 … column_count − 1]; false if all are 0. */
bool export_values(const struct export_kind *kind, const struct model_sample *s,
                   int64_t values[static EXPORT_COLUMNS_MAX]);

/* The sample's stack as frames_stack() gives it, and its values; 0 if it is not to be written. */
unsigned export_sample(const struct export *e, const struct model_sample *s,
                       const struct frame *stack[static FRAMES_STACK_MAX],
                       int64_t values[static EXPORT_COLUMNS_MAX]);

/*
 * Writes pprof's format (analyzer/profile.proto), gzip-compressed, to a descriptor, which stays
 * open. Memory grows with the distinct places in the code, not with the stacks. 0, or −1 and errno.
 */
int export_pprof(int fd, const struct export *e);

/*
 * Writes one line for each distinct stack of names, "root;caller;leaf 123", the largest first: what
 * flame graph tools read. A ; or a control character in a name is written as \xNN. Errors are left
 * in the stream.
 */
void export_collapsed(FILE *out, const struct export *e);

#endif
