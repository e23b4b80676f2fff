#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/bench/histogram.h"
#include "store/bench/random.h"

static int set_up(void **state)
{
    *state = histogram_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    histogram_free(*state);
    return 0;
}

static void small_values_are_exact(void **state)
{
    struct histogram *h = *state;
    for (uint64_t v = 0; v < 2048; v++) {
        histogram_clear(h);
        histogram_record(h, v);
        histogram_record(h, 5000);
        assert_int_equal(histogram_percentile(h, 50), v);
    }
}

static void every_value_is_known_to_a_thousandth(void **state)
{
    struct histogram *h = *state;
    struct rng rng;
    rng_init(&rng, 1, 1);
    for (int i = 0; i < 20000; i++) {
        uint64_t v = rng_next(&rng) >> (22 + i % 42);
        histogram_clear(h);
        histogram_record(h, v);
        histogram_record(h, HISTOGRAM_MAX);
        uint64_t told = histogram_percentile(h, 50);
        assert_true(told >= v && (double)(told - v) <= (double)v * 0.001);
    }
}

enum { KINDS = 5 };

/* Uniform, exponential, lognormal, Pareto, and two groups far apart. */
static uint64_t value_of(struct rng *rng, int kind)
{
    double u = rng_real(rng), e = rng_exponential(rng);
    switch (kind) {
    case 0:
        return (uint64_t)(u * 1e9);
    case 1:
        return (uint64_t)(e * 1e5);
    case 2: /* Box and Muller */
        return (uint64_t)exp(10 + 2 * sqrt(2 * e) * cos(6.283185307179586 * u));
    case 3:
        return (uint64_t)(1000 * exp(e / 1.5));
    default:
        return u < 0.97 ? 700 + (uint64_t)(e * 50) : 1400000000 + (uint64_t)(e * 1e6);
    }
}

/* Whether `told` is the value at `rank` (from 1) of the sorted values, or above it by 0.1 % at
   most: as many are not above told, and fewer are below what told may stand for. */
static int is_at_rank(uint64_t told, uint64_t rank, const uint64_t *values, uint64_t n)
{
    double least = (double)told / 1.001;
    uint64_t below = 0, not_above = 0;
    for (uint64_t i = 0; i < n; i++) {
        below += (double)values[i] < least;
        not_above += values[i] <= told;
    }
    return below < rank && not_above >= rank;
}

static void percentiles_are_those_of_a_million_sorted_values(void **state)
{
    enum { n = 1000000 };
    const double percents[] = {0, 1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100};
    uint64_t *values = malloc(n * sizeof *values);
    struct histogram *h = *state;
    assert_non_null(values);
    for (int kind = 0; kind < KINDS; kind++) {
        struct rng rng;
        double sum = 0;
        uint64_t max = 0;
        rng_init(&rng, 7, (uint64_t)kind);
        histogram_clear(h);
        for (int i = 0; i < n; i++) {
            values[i] = value_of(&rng, kind);
            sum += (double)values[i];
            max = values[i] > max ? values[i] : max;
            histogram_record(h, values[i]);
        }
        for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
            uint64_t rank = (uint64_t)floor(percents[i] / 100 * n + 0.5);
            assert_true(
                is_at_rank(histogram_percentile(h, percents[i]), rank ? rank : 1, values, n));
        }
        assert_false(is_at_rank(histogram_percentile(h, 51), n / 2, values, n));
        assert_int_equal(h->max, max);
        assert_true(fabs(histogram_mean(h) / (sum / n) - 1) < 1e-9);
    }
    free(values);
}

/* The golden case of coordinated omission, seen by a closed loop: 10 000 x 1 ms, one stall of 100
 * s. */
static void golden_stall_as_a_closed_loop_sees_it(void **state)
{
    struct histogram *h = *state;
    for (int i = 0; i < 10000; i++)
        histogram_record(h, 1000000);
    histogram_record(h, 100000000000u);
    assert_true(fabs((double)histogram_percentile(h, 99.99) - 1e6) <= 1e3);
    assert_true(fabs(histogram_mean(h) - 10.9989e6) < 1e3);
    assert_int_equal(h->max, 100000000000u);
    assert_int_equal(histogram_percentile(h, 100), 100000000000u);
}

/* The same, corrected: the 10 000 requests that the stall kept from being sent, 100 a second. */
static void golden_stall_corrected(void **state)
{
    struct histogram *h = *state;
    for (int i = 0; i < 10000; i++) {
        histogram_record(h, 1000000);
        histogram_record(h, 100000000000u - (uint64_t)i * 10000000u);
    }
    assert_int_equal(h->count, 20000);
    assert_true(fabs(histogram_mean(h) / 1e6 - 25003) < 1);
    assert_true(fabs((double)histogram_percentile(h, 75) / 1e9 - 50) < 0.05);
    assert_true(fabs((double)histogram_percentile(h, 99) / 1e9 - 98) < 0.1);
}

static void merging_is_exact(void **state)
{
    struct histogram *whole = *state, *sum = histogram_new(), *parts[3];
    struct rng rng;
    rng_init(&rng, 3, 0);
    for (int p = 0; p < 3; p++)
        parts[p] = histogram_new();
    for (int i = 0; i < 30000; i++) {
        uint64_t v = rng_next(&rng) >> (20 + i % 40);
        histogram_record(whole, v);
        histogram_record(parts[i % 3], v);
    }
    for (int p = 0; p < 3; p++)
        histogram_add(sum, parts[p]);
    assert_memory_equal(sum, whole, sizeof *sum);
    for (int p = 0; p < 3; p++)
        histogram_free(parts[p]);
    histogram_free(sum);
}

static void subtracting_leaves_what_came_since(void **state)
{
    struct histogram *h = *state, *before = histogram_new();
    for (int i = 0; i < 100; i++)
        histogram_record(h, 1000000);
    histogram_add(before, h);
    for (int i = 0; i < 10; i++)
        histogram_record(h, 500);
    histogram_subtract(h, before);
    assert_int_equal(h->count, 10);
    assert_int_equal(h->sum, 5000);
    assert_int_equal(h->max, 500);
    assert_int_equal(histogram_percentile(h, 99), 500);
    histogram_free(before);
}

static void values_past_the_range_count_as_its_end(void **state)
{
    struct histogram *h = *state;
    histogram_record(h, UINT64_MAX);
    histogram_record(h, HISTOGRAM_MAX);
    assert_int_equal(h->count, 2);
    assert_int_equal(h->buckets[HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(h->max, UINT64_MAX);
}

static void empty_is_zero_and_cleared_is_empty(void **state)
{
    struct histogram *h = *state, *fresh = histogram_new();
    assert_int_equal(histogram_percentile(h, 50), 0);
    assert_true(histogram_mean(h) == 0);
    for (uint64_t v = 1; v < HISTOGRAM_MAX; v *= 3)
        histogram_record(h, v);
    histogram_clear(h);
    assert_memory_equal(h, fresh, sizeof *h);
    histogram_free(fresh);
}

static void *record_a_lot(void *h)
{
    for (uint64_t i = 0; i < 300000; i++)
        histogram_record(h, i % 5000);
    return NULL;
}

static void another_thread_may_add_while_it_is_written(void **state)
{
    struct histogram *h = *state, *sum = histogram_new();
    pthread_t thread;
    uint64_t last = 0;
    assert_int_equal(pthread_create(&thread, NULL, record_a_lot, h), 0);
    for (int i = 0; i < 100; i++) {
        histogram_clear(sum);
        histogram_add(sum, h);
        assert_true(sum->count >= last && sum->count <= 300000);
        last = sum->count;
    }
    pthread_join(thread, NULL);
    histogram_clear(sum);
    histogram_add(sum, h);
    assert_int_equal(sum->count, 300000);
    histogram_free(sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_values_are_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_value_is_known_to_a_thousandth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(percentiles_are_those_of_a_million_sorted_values, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(golden_stall_as_a_closed_loop_sees_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(golden_stall_corrected, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merging_is_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(subtracting_leaves_what_came_since, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_past_the_range_count_as_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_is_zero_and_cleared_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_thread_may_add_while_it_is_written, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
