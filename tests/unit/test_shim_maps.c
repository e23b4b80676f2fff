#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim/maps.h"
#include "shim/shim.h"

#define PAGE ((uintptr_t)4096)
#define AT   ((uintptr_t)0x7f0000000000)

static char path[PATH_MAX];
static uint64_t gone_bytes, gone_whole, gone_pieces;
static uint32_t gone_node;

static int profile_make(void **state)
{
    int os_error;
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(path, sizeof path, "%s/maps-%d.pshim", tmp ? tmp : "/tmp", (int)getpid());
    unlink(path);
    return profile_create(path, 1 << 20, &shim.profile, &os_error);
}

static int profile_remove(void **state)
{
    (void)state;
    profile_close(&shim.profile);
    return unlink(path);
}

static void gone(void *context, uint32_t node, uint64_t bytes, bool whole)
{
    (void)context;
    gone_bytes += bytes;
    gone_whole += whole;
    gone_pieces++;
    gone_node = node;
}

static void unmapped(uintptr_t from, size_t bytes, bool done)
{
    struct maps_taken taken;
    gone_bytes = gone_whole = gone_pieces = 0;
    maps_take(&taken, from, bytes);
    maps_settle(&taken, done, gone, NULL);
}

static void what_goes_whole_is_gone_once(void **state)
{
    (void)state;
    assert_true(maps_empty());
    assert_true(maps_add(AT, 16 * PAGE, 7));
    assert_false(maps_empty());
    unmapped(AT - 16 * PAGE, 16 * PAGE, true); /* beside it, below and above */
    assert_int_equal(gone_pieces, 0);
    unmapped(AT + 16 * PAGE, PAGE, true);
    assert_int_equal(gone_pieces, 0);
    unmapped(AT, 0, true);
    assert_int_equal(gone_pieces, 0);
    unmapped(AT, 16 * PAGE, true);
    assert_int_equal(gone_bytes, 16 * PAGE);
    assert_int_equal(gone_whole, 1);
    assert_int_equal(gone_node, 7);
    assert_true(maps_empty());
}

static void a_mapping_in_pieces_is_gone_when_the_last_has_gone(void **state)
{
    (void)state;
    maps_add(AT, 9 * PAGE, 3);
    unmapped(AT + 3 * PAGE, PAGE, true);
    assert_int_equal(gone_bytes, PAGE);
    unmapped(AT + 6 * PAGE, PAGE, true);
    unmapped(AT, 3 * PAGE, true); /* the piece that counts the others goes before them */
    assert_int_equal(gone_bytes, 3 * PAGE);
    assert_int_equal(gone_whole, 0);
    unmapped(AT + 7 * PAGE, 2 * PAGE, true);
    assert_int_equal(gone_whole, 0);
    assert_false(maps_empty());
    unmapped(AT, 9 * PAGE, true);
    assert_int_equal(gone_bytes, 2 * PAGE);
    assert_int_equal(gone_whole, 1);
    assert_true(maps_empty());
}

static void a_range_over_two_mappings_takes_of_both(void **state)
{
    (void)state;
    maps_add(AT, 4 * PAGE, 1);
    maps_add(AT + 4 * PAGE, 4 * PAGE, 2);
    unmapped(AT + 3 * PAGE, 2 * PAGE - 1, true);
    assert_int_equal(gone_pieces, 2);
    assert_int_equal(gone_bytes, 2 * PAGE);
    unmapped(AT, 8 * PAGE, true);
    assert_int_equal(gone_bytes, 6 * PAGE);
    assert_int_equal(gone_whole, 2);
    assert_true(maps_empty());
}

static void a_call_that_fails_changes_nothing(void **state)
{
    (void)state;
    maps_add(AT, 4 * PAGE, 1);
    unmapped(AT + PAGE, PAGE, false);
    assert_int_equal(gone_pieces, 0);
    unmapped(AT, 4 * PAGE, true);
    assert_int_equal(gone_bytes, 4 * PAGE);
    assert_int_equal(gone_whole, 1);
}

static void what_is_taken_is_nobody_elses(void **state)
{
    struct maps_taken mine, other;
    (void)state;
    maps_add(AT, 4 * PAGE, 1);
    maps_take(&mine, AT, 4 * PAGE);
    assert_int_equal(mine.count, 1);
    maps_take(&other, AT, 4 * PAGE);
    assert_int_equal(other.count, 0);
    maps_add(AT, 2 * PAGE, 9); /* the address is handed out again at once */
    maps_settle(&mine, true, gone, NULL);
    unmapped(AT, 2 * PAGE, true);
    assert_int_equal(gone_bytes, 2 * PAGE);
    assert_int_equal(gone_node, 9);
    assert_true(maps_empty());
}

static void a_full_table_is_told_and_empties_again(void **state)
{
    (void)state;
    for (uintptr_t i = 0; i < maps_most; i++)
        assert_true(maps_add(AT + 2 * i * PAGE, PAGE, 1));
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_map_table_full], 0);
    assert_false(maps_add(AT - PAGE, PAGE, 1));
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_map_table_full], 1);
    for (uintptr_t i = 0; i < maps_most; i++)
        unmapped(AT + 2 * i * PAGE, PAGE, true);
    assert_true(maps_empty());
    assert_true(maps_add(AT, PAGE, 1));
    unmapped(AT, PAGE, true);
}

static void a_mapping_of_terabytes_is_not_tracked_but_told(void **state)
{
    (void)state;
    assert_true(maps_add(AT, ((size_t)1 << 40) - PAGE, 1));
    unmapped(AT, (size_t)1 << 40, true);
    assert_int_equal(gone_bytes, ((size_t)1 << 40) - PAGE);
    assert_false(maps_add(AT, (size_t)1 << 40, 1));
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_map_table_full], 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        TEST(what_goes_whole_is_gone_once),
        TEST(a_mapping_in_pieces_is_gone_when_the_last_has_gone),
        TEST(a_range_over_two_mappings_takes_of_both),
        TEST(a_call_that_fails_changes_nothing),
        TEST(what_is_taken_is_nobody_elses),
        TEST(a_full_table_is_told_and_empties_again),
        TEST(a_mapping_of_terabytes_is_not_tracked_but_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
