#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/block_site.h"
#include "shim/lock_clock.h"
#include "shim/histograms.h"
#include "shim/marks.h"
#include "shim/nodes.h"
#include "shim/tag.h"
#include "shim/timing.h"
#include "tests/unit/shim_profile.h"

static int profile_set_up(void **state)
{
    (void)state;
    if (shim_profile_open(4 << 20) != 0)
        return -1;
    shim.tag_key = 0x123456789abcdef1u;
    shim.map_max_bytes = UINT64_MAX;
    shim.serials = 0;
    me.serial = tag_serial(1, shim.tag_key);
    shim_tls.self = &me;
    shim_tls.until_timed = 0;
    histograms_init();
    return nodes_init();
}

static int profile_tear_down(void **state)
{
    (void)state;
    shim_tls.self = NULL;
    return shim_profile_close();
}

static struct pshim_account *account(uint32_t node)
{
    return account_get(0, PSHIM_KIND_ALLOC, node);
}

static const struct pshim_histogram *histogram(uint32_t node)
{
    uint64_t used = profile_region(&shim.profile, PSHIM_REGION_HISTOGRAM)->used;
    for (uint32_t i = 1; i < used; i++) {
        const struct pshim_histogram *h = profile_record(&shim.profile, PSHIM_REGION_HISTOGRAM, i);
        if (h->node == node)
            return h;
    }
    return NULL;
}

static const struct pshim_histogram *histogram_of_the_rest(void)
{
    return profile_record(&shim.profile, PSHIM_REGION_HISTOGRAM, 0);
}

static uint64_t loss(enum pshim_loss reason)
{
    return shim.profile.header->losses[reason];
}

static const void *address(uint64_t i)
{
    return (const void *)(uintptr_t)(0x600000000000u + i * 16);
}

static void first_64_calls_are_marked_then_one_in_each_64(void **state)
{
    (void)state;
    for (uint32_t node = 1; node < 50; node++) {
        unsigned places[64] = {0}, marked = 0;
        for (uint64_t calls = 0; calls < 64; calls++)
            assert_int_equal(marks_next(calls, node), calls);
        for (uint64_t stratum = 1; stratum <= 640; stratum++) {
            uint64_t at = marks_next(stratum * 64, node);
            assert_in_range(at, stratum * 64, stratum * 64 + 63);
            assert_int_equal(marks_next(at, node), at); /* whoever asks gets the same */
            assert_true(marks_next(at + 1, node) >= (stratum + 1) * 64);
            places[at % 64]++;
            marked++;
        }
        assert_int_equal(marked, 640);
        for (int i = 0; i < 64; i++)
            assert_in_range(places[i], 0, 40); /* 10 expected: no place is foreseen */
    }
}

static void size_and_lifetime_go_into_the_nodes_histogram(void **state)
{
    struct block mark;
    (void)state;
    struct pshim_account *a = account(7);
    assert_int_equal(marks_new(a, address(1), 100), tag_marked);
    a->counter[PSHIM_ALLOC_CALLS] = 1000;
    assert_int_equal(marks_new(a, address(2), 30), tag_marked);
    const struct pshim_histogram *h = histogram(7);
    assert_non_null(h);
    assert_int_equal(h->asked[pshim_bucket(100)], 1);
    assert_int_equal(h->asked[pshim_bucket(30)], 64);
    assert_int_equal(h->asked_count, 65);
    assert_int_equal(h->size_count, 2);
    assert_int_equal(h->size[0], 100);
    assert_int_equal(h->size[1], 30);
    assert_int_equal(h->size_max, 100);
    assert_int_equal(h->lived_count, 0);
    assert_true(marks_take(address(2), &mark));
    assert_int_equal(mark.node, 7);
    assert_int_equal(marks_weight(mark), 64);
    assert_int_equal(marks_bytes(mark), 30);
    mark.bytes -= 1000000; /* born a while ago */
    marks_lived(mark);
    assert_int_equal(h->lived_count, 64);
    unsigned at = pshim_bucket(1000000 >> PSHIM_LIFE_SHIFT);
    assert_int_equal(h->lived[at] + h->lived[at + 1], 64);
    assert_false(marks_take(address(2), &mark));
    assert_true(marks_take(address(1), &mark));
    marks_put_back(address(1), mark);
    assert_true(marks_find(address(1), &mark));
    assert_int_equal(marks_weight(mark), 1);
    assert_true(marks_take(address(1), &mark));
}

static void five_sizes_are_more_than_are_kept(void **state)
{
    struct block mark;
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        marks_new(account(3), address(i), i % 6);
        marks_take(address(i), &mark);
    }
    const struct pshim_histogram *h = histogram(3);
    assert_int_equal(h->size_count, PSHIM_SIZES + 1);
    for (uint64_t i = 0; i < PSHIM_SIZES; i++)
        assert_int_equal(h->size[i], i);
    assert_int_equal(h->size_max, 5);
}

static void full_histogram_table_counts_for_all_others(void **state)
{
    struct block mark;
    struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_HISTOGRAM);
    (void)state;
    marks_new(account(5), address(1), 8);
    r->capacity = r->used;
    assert_int_equal(marks_new(account(6), address(2), 24), tag_marked);
    assert_null(histogram(6));
    assert_int_equal(histogram_of_the_rest()->asked_count, 1);
    assert_int_equal(loss(PSHIM_LOSS_histogram_table_full), 1);
    marks_new(account(5), address(3), 8); /* what has one goes on */
    assert_int_equal(histogram(5)->asked_count, 2);
    assert_int_equal(loss(PSHIM_LOSS_histogram_table_full), 1);
    for (int i = 1; i <= 3; i++)
        assert_true(marks_take(address(i), &mark));
}

static void counts_stay_at_their_limit(void **state)
{
    struct block mark;
    (void)state;
    marks_new(account(4), address(1), 8);
    struct pshim_histogram *h = (struct pshim_histogram *)histogram(4);
    h->asked[pshim_bucket(8)] = UINT32_MAX - 1;
    account(4)->counter[PSHIM_ALLOC_CALLS] = 64;
    marks_new(account(4), address(2), 8);
    assert_int_equal(h->asked[pshim_bucket(8)], UINT32_MAX);
    marks_take(address(1), &mark);
    marks_take(address(2), &mark);
}

enum { runner_blocks = 3000, runners = 4 };

static void *marks_run(void *arg)
{
    struct block mark;
    uint64_t base = (uint64_t)(uintptr_t)arg * runner_blocks, wrong = 0;
    struct pshim_account a = {.node = 11};
    for (uint64_t i = 0; i < runner_blocks; i++) {
        wrong += marks_new(&a, address(base + i), i % 4) != tag_marked;
        wrong += !marks_take(address(base + i), &mark);
        marks_lived(mark);
    }
    return (void *)(uintptr_t)wrong;
}

static void threads_share_one_histogram_and_lose_nothing(void **state)
{
    pthread_t t[runners];
    (void)state;
    for (uintptr_t i = 0; i < runners; i++)
        pthread_create(&t[i], NULL, marks_run, (void *)(i + 1));
    for (int i = 0; i < runners; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        assert_null(wrong);
    }
    const struct pshim_histogram *h = histogram(11);
    assert_int_equal(h->asked_count, runners * runner_blocks);
    assert_int_equal(h->lived_count, runners * runner_blocks);
    assert_int_equal(h->size_count, 4);
    uint64_t sum = 0;
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
        sum += h->asked[i];
    assert_int_equal(sum, runners * runner_blocks);
}

static void one_call_in_each_64_is_timed_wherever_it_lies(void **state)
{
    unsigned places[64] = {0};
    (void)state;
    for (unsigned stratum = 0; stratum < 640; stratum++) {
        unsigned timed = 0;
        for (unsigned i = 0; i < 64; i++)
            if (timing_reached()) {
                timed++;
                places[i]++;
            }
        assert_int_equal(timed, 1);
    }
    for (int i = 0; i < 64; i++)
        assert_in_range(places[i], 0, 40);
}

static void timed_call_counts_with_its_weight(void **state)
{
    (void)state;
    timing_book(9, PSHIM_SITE_ALLOC_TIME, 100, timing_each);
    timing_book(9, PSHIM_SITE_FREE_TIME, 30, 1);
    timing_book(0, PSHIM_SITE_ALLOC_TIME, 100, 1); /* while paused: nobody's */
    const struct pshim_account *a = account_get(0, PSHIM_KIND_SITE, 9);
    assert_int_equal(a->counter[PSHIM_SITE_ALLOC_TIME], 6400);
    assert_int_equal(a->counter[PSHIM_SITE_FREE_TIME], 30);
    assert_int_equal(a->counter[PSHIM_SITE_TIMED], 2);
    assert_int_equal(shim_tls.guard, 0);
}

static void call_in_which_the_thread_was_stopped_stands_for_itself(void **state)
{
    (void)state;
    timing_book(10, PSHIM_SITE_ALLOC_TIME, timing_long - 1, timing_each);
    timing_book(11, PSHIM_SITE_ALLOC_TIME, timing_long, timing_each);
    assert_int_equal(account_get(0, PSHIM_KIND_SITE, 10)->counter[PSHIM_SITE_ALLOC_TIME],
                     (timing_long - 1) * timing_each);
    assert_int_equal(account_get(0, PSHIM_KIND_SITE, 11)->counter[PSHIM_SITE_ALLOC_TIME],
                     timing_long);
    assert_int_equal(account_get(0, PSHIM_KIND_SITE, 11)->counter[PSHIM_SITE_TIMED], 1);
}

/* A tagged block of `bytes` in `usable`, of thread number 1. */
static void block_make(char *p, size_t usable, size_t bytes, uint32_t node)
{
    struct tag tag = {node, (uint32_t)(usable - tag_bytes - bytes), tag_serial(1, shim.tag_key)};
    uint64_t word = tag_pack(tag, p, shim.tag_key);
    p[bytes] = (char)word;
    tag_store(p, usable, word);
}

static uint64_t overruns(uint32_t node)
{
    return account_get(0, PSHIM_KIND_SITE, node)->counter[PSHIM_SITE_OVERRUNS];
}

static void overwritten_tag_is_mended_if_the_node_is_left(void **state)
{
    char p[64];
    struct old_block old;
    struct block mark;
    (void)state;
    shim.serials = 3;
    uint64_t told = 0;
    marks_new(account(5), address(1), 8); /* blocks of this node are known */
    marks_take(address(1), &mark);
    for (size_t slack = 0; slack <= 7; slack++)
        for (size_t over = slack + 1; over <= 8; over++) {
            size_t bytes = 56 - tag_bytes - slack;
            block_make(p, 56, bytes, 5);
            for (size_t i = 0; i < over; i++)
                p[bytes + i] ^= 0x5a; /* none as it was */
            bool found = site_retire_overwritten(p, 56, &old);
            assert_int_equal(found, over - slack <= 3);
            told += found;
            if (!found)
                continue;
            assert_int_equal(old.node, 5);
            assert_int_equal(old.bytes, bytes);
            assert_int_equal(old.owner, tag_serial(1, shim.tag_key)); /* whose it was, too */
        }
    assert_int_equal(overruns(5), told);
    assert_int_equal(loss(PSHIM_LOSS_tag_overwritten), told);
}

static void marked_block_is_named_whatever_was_overwritten(void **state)
{
    char p[64] = {0};
    struct old_block old;
    struct block mark;
    (void)state;
    marks_new(account(6), p, 40);
    memset(p + 40, 0, 16);
    assert_true(site_retire_overwritten(p, 56, &old));
    assert_int_equal(old.node, 6);
    assert_int_equal(old.bytes, 40);
    assert_true(old.owner & tag_marked);
    assert_int_equal(overruns(6), 1);
    assert_true(marks_take(p, &mark)); /* its life is still to be ended */
    marks_new(account(6), p, 100); /* freed past us; now another stands here, which is smaller */
    assert_false(site_retire_overwritten(p, 56, &old));
    marks_take(p, &mark);
}

static void memory_that_never_had_a_tag_is_no_overrun(void **state)
{
    char p[64];
    struct old_block old;
    struct block mark;
    unsigned found = 0;
    (void)state;
    shim.serials = 64;
    for (uint32_t node = 1; node < 200; node++) {
        marks_new(account(node), address(node), 8);
        marks_take(address(node), &mark);
    }
    memset(p, 0, sizeof p);
    assert_false(site_retire_overwritten(p, 56, &old));
    memset(p, 'x', sizeof p);
    assert_false(site_retire_overwritten(p, 56, &old));
    for (uint64_t i = 1; i < 20000; i++) { /* small numbers, addresses */
        uint64_t words[] = {i, i << 32, i << 32 | i, 0x7f0000000000u + i * 4096,
                            0x550000000000u + i * 16};
        for (unsigned k = 0; k < sizeof words / sizeof *words; k++) {
            tag_store(p, 56, words[k]);
            found += site_retire_overwritten(p, 56, &old);
        }
    }
    assert_in_range(found, 0, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_set_up, profile_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_64_calls_are_marked_then_one_in_each_64),
        TEST(size_and_lifetime_go_into_the_nodes_histogram),
        TEST(five_sizes_are_more_than_are_kept),
        TEST(full_histogram_table_counts_for_all_others),
        TEST(counts_stay_at_their_limit),
        TEST(threads_share_one_histogram_and_lose_nothing),
        TEST(one_call_in_each_64_is_timed_wherever_it_lies),
        TEST(timed_call_counts_with_its_weight),
        TEST(call_in_which_the_thread_was_stopped_stands_for_itself),
        TEST(overwritten_tag_is_mended_if_the_node_is_left),
        TEST(marked_block_is_named_whatever_was_overwritten),
        TEST(memory_that_never_had_a_tag_is_no_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
