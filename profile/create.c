#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "profile/profile.h"
#include "profile/sys.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
    first_chunk_bytes = 16384, /* backed for each region at the start */
    grow_chunk_bytes = 65536,  /* backed at a time later */
    retry_after_losses = 1024, /* after a full disk: events between two tries to grow */
};

/* Each region's record size and its part of the file in 1/1024ths; the rest is for later regions.
 */
static const struct {
    uint32_t record_bytes;
    uint32_t share;
} layout[PSHIM_REGION_COUNT] = {
    [PSHIM_REGION_MODULE] = {sizeof(struct pshim_module), 16},
    [PSHIM_REGION_NODE] = {sizeof(struct pshim_node), 256},
    [PSHIM_REGION_ACCOUNT] = {sizeof(struct pshim_account), 384},
    [PSHIM_REGION_THREAD] = {sizeof(struct pshim_thread), 64},
    [PSHIM_REGION_PROGRESS] = {sizeof(struct pshim_progress), 16},
    [PSHIM_REGION_STRING] = {1, 32},
    [PSHIM_REGION_LOCK] = {sizeof(struct pshim_lock), 32},
    [PSHIM_REGION_HISTOGRAM] = {sizeof(struct pshim_histogram), 96},
    [PSHIM_REGION_MOMENT] = {sizeof(struct pshim_moment), 16},
};

static uint64_t page_floor(uint64_t bytes)
{
    return bytes & ~(uint64_t)(PSHIM_PAGE_BYTES - 1);
}

static void layout_fill(struct pshim_header *h, uint64_t file_bytes)
{
    uint64_t offset = PSHIM_HEADER_BYTES;
    for (unsigned i = 0; i < PSHIM_REGION_COUNT; i++) {
        uint64_t bytes = page_floor((file_bytes - PSHIM_HEADER_BYTES) / 1024 * layout[i].share);
        struct pshim_region *r = &h->regions[i];
        r->offset = offset;
        r->record_bytes = layout[i].record_bytes;
        r->capacity = bytes / layout[i].record_bytes;
        r->id = i;
        offset += bytes;
    }
    /* Their ids stand in 24 bits. */
    static const uint8_t limited[] = {PSHIM_REGION_NODE, PSHIM_REGION_ACCOUNT, PSHIM_REGION_LOCK};
    for (unsigned i = 0; i < sizeof limited; i++)
        if (h->regions[limited[i]].capacity > PSHIM_NODE_MAX - 1)
            h->regions[limited[i]].capacity = PSHIM_NODE_MAX - 1;
    h->region_count = PSHIM_REGION_COUNT;
}

/*
 * Makes [from, to) of the mapping usable: first readable and writable, then filled with disk
 * blocks, so that a full disk is an error here and not a SIGBUS at some later store. Doing it twice
 * is harmless, which is why growing needs no lock.
 */
static long range_back(uint8_t *base, uint64_t from, uint64_t to)
{
    long r = sys_call3(SYS_mprotect, base + from, to - from, PROT_READ | PROT_WRITE);
    if (r == 0)
        r = sys_call3(SYS_madvise, base + from, to - from, MADV_POPULATE_WRITE);
    return r;
}

static int region_back(struct profile *p, struct pshim_region *r, uint64_t need)
{
    uint64_t region_bytes = r->capacity * r->record_bytes;
    uint64_t have = pshim_load(&r->backed_bytes);
    if (have >= need)
        return PROFILE_OK; /* another thread was faster */
    uint64_t step = have ? grow_chunk_bytes : first_chunk_bytes;
    uint64_t want = (need + step - 1) / step * step;
    uint64_t limit = (region_bytes + PSHIM_PAGE_BYTES - 1) & ~(uint64_t)(PSHIM_PAGE_BYTES - 1);
    if (want > limit)
        want = limit;
    uint64_t full = pshim_load(&p->header->losses[PSHIM_LOSS_disk_full]);
    if (full % retry_after_losses != 0 || range_back(p->base, r->offset + have, r->offset + want)) {
        profile_lost(p, PSHIM_LOSS_disk_full, 1);
        return PROFILE_NO_SPACE;
    }
    while (have < want && !__atomic_compare_exchange_n(&r->backed_bytes, &have, want, 0,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return PROFILE_OK;
}

int profile_allot(struct profile *p, enum pshim_region_id region, uint32_t count, uint32_t *index)
{
    struct pshim_region *r = profile_region(p, region);
    uint64_t first = pshim_load(&r->used);
    do {
        if (first + count > r->capacity)
            return PROFILE_FULL;
        uint64_t need = (first + count) * r->record_bytes;
        /* Room first: a full disk must not use up records that it could hold later. */
        int error = need > pshim_load(&r->backed_bytes) ? region_back(p, r, need) : PROFILE_OK;
        if (error)
            return error;
    } while (!__atomic_compare_exchange_n(&r->used, &first, first + count, 0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    *index = (uint32_t)first;
    return PROFILE_OK;
}

uint32_t profile_string_add(struct profile *p, const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n])
        n++;
    uint32_t at;
    if (n == 0)
        return 0;
    if (profile_allot(p, PSHIM_REGION_STRING, (uint32_t)n + 1, &at) != PROFILE_OK) {
        profile_lost(p, PSHIM_LOSS_string_table_full, 1);
        return 0;
    }
    char *to = profile_record(p, PSHIM_REGION_STRING, at);
    memcpy(to, s, n);
    to[n] = '\0';
    return at;
}

/* Kernels before 5.14 have no MADV_POPULATE_WRITE: give the whole file its disk room now. */
static long file_back_all(int fd, uint8_t *base, uint64_t file_bytes)
{
    long r = sys_call4(SYS_fallocate, fd, 0, 0, file_bytes);
    return r ? r : sys_call3(SYS_mprotect, base, file_bytes, PROT_READ | PROT_WRITE);
}

static int file_set_up(int fd, uint64_t file_bytes, struct profile *out, int *os_error)
{
    struct rlimit limit = {0, 0};
    sys_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &limit);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < file_bytes)
        return PROFILE_FILE_LIMIT; /* growing past it would raise SIGXFSZ in the host */
    long r = sys_call2(SYS_ftruncate, fd, file_bytes);
    if (r < 0) {
        *os_error = (int)-r;
        return PROFILE_NO_SPACE;
    }
    r = sys_call6(SYS_mmap, 0, (long)file_bytes, PROT_NONE, MAP_SHARED, fd, 0);
    if (r < 0 && r > -4096) {
        *os_error = (int)-r;
        return PROFILE_MAP;
    }
    out->base = (uint8_t *)r;
    out->header = (struct pshim_header *)r;
    out->bytes = file_bytes;
    /* A fault would read ahead, all of it holes: some disks are set to 8 MiB, 2.4 ms each time. */
    sys_call3(SYS_madvise, out->base, file_bytes, MADV_RANDOM);
    int whole = 0;
    r = range_back(out->base, 0, PSHIM_HEADER_BYTES);
    if (r == -EINVAL) {
        whole = 1;
        r = file_back_all(fd, out->base, file_bytes);
    }
    if (r < 0) {
        *os_error = (int)-r;
        return PROFILE_NO_SPACE;
    }
    struct pshim_header *h = out->header;
    h->version = PSHIM_VERSION;
    h->header_bytes = PSHIM_HEADER_BYTES;
    h->file_bytes = file_bytes;
    layout_fill(h, file_bytes);
    for (unsigned i = 0; i < PSHIM_REGION_COUNT; i++) {
        struct pshim_region *region = &h->regions[i];
        if (whole)
            region->backed_bytes = region->capacity * region->record_bytes;
        else if (region->capacity && region_back(out, region, 1))
            return PROFILE_NO_SPACE;
    }
    memcpy(h->magic, PSHIM_MAGIC, sizeof h->magic);
    /* Index 0 of these means "none", and module 1 is PSHIM_MODULE_ANON. */
    h->regions[PSHIM_REGION_MODULE].used = 2;
    h->regions[PSHIM_REGION_NODE].used = 1;
    h->regions[PSHIM_REGION_STRING].used = 1;
    return PROFILE_OK;
}

int profile_create(const char *path, uint64_t max_bytes, struct profile *out, int *os_error)
{
    uint64_t file_bytes = page_floor(max_bytes);
    if (file_bytes < PSHIM_HEADER_BYTES)
        file_bytes = PSHIM_HEADER_BYTES;
    *os_error = 0;
    *out = (struct profile){0};
    long fd = sys_call4(SYS_openat, AT_FDCWD, path,
                        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        *os_error = (int)-fd;
        return fd == -EEXIST ? PROFILE_EXISTS : PROFILE_OPEN;
    }
    int error = file_set_up((int)fd, file_bytes, out, os_error);
    sys_call1(SYS_close, fd);
    if (error) {
        if (out->base)
            sys_call2(SYS_munmap, out->base, out->bytes);
        sys_call2(SYS_unlink, path, 0);
        *out = (struct profile){0};
    }
    return error;
}
