/*
 * Block tags: who allocated a block, kept in its own last 8 usable bytes.
 *
 *   63            48 47 46        35 34     24 23           0
 *  +----------------+--+------------+---------+--------------+
 *  |  check (16)    | s|recorder 12 |slack 11 |   node 24    |
 *  +----------------+--+------------+---------+--------------+
 *
 * slack = usable size − 8 − bytes asked for; s is reserved for sampled lifetimes. check mixes the
 * block's address, the other 48 bits and the process key, so that what a program wrote over a tag,
 * or memory that never had one, is told with a chance of error of 2^-16. Pure functions.
 */
#ifndef PERFSHIM_SHIM_TAG_H
#define PERFSHIM_SHIM_TAG_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    tag_bytes = 8,
    tag_slack_max = (1 << 11) - 1,
    tag_block_limit = 4096, /* blocks of this size and more get no tag: see blocks.h */
    tag_usable_max = tag_block_limit + tag_bytes + tag_slack_max, /* of a block with a tag */
};

struct tag {
    uint32_t node;
    uint32_t recorder;
    uint32_t slack;
};

static inline uint64_t tag_check(uint64_t body, const void *block, uint64_t key)
{
    uint64_t x = body ^ ((uintptr_t)block * 0x9e3779b97f4a7c15u) ^ key;
    x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
    return x & 0xffff000000000000u;
}

static inline uint64_t tag_pack(struct tag tag, const void *block, uint64_t key)
{
    uint64_t body = (uint64_t)tag.node | (uint64_t)tag.slack << 24 | (uint64_t)tag.recorder << 35;
    return body | tag_check(body, block, key);
}

/* Splits `word`; false if it is no tag of this block. */
static inline bool tag_unpack(uint64_t word, const void *block, uint64_t key, struct tag *out)
{
    uint64_t body = word & 0x0000ffffffffffffu;
    out->node = body & 0xffffff;
    out->slack = (uint32_t)(body >> 24) & tag_slack_max;
    out->recorder = (uint32_t)(body >> 35) & 0xfff;
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
