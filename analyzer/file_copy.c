#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/file_copy.h"
#include "analyzer/memory.h"

enum { page_bytes = 4096, chunk_bytes = 64 * page_bytes };

static bool is_zero(const char *bytes, size_t n)
{
    return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

static int write_at(int to, const char *bytes, size_t n, off_t at)
{
    while (n) {
        ssize_t written = pwrite(to, bytes, n, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written ? errno : EIO;
        bytes += written;
        n -= (size_t)written;
        at += written;
    }
    return 0;
}

/* Runs of pages that hold something. */
static int chunk_write(int to, const char *bytes, size_t n, off_t at)
{
    for (size_t i = 0, next; i < n; i = next) {
        size_t page = n - i < page_bytes ? n - i : page_bytes;
        next = i + page;
        if (is_zero(bytes + i, page))
            continue;
        while (next < n) {
            page = n - next < page_bytes ? n - next : page_bytes;
            if (is_zero(bytes + next, page))
                break;
            next += page;
        }
        int error = write_at(to, bytes + i, next - i, at + (off_t)i);
        if (error)
            return error;
    }
    return 0;
}

static int extent_copy(int from, int to, off_t at, off_t end, char *buffer)
{
    while (at < end) {
        size_t want = end - at < chunk_bytes ? (size_t)(end - at) : chunk_bytes;
        ssize_t n = pread(from, buffer, want, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? errno : 0; /* it became shorter: what is not there reads as zeros */
        int error = chunk_write(to, buffer, (size_t)n, at);
        if (error)
            return error;
        at += n;
    }
    return 0;
}

int file_copy(int from, int to)
{
    struct stat st;
    if (fstat(from, &st) != 0 || ftruncate(to, st.st_size) != 0)
        return errno;
    char *buffer = memory_new(1, chunk_bytes);
    int error = 0;
    for (off_t at = 0; at < st.st_size && !error;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* a hole up to the end */
        off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
        if (hole < 0) { /* a file system that does not tell */
            data = at;
            hole = st.st_size;
        }
        error = extent_copy(from, to, data, hole, buffer);
        at = hole;
    }
    free(buffer);
    return error;
}
