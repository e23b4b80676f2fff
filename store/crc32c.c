#include "store/crc32c.h"

#include <string.h>

uint32_t crc32c_extend_portable(uint32_t crc, const void *bytes, size_t size)
{
    /* the remainders of 4 bits each, by the polynomial 0x82f63b78 (reflected) */
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const unsigned char *p = bytes;
    crc = ~crc;
    while (size--) {
        crc ^= *p++;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

__attribute__((target("sse4.2"))) static uint32_t extend_sse42(uint32_t crc, const void *bytes,
                                                               size_t size)
{
    const unsigned char *p = bytes;
    uint64_t sum = ~crc;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    for (crc = (uint32_t)sum; size; size--)
        crc = __builtin_ia32_crc32qi(crc, *p++);
    return ~crc;
}

uint32_t crc32c_extend(uint32_t crc, const void *bytes, size_t size)
{
    return __builtin_cpu_supports("sse4.2") ? extend_sse42(crc, bytes, size)
                                            : crc32c_extend_portable(crc, bytes, size);
}
