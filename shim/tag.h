/*
 * Block tags: who allocated a block, kept in its own last 8 usable bytes.
 *
 *   63            48 47          24 23      14 13 12 11         0
 *  +----------------+--------------+----------+--+--+-----------+
 *  |   check (16)   |   node 24    | slack 10 | g| m| serial 12 |
 *  +----------------+--------------+----------+--+--+-----------+
 *
 * slack = usable size − 8 − bytes asked for; serial is of the thread (thread_state.serial); m: the
 * block is marked (marks.h); g: the program was told of the slack and may use it. check mixes the
 * block's address, the other 48 bits and the process key, so that what a program wrote over a tag,
 * or memory that never had one, is told with a chance of error of 2^-16. Pure functions.
 *
 * What is lost first to a write past the block's end stands lowest: the thread, then the slack.
 */
#ifndef PERFSHIM_SHIM_TAG_H
#define PERFSHIM_SHIM_TAG_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    tag_bytes = 8,
    tag_slack_max = (1 << 10) - 1,
    tag_block_limit = 4096, /* blocks of this size and more get no tag: see blocks.h */
    tag_usable_max = tag_block_limit + tag_bytes + tag_slack_max, /* of a block with a tag */
};

/* The lowest bits: a thread's serial number and two flags. */
enum { tag_serial_mask = 0xfff, tag_marked = 1 << 12, tag_given = 1 << 13, tag_owner_bits = 14 };

/*
 * The n-th number drawn for a thread. Each process has them in another order; those whose lowest
 * byte is 0, which is what a program writes most often behind a block, are left out (not drawn).
 * They come again after 4 080.
 */
static inline uint32_t tag_serial(uint32_t n, uint64_t key)
{
    enum { step = 2485 }; /* odd: all 4 096 come before one comes again */
    return (n * step + (uint32_t)key) & tag_serial_mask;
}
static inline bool tag_serial_is_drawn(uint32_t serial)
{
    return (serial & 0xff) != 0;
}

struct tag {
    uint32_t node;
    uint32_t slack;
    uint32_t owner; /* serial | flags */
};

static inline uint64_t tag_check(uint64_t body, const void *block, uint64_t key)
{
    uint64_t x = body ^ ((uintptr_t)block * 0x9e3779b97f4a7c15u) ^ key;
    x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
    return x & 0xffff000000000000u;
}

static inline uint64_t tag_pack(struct tag tag, const void *block, uint64_t key)
{
    uint64_t body = (uint64_t)tag.node << 24 | (uint64_t)tag.slack << tag_owner_bits | tag.owner;
    return body | tag_check(body, block, key);
}

/* A word that is no tag of this block. (0 may be one, by chance.) */
static inline uint64_t tag_of_none(const void *block, uint64_t key)
{
    return ~tag_pack((struct tag){0}, block, key) & 0xffff000000000000u;
}

/* Splits `word`; false if it is no tag of this block. */
static inline bool tag_unpack(uint64_t word, const void *block, uint64_t key, struct tag *out)
{
    uint64_t body = word & 0x0000ffffffffffffu;
    out->node = (uint32_t)(body >> 24);
    out->slack = (uint32_t)(body >> tag_owner_bits) & tag_slack_max;
    out->owner = (uint32_t)body & ((1 << tag_owner_bits) - 1);
    return tag_check(body, block, key) == (word & 0xffff000000000000u);
}

/* The tag's place in a block of `usable` bytes. memcpy: it may not be aligned. */
static inline uint64_t tag_load(const void *block, size_t usable)
{
    uint64_t word;
    memcpy(&word, (const char *)block + usable - tag_bytes, tag_bytes);
    return word;
}

static inline void tag_store(void *block, size_t usable, uint64_t word)
{
    memcpy((char *)block + usable - tag_bytes, &word, tag_bytes);
}

#endif
