/*
 * What is rarer of a block's end, out of the hooks' way: that another thread frees it, that its
 * size and lifetime are recorded, that it grew, that something was written past its end.
 *
 * Async-signal-safe as marks.h is. With the guard held, except for site_grown().
 */
#ifndef PERFSHIM_SHIM_BLOCK_SITE_H
#define PERFSHIM_SHIM_BLOCK_SITE_H

#include <stddef.h>

#include "shim/blocks.h"
#include "shim/shim.h"

/* A block that is given back, as it was. */
struct old_block {
    uint64_t tag_word; /* 0: it was in the table */
    size_t usable;
    uint64_t bytes;
    uint32_t node;
    uint32_t owner; /* serial | flags, as in a tag */
};

/*
 * A block of `node` that is marked, or that another thread allocated, is freed: books the end of
 * its life (mark: what marks_take() gave, NULL = nothing), and that it was another thread's.
 */
void site_freed(struct thread_state *ts, const struct block *mark, uint32_t node, uint32_t owner);

/* At `node` realloc gave a live block more bytes than it had, and copied `moved` of them. */
void site_grown(uint32_t node, uint64_t moved);

/* The byte behind a tagged block was overwritten, its tag was not. */
void site_overrun(uint32_t node);

/*
 * A block with no valid tag, in no table of untagged ones, is given back. Was a tag overwritten?
 * Then what it was, as far as it is still known, and that it happened is booked.
 */
bool site_retire_overwritten(const void *p, size_t usable, struct old_block *old);

#endif
