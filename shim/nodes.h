/*
 * Stack nodes and accounts: find or add, in the file, through hash tables of our own.
 *
 * Lock-free, async-signal-safe, nobody waits: a record is filled first and then published by one
 * CAS of its index into the table; who loses the race uses the winner's and keeps the spare.
 */
#ifndef PERFSHIM_SHIM_NODES_H
#define PERFSHIM_SHIM_NODES_H

#include <stdint.h>

#include "profile/format.h"

/* Maps the tables for the capacities of the open profile. 0, or −1 without memory. */
int nodes_init(void);

/*
 * The node (parent, module, offset). When the table or the disk is full: parent itself, the deepest
 * ancestor there is, counted as node_table_full. *spare (0 = none) is a record that lost a race,
 * kept for the thread's next insertion.
 */
uint32_t node_get(uint32_t parent, uint32_t module, uint64_t offset, uint32_t *spare);

/*
 * The node of the code at pc below `parent`, its module recorded if need be. What was looked up
 * before is found again without asking the loader.
 */
uint32_t node_at_pc(uint32_t parent, uintptr_t pc, uint32_t *spare);

static inline uint32_t node_special(uint32_t parent, enum pshim_special what, uint32_t *spare)
{
    return node_get(parent, PSHIM_MODULE_SPECIAL, what, spare);
}

/*
 * The account of (recorder, kind, node). When the table is full: that of the nearest caller that
 * has one, else one kept for this, counted as account_table_full; `node` and `recorder` in it say
 * whose it is. NULL only for a progress point.
 */
struct pshim_account *account_get(uint32_t recorder, enum pshim_kind kind, uint32_t node);

/* Where events of a lock go when its own node found no room: the merged lock, at no known stack. */
uint32_t nodes_last_resort_lock(void);

/* A size for a table of our own: at least n slots, and 1024. */
uint32_t power_of_two_above(uint64_t n);

#endif
