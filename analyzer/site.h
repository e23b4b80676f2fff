/*
 * Allocation sites: stacks gathered by the line that a person would look at.
 *
 * That is the innermost frame outside of the C++ runtime, the leaf. But a program that allocates
 * through a layer of its own (pool.c, xmalloc.c) has all its allocations on one line there. So a
 * leaf whose layer, its source file (for a library without known files, and for libc, the module),
 * was entered from two lines or more is no answer: its site is the first frame outside of that
 * layer, and the leaf is what it goes through. One layer only. No name of a function is special.
 *
 * Two calls on one line are one site; without line information each call is its own.
 * Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_SITE_H
#define PERFSHIM_ANALYZER_SITE_H

#include <stddef.h>

#include "analyzer/frames.h"
#include "analyzer/model.h"

struct site {
    const struct frame *frame; /* the place itself */
    const struct frame *via;   /* the leaf where that is another place, else NULL */
    struct metrics m;
    struct estimate_spread spread;
    int64_t timed; /* calls of malloc and free that m's allocator_ns rests on */
    uint32_t node; /* the stack that has most of `metric` */
    int64_t most;
    size_t made; /* while building */
};

struct site_leaf;
struct sites {
    struct site *sites;
    size_t count, room;
    size_t *of_sample;        /* by sample of the model: index of its site + 1, 0 = of none */
    struct site_leaf *leaves; /* how many lines enter the layer of each leaf */
};

/* Sites of the selected stacks that allocated (with METRIC_MAPPED_BYTES: that mapped), largest
   first by `metric`, then by name and line. */
void sites_build(struct sites *s, const struct model *m, struct frames *f, enum metric metric);
/* The same, whatever they go through: one site a line. */
void sites_build_by_place(struct sites *s, const struct model *m, struct frames *f,
                          enum metric metric);
/* No sites, but the layers that all stacks that allocated tell of, selected or not: for
   sites_frame(). */
void sites_build_layers(struct sites *s, const struct model *m, struct frames *f);
void sites_release(struct sites *s);

/* Sizes and lifetimes of the blocks of each site, by its index, of the model that the sites were
   built from. The caller frees it. */
struct model_histogram *sites_histograms(const struct sites *s, const struct model *m);

/* Index in a stack of the frame that its site is, by the layers of `s`; 0 if it did not allocate.
 */
unsigned sites_frame(const struct sites *s, const struct frames *f,
                     const struct frame *const *stack, unsigned depth);

#endif
