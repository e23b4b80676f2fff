#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "shim/blocks.h"
#include "shim/shim.h"

static const void *address(uint64_t i)
{
    return (const void *)(uintptr_t)(0x7f0000000000u + i * 4096);
}

static void block_is_found_taken_once_and_gone(void **state)
{
    struct block out;
    (void)state;
    assert_false(blocks_find(&blocks_untagged, address(1), &out));
    assert_true(blocks_put(&blocks_untagged, address(1), (struct block){.bytes = 5000, .node = 7}));
    assert_true(blocks_find(&blocks_untagged, address(1), &out));
    assert_int_equal(out.bytes, 5000);
    assert_int_equal(out.node, 7);
    assert_true(blocks_take(&blocks_untagged, address(1), &out));
    assert_int_equal(out.bytes, 5000);
    assert_false(blocks_take(&blocks_untagged, address(1), &out));
    assert_false(blocks_find(&blocks_untagged, address(1), &out));
}

/* More than the first two levels hold. */
static void many_blocks_are_all_remembered(void **state)
{
    enum { n = 100000 };
    struct block out;
    (void)state;
    for (uint64_t i = 0; i < n; i++)
        assert_true(blocks_put(&blocks_untagged, address(i),
                               (struct block){.bytes = i + 1, .node = (uint32_t)i}));
    for (uint64_t i = 0; i < n; i += 2) {
        assert_true(blocks_take(&blocks_untagged, address(i), &out));
        assert_int_equal(out.bytes, i + 1);
    }
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(blocks_find(&blocks_untagged, address(i), &out), i % 2);
        if (i % 2)
            assert_int_equal(out.node, i);
    }
    for (uint64_t i = 1; i < n; i += 2)
        assert_true(blocks_take(&blocks_untagged, address(i), &out));
}

static void *put_and_take(void *arg)
{
    uint64_t base = (uint64_t)(uintptr_t)arg * 1000000;
    uintptr_t wrong = 0;
    struct block out;
    for (int round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 2000; i++)
            wrong += !blocks_put(&blocks_untagged, address(base + i),
                                 (struct block){.bytes = base + i, .node = 1});
        for (uint64_t i = 0; i < 2000; i++)
            wrong +=
                !blocks_take(&blocks_untagged, address(base + i), &out) || out.bytes != base + i;
    }
    return (void *)wrong;
}

static void threads_do_not_lose_each_others_blocks(void **state)
{
    enum { threads = 4 };
    pthread_t thread[threads];
    (void)state;
    for (uintptr_t i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, put_and_take, (void *)(i + 1));
    for (int i = 0; i < threads; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        assert_null(wrong);
    }
}

static void limit_of_the_host_keeps_the_table_small(void **state)
{
    enum { n = 100000 };
    struct block out;
    uint64_t kept = 0;
    (void)state;
    shim.map_max_bytes = 1000; /* first: no level but the smallest may be mapped */
    for (uint64_t i = 0; i < n; i++)
        kept += blocks_put(&blocks_untagged, address(i), (struct block){.bytes = 1, .node = 1});
    assert_in_range(kept, 1, 5000);
    for (uint64_t i = 0; i < n; i++)
        kept -= blocks_take(&blocks_untagged, address(i), &out);
    assert_int_equal(kept, 0);
    shim.map_max_bytes = UINT64_MAX;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_of_the_host_keeps_the_table_small),
        cmocka_unit_test(block_is_found_taken_once_and_gone),
        cmocka_unit_test(many_blocks_are_all_remembered),
        cmocka_unit_test(threads_do_not_lose_each_others_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
