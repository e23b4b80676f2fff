/*
 * A thread's last stack, kept so that the next walk only walks what changed.
 *
 * From the leaf outwards a new walk meets the kept one at a frame whose state is the same: return
 * address, stack pointer and rbp, which is all that the rules used here look at. From there on it
 * would read the same words as the kept walk did: the return address of each frame and, where the
 * inner one saved it, rbp. If those words still hold what they held, then by induction every outer
 * frame is the same. If one differs, the frames up to it are the same, and walking goes on from
 * there. Return addresses in the same slots alone would not do: memory that an alloca left alone
 * may hold an older frame's words; a test has that case.
 *
 * Only stacks whose every frame has CFA = rsp + n or rbp + n, and which end at a frame without a
 * caller, are kept. That is nearly all of them; the others are walked whole by unwind_walk().
 *
 * Async-signal-safe for one thread's own stack; reads only that stack's memory above the start.
 * Measured: docs/benchmarks.md, "Stack reuse".
 */
#ifndef PERFSHIM_SHIM_UNWIND_KEPT_H
#define PERFSHIM_SHIM_UNWIND_KEPT_H

#include <stdint.h>

#include "shim/unwind.h"

enum { unwind_kept_max = 256, unwind_fresh_max = 32 };

/* A frame as it is entered from the inner one. */
struct unwind_frame {
    uintptr_t rip; /* return address into it; its pc is rip − 1 */
    uintptr_t sp, rbp;
    uint32_t node;  /* the owner's: what it made of the frame */
    uint32_t words; /* what was read to enter this frame and all further out */
};

/* A word of the stack that a walk has read. */
struct unwind_stack_word {
    const uintptr_t *at;
    uintptr_t value;
};

/* A frame of a walk that is not in its place yet. rbp_at: NULL = the inner frame did not save it.
 */
struct unwind_fresh {
    uintptr_t rip, sp, rbp;
    const uintptr_t *rbp_at;
};

struct unwind_kept {
    uint32_t depth;      /* frames kept, 0 = none */
    uint32_t generation; /* of the modules, checked by the owner */
    uint32_t root;       /* the owner's: what the stack hangs from */
    uint32_t walked;     /* 0: frames have rip and node alone; no walk can join them */
    struct unwind_fresh fresh[unwind_fresh_max];        /* while walking, innermost first */
    struct unwind_frame frame[unwind_kept_max];         /* outermost first */
    struct unwind_stack_word word[2 * unwind_kept_max]; /* likewise */
};

/*
 * Walks from *start, a frame of the caller's own that is left out, on the stack given. On success
 * returns the number of frames, at least 1; frame[0 … *shared − 1] are as they were, nodes
 * included, the others are new and have no node. Returns 0 where a whole walk is needed.
 * `depth` is the kept stack's; kept->depth is left 0, for the owner to set when the nodes are
 * there.
 */
unsigned unwind_kept_walk(struct unwind_kept *kept, unsigned depth, const struct unwind_regs *start,
                          struct unwind_range stack, unsigned *shared);

#endif
