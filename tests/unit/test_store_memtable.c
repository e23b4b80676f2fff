#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/hash.h"
#include "store/memtable.h"
#include "tests/unit/scarce.h"

struct fixture {
    struct pool *pool;
    struct pool_thread *here;
    struct memtable table;
};

static int set_up(void **state)
{
    struct fixture *f = test_malloc(sizeof *f);
    f->pool = pool_open(1);
    f->here = pool_here(f->pool);
    assert_int_equal(memtable_init(&f->table, f->here), 0);
    *state = f;
    return 0;
}

/* Whatever a test did: in the end every object is back. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct pool_counters last;
    memtable_release(&f->table, f->here);
    pool_close(f->pool, &last);
    assert_int_equal(last.gets, last.puts);
    test_free(f);
    return 0;
}

/* Keys and values are numbers; hashes are the caller's, to make collisions. */
static struct entry *put(struct fixture *f, uint64_t hash, uint32_t key, uint64_t value)
{
    struct entry *e = entry_new(f->here, hash, &key, sizeof key, &value, sizeof value);
    assert_non_null(e);
    return memtable_insert(&f->table, f->here, e);
}

static struct entry *find(struct fixture *f, uint64_t hash, uint32_t key)
{
    return memtable_find(&f->table, hash, &key, sizeof key);
}

static uint64_t value_of(const struct entry *e)
{
    uint64_t value;
    assert_non_null(e);
    assert_int_equal(e->value_size, sizeof value);
    memcpy(&value, e->value, sizeof value);
    return value;
}

static uint64_t hash_of(uint32_t key)
{
    return hash_bytes(&key, sizeof key);
}

static void every_key_is_found_at_every_size(void **state)
{
    enum { n = 20000 };
    struct fixture *f = *state;
    for (uint32_t i = 0; i < n; i++) {
        assert_null(put(f, hash_of(i), i, i * 3));
        assert_int_equal(f->table.entries, i + 1);
        uint32_t some = (uint32_t)(hash_of(i) % (i + 1));
        assert_int_equal(value_of(find(f, hash_of(some), some)), some * 3);
        assert_null(find(f, hash_of(i + 1), i + 1));
    }
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(value_of(find(f, hash_of(i), i)), i * 3);
    assert_int_equal(f->table.data_bytes, n * 12);
}

/* Linear hashing: one bucket more per insertion once there are as many entries as buckets. */
static void buckets_follow_entries_one_by_one(void **state)
{
    struct fixture *f = *state;
    size_t first = f->table.buckets;
    for (uint32_t i = 0; i < 5000; i++) {
        size_t before = f->table.buckets;
        put(f, hash_of(i), i, i);
        assert_int_equal(f->table.buckets, i < first ? before : before + 1);
        assert_true(f->table.mask / 2 < f->table.buckets && f->table.buckets <= f->table.mask + 1);
    }
}

static void insert_gives_back_the_entry_it_replaces(void **state)
{
    struct fixture *f = *state;
    assert_null(put(f, 5, 1, 10));
    struct entry *old = put(f, 5, 1, 20);
    assert_int_equal(value_of(old), 10);
    assert_int_equal(old->references, 1);
    entry_drop(f->here, old);
    assert_int_equal(value_of(find(f, 5, 1)), 20);
    assert_int_equal(f->table.entries, 1);
    assert_int_equal(f->table.data_bytes, 12);
}

static void colliding_keys_are_told_apart(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 1500; i++)
        assert_null(put(f, 77, i, i));
    for (uint32_t i = 0; i < 1500; i++)
        assert_int_equal(value_of(find(f, 77, i)), i);
    for (uint32_t i = 0; i < 1500; i += 2) {
        struct entry *e = memtable_remove(&f->table, 77, &i, sizeof i);
        assert_int_equal(value_of(e), i);
        entry_drop(f->here, e);
    }
    for (uint32_t i = 0; i < 1500; i++)
        assert_true((find(f, 77, i) != NULL) == (i % 2 == 1));
    assert_int_equal(f->table.entries, 750);
}

static void keys_that_begin_alike_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct entry *e;
    assert_null(memtable_insert(&f->table, f->here, entry_new(f->here, 9, "abc", 3, "x", 1)));
    assert_null(memtable_insert(&f->table, f->here, entry_new(f->here, 9, "abcd", 4, "yy", 2)));
    assert_non_null(e = memtable_find(&f->table, 9, "abc", 3));
    assert_int_equal(e->value_size, 1);
    assert_non_null(e = memtable_find(&f->table, 9, "abcd", 4));
    assert_int_equal(e->value_size, 2);
    assert_null(memtable_find(&f->table, 9, "ab", 2));
}

static void remove_of_a_missing_key_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint32_t key = 4;
    put(f, 1, 3, 3);
    assert_null(memtable_remove(&f->table, 1, &key, sizeof key));
    assert_int_equal(f->table.entries, 1);
}

static void a_held_entry_outlives_its_removal(void **state)
{
    struct fixture *f = *state;
    uint32_t key = 3;
    put(f, 1, key, 42);
    struct entry *held = find(f, 1, key);
    entry_hold(held);
    entry_drop(f->here, memtable_remove(&f->table, 1, &key, sizeof key));
    assert_int_equal(value_of(held), 42);
    entry_drop(f->here, held);
    struct pool_counters c;
    pool_count(f->pool, &c);
    assert_int_equal(c.gets - c.puts, 2); /* the table's directory and first segment */
}

static void empty_values_take_no_object(void **state)
{
    struct fixture *f = *state;
    struct pool_counters before, after;
    pool_count(f->pool, &before);
    memtable_insert(&f->table, f->here, entry_new(f->here, 2, "k", 1, "", 0));
    pool_count(f->pool, &after);
    assert_int_equal(after.gets - before.gets, 2);
    assert_null(memtable_find(&f->table, 2, "k", 1)->value);
}

static void without_memory_the_table_works_on_but_does_not_grow(void **state)
{
    struct fixture *f = *state;
    if (!SCARCE)
        skip();
    struct pool *pool = pool_open(0); /* off: every object is a malloc that can fail */
    struct pool_thread *here = pool_here(pool);
    struct memtable table, none;
    assert_int_equal(memtable_init(&table, here), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        struct entry *e = entry_new(here, hash_of(i), &i, sizeof i, &i, sizeof i);
        scarce_left = 0;
        assert_null(memtable_insert(&table, here, e));
        scarce_left = -1;
    }
    assert_int_equal(table.buckets, 512);
    for (uint32_t i = 0; i < 3000; i++)
        assert_non_null(memtable_find(&table, hash_of(i), &i, sizeof i));
    for (long left = 0; left < 3; left++) { /* an entry is all or nothing */
        struct pool_counters before, after;
        pool_count(pool, &before);
        scarce_left = left;
        assert_null(entry_new(here, 1, "key", 3, "value", 5));
        scarce_left = -1;
        pool_count(pool, &after);
        assert_int_equal(after.allocs - before.allocs, after.frees - before.frees);
    }
    for (long left = 0; left < 2; left++) {
        scarce_left = left;
        assert_int_equal(memtable_init(&none, here), -1);
        scarce_left = -1;
        memtable_release(&none, here);
    }
    memtable_release(&table, here);
    pool_close(pool, NULL);
    (void)f;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_key_is_found_at_every_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(buckets_follow_entries_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(insert_gives_back_the_entry_it_replaces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(colliding_keys_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_that_begin_alike_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(remove_of_a_missing_key_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_held_entry_outlives_its_removal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_values_take_no_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory_the_table_works_on_but_does_not_grow, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
