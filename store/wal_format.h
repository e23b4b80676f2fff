/*
 * The bytes of a log file, shared by its writer (wal.c) and its reader (wal_reader.c); drawn in
 * docs/store_format.md. The framing is LevelDB's (doc/log_format.md there).
 *
 * A file is blocks of 32 KiB. A block is parts; a part is a header of 7 bytes and a payload, and
 * never crosses a block's end. Fewer than 7 bytes left in a block are a trailer of zeros. A record
 * is one WAL_FULL part, or WAL_FIRST, any number of WAL_MIDDLE, WAL_LAST.
 *
 *     part      masked CRC32C of type and payload u32 | payload bytes u16 | type u8 | payload
 *     record    kind u8 | key bytes u16 | key | value (the rest)
 *     first record of a file   kind 0 | version u32 | "PSHIMWAL"
 *
 * Integers are little-endian, as the machine's.
 */
#ifndef PERFSHIM_STORE_WAL_FORMAT_H
#define PERFSHIM_STORE_WAL_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/crc32c.h"

#define WAL_FILE_NAME "000001.log"
#define WAL_MAGIC     "PSHIMWAL"

enum {
    WAL_BLOCK = 32768,
    WAL_PART_HEADER = 7,
    WAL_RECORD_HEADER = 3,
    WAL_VERSION = 1,
    WAL_START_PAYLOAD = 1 + 4 + 8, /* of the first record */
    WAL_START = WAL_PART_HEADER + WAL_START_PAYLOAD,
};

enum wal_part_type { WAL_FULL = 1, WAL_FIRST, WAL_MIDDLE, WAL_LAST };
enum wal_kind { WAL_BEGIN, WAL_PUT, WAL_DELETE };

/* The checksum that stands in a part's header. */
static inline uint32_t wal_part_checksum(uint8_t type, const void *payload, size_t size)
{
    return crc32c_mask(crc32c_extend(crc32c_extend(0, &type, 1), payload, size));
}

/* Writes the header in front of the payload, which is already there. */
static inline void wal_part_seal(unsigned char *part, enum wal_part_type type, size_t size)
{
    uint32_t sum = wal_part_checksum((uint8_t)type, part + WAL_PART_HEADER, size);
    uint16_t size16 = (uint16_t)size;
    memcpy(part, &sum, sizeof sum);
    memcpy(part + 4, &size16, sizeof size16);
    part[6] = (unsigned char)type;
}

/* The first record, with which every log file begins. */
static inline void wal_start_write(unsigned char start[static WAL_START])
{
    uint32_t version = WAL_VERSION;
    unsigned char *payload = start + WAL_PART_HEADER;
    payload[0] = WAL_BEGIN;
    memcpy(payload + 1, &version, sizeof version);
    memcpy(payload + 5, WAL_MAGIC, 8);
    wal_part_seal(start, WAL_FULL, WAL_START_PAYLOAD);
}

#endif
