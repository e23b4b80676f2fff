/*
 * The second way to walk a stack: libunwind (PERFSHIM_UNWIND=libunwind), to check the first by.
 *
 * libunwind's local interface does harm in a stranger's process: it asks the loader under a lock,
 * tests memory by writing it into a pipe, allocates in each thread. So it is used as if the process
 * were another one, by its remote interface: what it wants to know of memory, registers and modules
 * it asks us, and we answer from where our own walks read: the stacks, the modules' read-only
 * tables, code. A frame takes some µs.
 * Its library is opened local and bound to its own libraries first, so that neither its symbols
 * reach the program nor its calls our hooks; the pipe it opens is closed again.
 *
 * A walk takes locks of the library's, with all signals blocked meanwhile; whoever walks has the
 * guard, so that a tick never finds the thread within one. Thread-safe; no allocation, no errno.
 */
#ifndef PERFSHIM_SHIM_UNWIND_LIBUNWIND_H
#define PERFSHIM_SHIM_UNWIND_LIBUNWIND_H

#include "shim/unwind.h"

/* Stack that a walk needs below the caller's (measured: 8.5 KiB). */
enum { unwind_libunwind_stack_bytes = 12 << 10 };

/*
 * Opens the library. Once, in the constructor. 0, or −1: it is not there, or not as expected.
 * envp: the program's. Opening a library initialises libc if that was not done yet, with what libc
 * holds for the environment, which must be right by then.
 */
int unwind_libunwind_init(char **envp);

/* Forget what was kept: modules are about to change. */
void unwind_libunwind_flush(void);

/* As unwind_walk(). Where too little of the stack is left, unwind_walk() it is. */
unsigned unwind_libunwind_walk(const struct unwind_regs *start, int exact,
                               const struct unwind_range *stacks, unsigned stack_count,
                               uintptr_t *pcs, unsigned max, enum unwind_end *end);

#endif
