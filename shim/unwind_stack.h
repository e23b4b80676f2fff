/*
 * Stacks that nobody told us about: coroutines' (makecontext and its kin), alternate signal stacks.
 *
 * The page of sp and those above are probed with process_vm_readv() on ourselves, which fails where
 * a load would end the program (and for devices' memory), up to the first that cannot be read and
 * 32 at most; so a stack is read up to 128 KiB above sp. What was found is remembered by page, so
 * that no further system call is made for it. Where the call is forbidden, or a seccomp
 * filter was there at set-up, no such stack is read.
 *
 * A page that was there once may be gone. A walk that follows right rules still reads no such page:
 * every frame that it enters is one that the program will return to, so its memory is there. Only
 * a walk that goes astray could, and only if a stack was put into the place of a longer one. So
 * what is remembered is forgotten whenever the program gets memory that may become such a stack:
 * blocks of 128 KiB and more, and mappings. Limit: a stack that is made in another way (by raw
 * system calls, or in sampled mode any) in the place of a longer one, and at the same time a walk
 * that goes astray beyond it.
 *
 * Async-signal-safe, thread-safe; no lock, no errno.
 */
#ifndef PERFSHIM_SHIM_UNWIND_STACK_H
#define PERFSHIM_SHIM_UNWIND_STACK_H

#include <stdint.h>

#include "shim/unwind.h"

/* A block of so many bytes may be a mapping of its own, which its free unmaps (glibc's smallest).
 */
enum { unwind_stack_block_bytes = 128 << 10 };

/* The readable memory around sp, from the start of its page, or a red zone below that. 0, or −1:
 * there is none. */
int unwind_stack_find(uintptr_t sp, struct unwind_range *out);

/* New memory may lie where other memory was. */
void unwind_stacks_forget(void);

#endif
