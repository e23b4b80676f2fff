#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "store/store.h"
#include "tests/unit/scarce.h"

static struct store *open_store(int pool, uint32_t shards)
{
    struct store_config config;
    struct store *store;
    store_config_init(&config);
    config.pool = pool;
    config.shards = shards;
    assert_int_equal(store_open(&config, &store), STORE_OK);
    return store;
}

static void close_clean(struct store *store)
{
    struct store_statistics last;
    store_close(store, &last);
    assert_int_equal(last.allocs, last.frees);
    assert_int_equal(last.alloc_bytes, last.free_bytes);
    assert_int_equal(last.pool_gets, last.pool_puts);
}

static void put_text(struct store *store, const char *key, const char *value)
{
    assert_int_equal(store_put(store, key, strlen(key), value, strlen(value)), STORE_OK);
}

static void expect_text(struct store *store, const char *key, const char *want)
{
    struct store_value value;
    int rc = store_get(store, key, strlen(key), &value);
    if (!want) {
        assert_int_equal(rc, STORE_NOT_FOUND);
        assert_null(value.data);
        return;
    }
    assert_int_equal(rc, STORE_OK);
    assert_int_equal(value.size, strlen(want));
    assert_memory_equal(value.data, want, value.size);
    store_value_release(store, &value);
}

static void get_returns_what_was_put_last(void **state)
{
    (void)state;
    for (int pool = 0; pool < 2; pool++) {
        struct store *store = open_store(pool, 4);
        expect_text(store, "a", NULL);
        put_text(store, "a", "one");
        put_text(store, "b", "two");
        expect_text(store, "a", "one");
        put_text(store, "a", "a longer value than before");
        expect_text(store, "a", "a longer value than before");
        expect_text(store, "b", "two");
        assert_int_equal(store_delete(store, "a", 1), STORE_OK);
        assert_int_equal(store_delete(store, "a", 1), STORE_NOT_FOUND);
        expect_text(store, "a", NULL);
        expect_text(store, "b", "two");
        close_clean(store);
    }
}

static void a_value_stays_while_its_key_is_overwritten_and_deleted(void **state)
{
    struct store_value value;
    (void)state;
    struct store *store = open_store(1, 1);
    put_text(store, "k", "first");
    assert_int_equal(store_get(store, "k", 1, &value), STORE_OK);
    for (int i = 0; i < 1000; i++)
        put_text(store, "k", "other");
    assert_int_equal(store_delete(store, "k", 1), STORE_OK);
    put_text(store, "l", "12345");
    assert_memory_equal(value.data, "first", 5);
    store_value_release(store, &value);
    assert_null(value.data);
    store_value_release(store, &value);
    close_clean(store);
}

static void keys_and_values_are_bytes_of_any_size(void **state)
{
    static char big[100000];
    struct store_value value;
    (void)state;
    memset(big, 'b', sizeof big);
    for (int pool = 0; pool < 2; pool++) {
        struct store *store = open_store(pool, 2);
        assert_int_equal(store_put(store, "\0\0", 2, "\0", 1), STORE_OK);
        assert_int_equal(store_put(store, "\0", 1, "", 0), STORE_OK);
        assert_int_equal(store_put(store, big, STORE_KEY_MAX, big, sizeof big), STORE_OK);
        assert_int_equal(store_get(store, "\0\0", 2, &value), STORE_OK);
        assert_int_equal(value.size, 1);
        store_value_release(store, &value);
        assert_int_equal(store_get(store, "\0", 1, &value), STORE_OK);
        assert_int_equal(value.size, 0);
        assert_non_null(value.data);
        store_value_release(store, &value);
        assert_int_equal(store_get(store, big, STORE_KEY_MAX, &value), STORE_OK);
        assert_int_equal(value.size, sizeof big);
        assert_memory_equal(value.data, big, sizeof big);
        store_value_release(store, &value);
        close_clean(store);
    }
}

static void sizes_out_of_range_are_refused(void **state)
{
    static char key[STORE_KEY_MAX + 1];
    struct store_value value = {key, 7};
    (void)state;
    struct store *store = open_store(1, 1);
    assert_int_equal(store_put(store, "", 0, "v", 1), STORE_BAD_KEY);
    assert_int_equal(store_put(store, key, sizeof key, "v", 1), STORE_BAD_KEY);
    assert_int_equal(store_put(store, "k", 1, key, STORE_VALUE_MAX + 1), STORE_BAD_VALUE);
    assert_int_equal(store_get(store, "", 0, &value), STORE_BAD_KEY);
    assert_null(value.data);
    assert_int_equal(value.size, 0);
    assert_int_equal(store_delete(store, key, sizeof key), STORE_BAD_KEY);
    close_clean(store);
}

static void bad_configurations_are_refused(void **state)
{
    uint32_t bad[] = {0, 3, 48, STORE_SHARDS_MAX * 2, UINT32_MAX};
    struct store_config config;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct store *store = (struct store *)&config;
        store_config_init(&config);
        config.shards = bad[i];
        assert_int_equal(store_open(&config, &store), STORE_BAD_CONFIG);
        assert_null(store);
    }
    store_close(NULL, NULL);
}

static void every_number_of_shards_finds_every_key(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 4096; shards *= 8) {
        struct store *store = open_store(1, shards);
        struct store_statistics s;
        for (uint64_t i = 0; i < 2000; i++)
            assert_int_equal(store_put(store, &i, 8, &i, 8), STORE_OK);
        for (uint64_t i = 0; i < 2000; i++) {
            struct store_value value;
            assert_int_equal(store_get(store, &i, 8, &value), STORE_OK);
            assert_memory_equal(value.data, &i, 8);
            store_value_release(store, &value);
        }
        store_statistics(store, &s);
        assert_int_equal(s.keys, 2000);
        assert_int_equal(s.data_bytes, 32000);
        close_clean(store);
    }
}

static void statistics_count_operations_exactly(void **state)
{
    struct store_statistics s;
    struct store_value value;
    (void)state;
    struct store *store = open_store(1, 8);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(store_put(store, &i, 8, "0123456789", 10), STORE_OK);
    for (uint64_t i = 50; i < 150; i++)
        if (store_get(store, &i, 8, &value) == STORE_OK)
            store_value_release(store, &value);
    for (uint64_t i = 90; i < 120; i++)
        store_delete(store, &i, 8);
    store_statistics(store, &s);
    assert_int_equal(s.puts, 100);
    assert_int_equal(s.gets, 100);
    assert_int_equal(s.hits, 50);
    assert_int_equal(s.deletes, 30);
    assert_int_equal(s.keys, 90);
    assert_int_equal(s.data_bytes, 90 * 18);
    close_clean(store);
}

/* store.h's promise, to the unit: table growth apart, which 1 000 updates of one key do not cause.
 */
static void allocations_of_each_operation_are_as_promised(void **state)
{
    struct store_statistics a, b;
    struct store_value value;
    (void)state;
    for (int pool = 0; pool < 2; pool++) {
        struct store *store = open_store(pool, 1);
        put_text(store, "key", "value");
        expect_text(store, "key", "value");
        put_text(store, "key", "value");

        store_statistics(store, &a);
        for (int i = 0; i < 1000; i++)
            put_text(store, "key", "value");
        store_statistics(store, &b);
        assert_int_equal(b.pool_gets - a.pool_gets, 3000);
        assert_int_equal(b.pool_puts - a.pool_puts, 3000);
        assert_int_equal(b.allocs - a.allocs, pool ? 0 : 3000);
        assert_int_equal(b.frees - a.frees, pool ? 0 : 3000);

        store_statistics(store, &a);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(store_get(store, "key", 3, &value), STORE_OK);
            store_value_release(store, &value);
        }
        assert_int_equal(store_get(store, "no", 2, &value), STORE_NOT_FOUND);
        store_statistics(store, &b);
        assert_int_equal(b.pool_gets - a.pool_gets, 1000);
        assert_int_equal(b.allocs - a.allocs, pool ? 0 : 1000);
        assert_int_equal(b.alloc_bytes - a.alloc_bytes, pool ? 0 : 5000);
        assert_int_equal(b.frees - a.frees, pool ? 0 : 1000);
        close_clean(store);
    }
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, HOT_KEYS = 16, VALUE = 120 };
struct actor {
    struct store *store;
    uint64_t random;
    uint64_t puts, gets, deletes, torn, unexpected;
};

/* Every value is 15 equal words: a mixture of two puts, or freed memory, would show. */
static void *act(void *argument)
{
    struct actor *a = argument;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t words[VALUE / 8], r = a->random = a->random * 6364136223846793005u + 1;
        uint64_t key = (r >> 33) % HOT_KEYS;
        struct store_value value;
        int rc;
        switch ((r >> 50) % 8) {
        case 0:
            rc = store_delete(a->store, &key, 8);
            a->unexpected += rc != STORE_OK && rc != STORE_NOT_FOUND;
            a->deletes++;
            break;
        case 1:
        case 2:
        case 3:
            for (int w = 0; w < VALUE / 8; w++)
                words[w] = r;
            a->unexpected += store_put(a->store, &key, 8, words, VALUE) != STORE_OK;
            a->puts++;
            break;
        default:
            rc = store_get(a->store, &key, 8, &value);
            a->gets++;
            if (rc == STORE_NOT_FOUND)
                break;
            a->unexpected += rc != STORE_OK || value.size != VALUE;
            memcpy(words, value.data, VALUE);
            for (int w = 1; w < VALUE / 8; w++)
                a->torn += words[w] != words[0];
            store_value_release(a->store, &value);
        }
    }
    return NULL;
}

static void values_are_whole_under_concurrent_puts_and_deletes(void **state)
{
    (void)state;
    for (int pool = 0; pool < 2; pool++) {
        struct store *store = open_store(pool, 2);
        struct store_statistics s, sum = {0};
        struct actor actors[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            actors[i] = (struct actor){.store = store, .random = (uint64_t)i * 0x9e3779b97f4a7c15u};
            assert_int_equal(pthread_create(&threads[i], NULL, act, &actors[i]), 0);
        }
        for (int i = 0; i < 50; i++) {
            store_statistics(store, &s); /* may be asked meanwhile */
            assert_true(s.hits <= s.gets && s.keys <= HOT_KEYS);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(actors[i].torn, 0);
            assert_int_equal(actors[i].unexpected, 0);
            sum.gets += actors[i].gets;
            sum.puts += actors[i].puts;
            sum.deletes += actors[i].deletes;
        }
        store_statistics(store, &s);
        assert_int_equal(s.gets, sum.gets);
        assert_int_equal(s.puts, sum.puts);
        assert_int_equal(s.deletes, sum.deletes);
        close_clean(store);
    }
}

static void *release_elsewhere(void *argument)
{
    void **both = argument;
    store_value_release(both[0], both[1]);
    return NULL;
}

static void a_value_may_be_released_by_another_thread(void **state)
{
    struct store_value value;
    pthread_t thread;
    (void)state;
    struct store *store = open_store(1, 1);
    put_text(store, "k", "value");
    assert_int_equal(store_get(store, "k", 1, &value), STORE_OK);
    void *both[] = {store, &value};
    assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, both), 0);
    pthread_join(thread, NULL);
    assert_null(value.data);
    close_clean(store);
}

/* ---- errors ---- */

static void no_memory_is_an_error_and_changes_nothing(void **state)
{
    struct store_config config;
    struct store *store = NULL;
    struct store_value value;
    (void)state;
    if (!SCARCE)
        skip();
    store_config_init(&config);
    config.shards = 4;
    config.pool = 0;
    long live = scarce_live, left = 0;
    for (int rc = STORE_NO_MEMORY; rc != STORE_OK; left++) {
        scarce_left = left;
        rc = store_open(&config, &store);
        scarce_left = -1;
        assert_true(rc == STORE_OK || (rc == STORE_NO_MEMORY && !store && scarce_live == live));
        assert_true(left < 100);
    }
    assert_true(left > 5);
    put_text(store, "k", "old");
    scarce_left = 0;
    assert_int_equal(store_put(store, "k", 1, "new", 3), STORE_NO_MEMORY);
    assert_int_equal(store_get(store, "k", 1, &value), STORE_NO_MEMORY);
    scarce_left = -1;
    assert_null(value.data);
    expect_text(store, "k", "old");
    close_clean(store);
    assert_int_equal(scarce_live, live);
}

static void every_store_error_has_a_text(void **state)
{
    (void)state;
#define X(id, value, text) assert_string_equal(store_error_text(STORE_##id), text);
    STORE_ERRORS(X)
#undef X
    assert_string_equal(store_error_text(-99), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_returns_what_was_put_last),
        cmocka_unit_test(a_value_stays_while_its_key_is_overwritten_and_deleted),
        cmocka_unit_test(keys_and_values_are_bytes_of_any_size),
        cmocka_unit_test(sizes_out_of_range_are_refused),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(every_number_of_shards_finds_every_key),
        cmocka_unit_test(statistics_count_operations_exactly),
        cmocka_unit_test(allocations_of_each_operation_are_as_promised),
        cmocka_unit_test(values_are_whole_under_concurrent_puts_and_deletes),
        cmocka_unit_test(a_value_may_be_released_by_another_thread),
        cmocka_unit_test(no_memory_is_an_error_and_changes_nothing),
        cmocka_unit_test(every_store_error_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
