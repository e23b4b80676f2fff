#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/hash.h"
#include "store/index.h"
#include "tests/unit/scarce.h"

struct fixture {
    struct pool *pool;
    struct pool_thread *here;
    struct index index;
};

static int set_up(void **state)
{
    struct fixture *f = test_malloc(sizeof *f);
    f->pool = pool_open(1);
    f->here = pool_here(f->pool);
    index_init(&f->index);
    *state = f;
    return 0;
}

/* Whatever a test did: in the end every object is back. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct pool_counters last;
    index_release(&f->index, f->here);
    pool_close(f->pool, &last);
    assert_int_equal(last.gets, last.puts);
    test_free(f);
    return 0;
}

static void insert_hashed(struct fixture *f, const char *key, uint64_t hash)
{
    struct index_node *node = index_node_new(f->here, hash, key, strlen(key));
    assert_non_null(node);
    index_insert(&f->index, node);
}

static void insert(struct fixture *f, const char *key)
{
    insert_hashed(f, key, hash_bytes(key, strlen(key)));
}

/* The keys from `start` on, each followed by a blank. */
static const char *keys(struct fixture *f, const char *start, int after, size_t limit)
{
    static char text[4096];
    struct index_node *nodes[64];
    size_t n = index_collect(&f->index, start, strlen(start), after, nodes, limit), at = 0;
    assert_true(n <= limit);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + at, index_key(nodes[i]), nodes[i]->key_size);
        at += nodes[i]->key_size;
        text[at++] = ' ';
        index_node_drop(f->here, nodes[i]);
    }
    text[at] = '\0';
    return text;
}

static void keys_come_by_their_bytes_and_the_shorter_first(void **state)
{
    struct fixture *f = *state;
    const char *in[] = {"b", "ab", "a", "\xff", "abc", "B", "b1", "aa"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        insert(f, in[i]);
    assert_string_equal(keys(f, "", 0, 64), "B a aa ab abc b b1 \xff ");
    assert_string_equal(keys(f, "ab", 0, 64), "ab abc b b1 \xff ");
    assert_string_equal(keys(f, "ab", 1, 3), "abc b b1 ");
    assert_string_equal(keys(f, "abb", 0, 1), "abc ");
    assert_string_equal(keys(f, "\xff\xff", 0, 64), "");
    assert_string_equal(keys(f, "", 0, 0), "");
}

static void a_removed_key_is_gone_and_its_node_stays_readable(void **state)
{
    struct fixture *f = *state;
    struct index_node *held;
    insert(f, "a");
    insert(f, "b");
    insert(f, "c");
    assert_int_equal(index_collect(&f->index, "b", 1, 0, &held, 1), 1);
    assert_null(index_remove(&f->index, "bb", 2));
    assert_null(index_remove(&f->index, "0", 1));
    assert_null(index_remove(&f->index, "d", 1));
    struct index_node *removed = index_remove(&f->index, "b", 1);
    assert_ptr_equal(removed, held);
    index_node_drop(f->here, removed);
    assert_string_equal(keys(f, "", 0, 64), "a c ");
    assert_memory_equal(index_key(held), "b", 1);
    assert_string_equal(keys(f, "b", 1, 64), "c ");
    index_node_drop(f->here, held);
    assert_null(index_remove(&f->index, "b", 1));
}

/* Whatever hashes there are, only the cost may change. */
static void keys_of_any_heights_are_in_order(void **state)
{
    struct fixture *f = *state;
    const uint64_t all_low = UINT64_MAX, all_high = 0;
    assert_int_equal(index_height(all_low), 1);
    assert_int_equal(index_height(all_high), INDEX_HEIGHT_MAX);
    insert_hashed(f, "c", all_high);
    insert_hashed(f, "a", all_high);
    insert_hashed(f, "b", all_low);
    insert_hashed(f, "d", 1ull << 22);
    insert_hashed(f, "0", all_low);
    assert_string_equal(keys(f, "", 0, 64), "0 a b c d ");
    index_node_drop(f->here, index_remove(&f->index, "a", 1));
    index_node_drop(f->here, index_remove(&f->index, "c", 1));
    assert_string_equal(keys(f, "", 0, 64), "0 b d ");
}

static void one_key_in_four_is_a_level_higher(void **state)
{
    enum { KEYS = 1 << 16 };
    unsigned at_least[INDEX_HEIGHT_MAX + 2] = {0};
    (void)state;
    for (uint32_t key = 0; key < KEYS; key++) {
        unsigned height = index_height(hash_bytes(&key, sizeof key));
        assert_in_range(height, 1, INDEX_HEIGHT_MAX);
        for (unsigned i = 1; i <= height; i++)
            at_least[i]++;
    }
    for (unsigned i = 2; i <= 5; i++) /* 256 keys are expected at 5, give or take 5 deviations */
        assert_in_range(at_least[i], at_least[i - 1] / 4 - at_least[i - 1] / 12,
                        at_least[i - 1] / 4 + at_least[i - 1] / 12);
}

/* Random inserts and removes beside an array that says which keys are there. */
static void the_index_agrees_with_a_sorted_array(void **state)
{
    enum { KEYS = 500, STEPS = 40000 };
    static unsigned char there[KEYS];
    struct fixture *f = *state;
    uint64_t random = 1;
    memset(there, 0, sizeof there);
    for (int step = 0; step < STEPS; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned k = (unsigned)(random >> 33) % KEYS;
        unsigned char key[2] = {(unsigned char)(k >> 8), (unsigned char)k};
        if (random >> 63) {
            struct index_node *node = index_remove(&f->index, key, 2);
            assert_int_equal(node != NULL, there[k]);
            index_node_drop(f->here, node);
            there[k] = 0;
        } else if (!there[k]) {
            index_insert(&f->index, index_node_new(f->here, hash_bytes(key, 2), key, 2));
            there[k] = 1;
        }
        if (step % 16)
            continue;
        struct index_node *nodes[20];
        unsigned want = k;
        size_t n = index_collect(&f->index, key, 2, 0, nodes, 20);
        for (size_t i = 0; i < n; i++, want++) {
            while (want < KEYS && !there[want])
                want++;
            const unsigned char *got = (const unsigned char *)index_key(nodes[i]);
            assert_int_equal(got[0] << 8 | got[1], want);
            index_node_drop(f->here, nodes[i]);
        }
        for (; n < 20 && want < KEYS; want++)
            assert_int_equal(there[want], 0);
    }
}

static void no_memory_for_a_node_is_told(void **state)
{
    static char key[60000];
    (void)state;
    if (!SCARCE)
        skip();
    struct pool *pool = pool_open(0);
    scarce_left = 0;
    assert_null(index_node_new(pool_here(pool), 1, key, sizeof key));
    scarce_left = -1;
    pool_close(pool, NULL);
}

#define WITH_INDEX(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_INDEX(keys_come_by_their_bytes_and_the_shorter_first),
        WITH_INDEX(a_removed_key_is_gone_and_its_node_stays_readable),
        WITH_INDEX(keys_of_any_heights_are_in_order),
        cmocka_unit_test(one_key_in_four_is_a_level_higher),
        WITH_INDEX(the_index_agrees_with_a_sorted_array),
        cmocka_unit_test(no_memory_for_a_node_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
