#include "store/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/wal_queue.h"

enum { BUFFER = 2 * WAL_BLOCK }; /* a part of any size fits */

struct wal {
    struct wal_queue queue;
    struct wal_counters counters; /* written by the leader, read by anybody */

    /* the leader's alone */
    int fd;
    int broken; /* the error of all further writes, or STORE_OK */
    uint64_t sync_every;
    uint64_t unsynced; /* writes */
    uint64_t written;  /* bytes of the file */
    size_t filled;     /* bytes of the buffer, which belong behind them */
    unsigned char buffer[BUFFER];
};

static int error_of(int system)
{
    return system == ENOSPC || system == EDQUOT || system == EFBIG ? STORE_NO_SPACE : STORE_IO;
}

/* ---- writing ---- */

static int buffer_flush(struct wal *w)
{
    for (size_t done = 0; done < w->filled;) {
        ssize_t n = pwrite(w->fd, w->buffer + done, w->filled - done, (off_t)(w->written + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? error_of(errno) : STORE_IO;
        done += (size_t)n;
    }
    w->written += w->filled;
    w->filled = 0;
    return STORE_OK;
}

/* What is left to write of a record's header, key and value. */
struct source {
    struct {
        const unsigned char *bytes;
        size_t size;
    } piece[3];
    size_t size;
};

static void source_copy(struct source *s, unsigned char *to, size_t size)
{
    s->size -= size;
    for (int i = 0; size; i++) {
        size_t n = s->piece[i].size < size ? s->piece[i].size : size;
        if (n) /* memcpy of nothing from NULL is undefined */
            memcpy(to, s->piece[i].bytes, n);
        s->piece[i].bytes += n;
        s->piece[i].size -= n;
        to += n;
        size -= n;
    }
}

static int record_write(struct wal *w, const struct wal_record *r)
{
    unsigned char header[WAL_RECORD_HEADER] = {(unsigned char)r->kind};
    uint16_t key_size = (uint16_t)r->key_size;
    memcpy(header + 1, &key_size, sizeof key_size);
    struct source source = {
        {{header, sizeof header}, {r->key, r->key_size}, {r->value, r->value_size}},
        sizeof header + r->key_size + r->value_size};
    for (int first = 1; first || source.size;) {
        size_t room = WAL_BLOCK - (w->written + w->filled) % WAL_BLOCK;
        size_t wanted = room < WAL_PART_HEADER ? room : source.size + WAL_PART_HEADER;
        if (wanted > room)
            wanted = room;
        if (w->filled + wanted > BUFFER) {
            int error = buffer_flush(w);
            if (error != STORE_OK)
                return error;
        }
        unsigned char *part = w->buffer + w->filled;
        w->filled += wanted;
        if (room < WAL_PART_HEADER) {
            memset(part, 0, room);
            continue;
        }
        size_t size = wanted - WAL_PART_HEADER;
        source_copy(&source, part + WAL_PART_HEADER, size);
        wal_part_seal(part,
                      first         ? source.size ? WAL_FIRST : WAL_FULL
                      : source.size ? WAL_MIDDLE
                                    : WAL_LAST,
                      size);
        first = 0;
    }
    return STORE_OK;
}

static int log_sync(struct wal *w, uint64_t *took_ns)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    int error = fdatasync(w->fd) == 0 ? STORE_OK : error_of(errno);
    clock_gettime(CLOCK_MONOTONIC, &b);
    *took_ns =
        (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u + (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
    if (error != STORE_OK)
        w->broken = error;
    return error;
}

/* Only one thread at a time adds. */
static void counters_add(struct wal *w, const struct wal_counters *more)
{
#define X(name)                                                                                    \
    if (more->name)                                                                                \
        __atomic_store_n(&w->counters.name, w->counters.name + more->name, __ATOMIC_RELAXED);
    WAL_COUNTERS(X)
#undef X
}

/* Writes first … last. */
static int group_write(struct wal *w, struct wal_record *first, const struct wal_record *last)
{
    struct wal_counters added = {0};
    uint64_t before = w->written;
    int error = w->broken;
    if (error != STORE_OK)
        return error;
    for (struct wal_record *r = first; error == STORE_OK; r = r->next) {
        error = record_write(w, r);
        added.wal_writes++;
        if (r == last) /* its next is not ours to read */
            break;
    }
    if (error == STORE_OK)
        error = buffer_flush(w);
    bool due = w->sync_every && w->unsynced + added.wal_writes >= w->sync_every;
    wal_queue_slow(&w->queue, due);
    if (error == STORE_OK && due) {
        error = log_sync(w, &added.wal_sync_ns);
        added.wal_syncs = error == STORE_OK;
    }
    if (error != STORE_OK) {
        /* or a later, shorter group would leave the rest of this one behind itself */
        if (ftruncate(w->fd, (off_t)before) != 0)
            w->broken = error;
        w->written = before;
        w->filled = 0;
        return error;
    }
    w->unsynced = added.wal_syncs ? 0 : w->unsynced + added.wal_writes;
    added.wal_bytes = w->written - before;
    counters_add(w, &added);
    return STORE_OK;
}

/* ---- groups ---- */

static void apply_all(struct wal_record *first, const struct wal_record *last)
{
    for (struct wal_record *r = first;; r = r->next) {
        r->apply(r);
        if (r == last)
            break;
    }
}

/* All but the leader's own are gone, their threads' stacks, when they are released. */
static void release_all(struct wal_record *first, const struct wal_record *last,
                        const struct wal_record *own, int error)
{
    for (struct wal_record *r = first, *next; r; r = next) {
        next = r == last ? NULL : r->next;
        r->error = error;
        if (r != own)
            wal_queue_release(r);
    }
}

/* Writes the group that begins with `first`. The first of the next group, or NULL. */
static struct wal_record *group_commit(struct wal *w, struct wal_record *first,
                                       const struct wal_record *own)
{
    struct wal_record *last = wal_queue_close(&w->queue, first);
    int error = group_write(w, first, last);
    if (error == STORE_OK)
        apply_all(first, last);
    struct wal_record *next = wal_queue_leave(&w->queue, last);
    release_all(first, last, own, error);
    return next;
}

/*
 * Where nothing is synced, the group of a thread that sleeps is written for it: to wake it takes
 * longer, and where CPUs are short, all would wait until it gets one. Not for ever, or the own
 * write would never return.
 */
static void lead(struct wal *w, struct wal_record *own)
{
    enum { others_most = 8 };
    struct wal_record *next = group_commit(w, own, own);
    for (int i = 0; i < others_most && next && !w->sync_every && wal_queue_sleeps(next); i++)
        next = group_commit(w, next, own);
    if (next) /* what those who were released write next may still be in its group */
        wal_queue_lead(next);
}

int wal_commit(struct wal *w, struct wal_record *r)
{
    if (wal_queue_join(&w->queue, r))
        lead(w, r);
    return r->error;
}

int wal_sync_every(struct wal *w, uint64_t sync_every)
{
    int error = w->broken;
    w->sync_every = sync_every;
    if (error == STORE_OK && sync_every && w->unsynced >= sync_every) {
        struct wal_counters added = {0};
        error = log_sync(w, &added.wal_sync_ns);
        added.wal_syncs = error == STORE_OK;
        w->unsynced = error == STORE_OK ? 0 : w->unsynced;
        counters_add(w, &added);
    }
    return error;
}

void wal_count(struct wal *w, struct wal_counters *out)
{
#define X(name) out->name = __atomic_load_n(&w->counters.name, __ATOMIC_RELAXED);
    WAL_COUNTERS(X)
#undef X
}

/* ---- open and close ---- */

static int fail(struct store_trouble *trouble, int error, const char *what)
{
    trouble->what = what;
    return error;
}

static int fail_system(struct store_trouble *trouble)
{
    int system = errno;
    return fail(trouble, error_of(system), strerrordesc_np(system));
}

/* Makes the names of a new file, and of a new directory, as durable as their contents. */
static int names_sync(const char *directory, int made)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (rc == 0 && made) {
        int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = parent < 0 ? -1 : fsync(parent);
        if (parent >= 0)
            close(parent);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static int file_open(struct wal *w, const char *directory, int *made, struct store_trouble *trouble)
{
    struct stat status;
    int n = snprintf(trouble->file, sizeof trouble->file, "%s", directory);
    if (n < 0 || (size_t)n + sizeof "/" WAL_FILE_NAME > sizeof trouble->file)
        return fail(trouble, STORE_IO, strerrordesc_np(ENAMETOOLONG));
    *made = mkdir(directory, 0700) == 0;
    if (!*made && errno != EEXIST)
        return fail_system(trouble);
    strcpy(trouble->file + n, "/" WAL_FILE_NAME);
    w->fd = open(trouble->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (w->fd < 0 || fstat(w->fd, &status) != 0)
        return fail_system(trouble);
    if (!S_ISREG(status.st_mode))
        return fail(trouble, STORE_IO, "not a regular file");
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? fail(trouble, STORE_BUSY, "in use by another store")
                                    : fail_system(trouble);
    return STORE_OK;
}

/* Cuts off what is torn, and writes the beginning of a log that has none. All synced: a torn end
 * must not come back behind what is written next. */
static int file_begin(struct wal *w, const char *directory, int made, uint64_t end,
                      struct store_trouble *trouble)
{
    struct stat status;
    if (fstat(w->fd, &status) != 0)
        return fail_system(trouble);
    w->counters.wal_cut_bytes = (uint64_t)status.st_size - end;
    w->written = end;
    if (w->counters.wal_cut_bytes && ftruncate(w->fd, (off_t)end) != 0)
        return fail_system(trouble);
    if (end == 0) {
        wal_start_write(w->buffer);
        w->filled = WAL_START;
        errno = EIO;
        if (buffer_flush(w) != STORE_OK)
            return fail_system(trouble);
    }
    if ((end == 0 || w->counters.wal_cut_bytes) && fdatasync(w->fd) != 0)
        return fail_system(trouble);
    return end == 0 && names_sync(directory, made) != 0 ? fail_system(trouble) : STORE_OK;
}

int wal_open(struct wal **out, const char *directory, uint64_t sync_every, struct pool_thread *here,
             wal_visit *visit, void *context, struct store_trouble *trouble)
{
    struct wal_contents contents;
    int made = 0;
    *out = NULL;
    struct wal *w = pool_reserve(here, 16, sizeof *w);
    if (!w)
        return STORE_NO_MEMORY;
    memset(w, 0, sizeof *w);
    w->fd = -1;
    w->sync_every = sync_every;
    wal_queue_init(&w->queue);
    int error = file_open(w, directory, &made, trouble);
    if (error == STORE_OK)
        error = wal_read(w->fd, here, visit, context, &contents, trouble);
    if (error == STORE_OK)
        error = file_begin(w, directory, made, contents.end, trouble);
    if (error != STORE_OK) {
        wal_close(w, here);
        return error;
    }
    w->counters.wal_replayed = contents.records;
    *out = w;
    return STORE_OK;
}

int wal_close(struct wal *w, struct pool_thread *here)
{
    int error = STORE_OK;
    if (!w)
        return error;
    uint64_t ns;
    if (w->unsynced) {
        error = w->broken; /* a sync that is fine now says nothing of the one that was not */
        int last = log_sync(w, &ns);
        error = error == STORE_OK ? last : error;
    }
    if (w->fd >= 0)
        close(w->fd);
    pool_unreserve(here, w, sizeof *w);
    return error;
}
