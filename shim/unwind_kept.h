/*
 * A thread's last stack, kept so that the next walk only walks what changed, and the inner parts of
 * some more, so that what changed need not be walked either if it was there before.
 *
 * From the leaf outwards a new walk meets the kept one at a frame whose state is the same: return
 * address, stack pointer and, if a rule further out looks at it, rbp, which is all that the rules
 * used here look at. From there on it would read the same words as the kept walk did: the return
 * address of each frame and, where the inner one saved it and it matters, rbp. If those words still
 * hold what they held, then by induction every outer frame is the same. If one differs, the frames
 * up to it are the same, and walking goes on from there. Return addresses in the same slots alone
 * would not do: memory that an alloca left alone may hold an older frame's words; a test has that
 * case.
 *
 * The same holds for an inner part that was walked some time ago: if it begins with the same state
 * and each word that was read then is as it was, it leads to the same outer frame in the same
 * state. If that is a frame of the kept stack, which holds from there, then the whole stack is
 * known. Of inner parts with the same leaf, the one to try is found by the values of a few words
 * that were return addresses in one of them.
 *
 * Only stacks whose every frame has CFA = rsp + n or rbp + n, and which end at a frame without a
 * caller, are kept. That is nearly all of them; the others are walked whole by unwind_walk().
 *
 * Async-signal-safe for one thread's own stack; reads only that stack's memory above the start.
 * Memory: pages are touched as stacks of their kind are met. Measured: docs/benchmarks.md, "Stack
 * reuse".
 */
#ifndef PERFSHIM_SHIM_UNWIND_KEPT_H
#define PERFSHIM_SHIM_UNWIND_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/unwind.h"

enum {
    unwind_kept_max = 256,
    unwind_fresh_max = 32,
    unwind_part_frames = 16, /* of an inner part, the frame that it leads to included */
    unwind_parts = 64,       /* kept; the oldest makes room */
    unwind_part_sets = 256,  /* of two slots */
    unwind_part_ways = 2,
    unwind_leaves = 128,
    unwind_leaf_words = 6,
    unwind_words_near = 16,      /* those on the same page as the frames */
    unwind_changes_before = 100, /* parts are kept: threads that do little need no memory for it */
};

/* A frame as it is entered from the inner one. */
struct unwind_frame {
    uintptr_t rip;     /* return address into it; its pc is rip − 1 */
    uintptr_t sp, rbp; /* rbp: as it was when the frame was walked; true now if `needs_rbp` */
    uint32_t node;     /* the owner's: what it made of the frame */
    uint16_t words;    /* in unwind_kept.word: of this frame and all further out */
    uint8_t slot;      /* rbp was read at sp − 8 slot; 0: the inner frame did not save it */
    uint8_t needs_rbp; /* the rule that leaves it looks at rbp, or one further out to which this
                          rbp comes */
};

/* A word of the stack, not a return address, that a walk has read. */
struct unwind_stack_word {
    const uintptr_t *at;
    uintptr_t value;
};

/* An inner part: from the frame of the stack that it leads to, to the leaf. */
struct unwind_part {
    uint32_t count;      /* frames; 0 = none, or being written */
    uint32_t generation; /* of the modules */
    uint32_t join;       /* place of frame[0] in its stack */
    uint32_t reads_rbp;  /* a word that must hold is not a return address */
    struct unwind_frame frame[unwind_part_frames]; /* outermost first */
};

/*
 * Where to look to tell stacks with this leaf apart: places where two of them had different return
 * addresses, the innermost in which they differed. There the frames inside are the same, so it is
 * the same place in both.
 */
struct unwind_leaf {
    uintptr_t rip, sp;
    uint16_t at[unwind_leaf_words]; /* in words from sp */
    uint16_t most;                  /* the largest that was ever among them */
    uint16_t turn;                  /* which is replaced next */
};

/*
 * What is touched always stands together, on one page up to some 80 frames: `word` is filled from
 * its end for that.
 */
struct unwind_kept {
    uint8_t part_at[unwind_part_sets][unwind_part_ways]; /* place in `part` + 1, 0 = none */
    struct unwind_leaf leaf[unwind_leaves];
    struct unwind_part part[unwind_parts];
    struct unwind_stack_word word[unwind_kept_max + unwind_words_near]
        __attribute__((aligned(4096))); /* outermost last */
    uint32_t depth;                     /* frames kept, 0 = none */
    uint32_t generation;                /* of the modules, checked by the owner */
    uint32_t root;                      /* the owner's: what the stack hangs from */
    uint32_t walked;   /* 0: frames have rip and node alone; no walk can join them */
    uint8_t next_part; /* the oldest */
    uint8_t changes;   /* stacks that were not the last one, up to unwind_changes_before */
    uint8_t misses;    /* parts kept for nothing, of late */
    uint8_t walks;     /* since then */
    struct unwind_frame fresh[unwind_fresh_max + 1]; /* while walking, innermost first */
    struct unwind_frame frame[unwind_kept_max];      /* outermost first */
};

/*
 * Walks from *start, a frame of the caller's own that is left out, on the stack given. On success
 * returns the number of frames, at least 1; frame[0 … *shared − 1] have their nodes, the others
 * are new and have none. Returns 0 where a whole walk is needed.
 * `depth` is the kept stack's; kept->depth is left 0, for unwind_kept_settle() to set.
 */
unsigned unwind_kept_walk(struct unwind_kept *kept, unsigned depth, const struct unwind_regs *start,
                          struct unwind_range stack, unsigned *shared);

/*
 * The same on a stack whose outer part may be gone, with a longer one that was in its place: no
 * inner part is looked for, and a kept frame is read only once those further in have held. The
 * owner tells unwind_kept_settle() that none is shared, so that no part is kept either.
 */
unsigned unwind_kept_walk_elsewhere(struct unwind_kept *kept, unsigned depth,
                                    const struct unwind_regs *start, struct unwind_range stack,
                                    unsigned *shared);

/* Is the stack below *frame, see struct unwind_regs, the kept one, frame by frame? Then its nodes
   are too. Writes nothing. */
bool unwind_kept_same(const struct unwind_kept *kept, const uintptr_t *frame,
                      struct unwind_range stack);

/* The frames that unwind_kept_walk() told of now all have nodes: keeps the stack, and its inner
 * part if that is new. */
void unwind_kept_settle(struct unwind_kept *kept, unsigned depth, unsigned shared);

#endif
