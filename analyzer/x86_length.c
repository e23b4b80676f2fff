#include "analyzer/x86_length.h"

#include <stdbool.h>

/* An instruction as it is read. */
struct reading {
    const uint8_t *at;
    size_t room, n;
    bool word;          /* prefix 66: immediates of 4 bytes have 2 */
    bool wide;          /* REX.W */
    bool short_address; /* prefix 67 */
};

/* What follows an opcode. IMM_Z: 4 bytes, or 2 with prefix 66. */
enum { NO = 0, MODRM = 1, IMM8 = 2, IMM_Z = 4, IMM16 = 8, BAD = 16 };

static bool is_in(uint8_t c, uint8_t first, uint8_t last)
{
    return c >= first && c <= last;
}

/* 00 … 3f: eight arithmetic operations in six forms each, and what 64-bit mode dropped. */
static unsigned low_map(uint8_t op)
{
    unsigned form = op & 7;
    return form < 4 ? MODRM : form == 4 ? IMM8 : form == 5 ? IMM_Z : BAD;
}

static unsigned middle_map(uint8_t op)
{
    if (op == 0x62 || is_in(op, 0x60, 0x61) || op == 0x82 || op == 0x9a)
        return BAD;
    if (is_in(op, 0x70, 0x7f) || op == 0x6a || op == 0xa8)
        return IMM8;
    if (op == 0x68 || op == 0xa9)
        return IMM_Z;
    if (op == 0x69 || op == 0x81)
        return MODRM | IMM_Z;
    if (op == 0x6b || op == 0x80 || op == 0x83)
        return MODRM | IMM8;
    return op == 0x63 || is_in(op, 0x84, 0x8f) ? MODRM : NO;
}

static unsigned high_map(uint8_t op)
{
    if (is_in(op, 0xb0, 0xb7) || op == 0xcd || is_in(op, 0xe0, 0xe7) || op == 0xeb)
        return IMM8;
    if (is_in(op, 0xe8, 0xe9))
        return IMM_Z;
    if (op == 0xc0 || op == 0xc1 || op == 0xc6)
        return MODRM | IMM8;
    if (op == 0xc7)
        return MODRM | IMM_Z;
    if (op == 0xc2 || op == 0xca)
        return IMM16;
    if (op == 0xc8)
        return IMM16 | IMM8;
    if (op == 0xce || is_in(op, 0xd4, 0xd6) || op == 0xea)
        return BAD;
    return is_in(op, 0xd0, 0xd3) || is_in(op, 0xd8, 0xdf) || op == 0xfe || op == 0xff ? MODRM : NO;
}

/* Behind 0f, and the first map of VEX and EVEX. */
static unsigned second_map(uint8_t op)
{
    if (is_in(op, 0x70, 0x73) || op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 ||
        is_in(op, 0xc4, 0xc6) || op == 0x0f)
        return MODRM | IMM8;
    if (is_in(op, 0x80, 0x8f))
        return IMM_Z;
    if (is_in(op, 0x05, 0x09) || op == 0x0b || op == 0x0e || is_in(op, 0x30, 0x37) || op == 0x77 ||
        is_in(op, 0xa0, 0xa2) || is_in(op, 0xa8, 0xaa) || is_in(op, 0xc8, 0xcf))
        return NO;
    if (op == 0x04 || op == 0x0a || op == 0x0c || is_in(op, 0x24, 0x27) || is_in(op, 0x39, 0x3f) ||
        is_in(op, 0xa6, 0xa7))
        return BAD;
    return MODRM;
}

static bool take(struct reading *r, size_t bytes)
{
    r->n += bytes;
    return r->n <= r->room;
}

/* ModR/M, SIB and displacement. *reg: the field that tells operations of one opcode apart. */
static bool take_modrm(struct reading *r, unsigned *reg)
{
    if (r->n >= r->room)
        return false;
    uint8_t modrm = r->at[r->n++];
    unsigned mod = modrm >> 6, rm = modrm & 7;
    *reg = modrm >> 3 & 7;
    if (mod == 3)
        return true;
    if (rm == 4) {
        if (r->n >= r->room)
            return false;
        rm = r->at[r->n++] & 7; /* SIB: its base */
    }
    return take(r, mod == 1 ? 1 : mod == 2 || rm == 5 ? 4 : 0);
}

static bool take_rest(struct reading *r, unsigned what, uint8_t op, bool group3)
{
    unsigned reg = 0;
    if (what & BAD || (what & MODRM && !take_modrm(r, &reg)))
        return false;
    if (group3 && reg < 2) /* test: the only ones of f6 and f7 with an immediate */
        what |= op == 0xf6 ? IMM8 : IMM_Z;
    return take(r, (what & IMM8 ? 1 : 0) + (what & IMM16 ? 2 : 0) +
                       (what & IMM_Z ? r->word ? 2 : 4 : 0));
}

static bool take_second(struct reading *r)
{
    if (r->n >= r->room)
        return false;
    uint8_t op = r->at[r->n++];
    if (op == 0x38 || op == 0x3a)
        return take(r, 1) && take_rest(r, op == 0x3a ? MODRM | IMM8 : MODRM, op, false);
    r->word = r->word && !is_in(op, 0x80, 0x8f); /* jumps have 4 bytes */
    return take_rest(r, second_map(op), op, false);
}

/* VEX (c4, c5) and EVEX (62): `payload` bytes, of which the first names the map, then an opcode. */
static bool take_vector(struct reading *r, uint8_t prefix)
{
    size_t payload = prefix == 0xc5 ? 1 : prefix == 0xc4 ? 2 : 3;
    if (r->room - r->n < payload + 1)
        return false;
    unsigned map = prefix == 0xc5 ? 1 : r->at[r->n] & (prefix == 0xc4 ? 0x1f : 0x07);
    uint8_t op = r->at[r->n + payload];
    r->n += payload + 1;
    if (map == 0 || map == 4 || map > 6)
        return false;
    if (map == 1 && op == 0x77) /* vzeroupper */
        return true;
    bool immediate = map == 3 || (map == 1 && second_map(op) == (MODRM | IMM8));
    return take_rest(r, immediate ? MODRM | IMM8 : MODRM, op, false);
}

static bool take_first(struct reading *r, uint8_t op)
{
    if (op == 0x0f)
        return take_second(r);
    if (op == 0xc4 || op == 0xc5 || op == 0x62)
        return take_vector(r, op);
    if (is_in(op, 0xb8, 0xbf)) /* mov of an immediate: the only one with 8 bytes */
        return take(r, r->wide ? 8 : r->word ? 2 : 4);
    if (is_in(op, 0xa0, 0xa3)) /* mov of an absolute address */
        return take(r, r->short_address ? 4 : 8);
    if (op == 0xf6 || op == 0xf7)
        return take_rest(r, MODRM, op, true);
    r->word = r->word && op != 0xe8 && op != 0xe9; /* calls and jumps have 4 bytes */
    return take_rest(r,
                     op < 0x40   ? low_map(op)
                     : op < 0xb0 ? middle_map(op)
                                 : high_map(op),
                     op, false);
}

static bool is_prefix(struct reading *r, uint8_t c)
{
    r->word |= c == 0x66;
    r->short_address |= c == 0x67;
    return c == 0x66 || c == 0x67 || c == 0xf0 || c == 0xf2 || c == 0xf3 || c == 0x2e ||
           c == 0x36 || c == 0x3e || c == 0x26 || c == 0x64 || c == 0x65;
}

unsigned x86_length(const uint8_t *at, size_t room)
{
    struct reading r = {.at = at, .room = room < X86_LENGTH_MOST ? room : X86_LENGTH_MOST};
    while (r.n < r.room && is_prefix(&r, at[r.n]))
        r.n++;
    if (r.n < r.room && is_in(at[r.n], 0x40, 0x4f))
        r.wide = at[r.n++] & 8;
    if (r.n >= r.room)
        return 0;
    uint8_t op = at[r.n++];
    return take_first(&r, op) ? (unsigned)r.n : 0;
}
