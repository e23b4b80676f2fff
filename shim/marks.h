/*
 * Marked blocks: those of which size and lifetime go into the histogram of their stack (format.h).
 *
 * Which: the first 64 calls of an account, each for itself; then one call in each 64, which stands
 * for 64. Where in the 64 it lies is a hash of their number and the node, so that no program's
 * pattern falls in with it, and a sum over whole strata is exact. A pure function of the account's
 * count of calls; a thread counts down to it (recorder.h). In a shared recorder each thread counts
 * its own calls down: then it is one in 64 of each.
 *
 * A marked block carries a bit in its tag (or in its entry in the table of blocks), and stands in a
 * table of its own, with when it was born, its node and its weight. That table also names blocks
 * whose tag was overwritten. Bounded: 1.1 million marked blocks live at once (26 MB); more have no
 * lifetime, which is counted.
 *
 * Lock-free, async-signal-safe except for the mmap of a level of the table. With the guard held.
 */
#ifndef PERFSHIM_SHIM_MARKS_H
#define PERFSHIM_SHIM_MARKS_H

#include <stddef.h>

#include "shim/blocks.h"
#include "shim/shim.h"

enum { marks_each = 64 }; /* calls that are all marked, and then calls in a stratum */

/* The first call from number `calls` on (the account's calls before it) that is marked. */
static inline uint64_t marks_next(uint64_t calls, uint32_t node)
{
    if (calls < marks_each)
        return calls;
    for (uint64_t stratum = calls / marks_each;; stratum++) {
        uint64_t h = (stratum * 0x9e3779b97f4a7c15u ^ node) * 0xd6e8feb86659fd93u;
        uint64_t at = stratum * marks_each + (h >> 58);
        if (at >= calls)
            return at;
    }
}

/*
 * A block of n bytes at p, the call to come of account *a, if it is to be marked: its size into the
 * histogram, its birth into the table. Returns the flag for its tag, or 0 if there is no room.
 */
uint32_t marks_new(const struct pshim_account *a, const void *p, size_t n);

/* What the table knows of a block. False: nothing. */
bool marks_find(const void *p, struct block *mark);
/* A marked block is freed: likewise, and removes it. */
bool marks_take(const void *p, struct block *mark);
/* Back into the table: the block lives after all. */
void marks_put_back(const void *p, struct block mark);

/* For how many blocks it stands. */
uint32_t marks_weight(struct block mark);

/* The bytes that the block's program asked for; only of blocks that may carry a tag. */
size_t marks_bytes(struct block mark);

/* Its life ended now: into the histogram. */
void marks_lived(struct block mark);

#endif
