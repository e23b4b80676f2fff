/*
 * A thread's last stack, kept so that the next walk only walks what changed.
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
    unwind_words_near = 16, /* those on the same page as the frames */
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

/*
 * What is touched always stands together, on one page up to some 80 frames: `word` is filled from
 * its end for that.
 */
struct unwind_kept {
    struct unwind_stack_word word[unwind_kept_max + unwind_words_near]
        __attribute__((aligned(4096))); /* outermost last */
    uint32_t depth;                     /* frames kept, 0 = none */
    uint32_t generation;                /* of the modules, checked by the owner */
    uint32_t root;                      /* the owner's: what the stack hangs from */
    uint32_t walked; /* 0: frames have rip and node alone; no walk can join them */
    struct unwind_frame fresh[unwind_fresh_max + 1]; /* while walking, innermost first */
    struct unwind_frame frame[unwind_kept_max];      /* outermost first */
};

/*
 * Walks from *start, a frame of the caller's own that is left out, on the stack given. On success
 * returns the number of frames, at least 1; frame[0 … *shared − 1] have their nodes, the others
 * are new and have none. Returns 0 where a whole walk is needed.
 * `depth` is the kept stack's; kept->depth is left 0, for the owner to set once all have nodes.
 */
unsigned unwind_kept_walk(struct unwind_kept *kept, unsigned depth, const struct unwind_regs *start,
                          struct unwind_range stack, unsigned *shared);

/*
 * The same on a stack whose outer part may be gone, with a longer one that was in its place: a kept
 * frame is read only once those further in have held.
 */
unsigned unwind_kept_walk_elsewhere(struct unwind_kept *kept, unsigned depth,
                                    const struct unwind_regs *start, struct unwind_range stack,
                                    unsigned *shared);

/* Is the stack below *frame, see struct unwind_regs, the kept one, frame by frame? Then its nodes
   are too. Writes nothing. */
bool unwind_kept_same(const struct unwind_kept *kept, const uintptr_t *frame,
                      struct unwind_range stack);

#endif
