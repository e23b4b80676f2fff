/*
 * Allocation sites: stacks gathered by the line that a person would look at, which is the innermost
 * frame outside of the C++ runtime. Two calls on one line are one site; without line information
 * each call is its own. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_SITE_H
#define PERFSHIM_ANALYZER_SITE_H

#include <stddef.h>

#include "analyzer/frames.h"
#include "analyzer/model.h"

struct site {
    const struct frame *frame; /* the place itself */
    struct metrics m;
    uint32_t node; /* the stack that has most of `metric` */
    int64_t most;
};

struct sites {
    struct site *sites;
    size_t count, room;
};

/* Sites of the selected stacks that allocated, largest first by `metric`, then by name and line. */
void sites_build(struct sites *s, const struct model *m, struct frames *f, enum metric metric);
void sites_release(struct sites *s);

#endif
