/* CRC-32C (Castagnoli), as iSCSI, ext4 and LevelDB's files use it. Pure, thread-safe. */
#ifndef PERFSHIM_STORE_CRC32C_H
#define PERFSHIM_STORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what `crc` is the checksum of (0: of nothing) and these bytes after it. */
uint32_t crc32c_extend(uint32_t crc, const void *bytes, size_t size);

/* The same without the CPU's instruction for it; what crc32c_extend uses where there is none. */
uint32_t crc32c_extend_portable(uint32_t crc, const void *bytes, size_t size);

/*
 * What is stored in a file (LevelDB's util/crc32c.h): the checksum of bytes that contain their own
 * checksum would be a constant, and a log may hold the bytes of a log.
 */
static inline uint32_t crc32c_mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

#endif
