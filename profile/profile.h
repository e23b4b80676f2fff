/*
 * The profile file: create and grow (the shim), open read-only (the analyzer).
 *
 * Neither allocates nor prints. The writer side makes raw system calls only, leaves errno alone and
 * is async-signal-safe; it may be called from any thread, and no thread waits for another.
 * Errors are one negative enum; profile_error_text() names them.
 */
#ifndef PERFSHIM_PROFILE_PROFILE_H
#define PERFSHIM_PROFILE_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#include "profile/format.h"

#define PROFILE_ERRORS(X)                                                                          \
    X(OK, 0, "ok")                                                                                 \
    X(OPEN, -1, "cannot open")                                                                     \
    X(EXISTS, -2, "already exists")                                                                \
    X(NO_SPACE, -3, "no space for the profile")                                                    \
    X(FILE_LIMIT, -4, "the file size limit is too small for the profile")                          \
    X(MAP, -5, "cannot map")                                                                       \
    X(EMPTY, -6, "is empty")                                                                       \
    X(FOREIGN, -7, "is not a perfshim profile")                                                    \
    X(NEWER, -8, "was written by a newer perfshim")                                                \
    X(TRUNCATED, -9, "is truncated")                                                               \
    X(DAMAGED, -10, "is damaged")                                                                  \
    X(NOT_READY, -11, "was not set up completely")                                                 \
    X(FULL, -12, "a table is full")                                                                \
    X(DIRECTORY, -13, "is a directory")

enum profile_error {
#define X(id, value, text) PROFILE_##id = value,
    PROFILE_ERRORS(X)
#undef X
};
const char *profile_error_text(int error);

enum { profile_mb_default = 64 }; /* its largest size, in MiB, where nobody says another */

/* An open profile: base points to struct pshim_header. Plain data, copied freely. */
struct profile {
    struct pshim_header *header;
    uint8_t *base;
    uint64_t bytes; /* mapped bytes */
};

/*
 * Writer. Creates `path` (O_EXCL, O_NOFOLLOW, 0600) of `max_bytes`, maps it, backs the first pages
 * of every region, fills magic, version and the region table, and closes the descriptor. The caller
 * fills the process facts and then sets header->ready. On error nothing is left behind, except a
 * file of that name that existed before. *os_error gets the errno value of the call that failed.
 */
int profile_create(const char *path, uint64_t max_bytes, struct profile *out, int *os_error);

/*
 * Hands out `count` consecutive new records of a region, zeroed and backed by disk room; *index
 * gets the first. PROFILE_FULL when the region is full, PROFILE_NO_SPACE when the disk is (nothing
 * is handed out then). Lock-free.
 */
int profile_allot(struct profile *p, enum pshim_region_id region, uint32_t count, uint32_t *index);

/* Copies a NUL-terminated string of at most `max` bytes into the STRING region; its reference, or
 * 0. */
uint32_t profile_string_add(struct profile *p, const char *s, size_t max);

static inline struct pshim_region *profile_region(const struct profile *p, enum pshim_region_id id)
{
    return &p->header->regions[id];
}
/* Records that a reader may look at: handed out, within the table, and with room on the disk. */
static inline uint32_t profile_count(const struct profile *p, enum pshim_region_id id)
{
    const struct pshim_region *r = &p->header->regions[id];
    if ((unsigned)id >= p->header->region_count)
        return 0; /* of an earlier writer */
    uint64_t used = pshim_load(&r->used), backed = pshim_load(&r->backed_bytes) / r->record_bytes;
    uint64_t most = r->capacity < backed ? r->capacity : backed;
    return (uint32_t)(used < most ? used : most);
}
static inline void *profile_record(const struct profile *p, enum pshim_region_id id, uint32_t index)
{
    const struct pshim_region *r = &p->header->regions[id];
    return p->base + r->offset + (uint64_t)r->record_bytes * index;
}
static inline void profile_lost(const struct profile *p, enum pshim_loss reason, uint64_t n)
{
    __atomic_fetch_add(&p->header->losses[reason], n, __ATOMIC_RELAXED);
}

/*
 * Reader. Maps `path` read-only and checks magic, version, size and every bound of the region
 * table, so that records with index < min(used, capacity) can be read safely; what records refer to
 * must still be checked by the reader. `why` (may be NULL) gets "what and where" of a damaged file.
 */
int profile_open(const char *path, struct profile *out, char why[static 160], int *os_error);
void profile_close(struct profile *p);

/* A string of the file, or "" when the reference is 0 or out of range or not terminated. */
const char *profile_string(const struct profile *p, uint32_t ref);

#endif
