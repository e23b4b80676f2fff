/* The hash of keys. Pure. */
#ifndef PERFSHIM_STORE_HASH_H
#define PERFSHIM_STORE_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * 64 well-mixed bits of `size` bytes: the high ones choose the shard, the low ones the bucket.
 * Words of 8 bytes are folded in with a 64x64->128 bit multiplication whose halves are xored. Not
 * keyed: whoever chooses the keys can make them collide.
 */
uint64_t hash_bytes(const void *bytes, size_t size);

#endif
