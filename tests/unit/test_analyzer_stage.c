#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "analyzer/file_copy.h"
#include "analyzer/stage.h"

static const struct stage_facts fine = {
    .memory = true, .room_bytes = 4 * (64u << 20), .profile_bytes = 64u << 20};

static void staging_takes_four_times_the_room(void **state)
{
    struct stage_facts f = fine;
    (void)state;
    assert_true(stage_is_worth_it(&f));
    f.room_bytes--;
    assert_false(stage_is_worth_it(&f));
    f.room_bytes = UINT64_MAX;
    f.profile_bytes = UINT64_MAX / 4;
    assert_true(stage_is_worth_it(&f));
    f.profile_bytes++;
    assert_false(stage_is_worth_it(&f));
}

static void staging_is_only_worth_it_from_a_disk_into_memory(void **state)
{
    struct stage_facts f = fine;
    (void)state;
    f.memory = false;
    assert_false(stage_is_worth_it(&f));
    f = fine;
    f.target_memory = true;
    assert_false(stage_is_worth_it(&f));
}

static void what_outlives_a_log_out_is_not_staged(void **state)
{
    struct stage_facts f = fine;
    (void)state;
    f.outlives = true;
    assert_false(stage_is_worth_it(&f));
}

static void only_links_to_a_file_in_a_folder_of_ours_are_known(void **state)
{
    static const char *const others[] = {
        "/dev/shm/perfshim-",
        "/dev/shm/perfshim-abcdef",
        "/dev/shm/perfshim-abcdef/",
        "/dev/shm/perfshim-abcdef/x/y",
        "/dev/shm/perfshim-abcdef/../x",
        "/dev/shm/perfshim-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x",
        "/dev/shm/other-abcdef/x",
        "/tmp/perfshim-abcdef/x",
        "perfshim-abcdef/x",
    };
    char folder[] = "/tmp/perfshim-unit-XXXXXX", link[64], dir[32], name[NAME_MAX + 1];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/link", folder);
    assert_false(stage_is_link(link, dir, name));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(symlink(others[i], link), 0);
        assert_false(stage_is_link(link, dir, name));
        unlink(link);
    }
    assert_int_equal(symlink("/dev/shm/perfshim-abcdef/a b.pshim", link), 0);
    assert_true(stage_is_link(link, dir, name));
    assert_string_equal(dir, "/dev/shm/perfshim-abcdef");
    assert_string_equal(name, "a b.pshim");
    unlink(link);
    rmdir(folder);
}

/* ---- copies ---- */

enum { page = 4096, file_bytes = 1 << 22 };

static int file_new(void)
{
    char path[] = "/tmp/perfshim-unit-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void bytes_put(int fd, char byte, size_t n, off_t at)
{
    char *bytes = malloc(n);
    memset(bytes, byte, n);
    assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
    free(bytes);
}

static void assert_same(int a, int b)
{
    static char x[page], y[page];
    struct stat s, t;
    assert_int_equal(fstat(a, &s), 0);
    assert_int_equal(fstat(b, &t), 0);
    assert_int_equal(s.st_size, t.st_size);
    for (off_t at = 0; at < s.st_size; at += page) {
        ssize_t n = pread(a, x, page, at);
        assert_int_equal(pread(b, y, page, at), n);
        assert_memory_equal(x, y, (size_t)n);
    }
}

static void a_copy_is_the_same_and_holds_no_zeros(void **state)
{
    int from = file_new(), to = file_new();
    struct stat st;
    (void)state;
    assert_int_equal(ftruncate(from, file_bytes + 5), 0);
    bytes_put(from, 'a', 1, 0);
    bytes_put(from, 0, 100 * page, 10 * page); /* room, but nothing in it */
    bytes_put(from, 'b', 3, 64 * page - 1);    /* over the edge of a chunk */
    bytes_put(from, 'c', 70 * page, 200 * page);
    bytes_put(from, 'd', 5, file_bytes);
    assert_int_equal(file_copy(from, to), 0);
    assert_same(from, to);
    assert_int_equal(fstat(to, &st), 0);
    assert_true(st.st_blocks * 512 < 100 * page);
    close(from);
    close(to);
}

static void a_file_that_is_one_hole_stays_one(void **state)
{
    int from = file_new(), to = file_new();
    struct stat st;
    (void)state;
    assert_int_equal(ftruncate(from, file_bytes), 0);
    assert_int_equal(file_copy(from, to), 0);
    assert_int_equal(fstat(to, &st), 0);
    assert_int_equal(st.st_size, file_bytes);
    assert_int_equal(st.st_blocks, 0);
    close(from);
    close(to);
}

static void a_copy_without_room_is_an_error(void **state)
{
    int from = file_new(), full = open("/dev/full", O_WRONLY);
    (void)state;
    bytes_put(from, 'a', page, 0);
    assert_true(full >= 0);
    assert_int_not_equal(file_copy(from, full), 0);
    assert_int_not_equal(file_copy(from, -1), 0);
    assert_int_not_equal(file_copy(-1, full), 0);
    close(from);
    close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staging_takes_four_times_the_room),
        cmocka_unit_test(staging_is_only_worth_it_from_a_disk_into_memory),
        cmocka_unit_test(what_outlives_a_log_out_is_not_staged),
        cmocka_unit_test(only_links_to_a_file_in_a_folder_of_ours_are_known),
        cmocka_unit_test(a_copy_is_the_same_and_holds_no_zeros),
        cmocka_unit_test(a_file_that_is_one_hole_stays_one),
        cmocka_unit_test(a_copy_without_room_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
