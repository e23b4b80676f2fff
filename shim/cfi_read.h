/*
 * Bounded little-endian reads from unwind tables.
 *
 * A reader never moves past `end`: a read that does not fit gives 0 and sets `bad`, which stays
 * set. So a parser may read a whole record and look at `bad` once. Async-signal-safe, no state
 * elsewhere.
 */
#ifndef PERFSHIM_SHIM_CFI_READ_H
#define PERFSHIM_SHIM_CFI_READ_H

#include <stdint.h>
#include <string.h>

struct cfi_reader {
    const uint8_t *at, *end;
    int bad;
};

/* An unsigned integer of `size` bytes (1, 2, 4 or 8). */
static inline uint64_t cfi_read_unsigned(struct cfi_reader *r, unsigned size)
{
    uint64_t value = 0;
    if ((uint64_t)(r->end - r->at) < size) {
        r->bad = 1;
        r->at = r->end;
        return 0;
    }
    memcpy(&value, r->at, size); /* x86-64 is little-endian */
    r->at += size;
    return value;
}

/* A signed integer of `size` bytes, sign-extended. */
static inline int64_t cfi_read_signed(struct cfi_reader *r, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return (int64_t)(cfi_read_unsigned(r, size) << unused) >> unused;
}

/* LEB128. Bits past the 64th are dropped, as every producer's padding bytes are zero there. */
static inline uint64_t cfi_read_uleb(struct cfi_reader *r)
{
    uint64_t value = 0;
    unsigned shift = 0;
    for (;;) {
        uint8_t byte = (uint8_t)cfi_read_unsigned(r, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80))
            return value;
    }
}

static inline int64_t cfi_read_sleb(struct cfi_reader *r)
{
    uint64_t value = 0;
    unsigned shift = 0;
    for (;;) {
        uint8_t byte = (uint8_t)cfi_read_unsigned(r, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80)) {
            if (shift < 64 && (byte & 0x40))
                value |= ~UINT64_C(0) << shift;
            return (int64_t)value;
        }
    }
}

/* Skips `size` bytes. */
static inline void cfi_read_skip(struct cfi_reader *r, uint64_t size)
{
    if ((uint64_t)(r->end - r->at) < size) {
        r->bad = 1;
        r->at = r->end;
    } else {
        r->at += size;
    }
}

#endif
