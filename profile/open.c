#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile/profile.h"

enum {
    why_bytes = 160,
    string_bytes_max = 8192, /* twice a path: a hostile file cannot make each look-up long */
};

static const struct {
    const char *name;
    uint32_t record_bytes; /* the fields that each writer had */
} known[PSHIM_REGION_COUNT] = {
    [PSHIM_REGION_MODULE] = {"module", sizeof(struct pshim_module)},
    [PSHIM_REGION_NODE] = {"node", sizeof(struct pshim_node)},
    [PSHIM_REGION_ACCOUNT] = {"account", sizeof(struct pshim_account)},
    [PSHIM_REGION_THREAD] = {"thread", PSHIM_THREAD_LEAST},
    [PSHIM_REGION_PROGRESS] = {"progress", sizeof(struct pshim_progress)},
    [PSHIM_REGION_STRING] = {"string", 1},
    [PSHIM_REGION_LOCK] = {"lock", sizeof(struct pshim_lock)},
    [PSHIM_REGION_HISTOGRAM] = {"histogram", sizeof(struct pshim_histogram)},
    [PSHIM_REGION_MOMENT] = {"moment", sizeof(struct pshim_moment)},
};

__attribute__((format(printf, 3, 4))) static int refuse(int error, char *why, const char *format,
                                                        ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_bytes, format, args);
    va_end(args);
    return error;
}

/* Every record below min(used, capacity) must lie inside the file and be aligned. */
static int region_check(const struct pshim_header *h, unsigned id, char *why)
{
    const struct pshim_region *r = &h->regions[id];
    const char *name = known[id].name;
    unsigned long at = offsetof(struct pshim_header, regions) + id * sizeof *r;
    if (r->id != id)
        return refuse(PROFILE_DAMAGED, why, "byte %lu: region %u says it is region %u", at, id,
                      r->id);
    if (r->record_bytes < known[id].record_bytes ||
        (id != PSHIM_REGION_STRING && r->record_bytes % 8 != 0))
        return refuse(PROFILE_DAMAGED, why, "byte %lu: %s records of %u bytes, expected %u", at,
                      name, r->record_bytes, known[id].record_bytes);
    if (r->offset % 8 != 0 || r->offset < h->header_bytes || r->offset > h->file_bytes)
        return refuse(PROFILE_DAMAGED, why, "byte %lu: %s region at offset %llu of %llu", at, name,
                      (unsigned long long)r->offset, (unsigned long long)h->file_bytes);
    if (r->capacity > UINT32_MAX || r->capacity > (h->file_bytes - r->offset) / r->record_bytes)
        return refuse(PROFILE_DAMAGED, why,
                      "byte %lu: %llu %s records from offset %llu end past byte %llu", at,
                      (unsigned long long)r->capacity, name, (unsigned long long)r->offset,
                      (unsigned long long)h->file_bytes);
    return PROFILE_OK;
}

static int header_check(const struct pshim_header *h, uint64_t got, uint64_t size, char *why)
{
    static const char zero[sizeof h->magic];
    if (got < sizeof h->magic || memcmp(h->magic, PSHIM_MAGIC, sizeof h->magic) != 0) {
        if (got >= sizeof h->magic && memcmp(h->magic, zero, sizeof zero) == 0)
            return refuse(PROFILE_NOT_READY, why, "byte 0: zeros instead of \"%s\"", PSHIM_MAGIC);
        return refuse(PROFILE_FOREIGN, why, "byte 0: no \"%s\"", PSHIM_MAGIC);
    }
    if (got < sizeof *h)
        return refuse(PROFILE_TRUNCATED, why, "the header needs %zu bytes, found %llu", sizeof *h,
                      (unsigned long long)size);
    if (h->version > PSHIM_VERSION)
        return refuse(PROFILE_NEWER, why, "format version %u, this one reads up to %u", h->version,
                      PSHIM_VERSION);
    if (h->version == 0)
        return refuse(PROFILE_DAMAGED, why, "byte 8: format version 0");
    if (h->header_bytes < sizeof *h || h->header_bytes > h->file_bytes)
        return refuse(PROFILE_DAMAGED, why, "byte 12: a header of %u bytes in a file of %llu",
                      h->header_bytes, (unsigned long long)h->file_bytes);
    if (size < h->file_bytes)
        return refuse(PROFILE_TRUNCATED, why, "expected %llu bytes, found %llu",
                      (unsigned long long)h->file_bytes, (unsigned long long)size);
    if (h->region_count < PSHIM_REGION_LEAST || h->region_count > PSHIM_REGION_SLOTS)
        return refuse(PROFILE_DAMAGED, why, "byte 24: %u regions, expected %u to %u",
                      h->region_count, PSHIM_REGION_LEAST, PSHIM_REGION_SLOTS);
    for (unsigned i = 0; i < PSHIM_REGION_COUNT && i < h->region_count; i++) {
        int error = region_check(h, i, why);
        if (error)
            return error;
    }
    if (pshim_load32(&h->ready) != 1)
        return refuse(PROFILE_NOT_READY, why, "byte 28: the program ended while it was set up");
    return PROFILE_OK;
}

static int descriptor_open(int fd, struct profile *out, char *why, int *os_error)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        *os_error = errno;
        return PROFILE_OPEN;
    }
    if (S_ISDIR(st.st_mode))
        return PROFILE_DIRECTORY;
    if (!S_ISREG(st.st_mode))
        return refuse(PROFILE_FOREIGN, why, "not a regular file");
    if (st.st_size == 0)
        return PROFILE_EMPTY;
    struct pshim_header h = {0};
    ssize_t got = pread(fd, &h, sizeof h, 0);
    if (got < 0) {
        *os_error = errno;
        return PROFILE_OPEN;
    }
    int error = header_check(&h, (uint64_t)got, (uint64_t)st.st_size, why);
    if (error)
        return error;
    void *base = mmap(NULL, h.file_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        *os_error = errno;
        return PROFILE_MAP;
    }
    *out = (struct profile){.header = base, .base = base, .bytes = h.file_bytes};
    return PROFILE_OK;
}

int profile_open(const char *path, struct profile *out, char why[static 160], int *os_error)
{
    *out = (struct profile){0};
    why[0] = '\0';
    *os_error = 0;
    /* O_NONBLOCK: a FIFO of that name must not hang the reader. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        *os_error = errno;
        return PROFILE_OPEN;
    }
    int error = descriptor_open(fd, out, why, os_error);
    close(fd);
    return error;
}

void profile_close(struct profile *p)
{
    if (p->base)
        munmap(p->base, p->bytes);
    *p = (struct profile){0};
}

const char *profile_string(const struct profile *p, uint32_t ref)
{
    const struct pshim_region *r = profile_region(p, PSHIM_REGION_STRING);
    uint64_t used = profile_count(p, PSHIM_REGION_STRING);
    if (ref == 0 || ref >= used)
        return "";
    uint64_t room = used - ref < string_bytes_max ? used - ref : string_bytes_max;
    const char *s = (const char *)p->base + r->offset + ref;
    return memchr(s, '\0', room) ? s : "";
}
