#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "analyzer/pooling.h"

/* A site that a pool of each thread's own is worth it for, far from every limit. */
static struct pooling_evidence good(void)
{
    return (struct pooling_evidence){.calls = 1e6,
                                     .bytes = 1e8,
                                     .ops = 1e6,
                                     .seconds = 10,
                                     .peak_bytes = 655360,
                                     .allocator_ns = 5e7,
                                     .timed = 1000,
                                     .size_count = 1,
                                     .size_low = 100,
                                     .size_high = 100,
                                     .size_least = 100,
                                     .size_max = 100};
}

static enum pooling_verdict verdict(struct pooling_evidence e)
{
    return pooling_judge(&e).verdict;
}

static void all_calls_but_those_for_slabs_are_saved(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    struct pooling p = pooling_judge(&e);
    assert_int_equal(p.verdict, POOLING_THREAD);
    assert_true(p.worth);
    assert_float_equal(p.saved_calls, 1e6 - 10, 1e-6);
    e.peak_bytes = 655361; /* one byte more is one slab more */
    assert_float_equal(pooling_judge(&e).saved_calls, 1e6 - 11, 1e-6);
    e.peak_bytes = 0; /* whatever was live, it was on a slab */
    assert_float_equal(pooling_judge(&e).saved_calls, 1e6 - 1, 1e-6);
}

static void time_saved_is_the_allocators_less_the_pools_own(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    double saved = 1e6 - 10;
    assert_float_equal(pooling_judge(&e).saved_ns, saved * (50 - POOLING_THREAD_NS), 1);
    e.cross_frees = 5e5;
    assert_float_equal(pooling_judge(&e).saved_ns, saved * (50 - POOLING_SHARED_NS), 1);
    e.temporary = 1e6;
    assert_float_equal(pooling_judge(&e).saved_ns, saved * 50, 1);
    e = good();
    e.allocator_ns = 2e6; /* 2 ns: no pool is as fast */
    assert_true(pooling_judge(&e).saved_ns < 0);
    e.timed = POOLING_TIMED_LEAST - 1;
    assert_true(isnan(pooling_judge(&e).saved_ns));
    e.timed = POOLING_TIMED_LEAST;
    assert_false(isnan(pooling_judge(&e).saved_ns));
}

static void site_is_rare_below_either_rate(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.ops = e.calls / POOLING_PER_OP;
    assert_int_equal(verdict(e), POOLING_THREAD);
    e.ops *= 1.001;
    assert_int_equal(verdict(e), POOLING_RARE);
    e.ops = 0; /* not counted: its rate in time alone */
    e.seconds = e.calls / POOLING_PER_SECOND;
    assert_int_equal(verdict(e), POOLING_THREAD);
    e.seconds *= 1.001;
    assert_int_equal(verdict(e), POOLING_RARE);
}

static void life_is_short_if_blocks_are_used_again(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.peak_bytes = e.bytes / POOLING_REUSE;
    struct pooling p = pooling_judge(&e);
    assert_int_equal(p.verdict, POOLING_THREAD);
    assert_float_equal(p.reuse, POOLING_REUSE, 1e-9);
    e.peak_bytes *= 1.001;
    assert_int_equal(verdict(e), POOLING_KEPT);
    e = good();
    e.live_calls = e.calls / POOLING_REUSE + 1; /* never freed, though not live at the peak */
    assert_int_equal(verdict(e), POOLING_KEPT);
    e.bytes = e.peak_bytes = 0; /* blocks of no bytes */
    e.live_calls = 0;
    assert_float_equal(pooling_judge(&e).reuse, 1e6, 1e-6);
}

static void few_sizes_or_sizes_within_a_factor_of_two_fit_a_pool(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.size_low = 16;
    e.size_high = e.size_max = 4096;
    e.size_count = POOLING_SIZES;
    assert_int_equal(verdict(e), POOLING_THREAD);
    e.size_count = POOLING_SIZES + 1;
    assert_int_equal(verdict(e), POOLING_MIXED);
    e.size_high = 32;
    assert_int_equal(verdict(e), POOLING_THREAD);
    e.size_high = 33;
    assert_int_equal(verdict(e), POOLING_MIXED);
}

static void blocks_outside_of_the_pools_sizes_are_not_saved(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.size_count = POOLING_SIZES + 1;
    e.size_least = 60;
    e.size_max = 120;
    assert_float_equal(pooling_judge(&e).saved_calls, 1e6 - 10, 1e-6);
    e.size_max = 121;
    assert_float_equal(pooling_judge(&e).saved_calls, POOLING_SIZE_SHARE * 1e6 - 10, 1e-6);
    e.temporary = 1e6; /* a buffer has any size */
    assert_float_equal(pooling_judge(&e).saved_calls, 1e6 - 10, 1e-6);
}

static void large_blocks_are_no_pools_business(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.size_low = e.size_high = POOLING_BLOCK_MOST;
    e.size_max = 1e9; /* of few, which the pool leaves to malloc */
    assert_int_equal(verdict(e), POOLING_THREAD);
    e.size_high++;
    assert_int_equal(verdict(e), POOLING_LARGE);
}

static void what_realloc_grows_is_to_be_reserved(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.grown = POOLING_GROWN_SHARE * e.calls - 1;
    assert_int_equal(verdict(e), POOLING_THREAD);
    e.grown++;
    assert_int_equal(verdict(e), POOLING_GROWN);
}

static void blocks_freed_next_need_one_buffer_of_any_size(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.size_count = POOLING_SIZES + 1;
    e.size_high = e.size_max = 1e6;
    e.temporary = POOLING_BUFFER_SHARE * e.calls;
    assert_int_equal(verdict(e), POOLING_BUFFER);
    e.temporary--;
    assert_int_equal(verdict(e), POOLING_MIXED);
}

static void frees_by_other_threads_need_a_shared_pool(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.live_calls = 2e5;
    e.cross_frees = POOLING_CROSS_SHARE * 8e5 - 1;
    assert_int_equal(verdict(e), POOLING_THREAD);
    e.cross_frees++;
    assert_int_equal(verdict(e), POOLING_SHARED);
    e.live_calls = 0;
    assert_int_equal(verdict(e), POOLING_THREAD); /* of more frees */
}

static void what_is_not_worth_it_saves_nothing(void **state)
{
    (void)state;
    struct pooling_evidence e = good();
    e.grown = e.calls;
    struct pooling p = pooling_judge(&e);
    assert_false(p.worth);
    assert_true(p.saved_calls == 0 && p.saved_ns == 0);
    e = (struct pooling_evidence){0}; /* nothing at all */
    assert_false(isnan(pooling_judge(&e).reuse));
    assert_false(isnan(pooling_judge(&e).saved_calls));
}

static void every_verdict_has_its_words(void **state)
{
    (void)state;
    for (int v = 0; v < POOLING_VERDICT_COUNT; v++) {
        assert_true(strlen(pooling_word(v)) <= 6); /* a narrow column */
        assert_true(strlen(pooling_text(v)) > 8);
    }
    assert_string_equal(pooling_word(POOLING_SHARED), "shared");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_calls_but_those_for_slabs_are_saved),
        cmocka_unit_test(time_saved_is_the_allocators_less_the_pools_own),
        cmocka_unit_test(site_is_rare_below_either_rate),
        cmocka_unit_test(life_is_short_if_blocks_are_used_again),
        cmocka_unit_test(few_sizes_or_sizes_within_a_factor_of_two_fit_a_pool),
        cmocka_unit_test(blocks_outside_of_the_pools_sizes_are_not_saved),
        cmocka_unit_test(large_blocks_are_no_pools_business),
        cmocka_unit_test(what_realloc_grows_is_to_be_reserved),
        cmocka_unit_test(blocks_freed_next_need_one_buffer_of_any_size),
        cmocka_unit_test(frees_by_other_threads_need_a_shared_pool),
        cmocka_unit_test(what_is_not_worth_it_saves_nothing),
        cmocka_unit_test(every_verdict_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
