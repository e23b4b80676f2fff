#include "store/hash.h"

#include <string.h>

/* Odd, about half of the bits set: fractional digits of the square roots of 2, 3 and 5. */
#define ROOT2 0x6a09e667f3bcc909u
#define ROOT3 0xbb67ae8584caa73bu
#define ROOT5 0x3c6ef372fe94f82bu

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    uint64_t hash = ROOT2 + size; /* the size tells a tail of zeros from none */
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        hash = fold(hash ^ word, ROOT3);
    }
    uint64_t tail = 0;
    memcpy(&tail, p, size);
    return fold(fold(hash ^ tail, ROOT5), ROOT3);
}
