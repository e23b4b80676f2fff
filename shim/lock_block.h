/*
 * The block of the heap that a lock lies in: for its name.
 *
 * There is no index of blocks by the addresses inside them. Asked are, in turn: the block that the
 * thread allocated last at each of the sites it used last, since a lock is made right after what it
 * lies in; the table of untagged blocks; the table of marked ones, which has the first 64 of each
 * site. So a block is not always found. One that is told is the right one: it stands in the table
 * of untagged blocks, or its tag is read and is that of this very start and site.
 *
 * When a lock is met first, and when it is first taken at another place or by another thread; never
 * where it is taken again. So a lock that a class has without initialising it, whose memory an
 * object from another site has later, and which is taken at the same stacks there, keeps its name.
 * Async-signal-safe. Memory behind the lock's own page is read by process_vm_readv() on ourselves.
 */
#ifndef PERFSHIM_SHIM_LOCK_BLOCK_H
#define PERFSHIM_SHIM_LOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "profile/format.h"
#include "shim/shim.h"

struct lock_block {
    uint32_t node;   /* where it was allocated */
    uint64_t offset; /* of the lock in it */
    uint64_t bytes;  /* asked for */
};

/* The live block that a lock at this address lies in. False: none is known. */
bool lock_block_find(const struct thread_state *ts, uintptr_t address, struct lock_block *out);

/* Does the lock still lie in this one? Its memory may be another block's by now. */
bool lock_block_is(const struct lock_block *block, uintptr_t address);

/*
 * Writes into the lock's record what it lies in, the first time; later, if the lock lies in another
 * kind of block (its memory became that, or the record stands for another lock now), takes it back
 * for good.
 */
void lock_block_note(const struct thread_state *ts, struct pshim_lock *lock);

#endif
