/*
 * Sizes and lifetimes of the blocks allocated at a stack, at a function, or in all: histograms with
 * two buckets an octave (pshim_bucket() in format.h), of a sample in which each block counts for as
 * many as it stands for. Exact mode only.
 *
 * A lock's site has one too, with its waits in `asked` and its holds in `lived`: lock_times.h.
 *
 * Sizes are in bytes asked for. Lifetimes are those of blocks that were freed, in buckets of
 * lifetime units: 2^PSHIM_LIFE_SHIFT units of the profile's clock, about 100 ns; model_life_ns()
 * makes them ns. A block that realloc changed lived until then, and its next life began there.
 * Counts are sums over the buckets, so that shares add up, also while the program runs.
 * Not thread-safe; the functions on one histogram are pure.
 */
#ifndef PERFSHIM_ANALYZER_MODEL_HISTOGRAM_H
#define PERFSHIM_ANALYZER_MODEL_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "profile/format.h"

struct model;

struct model_histogram {
    uint32_t node;              /* 0 = of all stacks that found no room, or of none in particular */
    uint32_t size_count;        /* distinct sizes; PSHIM_SIZES + 1 = more than `size` holds */
    uint64_t size[PSHIM_SIZES]; /* those seen first */
    uint64_t size_max;
    uint64_t asked_count; /* blocks: estimated, the first 64 of each stack and recorder exact */
    uint64_t lived_count; /* of those, freed */
    uint64_t asked[PSHIM_BUCKETS];
    uint64_t lived[PSHIM_BUCKETS];
};

/* Of the blocks allocated at a stack (a sample's node); NULL = none was looked at. The model's. */
const struct model_histogram *model_histogram(const struct model *m, uint32_t node);

/* Adds one to another: of a function's stacks, or of all (model.histograms). *to may be zeros; its
   node stays. */
void model_histogram_add(struct model_histogram *to, const struct model_histogram *from);

/*
 * The value below which a share `q` (0 … 1) of what the buckets hold lies, as if each bucket's were
 * spread evenly over it: within a factor of 1.5 of the truth. In bytes for `asked`, lifetime units
 * for `lived`. 0 if there is nothing.
 */
double histogram_quantile(const uint64_t counts[static PSHIM_BUCKETS], double q);

/* Lifetime units in ns by the profile's clock. */
double model_life_ns(const struct model *m, double life_units);

/* The share of `lived` that is shorter than `ns`, 0 … 1; 0 if there is nothing. */
double histogram_shorter(const struct model *m, const struct model_histogram *h, double ns);

/* For model_load(): fills model.histograms, by node. 0, or −1: a damaged file. */
int model_histograms_load(struct model *m);

#endif
