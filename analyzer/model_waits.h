/*
 * The part of the model that is about calls that wait: from accounts of KIND_WAIT and
 * KIND_HELD_WAIT to calls at stacks, and what was waited for with a lock held. Used by model.c.
 *
 * An account's node is (stack > call), or (stack > call > lock). Where the table of nodes was full
 * the call is not known: such figures are left out here, and counted as lost.
 */
#ifndef PERFSHIM_ANALYZER_MODEL_WAITS_H
#define PERFSHIM_ANALYZER_MODEL_WAITS_H

#include "analyzer/model.h"

/* The name of a call, or "a call" for one of a later version. */
const char *model_call_name(uint32_t call);
/* Does it force data to the disk? */
bool model_call_syncs(uint32_t call);
/* Does it write bytes that a sync may be about? */
bool model_call_writes(uint32_t call);

/*
 * The call that a node is, or PSHIM_CALL_COUNT. *node becomes that of the call, and *lock the index
 * of the lock's record, UINT32_MAX if none hangs below it.
 */
uint32_t model_call_of(const struct model *m, uint32_t *node, uint32_t *lock);

void model_wait_counts_add(struct model_wait_counts *to, const struct model_wait_counts *from);

struct model_waits;

/* Memory for what `accounts` accounts may hold. */
struct model_waits *model_waits_new(struct model *m, uint32_t accounts);
void model_waits_free(struct model_waits *w);

/* Takes one account in, whose node must exist. */
void model_waits_add(struct model_waits *w, const struct pshim_account *a);

/* Fills m->waits and held_waits; m->locks is there. Each account was added once. */
void model_waits_finish(struct model_waits *w);

#endif
