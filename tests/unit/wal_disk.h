/*
 * For tests of the log: a disk that fails on command. It defines the calls that the log makes, in
 * place of libc's, so include it in the one source file of a test program.
 */
#ifndef PERFSHIM_TESTS_WAL_DISK_H
#define PERFSHIM_TESTS_WAL_DISK_H

#include <errno.h>
#include <sys/syscall.h>

#include "tests/unit/wal_files.h"

static struct {
    int write_error;           /* pwrite: this errno … */
    int64_t write_room;        /* … when so many bytes more were written; -1: it does not fail */
    int write_short, eintr;    /* pwrite: at most this many bytes a call; first fails with EINTR */
    int sync_error, cut_error; /* fdatasync, ftruncate */
    unsigned sync_us;          /* how long fdatasync takes */
    uint64_t syncs, synced_bytes;
} disk;

static void disk_reset(void)
{
    memset(&disk, 0, sizeof disk);
    disk.write_room = -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    if (disk.eintr && disk.eintr-- > 0) {
        errno = EINTR;
        return -1;
    }
    if (disk.write_short && size > (size_t)disk.write_short)
        size = (size_t)disk.write_short;
    if (disk.write_room >= 0) {
        if (disk.write_room == 0) {
            errno = disk.write_error;
            return -1;
        }
        if ((int64_t)size > disk.write_room)
            size = (size_t)disk.write_room;
        disk.write_room -= (int64_t)size;
    }
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

int fdatasync(int fd)
{
    struct stat status;
    fstat(fd, &status);
    if (disk.sync_us)
        usleep(disk.sync_us);
    if (disk.sync_error) {
        errno = disk.sync_error;
        return -1;
    }
    __atomic_add_fetch(&disk.syncs, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&disk.synced_bytes, (uint64_t)status.st_size, __ATOMIC_SEQ_CST);
    return 0;
}

int ftruncate(int fd, off_t size)
{
    if (disk.cut_error) {
        errno = disk.cut_error;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}

static inline struct store *open_log(uint64_t sync_every)
{
    struct store *store;
    struct store_trouble trouble;
    int rc = wal_store_open(&store, sync_every, &trouble);
    if (rc != STORE_OK)
        print_error("%s: %s\n", trouble.file, trouble.what);
    assert_int_equal(rc, STORE_OK);
    return store;
}

static inline void close_clean(struct store *store)
{
    struct store_statistics last;
    assert_int_equal(store_close(store, &last), STORE_OK);
    assert_int_equal(last.allocs, last.frees);
    assert_int_equal(last.alloc_bytes, last.free_bytes);
    assert_int_equal(last.pool_gets, last.pool_puts);
}

static inline int disk_begin(void **state)
{
    (void)state;
    disk_reset();
    wal_files_begin();
    return 0;
}

static inline int disk_end(void **state)
{
    (void)state;
    disk_reset();
    wal_files_end();
    return 0;
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, disk_begin, disk_end)

#endif
