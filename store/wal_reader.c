#include "store/wal_reader.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum part_state { PART_OK, PART_END, PART_BAD, PART_UNREADABLE };

struct part {
    uint64_t offset; /* of its header */
    enum wal_part_type type;
    const unsigned char *payload; /* valid until another block is loaded */
    size_t size;
    const char *wrong; /* PART_BAD: what */
};

struct reader {
    int fd;
    uint64_t size;       /* of the file */
    uint64_t loaded;     /* offset of the block below; UINT64_MAX: none */
    size_t loaded_bytes; /* of it that are in the file */
    struct pool_thread *here;
    unsigned char *record; /* put together from parts */
    size_t record_size, record_room;
    unsigned char block[WAL_BLOCK];
};

static int block_load(struct reader *r, uint64_t start)
{
    if (r->loaded == start)
        return 0;
    size_t have = 0, want = r->size - start < WAL_BLOCK ? (size_t)(r->size - start) : WAL_BLOCK;
    r->loaded = UINT64_MAX;
    while (have < want) {
        ssize_t n = pread(r->fd, r->block + have, want - have, (off_t)(start + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0) /* shortened by somebody meanwhile */
            break;
        have += (size_t)n;
    }
    r->loaded = start;
    r->loaded_bytes = have;
    return 0;
}

static int all_zero(const unsigned char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i])
            return 0;
    return 1;
}

/* What is wrong with the part at this place of the loaded block, or NULL. */
static const char *part_check(const struct reader *r, size_t at, struct part *p)
{
    const unsigned char *header = r->block + at;
    uint32_t sum;
    uint16_t size;
    if (r->loaded_bytes - at < WAL_PART_HEADER)
        return "cut short";
    memcpy(&sum, header, sizeof sum);
    memcpy(&size, header + 4, sizeof size);
    if (size > WAL_BLOCK - WAL_PART_HEADER - at)
        return "length past the end of its block";
    if (size > r->loaded_bytes - WAL_PART_HEADER - at)
        return "cut short";
    if (sum != wal_part_checksum(header[6], header + WAL_PART_HEADER, size))
        return "bad checksum";
    if (header[6] < WAL_FULL || header[6] > WAL_LAST)
        return "unknown type of part";
    p->type = header[6];
    p->payload = header + WAL_PART_HEADER;
    p->size = size;
    return NULL;
}

/* The part at an offset, or behind the trailer that is there. */
static enum part_state part_read(struct reader *r, uint64_t offset, struct part *p)
{
    for (;;) {
        size_t at = offset % WAL_BLOCK;
        p->offset = offset;
        if (offset >= r->size)
            return PART_END;
        if (block_load(r, offset - at) != 0)
            return PART_UNREADABLE;
        if (at >= r->loaded_bytes)
            return PART_END;
        if (WAL_BLOCK - at >= WAL_PART_HEADER)
            break;
        if (!all_zero(r->block + at, r->loaded_bytes - at)) {
            p->wrong = "a trailer that is not zero";
            return PART_BAD;
        }
        offset += WAL_BLOCK - at;
    }
    p->wrong = part_check(r, offset % WAL_BLOCK, p);
    return p->wrong ? PART_BAD : PART_OK;
}

/* 1 if something right stands behind a bad part, 0 if not, -1 if it cannot be read. */
static int anything_behind(struct reader *r, uint64_t bad)
{
    struct part p;
    uint64_t start = bad - bad % WAL_BLOCK;
    if (block_load(r, start) != 0)
        return -1;
    for (size_t at = bad % WAL_BLOCK + 1; at + WAL_PART_HEADER <= r->loaded_bytes; at++)
        if (r->block[at + 6] >= WAL_FULL && r->block[at + 6] <= WAL_LAST && !part_check(r, at, &p))
            return 1;
    while ((start += WAL_BLOCK) < r->size) {
        if (block_load(r, start) != 0)
            return -1;
        if (!part_check(r, 0, &p))
            return 1;
    }
    return 0;
}

/* ---- records ---- */

static int record_extend(struct reader *r, const struct part *p)
{
    size_t size = r->record_size + p->size;
    if (size > r->record_room) {
        size_t room = size * 2;
        unsigned char *wider = pool_reserve(r->here, 16, room);
        if (!wider)
            return STORE_NO_MEMORY;
        if (r->record) {
            memcpy(wider, r->record, r->record_size);
            pool_unreserve(r->here, r->record, r->record_room);
        }
        r->record = wider;
        r->record_room = room;
    }
    if (p->size) /* a first part may be empty, and there is no room yet */
        memcpy(r->record + r->record_size, p->payload, p->size);
    r->record_size = size;
    return STORE_OK;
}

static int corrupt(struct store_trouble *trouble, uint64_t offset, const char *what)
{
    trouble->offset = offset;
    trouble->what = what;
    return STORE_CORRUPT;
}

static int unreadable(struct store_trouble *trouble)
{
    trouble->what = strerrordesc_np(errno);
    return STORE_IO;
}

static int record_visit(const unsigned char *record, size_t size, uint64_t offset, wal_visit *visit,
                        void *context, struct store_trouble *trouble)
{
    uint16_t key_size;
    if (size < WAL_RECORD_HEADER)
        return corrupt(trouble, offset, "a record without kind and key");
    if (record[0] != WAL_PUT && record[0] != WAL_DELETE)
        return corrupt(trouble, offset, "unknown kind of record");
    memcpy(&key_size, record + 1, sizeof key_size);
    size -= WAL_RECORD_HEADER;
    if (!key_size || key_size > size || size - key_size > STORE_VALUE_MAX ||
        (record[0] == WAL_DELETE && size != key_size))
        return corrupt(trouble, offset, "impossible sizes of key and value");
    const unsigned char *key = record + WAL_RECORD_HEADER;
    return visit(context, record[0], key, key_size, key + key_size, size - key_size);
}

/* Adds a part to the record it belongs to and hands out the record it completes. *begin is the
 * record's first part, UINT64_MAX between records. */
static int part_take(struct reader *r, const struct part *p, uint64_t *begin, wal_visit *visit,
                     void *context, struct wal_contents *contents, struct store_trouble *trouble)
{
    int inside = *begin != UINT64_MAX, opens = p->type == WAL_FULL || p->type == WAL_FIRST;
    if (inside && opens)
        return corrupt(trouble, p->offset, "a record begins inside another");
    if (!inside && !opens)
        return corrupt(trouble, p->offset, "a part without the beginning of its record");
    const unsigned char *record = p->payload;
    size_t size = p->size;
    if (opens) {
        *begin = p->offset;
        r->record_size = 0;
    }
    if (p->type != WAL_FULL) {
        if (r->record_size + size > WAL_RECORD_HEADER + STORE_KEY_MAX + STORE_VALUE_MAX)
            return corrupt(trouble, *begin, "a record longer than any");
        int error = record_extend(r, p);
        if (error != STORE_OK || p->type != WAL_LAST)
            return error;
        record = r->record;
        size = r->record_size;
    }
    int error = record_visit(record, size, *begin, visit, context, trouble);
    if (error != STORE_OK)
        return error;
    *begin = UINT64_MAX;
    contents->records++;
    contents->end = p->offset + WAL_PART_HEADER + p->size;
    return STORE_OK;
}

/*
 * The file's first record. It was synced before anything else was written: a file that is long
 * enough for it and has another is not ours, and must not be taken for a torn one and cut.
 */
static int start_read(struct reader *r, struct wal_contents *contents,
                      struct store_trouble *trouble)
{
    unsigned char want[WAL_START];
    wal_start_write(want);
    if (block_load(r, 0) != 0)
        return unreadable(trouble);
    if (r->loaded_bytes >= WAL_START && memcmp(r->block, want, WAL_START) == 0) {
        contents->end = WAL_START;
        return STORE_OK;
    }
    if (r->loaded_bytes <= WAL_START && all_zero(r->block, r->loaded_bytes))
        return STORE_OK;
    if (r->loaded_bytes < WAL_START && memcmp(r->block, want, r->loaded_bytes) == 0)
        return STORE_OK;
    struct part p;
    int other = r->loaded_bytes >= WAL_START && !part_check(r, 0, &p) &&
                p.size == WAL_START_PAYLOAD && memcmp(p.payload + 5, WAL_MAGIC, 8) == 0;
    return corrupt(trouble, 0, other ? "a log of an unknown version" : "not a log of this store");
}

static int records_read(struct reader *r, wal_visit *visit, void *context,
                        struct wal_contents *contents, struct store_trouble *trouble)
{
    uint64_t begin = UINT64_MAX;
    int error = start_read(r, contents, trouble);
    for (uint64_t offset = contents->end; error == STORE_OK && offset;) {
        struct part p;
        enum part_state state = part_read(r, offset, &p);
        if (state == PART_OK) {
            error = part_take(r, &p, &begin, visit, context, contents, trouble);
            offset = p.offset + WAL_PART_HEADER + p.size;
            continue;
        }
        int more = state == PART_BAD ? anything_behind(r, p.offset) : 0;
        if (state == PART_UNREADABLE || more < 0)
            return unreadable(trouble);
        return more ? corrupt(trouble, p.offset, p.wrong) : STORE_OK;
    }
    return error;
}

int wal_read(int fd, struct pool_thread *here, wal_visit *visit, void *context,
             struct wal_contents *contents, struct store_trouble *trouble)
{
    struct stat status;
    *contents = (struct wal_contents){0};
    if (fstat(fd, &status) != 0)
        return unreadable(trouble);
    struct reader *r = pool_reserve(here, 16, sizeof *r);
    if (!r)
        return STORE_NO_MEMORY;
    r->fd = fd;
    r->size = (uint64_t)status.st_size;
    r->loaded = UINT64_MAX;
    r->loaded_bytes = 0;
    r->here = here;
    r->record = NULL;
    r->record_size = r->record_room = 0;
    int error = records_read(r, visit, context, contents, trouble);
    if (r->record)
        pool_unreserve(here, r->record, r->record_room);
    pool_unreserve(here, r, sizeof *r);
    return error;
}
