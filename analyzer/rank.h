/*
 * Flat and cumulative figures per function, file or module, over the selected stacks.
 *
 * flat: what the leaf did itself. cum: what all stacks through it did; a function that stands in a
 * stack more than once is counted once. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_RANK_H
#define PERFSHIM_ANALYZER_RANK_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/frames.h"
#include "analyzer/model.h"

enum rank_by { RANK_FUNCTION, RANK_FILE, RANK_MODULE };

struct rank_row {
    const char *name, *file, *module; /* by file or module: only that one, as `name` */
    uint32_t line;
    uint64_t last_stack; /* while building: the stack that was counted last */
    uint64_t roots;      /* bits: the stacks' outermost functions that it was seen under */
    struct metrics flat, cum;
    struct estimate_spread flat_spread, cum_spread; /* of sampled allocations */
};

#define RANK_ROOTS_MAX 64u

struct rank {
    struct rank_row *rows;
    size_t count, room;
    struct metrics selected; /* over the selected stacks; model.totals if all are */
    uint32_t root_functions[RANK_ROOTS_MAX];
    struct metrics roots[RANK_ROOTS_MAX]; /* over all stacks from that root */
    unsigned root_count;
};

void rank_build(struct rank *rank, const struct model *m, struct frames *f, enum rank_by by);
void rank_release(struct rank *rank);

/* Largest first, by the cum or flat value of a metric; equal values by name. */
void rank_sort(struct rank *rank, enum metric metric, bool flat);

/*
 * Is the row an entry frame: nearly everything (99 %) that starts where it stands runs through it,
 * and it does nothing (1 %) itself? main, start_thread and their kind say nothing.
 */
bool rank_is_entry(const struct rank *rank, const struct rank_row *row, enum metric metric);

/* Does a stack pass --focus and --ignore? */
bool rank_selected(const struct frames *f, const struct selection *s,
                   const struct frame *const *stack, unsigned depth);

#endif
