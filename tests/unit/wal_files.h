/*
 * For tests of the log: a directory of the test's own, whole files in and out, and a visitor that
 * keeps what it saw.
 */
#ifndef PERFSHIM_TESTS_WAL_FILES_H
#define PERFSHIM_TESTS_WAL_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "store/wal_format.h"

static char wal_directory[200], wal_file[240];

/* A name that does not exist yet. In memory if that is possible: what a disk does with thousands of
 * files is not what is tested. */
static inline void wal_files_begin(void)
{
    int memory = access("/dev/shm", W_OK) == 0;
    snprintf(wal_directory, sizeof wal_directory, "%s/wal-XXXXXX", memory ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(wal_directory));
    assert_int_equal(rmdir(wal_directory), 0);
    snprintf(wal_file, sizeof wal_file, "%s/%s", wal_directory, WAL_FILE_NAME);
}

static inline void wal_files_end(void)
{
    assert_int_equal(store_remove(wal_directory), STORE_OK);
    assert_int_not_equal(access(wal_directory, F_OK), 0);
}

static inline size_t file_read(const char *file, void *to, size_t room)
{
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    size_t n = fread(to, 1, room, f);
    fclose(f);
    return n;
}

static inline void file_write(const char *file, const void *from, size_t size)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(from, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static inline uint64_t file_size(const char *file)
{
    struct stat status;
    assert_int_equal(stat(file, &status), 0);
    return (uint64_t)status.st_size;
}

/* pool off, one shard; the log in wal_directory. */
static inline int wal_store_open(struct store **store, uint64_t sync_every,
                                 struct store_trouble *trouble)
{
    struct store_config config;
    store_config_init(&config);
    config.shards = 1;
    config.pool = 0;
    config.directory = wal_directory;
    config.sync_every = sync_every;
    config.trouble = trouble;
    return store_open(&config, store);
}

static inline void expect_text(struct store *store, const char *key, const char *want)
{
    struct store_value value;
    int rc = store_get(store, key, strlen(key), &value);
    assert_int_equal(rc, want ? STORE_OK : STORE_NOT_FOUND);
    if (want) {
        assert_int_equal(value.size, strlen(want));
        assert_memory_equal(value.data, want, value.size);
    }
    store_value_release(store, &value);
}

static inline int put_text(struct store *store, const char *key, const char *value)
{
    return store_put(store, key, strlen(key), value, strlen(value));
}

#endif
