/*
 * Who makes whom wait, by places as a person sees them: the function that gave the lock back, and
 * the one that waited for it. Stacks that differ further out only are one. Not thread-safe; the
 * frames must outlive the pairs.
 */
#ifndef PERFSHIM_ANALYZER_BLAME_H
#define PERFSHIM_ANALYZER_BLAME_H

#include "analyzer/frames.h"
#include "analyzer/model.h"

struct blame_pair {
    const struct frame *holder; /* NULL: not known */
    const struct frame *waiter; /* likewise; and of blame_pairs_by_holder(): of all waiters */
    size_t group;               /* of locks: the caller's */
    int64_t waits;              /* that were charged here, or a part of each */
    int64_t wait_ns, wait_max_ns;
};

struct blame_pairs {
    struct blame_pair *items; /* sorted: most time first */
    size_t count, room;
};

/* Adds what was charged to those that held m->locks[lock]: of stacks of theirs, or of their
   waiters', that are selected. Zeroed at first. */
void blame_pairs_add(struct blame_pairs *p, const struct model *m, struct frames *f, size_t lock,
                     size_t group);

/* When all are there: joins equal ones and sorts. _by_holder: whoever waited. */
void blame_pairs_join(struct blame_pairs *p);
void blame_pairs_by_holder(struct blame_pairs *p);

/* Are these the same place? NULL, not known, is one. */
bool blame_same_place(const struct frame *a, const struct frame *b);

void blame_pairs_release(struct blame_pairs *p);

#endif
