/* The heaviest path from the root: pure over the model. */
#ifndef PERFSHIM_ANALYZER_PATH_H
#define PERFSHIM_ANALYZER_PATH_H

#include "analyzer/frames.h"
#include "analyzer/model.h"

#define PATH_MAX_FRAMES 256u

struct path {
    uint32_t functions[PATH_MAX_FRAMES]; /* root first */
    int64_t values[PATH_MAX_FRAMES];     /* of the metric, in stacks that begin like this */
    unsigned depth;
};

/*
 * From the root on, the callee with the most of `metric`, as long as it has more than ends in the
 * function itself and no less than half of what the function has: further on there is no one path.
 */
void path_find(struct path *p, const struct model *m, struct frames *f, enum metric metric);

#endif
