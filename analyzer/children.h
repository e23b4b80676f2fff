/*
 * A program that only started others and waited for them (timeout, a shell, a launcher): what was
 * recorded is not what its user wants to see. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_CHILDREN_H
#define PERFSHIM_ANALYZER_CHILDREN_H

#include <stdbool.h>

#include "analyzer/model.h"

/* Limits: of all its threads' time. */
#define CHILDREN_WAIT_LEAST                                                                        \
    0.50 /* waited for children, or for signals if it waited for any child */
#define CHILDREN_CPU_MOST 0.05

/* Of all threads, in ns. */
struct children_evidence {
    int64_t wall_ns, cpu_ns;
    int64_t wait_calls;          /* of wait and its kind */
    int64_t wait_ns, signals_ns; /* in those; in calls that wait for a signal (a child's end) */
};
/* Pure. */
bool children_judge(const struct children_evidence *e);

/* "it waited …: record --follow …", or NULL if the program was not such a one. Returns to. */
enum { CHILDREN_NOTE_BYTES = 160 };
const char *children_note(const struct model *m, char to[static CHILDREN_NOTE_BYTES]);

#endif
