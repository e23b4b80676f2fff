/*
 * The mappings that the program made itself and that are counted: address range → the node of the
 * stack that made it. munmap and MAP_FIXED may take any part of any of them.
 *
 * A table of maps_most pieces, each one atomic word (page number and number of pages) and a node. A
 * piece that is about to change is taken out first, before the system call, since its addresses may
 * be handed out again at once; afterwards the rest of it is put back, or all if the call failed.
 * Lock-free: who takes a piece owns it, and others do not see it. Async-signal-safe, no system
 * call. What finds no room is counted as map_table_full, and is not tracked.
 */
#ifndef PERFSHIM_SHIM_MAPS_H
#define PERFSHIM_SHIM_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    maps_most = 4096,
    maps_at_once = 64, /* pieces that one call may take; of more, the rest is not noticed */
};

/* Pieces taken out, until maps_settle(). */
struct maps_taken {
    uintptr_t from, to; /* what the call gives back, whole pages */
    unsigned count;
    struct {
        uint32_t slot;
        uint64_t word;
    } piece[maps_at_once];
};

/* Told of each piece that went: its bytes, and whether its mapping is gone whole. */
typedef void maps_gone(void *context, uint32_t node, uint64_t bytes, bool whole);

/* True if there is nothing in the table: the common case, one load. */
bool maps_empty(void);

/* A new mapping. False without room. */
bool maps_add(uintptr_t address, size_t bytes, uint32_t node);

/* Takes out all pieces that reach into [address, address + bytes). */
void maps_take(struct maps_taken *taken, uintptr_t address, size_t bytes);

/* The call has returned. done: what lay in the range is gone, told to `gone` piece by piece. Else
   all is as it was. */
void maps_settle(const struct maps_taken *taken, bool done, maps_gone *gone, void *context);

#endif
