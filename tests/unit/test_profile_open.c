#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "tests/unit/profile_fixture.h"

static char folder[PATH_MAX];
static char path[PATH_MAX + 32];
static char why[160];
static int os_error;

static int folder_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/open-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.pshim", folder);
    struct fixture f;
    fixture_open(&f, path, 1 << 20);
    fixture_close(&f);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static int opened(void)
{
    struct profile p;
    int error = profile_open(path, &p, why, &os_error);
    profile_close(&p);
    return error;
}

/* Writes `bytes` at an offset of the file. */
static void patch(size_t offset, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes, n, (off_t)offset), n);
    close(fd);
}

static void patch32(size_t offset, uint32_t v)
{
    patch(offset, &v, sizeof v);
}

static void patch64(size_t offset, uint64_t v)
{
    patch(offset, &v, sizeof v);
}

#define FIELD(name) offsetof(struct pshim_header, name)
#define REGION(id, field)                                                                          \
    (FIELD(regions) + PSHIM_REGION_##id * sizeof(struct pshim_region) +                            \
     offsetof(struct pshim_region, field))

static void whole_profile_opens_read_only(void **state)
{
    struct profile p;
    (void)state;
    assert_int_equal(profile_open(path, &p, why, &os_error), PROFILE_OK);
    assert_int_equal(p.bytes, 1 << 20);
    assert_int_equal(p.header->pid, 4127);
    assert_string_equal(profile_string(&p, p.header->exe), "/opt/store/store_bench");
    profile_close(&p);
    assert_null(p.base);
}

static void missing_file_is_an_open_error_with_its_errno(void **state)
{
    struct profile p;
    (void)state;
    assert_int_equal(profile_open("/nowhere/x", &p, why, &os_error), PROFILE_OPEN);
    assert_int_equal(os_error, ENOENT);
}

static void folder_and_fifo_are_told_and_never_waited_for(void **state)
{
    struct profile p;
    (void)state;
    assert_int_equal(profile_open(folder, &p, why, &os_error), PROFILE_DIRECTORY);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(opened(), PROFILE_FOREIGN);
    assert_string_equal(why, "not a regular file");
}

static void empty_foreign_and_unfinished_files_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(opened(), PROFILE_EMPTY);
    patch(0, "ELF", 3);
    assert_int_equal(opened(), PROFILE_FOREIGN);
    patch(0, "#!/bin/sh\nexit", 14);
    assert_int_equal(opened(), PROFILE_FOREIGN);
    patch(0, "\0\0\0\0\0\0\0\0", 8);
    assert_int_equal(opened(), PROFILE_NOT_READY);
}

static void newer_version_is_refused_and_named(void **state)
{
    (void)state;
    patch32(FIELD(version), PSHIM_VERSION + 6);
    assert_int_equal(opened(), PROFILE_NEWER);
    assert_non_null(strstr(why, "7"));
    patch32(FIELD(version), 0);
    assert_int_equal(opened(), PROFILE_DAMAGED);
}

static void truncation_at_every_length_is_told_with_both_sizes(void **state)
{
    (void)state;
    for (off_t size = (1 << 20) - 1; size > 0; size = size > 8192 ? size - 4099 : size - 1) {
        assert_int_equal(truncate(path, size), 0);
        int error = opened();
        char found[32];
        snprintf(found, sizeof found, "found %lld", (long long)size);
        if (size >= 8) {
            assert_int_equal(error, PROFILE_TRUNCATED);
            assert_non_null(strstr(why, found));
        } else {
            assert_int_equal(error, PROFILE_FOREIGN);
        }
    }
}

static void setup_that_was_cut_short_is_told(void **state)
{
    (void)state;
    patch32(FIELD(ready), 0);
    assert_int_equal(opened(), PROFILE_NOT_READY);
}

static void damaged_header_is_told_with_its_place(void **state)
{
    (void)state;
    patch32(FIELD(header_bytes), 16);
    assert_int_equal(opened(), PROFILE_DAMAGED);
    assert_non_null(strstr(why, "byte 12"));
    patch32(FIELD(header_bytes), PSHIM_HEADER_BYTES);
    patch32(FIELD(region_count), PSHIM_REGION_SLOTS + 1);
    assert_int_equal(opened(), PROFILE_DAMAGED);
    patch32(FIELD(region_count), PSHIM_REGION_LEAST - 1);
    assert_int_equal(opened(), PROFILE_DAMAGED);
    assert_non_null(strstr(why, "byte 24"));
}

static void regions_that_an_earlier_writer_lacks_are_empty(void **state)
{
    (void)state;
    patch32(FIELD(region_count), PSHIM_REGION_LEAST);
    patch64(REGION(LOCK, record_bytes), 0);
    struct profile p;
    assert_int_equal(profile_open(path, &p, why, &os_error), PROFILE_OK);
    assert_int_equal(profile_count(&p, PSHIM_REGION_LOCK), 0);
    profile_close(&p);
}

static void region_outside_of_the_file_is_damage(void **state)
{
    (void)state;
    const struct {
        size_t at;
        uint64_t bad, good;
    } cases[] = {
        {REGION(NODE, offset), 1 << 20, 0},        {REGION(NODE, offset), 4, 0},
        {REGION(NODE, offset), 8193, 0},           {REGION(NODE, offset), UINT64_MAX - 7, 0},
        {REGION(ACCOUNT, capacity), 1u << 30, 0},  {REGION(ACCOUNT, capacity), UINT64_MAX, 0},
        {REGION(STRING, capacity), UINT64_MAX, 0}, {REGION(THREAD, capacity), 0x10000000000u, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t good;
        int fd = open(path, O_RDONLY);
        assert_int_equal(pread(fd, &good, sizeof good, (off_t)cases[i].at), sizeof good);
        close(fd);
        patch64(cases[i].at, cases[i].bad);
        assert_int_equal(opened(), PROFILE_DAMAGED);
        assert_non_null(strstr(why, "byte "));
        patch64(cases[i].at, good);
        assert_int_equal(opened(), PROFILE_OK);
    }
}

static void records_smaller_than_known_or_unaligned_are_damage(void **state)
{
    (void)state;
    patch32(REGION(NODE, record_bytes), 8);
    assert_int_equal(opened(), PROFILE_DAMAGED);
    patch32(REGION(NODE, record_bytes), 17);
    assert_int_equal(opened(), PROFILE_DAMAGED);
    patch32(REGION(NODE, record_bytes), 0);
    assert_int_equal(opened(), PROFILE_DAMAGED);
    patch32(REGION(NODE, record_bytes), 16);
    patch32(REGION(THREAD, id), 9);
    assert_int_equal(opened(), PROFILE_DAMAGED);
}

static void larger_records_of_a_later_writer_are_fine(void **state)
{
    (void)state;
    patch32(REGION(PROGRESS, record_bytes), 16);
    patch64(REGION(PROGRESS, capacity), 4);
    assert_int_equal(opened(), PROFILE_OK);
}

static void string_out_of_range_or_without_an_end_is_empty(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, path, 1 << 20);
    uint32_t last = fixture_string(&f, "last");
    struct pshim_region *r = profile_region(&f.profile, PSHIM_REGION_STRING);
    assert_string_equal(profile_string(&f.profile, last), "last");
    assert_string_equal(profile_string(&f.profile, last + 2), "st");
    assert_string_equal(profile_string(&f.profile, 0), "");
    assert_string_equal(profile_string(&f.profile, (uint32_t)r->used), "");
    assert_string_equal(profile_string(&f.profile, UINT32_MAX), "");
    r->used -= 1; /* the end of "last" is now outside */
    assert_string_equal(profile_string(&f.profile, last), "");
    r->used = UINT64_MAX; /* full: used may pass the capacity */
    assert_string_equal(profile_string(&f.profile, last), "last");
    fixture_close(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whole_profile_opens_read_only),
        TEST(missing_file_is_an_open_error_with_its_errno),
        TEST(folder_and_fifo_are_told_and_never_waited_for),
        TEST(empty_foreign_and_unfinished_files_are_told_apart),
        TEST(newer_version_is_refused_and_named),
        TEST(truncation_at_every_length_is_told_with_both_sizes),
        TEST(setup_that_was_cut_short_is_told),
        TEST(damaged_header_is_told_with_its_place),
        TEST(regions_that_an_earlier_writer_lacks_are_empty),
        TEST(region_outside_of_the_file_is_damage),
        TEST(records_smaller_than_known_or_unaligned_are_damage),
        TEST(larger_records_of_a_later_writer_are_fine),
        TEST(string_out_of_range_or_without_an_end_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
