/*
 * The machine that figures were measured on: times of one say nothing about times of another.
 *
 * Read from /proc/cpuinfo, sched_getaffinity() and uname(). Plain data; not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_MACHINE_H
#define PERFSHIM_ANALYZER_MACHINE_H

#include "analyzer/json_read.h"
#include "analyzer/json_write.h"

#define MACHINE_TEXT 100

struct machine {
    char cpu[MACHINE_TEXT];    /* as the kernel names its model; "unknown" if it does not */
    char kernel[MACHINE_TEXT]; /* its release */
    unsigned cpus;             /* that this process may run on */
};

void machine_read(struct machine *m);

/* Key "machine": {cpu, cpus, kernel}. */
void machine_write(struct json *j, const struct machine *m);

/*
 * 0 when a document's "machine" is m; −1 when it is another's, or when it does not say: err names
 * what differs.
 */
int machine_same(const struct json_doc *doc, const struct machine *m,
                 char err[static JSON_ERROR_BYTES]);

#endif
