/*
 * The document of `perfshim bench --json` and --save, schema BENCH_SCHEMA (docs/contract.md): one
 * file knows its keys, for writing and for reading a baseline.
 */
#ifndef PERFSHIM_ANALYZER_BENCH_JSON_H
#define PERFSHIM_ANALYZER_BENCH_JSON_H

#include <stdio.h>

#include "analyzer/bench.h"
#include "analyzer/json_read.h"

/* 0, or −1 with errno when it could not be written. */
int bench_json_write(FILE *out, const struct bench *b);

/*
 * Takes the saved runs of one command as side 0 of b, for the metrics that b lists already. The
 * side's name and command live as long as *doc, which the caller frees. 0, or −1 with err, also
 * when they were measured on another machine than b->machine, unless any_machine.
 */
int bench_json_read(int fd, struct bench *b, bool any_machine, struct json_doc **doc,
                    char err[static JSON_ERROR_BYTES]);

#endif
