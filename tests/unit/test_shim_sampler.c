#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fenv.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/estimate.h"
#include "shim/nodes.h"
#include "shim/recorder.h"
#include "shim/sampler.h"
#include "tests/unit/shim_profile.h"

enum { seeds = 200, mean = 4096, inside_least = 181, inside_most = 198 };

static int profile_set_up(void **state)
{
    (void)state;
    if (shim_profile_open(4 << 20) != 0)
        return -1;
    shim.live_threads = 1;
    shim.sample_bytes = mean;
    return nodes_init();
}

static int profile_tear_down(void **state)
{
    (void)state;
    return shim_profile_close();
}

static void a_block_stands_for_one_over_its_chance(void **state)
{
    static const uint64_t sizes[] = {0, 1, 16, 100, 4095, 5000, 20000, 100000, 1u << 30};
    enum { draws = 20000 };
    struct sampler s;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        double sum = 0, want = 1 / -expm1(-((double)sizes[i] + PSHIM_SAMPLE_EXTRA) / mean),
               least = floor(want);
        sampler_seed(&s, i, mean);
        for (unsigned k = 0; k < draws; k++) {
            double w = sampler_hit(&s, sizes[i], mean);
            assert_true(w == least || w == least + 1);
            sum += w;
        }
        assert_true(fabs(sum / draws - want) <= 5 * 0.5 / sqrt(draws) + 1e-9 * want);
    }
}

static void distances_are_exponential(void **state)
{
    enum { draws = 100000 };
    struct sampler s;
    double sum = 0, squares = 0;
    unsigned beyond = 0;
    (void)state;
    sampler_seed(&s, 1, 1 << 20);
    for (unsigned i = 0; i < draws; i++) {
        double x = (double)s.left / (1 << 20);
        sum += x;
        squares += x * x;
        beyond += x > 3;
        sampler_hit(&s, 1, 1 << 20);
    }
    assert_true(fabs(sum / draws - 1) < 0.02);
    assert_true(fabs(squares / draws - 2) < 0.1);
    assert_true(fabs((double)beyond / draws - exp(-3)) < 0.005);
}

static void nothing_is_sampled_before_a_seed_and_seeds_differ(void **state)
{
    struct sampler none = {0}, a, b;
    (void)state;
    assert_true(sampler_reached(&none, 0)); /* that is asked to seed first */
    assert_int_equal(none.random, 0);
    sampler_seed(&a, 1, mean);
    sampler_seed(&b, 1, mean);
    assert_int_equal(a.left, b.left);
    sampler_seed(&b, 2, mean);
    assert_int_not_equal(a.random, b.random);
    assert_int_not_equal(a.random, 0);
}

static void huge_sizes_do_not_stop_the_countdown(void **state)
{
    struct sampler s;
    (void)state;
    sampler_seed(&s, 3, mean);
    uint64_t left = s.left;
    assert_true(sampler_reached(&s, UINT64_MAX));
    assert_true(sampler_reached(&s, UINT64_MAX / 2 + 7));
    assert_int_equal(s.left, left);
    assert_int_equal(sampler_hit(&s, UINT64_MAX, mean), 1);
    assert_true(s.left < 100 * mean);
}

static void the_hosts_floating_point_flags_are_left_alone(void **state)
{
    struct sampler s;
    (void)state;
    feclearexcept(FE_ALL_EXCEPT);
    sampler_seed(&s, 5, mean);
    for (unsigned i = 0; i < 1000; i++)
        sampler_hit(&s, i, mean);
    assert_int_equal(fetestexcept(FE_ALL_EXCEPT), 0);
}

/* ---- the figures ---- */

struct truth {
    double v[METRIC_COUNT];
};

/* One run of a program: blocks of mixed sizes, three in four freed. */
static void run(struct sampler *s, uint32_t node, unsigned blocks, uint64_t scale, struct truth *t)
{
    uint64_t random = 42; /* the same program each time */
    *t = (struct truth){0};
    for (unsigned i = 0; i < blocks; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t n = (random >> 33) % scale;
        bool freed = i % 4 != 0;
        t->v[METRIC_ALLOC_CALLS]++;
        t->v[METRIC_ALLOC_BYTES] += (double)n;
        t->v[METRIC_FREE_CALLS] += freed;
        t->v[METRIC_FREE_BYTES] += freed ? (double)n : 0;
        t->v[METRIC_LIVE_BLOCKS] += !freed;
        t->v[METRIC_LIVE_BYTES] += freed ? 0 : (double)n;
        t->v[METRIC_TEMPORARY_CALLS] += i % 4 == 2;
        if (!sampler_reached(s, n))
            continue;
        uint32_t weight = sampler_hit(s, n, mean);
        recorder_sample(&me, node, n, weight);
        if (freed)
            recorder_sample_free(&me, node, n, weight, i % 4 == 2);
    }
}

static int64_t value_of(const struct pshim_account *a, enum metric metric)
{
    const uint64_t *c = a->counter;
    switch (metric) {
    case METRIC_ALLOC_CALLS:
        return (int64_t)c[PSHIM_ALLOC_CALLS];
    case METRIC_ALLOC_BYTES:
        return (int64_t)c[PSHIM_ALLOC_BYTES];
    case METRIC_FREE_CALLS:
        return (int64_t)c[PSHIM_ALLOC_FREE_CALLS];
    case METRIC_FREE_BYTES:
        return (int64_t)c[PSHIM_ALLOC_FREE_BYTES];
    case METRIC_LIVE_BLOCKS:
        return (int64_t)(c[PSHIM_ALLOC_CALLS] - c[PSHIM_ALLOC_FREE_CALLS]);
    case METRIC_LIVE_BYTES:
        return (int64_t)(c[PSHIM_ALLOC_BYTES] - c[PSHIM_ALLOC_FREE_BYTES]);
    case METRIC_TEMPORARY_CALLS:
        return (int64_t)c[PSHIM_ALLOC_TEMPORARY];
    default:
        fail();
        return 0;
    }
}

static const enum metric estimated[] = {
    METRIC_ALLOC_CALLS, METRIC_ALLOC_BYTES, METRIC_FREE_CALLS,     METRIC_FREE_BYTES,
    METRIC_LIVE_BLOCKS, METRIC_LIVE_BYTES,  METRIC_TEMPORARY_CALLS};
enum { estimated_count = sizeof estimated / sizeof *estimated };

/* How many of the seeds' intervals hold the truth, and how far the mean of them all is from it, in
   standard errors. */
static void coverage(unsigned blocks, uint64_t scale)
{
    unsigned inside[estimated_count] = {0};
    double sum[estimated_count] = {0}, variance[estimated_count] = {0};
    struct truth t = {{0}};
    for (unsigned seed = 1; seed <= seeds; seed++) {
        struct sampler s;
        struct estimate_spread spread = {{0}};
        uint32_t node = node_get(0, 2, scale * seeds + seed, &me.spare_node);
        assert_int_not_equal(node, 0);
        sampler_seed(&s, seed, mean);
        run(&s, node, blocks, scale, &t);
        const struct pshim_account *a = account_get(me.recorder, PSHIM_KIND_ALLOC, node);
        estimate_add_account(&spread, account_get(me.recorder, PSHIM_KIND_SPREAD, node), mean);
        for (unsigned i = 0; i < estimated_count; i++) {
            int64_t value = value_of(a, estimated[i]);
            struct estimate_interval ci = estimate_interval(&spread, estimated[i], value, mean);
            inside[i] += ci.low <= t.v[estimated[i]] && t.v[estimated[i]] <= ci.high;
            sum[i] += (double)value;
            variance[i] += estimate_variance(&spread, estimated[i], value, mean);
        }
    }
    for (unsigned i = 0; i < estimated_count; i++) {
        double off = (sum[i] - seeds * t.v[estimated[i]]) / sqrt(variance[i]);
        print_message("metric %d: %u of %d inside, mean off by %.2f standard errors\n",
                      estimated[i], inside[i], seeds, off);
        assert_in_range(inside[i], inside_least, inside_most);
        assert_true(fabs(off) < 3.5);
    }
}

static void small_blocks_of_200_seeds_are_inside_their_intervals(void **state)
{
    (void)state;
    coverage(20000, 512);
}

static void blocks_around_the_distance_are_inside_their_intervals(void **state)
{
    (void)state;
    coverage(2000, 4 * mean);
}

static void few_samples_are_inside_their_intervals(void **state)
{
    (void)state;
    coverage(1500, 256); /* about 45 samples, 11 of them live */
}

static void figures_without_a_sample_are_bounded(void **state)
{
    struct estimate_spread none = {{0}};
    (void)state;
    struct estimate_interval ci = estimate_interval(&none, METRIC_LIVE_BYTES, 0, mean);
    assert_true(ci.low == 0);
    assert_true(ci.high > 3.8 * mean && ci.high < 3.9 * mean);
}

static void what_was_seen_for_sure_has_no_width(void **state)
{
    struct estimate_spread none = {{0}};
    (void)state;
    struct estimate_interval ci = estimate_interval(&none, METRIC_ALLOC_BYTES, 64 << 20, mean);
    assert_true(ci.low == 64 << 20 && ci.high == 64 << 20);
}

static void spread_of_any_block_is_its_formula(void **state)
{
    static const struct {
        uint64_t n;
        uint32_t weight;
    } cases[] = {{0, 4096}, {16, 241}, {100, 41}, {4096, 2}, {1 << 20, 1}, {1 << 20, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct estimate_spread spread = {{0}};
        uint32_t node = node_get(0, 3, 1000 + i, &me.spare_node);
        double n = (double)cases[i].n, w = cases[i].weight;
        recorder_sample(&me, node, cases[i].n, cases[i].weight);
        estimate_add_account(&spread, account_get(me.recorder, PSHIM_KIND_SPREAD, node), mean);
        assert_true(spread.v[PSHIM_SPREAD_SAMPLES] == 1);
        assert_true(spread.v[PSHIM_SPREAD_CALLS] == w * (w - 1));
        double bytes = w * (w - 1) * n * n;
        assert_true(fabs(spread.v[PSHIM_SPREAD_BYTES] - bytes) <= 0.001 * bytes);
    }
}

static void spread_ends_at_the_largest_number(void **state)
{
    (void)state;
    uint32_t node = node_get(0, 3, 999, &me.spare_node);
    recorder_sample(&me, node, 0, UINT32_MAX);
    recorder_sample(&me, node, 0, UINT32_MAX);
    const struct pshim_account *s = account_get(me.recorder, PSHIM_KIND_SPREAD, node);
    assert_int_equal(s->counter[PSHIM_SPREAD_CALLS], UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_stands_for_one_over_its_chance),
        cmocka_unit_test(distances_are_exponential),
        cmocka_unit_test(nothing_is_sampled_before_a_seed_and_seeds_differ),
        cmocka_unit_test(huge_sizes_do_not_stop_the_countdown),
        cmocka_unit_test(the_hosts_floating_point_flags_are_left_alone),
        cmocka_unit_test(small_blocks_of_200_seeds_are_inside_their_intervals),
        cmocka_unit_test(blocks_around_the_distance_are_inside_their_intervals),
        cmocka_unit_test(few_samples_are_inside_their_intervals),
        cmocka_unit_test(figures_without_a_sample_are_bounded),
        cmocka_unit_test(what_was_seen_for_sure_has_no_width),
        cmocka_unit_test(spread_of_any_block_is_its_formula),
        cmocka_unit_test(spread_ends_at_the_largest_number),
    };
    return cmocka_run_group_tests(tests, profile_set_up, profile_tear_down);
}
