/*
 * Frames of which no table says anything: code made at run time (a JIT's), assembly without
 * call-frame information. They are left by rbp, if their code keeps frame pointers.
 *
 * That is a guess, since rbp may be anything there; a frame is only left so if all of this is true:
 *  1. From the frame pointers on, each further up than the one before and on the stack that is
 *     walked, one comes to a return address in a function with tables, over at most 64 frames
 *     without. (Those tables then tell the rest.)
 *  2. The call before that return address can have called code without tables: it calls by pointer,
 *     or directly to an address without tables. Else the chain has left frames out.
 *  3. A call instruction stands before each return address without tables.
 *  4. No word between the stack pointer and the frame pointer is a return address as in 1 and 2:
 * else it may be the frame's own, and the frame pointer one further out. Frames that are larger
 * than 4 KiB are not left. Of code that executes, rbp is not used at its first instructions (push
 * rbp; mov rbp, rsp) and at its return: there the return address is found by rsp.
 *
 * A frame too many is cut off by this (by 4: an old return address in a local variable), none is
 * made up.
 *
 * Async-signal-safe. Code in no module is read with process_vm_readv() on ourselves, since what a
 * stack holds may be no address at all; a return address that was found good is remembered.
 */
#ifndef PERFSHIM_SHIM_UNWIND_BARE_H
#define PERFSHIM_SHIM_UNWIND_BARE_H

#include <stdint.h>

#include "shim/unwind.h"

struct unwind_bare {
    uintptr_t rip, sp, rbp;
    uintptr_t known_to; /* the chain was looked at up to this address of the stack; 0 at first */
};

/* Leaves a frame without tables for its caller's. 0, or −1: how is not known. */
int unwind_bare_leave(struct unwind_bare *frame, int exact, struct unwind_range stack);

#endif
