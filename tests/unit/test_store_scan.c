#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "store/store.h"
#include "tests/unit/scarce.h"
#include "tests/unit/wal_disk.h"

static struct store *open_ordered(int pool, uint32_t shards, const char *directory)
{
    struct store_config config;
    struct store *store;
    store_config_init(&config);
    assert_int_equal(config.ordered, 0);
    config.ordered = 1;
    config.pool = pool;
    config.shards = shards;
    config.directory = directory;
    assert_int_equal(store_open(&config, &store), STORE_OK);
    return store;
}

static int put(struct store *store, const char *key, const char *value)
{
    return store_put(store, key, strlen(key), value, strlen(value));
}

/* ---- what a scan reports ---- */

struct text {
    char bytes[4096];
    size_t size;
    int left; /* entries until it wants no more; 0 = no limit */
};

static int add(void *context, const void *key, size_t key_size, const void *value,
               size_t value_size)
{
    struct text *t = context;
    assert_non_null(value);
    t->size +=
        (size_t)snprintf(t->bytes + t->size, sizeof t->bytes - t->size, "%.*s=%.*s ", (int)key_size,
                         (const char *)key, (int)value_size, (const char *)value);
    return t->left && --t->left == 0;
}

static const char *scan(struct store *store, const char *start, uint64_t limit)
{
    static struct text t;
    t = (struct text){.size = 0};
    assert_int_equal(store_scan(store, start, strlen(start), limit, add, &t), STORE_OK);
    return t.bytes;
}

static void keys_of_all_shards_come_in_one_order(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 64; shards *= 8)
        for (int pool = 0; pool < 2; pool++) {
            struct store *store = open_ordered(pool, shards, NULL);
            assert_string_equal(scan(store, "", 10), "");
            assert_int_equal(put(store, "c", "3"), STORE_OK);
            assert_int_equal(put(store, "a", "1"), STORE_OK);
            assert_int_equal(put(store, "d", ""), STORE_OK);
            assert_int_equal(put(store, "b", "2"), STORE_OK);
            assert_int_equal(put(store, "bb", "22"), STORE_OK);
            assert_string_equal(scan(store, "", 10), "a=1 b=2 bb=22 c=3 d= ");
            assert_string_equal(scan(store, "b", 2), "b=2 bb=22 ");
            assert_string_equal(scan(store, "ba", 1), "bb=22 ");
            assert_string_equal(scan(store, "e", 10), "");
            assert_string_equal(scan(store, "a", 0), "");
            assert_int_equal(put(store, "c", "three"), STORE_OK);
            assert_int_equal(store_delete(store, "b", 1), STORE_OK);
            assert_int_equal(store_delete(store, "b", 1), STORE_NOT_FOUND);
            assert_string_equal(scan(store, "", 10), "a=1 bb=22 c=three d= ");
            assert_int_equal(put(store, "b", "again"), STORE_OK);
            assert_string_equal(scan(store, "", 3), "a=1 b=again bb=22 ");
            close_clean(store);
        }
}

static void the_visitor_may_end_a_scan(void **state)
{
    struct text t = {.left = 2};
    struct store_statistics s;
    (void)state;
    struct store *store = open_ordered(1, 4, NULL);
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%03d", i);
        assert_int_equal(put(store, key, "v"), STORE_OK);
    }
    assert_int_equal(store_scan(store, "010", 3, 100, add, &t), STORE_OK);
    assert_string_equal(t.bytes, "010=v 011=v ");
    t = (struct text){.left = 100}; /* in its second batch */
    assert_int_equal(store_scan(store, "", 0, 150, add, &t), STORE_OK);
    assert_string_equal(t.bytes + t.size - 6, "099=v ");
    store_statistics(store, &s);
    assert_int_equal(s.scans, 2);
    assert_int_equal(s.scan_entries, 102);
    close_clean(store);
}

static void a_scan_takes_no_memory_and_leaves_none(void **state)
{
    struct store_statistics before, after;
    struct text t = {.size = 0};
    (void)state;
    if (!SCARCE)
        skip();
    struct store *store = open_ordered(0, 4, NULL);
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%03d", i);
        assert_int_equal(put(store, key, "v"), STORE_OK);
    }
    store_statistics(store, &before);
    scarce_left = 0;
    assert_int_equal(store_scan(store, "", 0, UINT64_MAX, add, &t), STORE_OK);
    scarce_left = -1;
    store_statistics(store, &after);
    assert_int_equal(t.size, 200 * 6);
    assert_int_equal(after.allocs, before.allocs);
    assert_int_equal(after.frees, before.frees);
    close_clean(store);
}

static void what_cannot_be_scanned_is_refused(void **state)
{
    static char key[STORE_KEY_MAX + 1];
    struct text t = {.size = 0};
    struct store_config config;
    struct store *store;
    (void)state;
    store_config_init(&config);
    assert_int_equal(store_open(&config, &store), STORE_OK);
    assert_int_equal(store_scan(store, "", 0, 1, add, &t), STORE_NOT_ORDERED);
    close_clean(store);
    store = open_ordered(1, 1, NULL);
    assert_int_equal(store_scan(store, key, sizeof key, 1, add, &t), STORE_BAD_KEY);
    assert_int_equal(store_put(store, key, sizeof key, "v", 1), STORE_BAD_KEY);
    assert_int_equal(t.size, 0);
    close_clean(store);
}

/* ---- a model ---- */

enum { MODEL_KEYS = 300, MODEL_STEPS = 20000 };
struct model {
    unsigned values[MODEL_KEYS]; /* 0: not there */
    unsigned next;               /* the key from which the scan has still to report */
};

static int compare_with_model(void *context, const void *key, size_t key_size, const void *value,
                              size_t value_size)
{
    struct model *m = context;
    const unsigned char *k = key;
    unsigned got;
    while (m->next < MODEL_KEYS && !m->values[m->next])
        m->next++;
    assert_int_equal(key_size, 2);
    assert_int_equal(k[0] << 8 | k[1], m->next);
    assert_int_equal(value_size, sizeof got);
    memcpy(&got, value, sizeof got);
    assert_int_equal(got, m->values[m->next++]);
    return 0;
}

static void scans_agree_with_a_sorted_array(void **state)
{
    static struct model m;
    uint64_t random = 7, entries = 0;
    struct store_statistics s;
    (void)state;
    memset(&m, 0, sizeof m);
    struct store *store = open_ordered(1, 8, NULL);
    for (unsigned step = 1; step <= MODEL_STEPS; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned k = (unsigned)(random >> 33) % MODEL_KEYS;
        unsigned char key[2] = {(unsigned char)(k >> 8), (unsigned char)k};
        if (random >> 62 == 0) {
            assert_int_equal(store_delete(store, key, 2), m.values[k] ? STORE_OK : STORE_NOT_FOUND);
            m.values[k] = 0;
        } else if (random >> 62 == 1) {
            assert_int_equal(store_put(store, key, 2, &step, sizeof step), STORE_OK);
            m.values[k] = step;
        } else if (step % 8 == 0) {
            uint64_t limit = (random >> 20) % 100, there = 0;
            m.next = k;
            for (unsigned i = k; i < MODEL_KEYS; i++)
                there += m.values[i] != 0;
            entries += there < limit ? there : limit;
            assert_int_equal(store_scan(store, key, 2, limit, compare_with_model, &m), STORE_OK);
            store_statistics(store, &s);
            assert_int_equal(s.scan_entries, entries);
        }
    }
    assert_true(entries > 10000);
    close_clean(store);
}

/* ---- the log ---- */

static void a_reopened_log_can_be_scanned(void **state)
{
    (void)state;
    struct store *store = open_ordered(1, 4, wal_directory);
    assert_int_equal(put(store, "b", "1"), STORE_OK);
    assert_int_equal(put(store, "a", "1"), STORE_OK);
    assert_int_equal(put(store, "b", "2"), STORE_OK);
    assert_int_equal(put(store, "c", "1"), STORE_OK);
    assert_int_equal(store_delete(store, "a", 1), STORE_OK);
    assert_string_equal(scan(store, "", 9), "b=2 c=1 ");
    close_clean(store);
    store = open_ordered(0, 8, wal_directory);
    assert_string_equal(scan(store, "", 9), "b=2 c=1 ");
    assert_int_equal(put(store, "a", "3"), STORE_OK);
    close_clean(store);
    close_clean(open_log(0)); /* without an index the file is the same */
    store = open_ordered(1, 1, wal_directory);
    assert_string_equal(scan(store, "", 9), "a=3 b=2 c=1 ");
    close_clean(store);
}

static void a_put_that_the_log_refuses_is_in_no_scan(void **state)
{
    (void)state;
    struct store *store = open_ordered(1, 4, wal_directory);
    assert_int_equal(put(store, "a", "1"), STORE_OK);
    disk.write_error = ENOSPC;
    disk.write_room = 3;
    assert_int_equal(put(store, "b", "1"), STORE_NO_SPACE);
    assert_int_equal(put(store, "a", "2"), STORE_NO_SPACE);
    assert_int_equal(store_delete(store, "a", 1), STORE_NO_SPACE);
    disk_reset();
    assert_string_equal(scan(store, "", 9), "a=1 ");
    close_clean(store);
}

static void no_memory_for_the_index_fails_the_put_and_changes_nothing(void **state)
{
    struct store_config config;
    struct store *store = NULL;
    (void)state;
    if (!SCARCE)
        skip();
    for (int logged = 0; logged < 2; logged++) {
        const char *directory = logged ? wal_directory : NULL;
        store = open_ordered(0, 1, directory);
        assert_int_equal(put(store, "a", "1"), STORE_OK);
        for (long left = 0; left < 4; left++) { /* entry, key, value, node */
            scarce_left = left;
            assert_int_equal(put(store, "b", "1"), STORE_NO_MEMORY);
            scarce_left = -1;
            assert_string_equal(scan(store, "", 9), "a=1 ");
        }
        scarce_left = 4;
        assert_int_equal(put(store, "b", "1"), STORE_OK);
        scarce_left = -1;
        assert_string_equal(scan(store, "", 9), "a=1 b=1 ");
        close_clean(store);
    }
    store_config_init(&config);
    config.ordered = 1;
    config.pool = 0;
    config.shards = 1;
    config.directory = wal_directory; /* two puts to find again */
    long live = scarce_live, left = 0;
    for (int rc = STORE_NO_MEMORY; rc != STORE_OK; left++) {
        scarce_left = left;
        rc = store_open(&config, &store);
        scarce_left = -1;
        assert_true(rc == STORE_OK || (rc == STORE_NO_MEMORY && !store && scarce_live == live));
        assert_true(left < 100);
    }
    assert_true(left > 12);
    close_clean(store);
}

/* ---- threads ---- */

/* Even keys are put once and stay; odd ones come and go. */
enum { KEYS = 512, ACTORS = 4, ROUNDS = 4000, WORDS = 8 };
struct actor {
    struct store *store;
    uint64_t random, entries, scans;
    uint32_t last, even; /* keys seen by the scan under way: the last, even ones */
    uint32_t torn, disorder, missing, unexpected;
};

static void put_number(struct actor *a, uint32_t key, uint64_t word)
{
    uint32_t big_endian = __builtin_bswap32(key);
    uint64_t words[WORDS];
    for (int i = 0; i < WORDS; i++)
        words[i] = word;
    a->unexpected += store_put(a->store, &big_endian, 4, words, sizeof words) != STORE_OK;
}

static int see(void *context, const void *key, size_t key_size, const void *value,
               size_t value_size)
{
    struct actor *a = context;
    uint32_t k;
    uint64_t words[WORDS];
    a->entries++;
    if (key_size != sizeof k || value_size != sizeof words) {
        a->unexpected++;
        return 1;
    }
    memcpy(&k, key, sizeof k);
    memcpy(words, value, sizeof words);
    for (int i = 1; i < WORDS; i++)
        a->torn += words[i] != words[0];
    k = __builtin_bswap32(k) + 1; /* 0: none yet */
    a->disorder += k <= a->last;
    a->even += k % 2;
    a->last = k;
    return 0;
}

static void *change_and_scan(void *argument)
{
    struct actor *a = argument;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t r = a->random = a->random * 6364136223846793005u + 1442695040888963407u;
        uint32_t key = (uint32_t)(r >> 33) % KEYS, big_endian = __builtin_bswap32(key | 1);
        if (r >> 62 == 0) {
            int rc = store_delete(a->store, &big_endian, 4);
            a->unexpected += rc != STORE_OK && rc != STORE_NOT_FOUND;
        } else if (r >> 62 != 1 || i % 20) {
            put_number(a, key, r);
        } else {
            uint32_t start = __builtin_bswap32(key);
            a->last = a->even = 0;
            a->scans++;
            a->unexpected += store_scan(a->store, &start, 4, KEYS, see, a) != STORE_OK;
            a->missing += a->even != (KEYS - key) / 2;
        }
    }
    return NULL;
}

static void scans_meet_whole_values_in_order_under_puts_and_deletes(void **state)
{
    (void)state;
    for (int pool = 0; pool < 2; pool++) {
        struct actor actors[ACTORS];
        pthread_t threads[ACTORS];
        struct store_statistics s;
        uint64_t entries = 0, scans = 0;
        struct store *store = open_ordered(pool, 4, pool ? wal_directory : NULL);
        actors[0] = (struct actor){.store = store};
        for (uint32_t key = 0; key < KEYS; key += 2)
            put_number(&actors[0], key, 1);
        for (int i = 0; i < ACTORS; i++) {
            actors[i] = (struct actor){.store = store, .random = (uint64_t)i * 0x9e3779b97f4a7c15u};
            assert_int_equal(pthread_create(&threads[i], NULL, change_and_scan, &actors[i]), 0);
        }
        for (int i = 0; i < ACTORS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(actors[i].unexpected, 0);
            assert_int_equal(actors[i].torn, 0);
            assert_int_equal(actors[i].disorder, 0);
            assert_int_equal(actors[i].missing, 0);
            entries += actors[i].entries;
            scans += actors[i].scans;
        }
        store_statistics(store, &s);
        assert_true(scans > 100 && entries > 10000);
        assert_int_equal(s.scans, scans);
        assert_int_equal(s.scan_entries, entries);
        struct actor all = {.store = store}; /* the index and the tables still agree */
        assert_int_equal(store_scan(store, NULL, 0, UINT64_MAX, see, &all), STORE_OK);
        assert_int_equal(all.entries, s.keys);
        close_clean(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_all_shards_come_in_one_order),
        cmocka_unit_test(the_visitor_may_end_a_scan),
        cmocka_unit_test(a_scan_takes_no_memory_and_leaves_none),
        cmocka_unit_test(what_cannot_be_scanned_is_refused),
        cmocka_unit_test(scans_agree_with_a_sorted_array),
        DISK_TEST(a_reopened_log_can_be_scanned),
        DISK_TEST(a_put_that_the_log_refuses_is_in_no_scan),
        DISK_TEST(no_memory_for_the_index_fails_the_put_and_changes_nothing),
        DISK_TEST(scans_meet_whole_values_in_order_under_puts_and_deletes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
