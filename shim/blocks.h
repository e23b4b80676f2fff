/*
 * The table of blocks without a tag (4096 bytes and more, page-aligned kinds, sampled ones):
 * address → account.
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
    uint64_t bytes;  /* asked for */
    uint32_t node;   /* 0 = allocated while paused */
    uint32_t weight; /* blocks that a sampled one stands for; else unused */
};

/* False when no level has room (the block is then unknown to us). */
bool blocks_put(const void *address, struct block block);

/* Finds and removes; false if the address is not in the table. */
bool blocks_take(const void *address, struct block *out);

/* Finds. */
bool blocks_find(const void *address, struct block *out);

#endif
