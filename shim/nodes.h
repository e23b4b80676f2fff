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
#include "shim/modules.h"

#define NODES_HIDDEN __attribute__((visibility("hidden")))

/* Maps the tables for the capacities of the open profile. 0, or −1 without memory. */
int nodes_init(void);

/*
 * The node (parent, module, offset). When the table or the disk is full: parent itself, the deepest
 * ancestor there is, counted as node_table_full. *spare (0 = none) is a record that lost a race,
 * kept for the thread's next insertion.
 */
uint32_t node_get(uint32_t parent, uint32_t module, uint64_t offset, uint32_t *spare);

/*
 * Nodes by (parent, pc), as a memory: a slot is overwritten by the next that falls into it. What
 * it stands for is told by 40 bits of the hash of parent, pc and the modules' generation: of 10^12
 * look-ups that should find nothing one would find a wrong node. Not to be touched but here.
 */
enum { node_step_slots = 1 << 16, node_step_bits = 24 };
extern uint64_t node_steps[node_step_slots] NODES_HIDDEN; /* atomic: hash's upper bits | node id */
extern uint64_t node_step_salt NODES_HIDDEN; /* moves with nodes_init(): another profile's nodes */

static inline uint64_t node_step_hash(uint32_t parent, uintptr_t pc)
{
    uint64_t h = (node_step_salt ^ pc) * 0x9e3779b97f4a7c15u +
                 (parent ^ (uint64_t)modules_generation() << 32) * 0xd6e8feb86659fd93u;
    return (h ^ h >> 32) * 0xbf58476d1ce4e5b9u;
}

uint32_t node_at_new_pc(uint32_t parent, uintptr_t pc, uint64_t hash, uint32_t *spare);

/*
 * The node of the code at pc below `parent`, its module recorded if need be. What was looked up
 * before is found again without asking the loader.
 */
static inline uint32_t node_at_pc(uint32_t parent, uintptr_t pc, uint32_t *spare)
{
    uint64_t h = node_step_hash(parent, pc);
    uint64_t word = __atomic_load_n(&node_steps[h % node_step_slots], __ATOMIC_RELAXED) ^ h;
    uint32_t node = (uint32_t)(word ^ h) & ((1u << node_step_bits) - 1);
    if (__builtin_expect(word >> node_step_bits == 0 && node, 1))
        return node;
    return node_at_new_pc(parent, pc, h, spare);
}

static inline uint32_t node_special(uint32_t parent, enum pshim_special what, uint32_t *spare)
{
    return node_get(parent, PSHIM_MODULE_SPECIAL, what, spare);
}

/*
 * The account of (recorder, kind, node). When the table is full: that of the nearest caller that
 * has one, else one kept for this, counted as account_table_full; `node` and `recorder` in it say
 * whose it is. NULL only for what the program names.
 */
struct pshim_account *account_get(uint32_t recorder, enum pshim_kind kind, uint32_t node);

/* Where events of a lock go when its own node found no room: the merged lock, at no known stack. */
uint32_t nodes_last_resort_lock(void);
/* The same of who made others wait for it: at no known stacks. */
uint32_t nodes_last_resort_waiter(void);

/* A size for a table of our own: at least n slots, and 1024. */
uint32_t power_of_two_above(uint64_t n);

#endif
