#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "store/store.h"
#include "tests/unit/wal_disk.h"
#include "tests/unit/wal_writers.h"

/* ---- the bytes ---- */

/* docs/store_format.md's example; the checksums were computed by another program. */
static void the_file_is_as_the_document_draws_it(void **state)
{
    static const unsigned char want[] = {
        0x08, 0x4a, 0x9e, 0xa9, 0x0d, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x50,
        0x53, 0x48, 0x49, 0x4d, 0x57, 0x41, 0x4c, 0x94, 0x4d, 0x7c, 0x51, 0x0b, 0x00,
        0x01, 0x01, 0x03, 0x00, 0x6b, 0x65, 0x79, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x5d,
        0xab, 0x8d, 0xa3, 0x06, 0x00, 0x01, 0x02, 0x03, 0x00, 0x6b, 0x65, 0x79};
    unsigned char got[100];
    struct stat status;
    (void)state;
    struct store *store = open_log(1);
    assert_int_equal(put_text(store, "key", "value"), STORE_OK);
    assert_int_equal(store_delete(store, "key", 3), STORE_OK);
    close_clean(store);
    assert_int_equal(file_read(wal_file, got, sizeof got), sizeof want);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(stat(wal_file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void what_was_put_is_found_again(void **state)
{
    struct store_statistics s;
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct store *store = open_log(round);
        expect_text(store, "gone", NULL);
        expect_text(store, "kept", round ? "second" : NULL);
        expect_text(store, "empty", round ? "" : NULL);
        store_statistics(store, &s);
        assert_int_equal(s.wal_replayed, 6 * round);
        assert_int_equal(s.puts, 0);
        assert_int_equal(s.keys, round ? 2 : 0);
        assert_int_equal(put_text(store, "gone", "x"), STORE_OK);
        assert_int_equal(put_text(store, "kept", "first"), STORE_OK);
        assert_int_equal(put_text(store, "kept", "second"), STORE_OK);
        assert_int_equal(put_text(store, "empty", ""), STORE_OK);
        assert_int_equal(store_delete(store, "gone", 4), STORE_OK);
        assert_int_equal(store_delete(store, "gone", 4), STORE_NOT_FOUND);
        close_clean(store);
    }
}

/* Every number of bytes that can be left in a block: a trailer, an empty first part, a short one.
 */
static void records_cross_blocks_wherever_they_begin(void **state)
{
    static char filler[WAL_BLOCK];
    (void)state;
    memset(filler, 'f', sizeof filler);
    for (size_t left = 0; left <= 40; left++) {
        size_t size = WAL_BLOCK - WAL_START - left - WAL_PART_HEADER - WAL_RECORD_HEADER - 1;
        unsigned char at[7 + WAL_PART_HEADER] = {0};
        struct store_value value;
        struct store *store = open_log(0);
        assert_int_equal(store_put(store, "f", 1, filler, size), STORE_OK);
        assert_int_equal(file_size(wal_file), WAL_BLOCK - left);
        assert_int_equal(put_text(store, "key", "a value of some length"), STORE_OK);
        assert_int_equal(put_text(store, "last", "l"), STORE_OK);
        close_clean(store);
        int fd = open(wal_file, O_RDONLY);
        pread(fd, at, sizeof at, (off_t)(WAL_BLOCK - left));
        close(fd);
        if (left < WAL_PART_HEADER)
            assert_memory_equal(at, "\0\0\0\0\0\0", left);
        else if (left == WAL_PART_HEADER)
            assert_memory_equal(at + 4, "\0\0\2", 3); /* no bytes, first */
        store = open_log(0);
        expect_text(store, "key", "a value of some length");
        expect_text(store, "last", "l");
        assert_int_equal(store_get(store, "f", 1, &value), STORE_OK);
        assert_int_equal(value.size, size);
        assert_memory_equal(value.data, filler, size);
        store_value_release(store, &value);
        close_clean(store);
        assert_int_equal(unlink(wal_file), 0);
    }
}

static void large_records_are_found_again(void **state)
{
    static char big[1000001];
    size_t sizes[] = {WAL_BLOCK, 65536, 3 * WAL_BLOCK, sizeof big};
    struct store_value value;
    (void)state;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 251);
    struct store *store = open_log(1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(store_put(store, big + i, STORE_KEY_MAX, big, sizes[i]), STORE_OK);
    close_clean(store);
    store = open_log(1);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(store_get(store, big + i, STORE_KEY_MAX, &value), STORE_OK);
        assert_int_equal(value.size, sizes[i]);
        assert_memory_equal(value.data, big, sizes[i]);
        store_value_release(store, &value);
    }
    close_clean(store);
}

/* ---- syncs and groups ---- */

static void syncs_come_when_they_are_due(void **state)
{
    struct store_statistics s;
    (void)state;
    for (uint64_t every = 0; every <= 5; every++) {
        struct store *store = open_log(every);
        uint64_t before = disk.syncs; /* the new file's */
        for (uint64_t i = 1; i <= 13; i++) {
            assert_int_equal(put_text(store, "k", "value"), STORE_OK);
            assert_int_equal(disk.syncs - before, every ? i / every : 0);
            if (every && i % every == 0)
                assert_int_equal(disk.synced_bytes, file_size(wal_file));
        }
        store_statistics(store, &s);
        assert_int_equal(s.wal_writes, 13);
        assert_int_equal(s.wal_bytes, 13 * (WAL_PART_HEADER + WAL_RECORD_HEADER + 6));
        assert_int_equal(s.wal_syncs, disk.syncs - before);
        close_clean(store);
        assert_int_equal(disk.syncs - before, every ? (13 + every - 1) / every : 1);
        assert_int_equal(disk.synced_bytes, file_size(wal_file));
        assert_int_equal(unlink(wal_file), 0);
    }
}

static void another_sync_every_syncs_what_is_due_by_it(void **state)
{
    struct store_statistics s;
    (void)state;
    struct store *store = open_log(1);
    assert_int_equal(store_sync_every(store, 0), STORE_OK);
    uint64_t before = disk.syncs;
    for (int i = 0; i < 3; i++)
        assert_int_equal(put_text(store, "k", "value"), STORE_OK);
    assert_int_equal(store_sync_every(store, 4), STORE_OK); /* not due yet */
    assert_int_equal(disk.syncs, before);
    assert_int_equal(put_text(store, "k", "value"), STORE_OK);
    assert_int_equal(disk.syncs, before + 1); /* the three from before count */
    assert_int_equal(store_sync_every(store, 0), STORE_OK);
    assert_int_equal(put_text(store, "k", "value"), STORE_OK);
    assert_int_equal(store_sync_every(store, 1), STORE_OK);
    assert_int_equal(disk.syncs, before + 2);
    assert_int_equal(disk.synced_bytes, file_size(wal_file));
    store_statistics(store, &s);
    assert_int_equal(s.wal_syncs, 2);
    assert_int_equal(store_sync_every(store, 0), STORE_OK);
    assert_int_equal(put_text(store, "k", "value"), STORE_OK);
    disk.sync_error = EIO;
    assert_int_equal(store_sync_every(store, 1), STORE_IO);
    disk.sync_error = 0;
    assert_int_equal(put_text(store, "k", "value"), STORE_IO); /* as after any sync that failed */
    assert_int_equal(store_sync_every(store, 1), STORE_IO);
    assert_int_equal(store_close(store, NULL), STORE_IO);

    struct store_config config;
    store_config_init(&config);
    assert_int_equal(store_open(&config, &store), STORE_OK);
    assert_int_equal(store_sync_every(store, 1), STORE_OK); /* no log */
    close_clean(store);
}

static void writers_that_wait_share_a_sync(void **state)
{
    struct writer w[WRITERS];
    pthread_t threads[WRITERS];
    struct store_statistics s;
    (void)state;
    struct store *store = open_log(1);
    disk.sync_us = 4000;
    writers_start(w, threads, store, 25);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    store_statistics(store, &s);
    assert_int_equal(s.wal_writes, WRITERS * 25);
    assert_in_range(s.wal_syncs, 25, WRITERS * 25 / 2);
    assert_true(s.wal_sync_ns >= s.wal_syncs * 4000000);
    close_clean(store);
}

/* The machine's crash: what was not synced is gone. At any moment, what was acknowledged before is
 * within what was synced. */
static void an_acknowledged_write_survives_the_loss_of_all_unsynced_bytes(void **state)
{
    static char image[1 << 20];
    struct writer w[WRITERS];
    pthread_t threads[WRITERS];
    char kept[sizeof wal_directory];
    (void)state;
    struct store *store = open_log(1);
    disk.sync_us = 100;
    writers_start(w, threads, store, 500);
    strcpy(kept, wal_directory);
    for (int crash = 0; crash < 30; crash++) {
        uint32_t acknowledged[WRITERS], found = 0;
        usleep(1000);
        for (int i = 0; i < WRITERS; i++)
            acknowledged[i] = __atomic_load_n(&w[i].acknowledged, __ATOMIC_SEQ_CST);
        uint64_t synced = __atomic_load_n(&disk.synced_bytes, __ATOMIC_SEQ_CST);
        assert_true(file_read(wal_file, image, sizeof image) >= synced);
        wal_files_begin();
        assert_int_equal(mkdir(wal_directory, 0700), 0);
        file_write(wal_file, image, synced);
        struct store *after = open_log(0);
        for (uint32_t i = 0; i < WRITERS; i++)
            for (uint32_t n = 0; n < acknowledged[i]; n++) {
                uint32_t key[2] = {i, n};
                struct store_value value;
                assert_int_equal(store_get(after, key, sizeof key, &value), STORE_OK);
                assert_memory_equal(value.data, key, sizeof key);
                store_value_release(after, &value);
                found++;
            }
        store_close(after, NULL);
        wal_files_end();
        strcpy(wal_directory, kept);
        snprintf(wal_file, sizeof wal_file, "%s/%s", wal_directory, WAL_FILE_NAME);
        if (crash == 29)
            assert_true(found > 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w[i].failures, 0);
    }
    close_clean(store);
}

static void *write_hot_keys(void *argument)
{
    struct writer *w = argument;
    uint64_t random = w->number * 0x9e3779b97f4a7c15u + 1;
    for (uint32_t i = 0; i < w->writes; i++) {
        random = random * 6364136223846793005u + 1;
        char key = (char)('a' + (random >> 40) % 6);
        int rc = (random >> 50) % 4 ? store_put(w->store, &key, 1, &random, sizeof random)
                                    : store_delete(w->store, &key, 1);
        w->failures += rc != STORE_OK && rc != STORE_NOT_FOUND;
    }
    return NULL;
}

static void the_log_has_the_order_in_which_writes_took_effect(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct writer w[WRITERS];
        pthread_t threads[WRITERS];
        struct store_value before[6], value;
        int rc[6];
        struct store *store = open_log(16);
        for (uint32_t i = 0; i < WRITERS; i++) {
            w[i] = (struct writer){.store = store, .number = i + (uint32_t)round, .writes = 400};
            assert_int_equal(pthread_create(&threads[i], NULL, write_hot_keys, &w[i]), 0);
        }
        for (int i = 0; i < WRITERS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(w[i].failures, 0);
        }
        struct store *again;
        uint64_t words[6];
        for (int k = 0; k < 6; k++) {
            char key = (char)('a' + k);
            rc[k] = store_get(store, &key, 1, &before[k]);
            if (rc[k] == STORE_OK)
                memcpy(&words[k], before[k].data, sizeof words[k]);
            store_value_release(store, &before[k]);
        }
        close_clean(store);
        again = open_log(0);
        for (int k = 0; k < 6; k++) {
            char key = (char)('a' + k);
            assert_int_equal(store_get(again, &key, 1, &value), rc[k]);
            if (rc[k] == STORE_OK)
                assert_memory_equal(value.data, &words[k], sizeof words[k]);
            store_value_release(again, &value);
        }
        close_clean(again);
    }
}

static void a_put_with_a_log_allocates_no_more_than_without(void **state)
{
    struct store_statistics a, b;
    (void)state;
    struct store *store = open_log(0);
    put_text(store, "key", "value");
    store_statistics(store, &a);
    for (int i = 0; i < 1000; i++)
        put_text(store, "key", "value");
    store_statistics(store, &b);
    assert_int_equal(b.allocs - a.allocs, 3000);
    assert_int_equal(b.frees - a.frees, 3000);
    close_clean(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(the_file_is_as_the_document_draws_it),
        DISK_TEST(what_was_put_is_found_again),
        DISK_TEST(records_cross_blocks_wherever_they_begin),
        DISK_TEST(large_records_are_found_again),
        DISK_TEST(syncs_come_when_they_are_due),
        DISK_TEST(another_sync_every_syncs_what_is_due_by_it),
        DISK_TEST(writers_that_wait_share_a_sync),
        DISK_TEST(an_acknowledged_write_survives_the_loss_of_all_unsynced_bytes),
        DISK_TEST(the_log_has_the_order_in_which_writes_took_effect),
        DISK_TEST(a_put_with_a_log_allocates_no_more_than_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
