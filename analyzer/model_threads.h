/*
 * The part of the model that is about threads: their records, what /proc adds of those that run,
 * and their ledgers. Used by model.c alone.
 */
#ifndef PERFSHIM_ANALYZER_MODEL_THREADS_H
#define PERFSHIM_ANALYZER_MODEL_THREADS_H

#include "analyzer/model.h"

/* Fills m->threads and what is summed over them. end_ns: when the process ended, or now. What is
 * measured, the clock's unit and m->end must be known. */
void model_threads_load(struct model *m, uint64_t end_ns);

#endif
