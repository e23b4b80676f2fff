/*
 * What the program names itself (shim/perfshim.h): progress points, regions, pools. Part of the
 * model, used by model.c alone. Not thread-safe. The same text at two addresses is one name.
 */
#ifndef PERFSHIM_ANALYZER_MODEL_NAMED_H
#define PERFSHIM_ANALYZER_MODEL_NAMED_H

#include <stdint.h>

#include "analyzer/model.h"

struct model_named; /* while accounts are summed */

struct model_named *model_named_new(struct model *m, uint32_t records);
/* Does the kind refer to a name? */
bool model_named_is(unsigned kind);
/* a->node < records. */
void model_named_add(struct model_named *n, const struct pshim_account *a);
/* Fills m->progress, m->regions, m->pools. */
void model_named_finish(struct model_named *n);
void model_named_free(struct model_named *n);

#endif
