/*
 * The part of the model that is about locks: from accounts of KIND_LOCK and KIND_HELD to locks,
 * their sites and what ran while they were held. Used by model.c; the sums at the end by whoever
 * gathers locks.
 *
 * An account's node is (stack > call > lock) or (stack > lock). Where the tables were full it may
 * hang further out, without the lock: that counts for record 0, "other locks".
 */
#ifndef PERFSHIM_ANALYZER_MODEL_LOCKS_H
#define PERFSHIM_ANALYZER_MODEL_LOCKS_H

#include "analyzer/model.h"

struct model_locks;

/* Memory for what `accounts` accounts may hold. */
struct model_locks *model_locks_new(struct model *m, uint32_t accounts);
void model_locks_free(struct model_locks *l);

/*
 * Takes one account in, whose node must exist. Returns the node that its figures belong to as a
 * sample, the lock taken off, its kind, and the counts in ns; or −1 with the reader's error: a
 * damaged file.
 */
int model_locks_add(struct model_locks *l, const struct pshim_account *a, uint32_t index,
                    uint32_t *node, uint32_t *kind, struct model_lock_counts *counts);

/* Is what is waited for there by idle threads only? */
bool model_lock_is_idle(uint32_t kind);

/* Records in the file; a lock that is not taken yet, but to be kept: others wait for it. */
uint32_t model_locks_records(const struct model_locks *l);
void model_locks_know(struct model_locks *l, size_t record);

/* Fills m->locks, lock_sites and held; each account was added once. */
void model_locks_finish(struct model_locks *l);

/* Adds `from` to `to`; of the longest waits and holds the longer one is kept. */
void model_lock_counts_add(struct model_lock_counts *to, const struct model_lock_counts *from);

/* The order of locks and sites: most waited for first, then longest held, then most often taken. */
int model_lock_counts_compare(const struct model_lock_counts *x, const struct model_lock_counts *y);

#endif
