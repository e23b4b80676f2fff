/*
 * The part of the model that is about blame: from accounts of KIND_BLAME to who made whom wait for
 * which lock. Used by model.c.
 *
 * An account's node is (stack that gave the lock back > lock > waiter), the waiter's number being
 * the node of its call. Where the tables were full it is at no known stacks, of the merged lock.
 */
#ifndef PERFSHIM_ANALYZER_MODEL_BLAME_H
#define PERFSHIM_ANALYZER_MODEL_BLAME_H

#include "analyzer/model.h"
#include "analyzer/model_locks.h"

struct model_blames;

struct model_blames *model_blames_new(struct model *m);
void model_blames_free(struct model_blames *b);

/*
 * Takes one account in, whose node must exist. Returns the node of the stack that it blames, for
 * how long and how many waits; or −1 with the reader's error: a damaged file. `locks` is told which
 * lock it is about.
 */
int model_blames_add(struct model_blames *b, struct model_locks *locks,
                     const struct pshim_account *a, uint32_t index, uint32_t *node, int64_t *ns,
                     int64_t *waits);

/* Fills m->blames and the locks' sums, once m->locks are there. */
void model_blames_finish(struct model_blames *b);

#endif
