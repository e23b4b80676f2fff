/*
 * Tables of blocks: address → what is known of the block. One holds those without a tag (4096 bytes
 * and more, page-aligned kinds, sampled ones), one the marked ones (marks.h).
 *
 * Lock-free. A block is put by the thread that got it from the allocator, and taken by the thread
 * that frees it, so one address is never put and taken at once. Memory: 24 bytes a slot in levels
 * that are mapped when the ones before are full around the address; nothing from the host's heap.
 * Async-signal-safe except for the mmap of a new level, which is a raw system call.
 */
#ifndef PERFSHIM_SHIM_BLOCKS_H
#define PERFSHIM_SHIM_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

struct block {
    uint64_t bytes; /* asked for */
    uint32_t node;  /* 0 = allocated while paused */
    union {
        uint32_t owner;  /* exact mode: serial | flags, as in a tag */
        uint32_t weight; /* sampled mode: blocks that this one stands for */
    };
};

struct blocks_slot;
enum { blocks_levels_most = 5 };
struct blocks {
    struct blocks_slot *level[blocks_levels_most]; /* atomic; NULL = not mapped yet */
    uint32_t first, levels; /* which of blocks.c's levels it has: [first, levels) */
};

extern struct blocks blocks_untagged;

/* False when no level has room (the block is then unknown to us). An address that is there already
   is a block that was freed past us: it is replaced. */
bool blocks_put(struct blocks *table, const void *address, struct block block);

/* Finds and removes; false if the address is not in the table. */
bool blocks_take(struct blocks *table, const void *address, struct block *out);

/* Finds. */
bool blocks_find(struct blocks *table, const void *address, struct block *out);

/* The start of a block with this address in it, or NULL: in the smallest level of the table alone,
   whose slots are looked at one by one. Others may put and take meanwhile: ask blocks_find(). */
const void *blocks_around(struct blocks *table, const void *address);

#endif
