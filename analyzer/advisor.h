/*
 * The pool advisor: from a profile to which sites a pool is worth it for (pooling.h), and what all
 * of them would save together. Exact allocations only: sampled ones have neither sizes nor
 * lifetimes. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_ADVISOR_H
#define PERFSHIM_ANALYZER_ADVISOR_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/pooling.h"
#include "analyzer/site.h"

struct advisor_site {
    const struct site *site;
    const struct model_histogram *histogram;
    struct pooling pooling;
};

struct advisor {
    bool known; /* false: the profile does not have what it takes, and all below is empty */
    struct sites sites;
    struct model_histogram *histograms;
    struct advisor_site *items; /* worth it first, by saved calls; then the others by calls */
    size_t count, worth;
    /* Over those that are worth it. */
    double saved_calls;
    double saved_ns; /* NaN where none has a time; sites without one add nothing */
    double frees, cross_frees;
    double kept_bytes; /* live at the peak: what the pools would hold */
};

void advisor_build(struct advisor *a, const struct model *m, struct frames *f);
void advisor_release(struct advisor *a);

/*
 * The prediction as words: "predicted -2.50 allocs/op, -0.98 us/op; none is freed by another
 * thread". Returns to.
 */
enum { ADVISOR_WORDS_BYTES = 160 };
char *advisor_words(const struct advisor *a, const struct model *m,
                    char to[static ADVISOR_WORDS_BYTES]);

/* The keys "pool" and "pool_not_worth" of a report. */
struct json;
void advisor_json(struct json *j, const struct model *m, struct frames *f);

#endif
