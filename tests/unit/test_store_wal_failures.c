#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "store/store.h"
#include "tests/unit/scarce.h"
#include "tests/unit/wal_disk.h"
#include "tests/unit/wal_writers.h"

static void a_full_disk_fails_the_put_and_leaves_no_trace(void **state)
{
    int errors[] = {ENOSPC, EDQUOT, EFBIG, EIO};
    struct store_statistics s;
    (void)state;
    for (size_t e = 0; e < 4; e++) {
        struct store *store = open_log(1);
        put_text(store, "k", "old");
        uint64_t size = file_size(wal_file);
        for (int room = 0; room < WAL_PART_HEADER + WAL_RECORD_HEADER + 5; room++) {
            disk.write_error = errors[e];
            disk.write_room = room;
            int want = errors[e] == EIO ? STORE_IO : STORE_NO_SPACE;
            assert_int_equal(put_text(store, "k", "fail"), want);
            disk.write_room = 0;
            assert_int_equal(store_delete(store, "k", 1), want);
            assert_int_equal(file_size(wal_file), size);
            expect_text(store, "k", "old");
        }
        store_statistics(store, &s);
        assert_int_equal(s.wal_writes, 1);
        assert_int_equal(s.puts, 1);
        disk.write_room = -1;
        assert_int_equal(put_text(store, "l", "there is room again"), STORE_OK);
        close_clean(store);
        store = open_log(1);
        expect_text(store, "k", "old");
        expect_text(store, "l", "there is room again");
        close_clean(store);
        assert_int_equal(unlink(wal_file), 0);
    }
}

static void after_a_failed_sync_no_write_is_acknowledged(void **state)
{
    (void)state;
    struct store *store = open_log(2);
    assert_int_equal(put_text(store, "a", "1"), STORE_OK);
    disk.sync_error = EIO;
    assert_int_equal(put_text(store, "a", "2"), STORE_IO);
    disk.sync_error = 0; /* the kernel forgets that it lost bytes; we must not */
    assert_int_equal(put_text(store, "b", "3"), STORE_IO);
    assert_int_equal(store_delete(store, "a", 1), STORE_IO);
    expect_text(store, "a", "1");
    expect_text(store, "b", NULL);
    assert_int_equal(store_close(store, NULL), STORE_IO); /* "1" was never synced */
    store = open_log(1);
    expect_text(store, "a", "1");
    close_clean(store);
}

static void a_group_whose_sync_fails_is_acknowledged_to_nobody(void **state)
{
    struct writer w[WRITERS];
    pthread_t threads[WRITERS];
    (void)state;
    struct store *store = open_log(1);
    disk.sync_us = 2000;
    disk.sync_error = ENOSPC;
    writers_start(w, threads, store, 5);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w[i].failures, 5);
    }
    disk.sync_error = 0;
    close_clean(store);
    assert_int_equal(file_size(wal_file), WAL_START);
}

static void a_log_that_cannot_be_cut_back_takes_no_more_writes(void **state)
{
    struct store_statistics s;
    (void)state;
    struct store *store = open_log(1);
    put_text(store, "k", "old");
    disk.write_error = EIO;
    disk.write_room = 9;
    disk.cut_error = EIO;
    assert_int_equal(put_text(store, "k", "new"), STORE_IO);
    disk_reset();
    assert_int_equal(put_text(store, "k", "x"), STORE_IO);
    expect_text(store, "k", "old");
    close_clean(store);
    store = open_log(1);
    expect_text(store, "k", "old");
    store_statistics(store, &s);
    assert_int_equal(s.wal_cut_bytes, 9);
    close_clean(store);
}

static void short_and_interrupted_writes_go_on(void **state)
{
    (void)state;
    struct store *store = open_log(1);
    disk.write_short = 3;
    disk.eintr = 2;
    assert_int_equal(put_text(store, "key", "a value in pieces"), STORE_OK);
    disk_reset();
    close_clean(store);
    store = open_log(1);
    expect_text(store, "key", "a value in pieces");
    close_clean(store);
}

static void closing_tells_that_the_last_writes_are_not_synced(void **state)
{
    struct store_statistics last;
    (void)state;
    struct store *store = open_log(0);
    put_text(store, "k", "v");
    disk.sync_error = ENOSPC;
    assert_int_equal(store_close(store, &last), STORE_NO_SPACE);
    assert_int_equal(last.allocs, last.frees);
    disk_reset();
}

static void expect_trouble(int error, const char *file, const char *what)
{
    struct store *store;
    struct store_trouble trouble;
    assert_int_equal(wal_store_open(&store, 1, &trouble), error);
    assert_null(store);
    assert_string_equal(trouble.file, file);
    assert_string_equal(trouble.what, what);
}

static void what_cannot_be_opened_is_named(void **state)
{
    static char deep[5000];
    struct store_trouble trouble;
    struct store_config config;
    struct store *store;
    char kept[sizeof wal_directory];
    (void)state;
    store = open_log(1);
    expect_trouble(STORE_BUSY, wal_file, "in use by another store");
    close_clean(store);
    strcpy(kept, wal_directory);
    strcpy(wal_directory, wal_file); /* a file */
    snprintf(deep, sizeof deep, "%s/%s", wal_file, WAL_FILE_NAME);
    expect_trouble(STORE_IO, deep, "Not a directory");
    strcpy(wal_directory, "/no/such/directory");
    expect_trouble(STORE_IO, wal_directory, "No such file or directory");
    strcpy(wal_directory, kept);
    unlink(wal_file);
    mkfifo(wal_file, 0600);
    expect_trouble(STORE_IO, wal_file, "not a regular file");
    unlink(wal_file);
    mkdir(wal_file, 0700);
    expect_trouble(STORE_IO, wal_file, "Is a directory");
    rmdir(wal_file);
    disk.write_error = ENOSPC;
    disk.write_room = 5;
    expect_trouble(STORE_NO_SPACE, wal_file, "No space left on device");
    disk_reset();
    disk.sync_error = EIO;
    expect_trouble(STORE_IO, wal_file, "Input/output error");
    disk_reset();

    memset(deep, 'd', sizeof deep - 1);
    store_config_init(&config);
    config.directory = deep;
    config.trouble = &trouble;
    assert_int_equal(store_open(&config, &store), STORE_IO);
    assert_string_equal(trouble.what, "File name too long");
    config.trouble = NULL; /* not wanted */
    assert_int_equal(store_open(&config, &store), STORE_IO);
    config.shards = 3;
    config.trouble = &trouble;
    assert_int_equal(store_open(&config, &store), STORE_BAD_CONFIG);
    assert_string_equal(trouble.file, "");
    assert_string_equal(trouble.what, "bad configuration");
}

static void no_memory_while_reading_the_log_is_an_error(void **state)
{
    static char big[100000];
    (void)state;
    if (!SCARCE)
        skip();
    struct store *store = open_log(0);
    put_text(store, "k", "v");
    store_put(store, "big", 3, big, sizeof big);
    close_clean(store);
    uint64_t size = file_size(wal_file);
    long live = scarce_live, left = 0;
    for (int rc = STORE_NO_MEMORY; rc != STORE_OK; left++) {
        scarce_left = left;
        rc = wal_store_open(&store, 0, NULL);
        scarce_left = -1;
        assert_true(rc == STORE_OK || (rc == STORE_NO_MEMORY && !store && scarce_live == live));
        assert_int_equal(file_size(wal_file), size);
        assert_true(left < 100);
    }
    assert_true(left > 10);
    expect_text(store, "k", "v");
    close_clean(store);
    assert_int_equal(scarce_live, live);
}

static void removing_leaves_what_is_not_the_stores(void **state)
{
    char other[260];
    (void)state;
    close_clean(open_log(0));
    snprintf(other, sizeof other, "%s/notes", wal_directory);
    file_write(other, "x", 1);
    assert_int_equal(store_remove(wal_directory), STORE_OK);
    assert_int_equal(file_size(other), 1);
    assert_int_not_equal(access(wal_file, F_OK), 0);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(store_remove(wal_directory), STORE_OK);
    assert_int_equal(store_remove(wal_directory), STORE_OK);
    file_write(wal_directory, "x", 1);
    assert_int_equal(store_remove(wal_directory), STORE_IO);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(unlink(wal_directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(a_full_disk_fails_the_put_and_leaves_no_trace),
        DISK_TEST(after_a_failed_sync_no_write_is_acknowledged),
        DISK_TEST(a_group_whose_sync_fails_is_acknowledged_to_nobody),
        DISK_TEST(a_log_that_cannot_be_cut_back_takes_no_more_writes),
        DISK_TEST(short_and_interrupted_writes_go_on),
        DISK_TEST(closing_tells_that_the_last_writes_are_not_synced),
        DISK_TEST(what_cannot_be_opened_is_named),
        DISK_TEST(no_memory_while_reading_the_log_is_an_error),
        DISK_TEST(removing_leaves_what_is_not_the_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
