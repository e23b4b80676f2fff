/*
 * Calls that wait as a person sees them: one row for a call at a place, whatever stands further
 * out. Not thread-safe; the model and the frames must outlive what is made here.
 */
#ifndef PERFSHIM_ANALYZER_CALL_SITE_H
#define PERFSHIM_ANALYZER_CALL_SITE_H

#include "analyzer/frames.h"
#include "analyzer/model.h"

struct call_site {
    uint32_t call; /* enum pshim_call */
    const struct frame *place;
    struct model_wait_counts counts;
    struct model_wait_counts held; /* of that, while a lock was held */
};

struct call_sites {
    struct call_site *items; /* most time first */
    size_t count, room;
};

/* Of the selected calls that wait for this. */
void call_sites_build(struct call_sites *to, const struct model *m, struct frames *f,
                      enum pshim_wait waits);

/* What was waited for while m->locks[lock] was held: I/O and idle calls. `held` is not filled. */
void call_sites_of_lock(struct call_sites *to, const struct model *m, struct frames *f,
                        size_t lock);
void call_sites_sort(struct call_sites *sites);
void call_sites_release(struct call_sites *sites);

#endif
