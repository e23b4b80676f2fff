/*
 * How long one wait for a lock, or one hold of it, took: from the histograms of its sites, two
 * buckets an octave. Every wait; of the holds a sample (format.h), in which each counts for as many
 * as it stands for. Pure; the model must outlive nothing here.
 */
#ifndef PERFSHIM_ANALYZER_LOCK_TIMES_H
#define PERFSHIM_ANALYZER_LOCK_TIMES_H

#include "analyzer/model.h"

enum lock_time { LOCK_TIME_WAIT, LOCK_TIME_HOLD, LOCK_TIMES };

/* Of one site, or of many: zeros to begin with. */
struct lock_times {
    uint64_t counts[LOCK_TIMES][PSHIM_BUCKETS];
    int64_t max_ns[LOCK_TIMES]; /* the longest of all, whether in the histogram or not */
};

/* Does the profile have them? Those of earlier writers do not. */
bool lock_times_measured(const struct model *m);

void lock_times_add(struct lock_times *to, const struct model *m, const struct model_lock_site *s);
void lock_times_merge(struct lock_times *to, const struct lock_times *from);

/* The time that a share q (0 … 1) of the waits or holds did not pass, no more than the longest: as
   histogram_quantile(), within a factor of 1.5 of the truth. −1: there was none. */
int64_t lock_times_quantile_ns(const struct lock_times *t, const struct model *m,
                               enum lock_time which, double q);

/* Where a bucket begins. */
int64_t lock_times_bucket_ns(const struct model *m, unsigned bucket);

#endif
