#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <sys/mman.h>

#include "store/pool.h"
#include "store/wal_reader.h"
#include "tests/unit/wal_files.h"

/* The logs are too many to be synced one by one; what a sync is for, test_store_wal.c asks. */
int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

enum { SAMPLE_MAX = 5 * WAL_BLOCK, RECORDS = 60, LONG = 30, VALUE_MAX = 3 * WAL_BLOCK };

/* What is done to each byte; a coverage build, which counts each instruction of each checksum with
 * a locked add, takes fewer of them: it needs the lines. */
#ifdef PERFSHIM_COVERAGE
enum { EACH = 29 };
#else
enum { EACH = 1 };
#endif

/* A log with records of all shapes, and where they end. */
static struct {
    unsigned char bytes[SAMPLE_MAX];
    size_t size;
    size_t end[RECORDS + 1]; /* of the first n records */
    size_t long_size;        /* of record LONG's value: it leaves a trailer of 4 bytes */
} sample;

/* Key, value, or NULL for a delete, of the sample's record. */
static size_t sample_record(int i, char key[static 8], char *value)
{
    snprintf(key, 8, "k%d", i % 20);
    size_t size = i % 7 == 6 ? SIZE_MAX : i == LONG ? sample.long_size : (size_t)(i * i % 50);
    if (size != SIZE_MAX)
        memset(value, 'a' + i % 26, size);
    return size;
}

static int sample_make(void **state)
{
    static char value[VALUE_MAX];
    struct store *store;
    (void)state;
    mallopt(M_MMAP_THRESHOLD, 1 << 24); /* fresh pages for each of 100 000 readings are slow */
    mallopt(M_TRIM_THRESHOLD, 1 << 24);
    wal_files_begin();
    assert_int_equal(wal_store_open(&store, 0, NULL), STORE_OK);
    for (int i = 0; i < RECORDS; i++) {
        char key[8];
        sample.end[i] = file_size(wal_file);
        if (i == LONG) /* three parts, the last one in the third block */
            sample.long_size = 3 * WAL_BLOCK - 4 - sample.end[i] - 3 * WAL_PART_HEADER -
                               WAL_RECORD_HEADER - strlen("k10");
        size_t size = sample_record(i, key, value);
        int rc = size == SIZE_MAX ? store_delete(store, key, strlen(key))
                                  : store_put(store, key, strlen(key), value, size);
        assert_true(rc == STORE_OK || rc == STORE_NOT_FOUND);
    }
    assert_int_equal(store_close(store, NULL), STORE_OK);
    sample.size = sample.end[RECORDS] = file_read(wal_file, sample.bytes, sizeof sample.bytes);
    assert_int_equal(sample.end[LONG + 1], 3 * WAL_BLOCK - 4);
    assert_in_range(sample.size, 3 * WAL_BLOCK + 100, SAMPLE_MAX - 1);
    wal_files_end();
    return 0;
}

/* ---- reading a file of the test's ---- */

struct seen {
    int count;
    int wrong; /* not the sample's record of that number */
};

static int see(void *context, enum wal_kind kind, const void *key, size_t key_size,
               const void *value, size_t value_size)
{
    static char want[VALUE_MAX];
    struct seen *seen = context;
    char want_key[8];
    size_t size = sample_record(seen->count++, want_key, want);
    seen->wrong |= key_size != strlen(want_key) || memcmp(key, want_key, key_size) != 0;
    if (size == SIZE_MAX)
        seen->wrong |= kind != WAL_DELETE || value_size != 0;
    else
        seen->wrong |= kind != WAL_PUT || value_size != size || memcmp(value, want, size) != 0;
    return STORE_OK;
}

static struct pool *pool;
static int fd = -1;
static struct wal_contents contents;
static struct store_trouble trouble;
static struct seen seen;

static int file_begin(void **state)
{
    (void)state;
    pool = pool_open(0);
    fd = memfd_create("log", 0);
    assert_true(fd >= 0);
    return 0;
}

static int file_end(void **state)
{
    struct pool_counters counters;
    (void)state;
    close(fd);
    pool_close(pool, &counters);
    assert_int_equal(counters.allocs, counters.frees);
    return 0;
}

static int file_scan(void)
{
    seen = (struct seen){0};
    trouble = (struct store_trouble){.offset = 12345};
    return wal_read(fd, pool_here(pool), see, &seen, &contents, &trouble);
}

static int bytes_scan(const void *bytes, size_t size)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes, size, 0), size);
    return file_scan();
}

/* ---- the torn end ---- */

static int whole_records(size_t size)
{
    int n = 0;
    while (n < RECORDS && sample.end[n + 1] <= size)
        n++;
    return n;
}

static void a_log_cut_anywhere_is_a_prefix(void **state)
{
    (void)state;
    assert_int_equal(bytes_scan(sample.bytes, sample.size), STORE_OK);
    for (size_t size = sample.size;; size -= size < EACH ? size : EACH) {
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_int_equal(file_scan(), STORE_OK);
        int n = whole_records(size);
        assert_int_equal(seen.wrong, 0);
        if (size < WAL_START) {
            assert_int_equal(contents.end, 0);
        } else {
            assert_int_equal(contents.records, n);
            assert_int_equal(seen.count, n);
            assert_int_equal(contents.end, sample.end[n]);
        }
        if (size == 0)
            break;
    }
}

/* As above through the store, which cuts the end off and goes on behind it. The lengths around
 * every edge of parts, and every 97th. */
static void a_store_cut_anywhere_reopens_and_goes_on(void **state)
{
    struct store *store;
    struct store_statistics s;
    (void)state;
    wal_files_begin();
    mkdir(wal_directory, 0700);
    for (size_t size = 0; size <= sample.size; size++) {
        int n = whole_records(size);
        size_t from_edge = size - sample.end[n];
        size_t to_edge = n < RECORDS ? sample.end[n + 1] - size : 0;
        size_t in_block = size % WAL_BLOCK;
        if (from_edge > 30 && to_edge > 30 && in_block > 10 && in_block < WAL_BLOCK - 20 &&
            size % 97)
            continue;
        file_write(wal_file, sample.bytes, size);
        assert_int_equal(wal_store_open(&store, 0, NULL), STORE_OK);
        store_statistics(store, &s);
        size_t end = size < WAL_START ? 0 : sample.end[n];
        assert_int_equal(s.wal_replayed, n);
        assert_int_equal(s.wal_cut_bytes, size - end);
        assert_int_equal(file_size(wal_file), end ? end : WAL_START);
        assert_int_equal(put_text(store, "after", "the crash"), STORE_OK);
        assert_int_equal(store_close(store, NULL), STORE_OK);
        assert_int_equal(wal_store_open(&store, 0, NULL), STORE_OK);
        store_statistics(store, &s);
        assert_int_equal(s.wal_replayed, n + 1);
        assert_int_equal(s.wal_cut_bytes, 0);
        expect_text(store, "after", "the crash");
        store_close(store, NULL);
    }
    wal_files_end();
}

static void zeros_and_rubbish_behind_the_last_record_are_its_torn_end(void **state)
{
    static unsigned char bytes[SAMPLE_MAX + 2 * WAL_BLOCK];
    (void)state;
    memcpy(bytes, sample.bytes, sample.size);
    for (size_t more = 1; more < 2 * WAL_BLOCK; more = more * 3 + 1)
        for (int fill = 0; fill < 256; fill += 85) {
            memset(bytes + sample.size, fill, more);
            assert_int_equal(bytes_scan(bytes, sample.size + more), STORE_OK);
            assert_int_equal(contents.end, sample.size);
            assert_int_equal(contents.records, RECORDS);
        }
}

/* A crash of the machine may have written a later page of the end and not an earlier one: that is
 * told, since it cannot be told from damage. */
static void a_hole_with_something_right_behind_it_is_damage(void **state)
{
    static unsigned char bytes[SAMPLE_MAX];
    (void)state;
    memcpy(bytes, sample.bytes, sample.size);
    size_t from = sample.end[LONG + 3], to = sample.end[RECORDS - 1];
    memset(bytes + from, 0, to - from);
    assert_int_equal(bytes_scan(bytes, sample.size), STORE_CORRUPT);
    assert_int_equal(trouble.offset, from);
}

/* ---- damage ---- */

/* Where parts and trailers begin, by their lengths alone. */
static size_t part_begin(size_t at)
{
    size_t offset = 0;
    for (;;) {
        size_t left = WAL_BLOCK - offset % WAL_BLOCK;
        size_t next = offset + left;
        if (left >= WAL_PART_HEADER)
            next = offset + WAL_PART_HEADER + sample.bytes[offset + 4] +
                   256u * sample.bytes[offset + 5];
        if (next > at)
            return offset;
        offset = next;
    }
}

static void a_flipped_bit_is_found_and_told_with_its_offset(void **state)
{
    (void)state;
    assert_int_equal(bytes_scan(sample.bytes, sample.size), STORE_OK);
    for (size_t at = 0; at < sample.size; at += EACH) {
        /* all bits of short records; of the long one, whose parts begin with the blocks, one of
           each byte near these, else of each 11th */
        int all = at < sample.end[LONG] || at >= sample.end[LONG + 1];
        if (!all && at % WAL_BLOCK > 64 && at % WAL_BLOCK < WAL_BLOCK - 64 && at % 11)
            continue;
        for (int bit = all ? 0 : (int)(at % 8); bit < (all ? 8 : (int)(at % 8) + 1); bit++) {
            unsigned char damaged = (unsigned char)(sample.bytes[at] ^ 1 << bit);
            assert_int_equal(pwrite(fd, &damaged, 1, (off_t)at), 1);
            int rc = file_scan();
            assert_int_equal(seen.wrong, 0);
            if (at >= sample.end[RECORDS - 1]) { /* the last record: cannot be told from torn */
                assert_int_equal(rc, STORE_OK);
                assert_int_equal(contents.end, sample.end[RECORDS - 1]);
            } else {
                assert_int_equal(rc, STORE_CORRUPT);
                assert_int_equal(trouble.offset, at < WAL_START ? 0 : part_begin(at));
                assert_non_null(trouble.what);
            }
        }
        assert_int_equal(pwrite(fd, sample.bytes + at, 1, (off_t)at), 1);
    }
    assert_int_equal(file_scan(), STORE_OK);
}

static void the_store_names_the_damage_and_leaves_the_file_alone(void **state)
{
    static unsigned char after[SAMPLE_MAX];
    struct store *store;
    (void)state;
    wal_files_begin();
    mkdir(wal_directory, 0700);
    sample.bytes[sample.end[5] + 12] ^= 4;
    file_write(wal_file, sample.bytes, sample.size);
    assert_int_equal(wal_store_open(&store, 0, &trouble), STORE_CORRUPT);
    assert_null(store);
    assert_string_equal(trouble.file, wal_file);
    assert_string_equal(trouble.what, "bad checksum");
    assert_int_equal(trouble.offset, sample.end[5]);
    assert_int_equal(file_read(wal_file, after, sizeof after), sample.size);
    assert_memory_equal(after, sample.bytes, sample.size);
    sample.bytes[sample.end[5] + 12] ^= 4;
    wal_files_end();
}

/* Appends a part with a right checksum. */
static size_t part_add(unsigned char *bytes, size_t size, enum wal_part_type type,
                       const void *payload, size_t payload_size)
{
    memcpy(bytes + size + WAL_PART_HEADER, payload, payload_size);
    wal_part_seal(bytes + size, type, payload_size);
    return size + WAL_PART_HEADER + payload_size;
}

static void expect_corrupt(const void *bytes, size_t size, uint64_t offset, const char *what)
{
    assert_int_equal(bytes_scan(bytes, size), STORE_CORRUPT);
    assert_string_equal(trouble.what, what);
    assert_int_equal(trouble.offset, offset);
}

static void right_checksums_do_not_excuse_wrong_contents(void **state)
{
    static const struct {
        enum wal_part_type type;
        size_t size;
        const char *payload, *what;
    } cases[] = {
        {WAL_MIDDLE, 5, "\1\1\0kv", "a part without the beginning of its record"},
        {WAL_LAST, 5, "\1\1\0kv", "a part without the beginning of its record"},
        {0, 5, "\1\1\0kv", "unknown type of part"},
        {5, 5, "\1\1\0kv", "unknown type of part"},
        {WAL_FULL, 0, "", "a record without kind and key"},
        {WAL_FULL, 2, "\1\1", "a record without kind and key"},
        {WAL_FULL, 5, "\3\1\0kv", "unknown kind of record"},
        {WAL_FULL, 5, "\0\1\0kv", "unknown kind of record"},
        {WAL_FULL, 5, "\1\0\0kv", "impossible sizes of key and value"},
        {WAL_FULL, 5, "\1\3\0kv", "impossible sizes of key and value"},
        {WAL_FULL, 5, "\1\1\1kv", "impossible sizes of key and value"},
        {WAL_FULL, 5, "\2\1\0kv", "impossible sizes of key and value"},
    };
    unsigned char bytes[200];
    (void)state;
    wal_start_write(bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = part_add(bytes, WAL_START, cases[i].type, cases[i].payload, cases[i].size);
        size = part_add(bytes, size, WAL_FULL, "\1\1\0kv", 5);
        expect_corrupt(bytes, size, WAL_START, cases[i].what);
    }
    size_t size = part_add(bytes, WAL_START, WAL_FULL, "\1\1\0kv", 5);
    memset(bytes + WAL_START + 4, 0xff, 2);
    size = part_add(bytes, size, WAL_FULL, "\1\1\0kv", 5);
    expect_corrupt(bytes, size, WAL_START, "length past the end of its block");
    size = part_add(bytes, WAL_START, WAL_FIRST, "\1\1\0", 3);
    size_t second = part_add(bytes, size, WAL_FULL, "\1\1\0kv", 5);
    expect_corrupt(bytes, second, size, "a record begins inside another");
    second = part_add(bytes, size, WAL_FIRST, "\1\1\0kv", 5);
    expect_corrupt(bytes, second, size, "a record begins inside another");
}

static void a_file_of_somebody_else_is_refused_and_not_cut(void **state)
{
    unsigned char bytes[100] = "this is not a log, but somebody's only copy of a letter";
    (void)state;
    expect_corrupt(bytes, sizeof bytes, 0, "not a log of this store");
    expect_corrupt(bytes, 3, 0, "not a log of this store");
    memset(bytes, 0, sizeof bytes);
    expect_corrupt(bytes, WAL_START + 1, 0, "not a log of this store");
    assert_int_equal(bytes_scan(bytes, WAL_START), STORE_OK); /* never written */
    assert_int_equal(contents.end, 0);
    wal_start_write(bytes);
    bytes[WAL_PART_HEADER + 1] = 2;
    wal_part_seal(bytes, WAL_FULL, WAL_START_PAYLOAD);
    expect_corrupt(bytes, WAL_START, 0, "a log of an unknown version");
}

/* Whatever stands in the file: an answer, and no record that was not written. */
static void random_damage_never_invents_a_record(void **state)
{
    static unsigned char bytes[SAMPLE_MAX];
    uint64_t random = 1, corrupt = 0;
    (void)state;
    for (int round = 0; round < 3000 / EACH; round++) {
        memcpy(bytes, sample.bytes, sample.size);
        for (int n = 0; n <= round % 5; n++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            size_t at = (random >> 20) % sample.size, length = (random >> 8) % 64 + 1;
            if (round % 2)
                at = (random >> 20) % sample.end[LONG]; /* where the short records are */
            memset(bytes + at, (int)(random >> 56), at + length > sample.size ? 1 : length);
        }
        int rc = bytes_scan(bytes, sample.size - (random >> 33) % 100);
        assert_true(rc == STORE_OK || rc == STORE_CORRUPT);
        assert_int_equal(seen.wrong, 0);
        corrupt += rc == STORE_CORRUPT;
    }
    assert_true(corrupt > 2000 / EACH);
}

static int stop_at_third(void *context, enum wal_kind kind, const void *key, size_t key_size,
                         const void *value, size_t value_size)
{
    int *count = context;
    (void)kind, (void)key, (void)key_size, (void)value, (void)value_size;
    return ++*count == 3 ? STORE_NO_MEMORY : STORE_OK;
}

static void a_visitors_error_ends_the_reading(void **state)
{
    int count = 0;
    (void)state;
    bytes_scan(sample.bytes, sample.size);
    assert_int_equal(wal_read(fd, pool_here(pool), stop_at_third, &count, &contents, &trouble),
                     STORE_NO_MEMORY);
    assert_int_equal(count, 3);
}

static void what_cannot_be_read_is_told(void **state)
{
    (void)state;
    int directory = open("/", O_RDONLY | O_DIRECTORY);
    int rc = wal_read(directory, pool_here(pool), see, &seen, &contents, &trouble);
    assert_int_equal(rc, STORE_IO);
    assert_string_equal(trouble.what, "Is a directory");
    close(directory);
    assert_int_equal(wal_read(-1, pool_here(pool), see, &seen, &contents, &trouble), STORE_IO);
    assert_string_equal(trouble.what, "Bad file descriptor");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_begin, file_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_cut_anywhere_is_a_prefix),
        TEST(a_store_cut_anywhere_reopens_and_goes_on),
        TEST(zeros_and_rubbish_behind_the_last_record_are_its_torn_end),
        TEST(a_hole_with_something_right_behind_it_is_damage),
        TEST(a_flipped_bit_is_found_and_told_with_its_offset),
        TEST(the_store_names_the_damage_and_leaves_the_file_alone),
        TEST(right_checksums_do_not_excuse_wrong_contents),
        TEST(a_file_of_somebody_else_is_refused_and_not_cut),
        TEST(random_damage_never_invents_a_record),
        TEST(a_visitors_error_ends_the_reading),
        TEST(what_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests(tests, sample_make, NULL);
}
