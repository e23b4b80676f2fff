#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "analyzer/model.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "histogram");
    fixture_open(&f, path, 1 << 20);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    fixture_close(&f);
    return unlink(path);
}

static void loaded(void)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
}

static void released(void)
{
    model_release(&m);
    reader_close(&r);
}

static uint32_t stack(uint64_t pc)
{
    return fixture_node(&f, 0, PSHIM_MODULE_ANON, pc);
}

static void histogram_of_a_stack_is_found_by_its_node(void **state)
{
    (void)state;
    uint32_t a = stack(1), b = stack(2), c = stack(3);
    struct pshim_histogram *h = fixture_histogram(&f, c);
    fixture_asked(h, 100, 7);
    fixture_asked(fixture_histogram(&f, a), 24, 3);
    fixture_asked(fixture_histogram(&f, a), 32, 2); /* two threads made one each */
    fixture_asked(fixture_histogram(&f, 0), 8, 5);
    loaded();
    assert_int_equal(m.histogram_count, 3);
    assert_int_equal(model_histogram(&m, c)->asked_count, 7);
    assert_int_equal(model_histogram(&m, c)->size[0], 100);
    assert_null(model_histogram(&m, b));
    const struct model_histogram *joined = model_histogram(&m, a);
    assert_int_equal(joined->asked_count, 5);
    assert_int_equal(joined->size_count, 2);
    assert_int_equal(joined->size_max, 32);
    assert_int_equal(model_histogram(&m, 0)->asked_count, 5);
    released();
}

static void merged_histograms_have_all_counts_and_each_size_once(void **state)
{
    (void)state;
    struct model_histogram all = {0}, one = {.size_count = 2, .size = {16, 24}, .size_max = 24};
    struct model_histogram other = {.size_count = 3, .size = {24, 32, 40}, .size_max = 40};
    one.asked[5] = one.asked_count = 10;
    one.lived[7] = one.lived_count = 4;
    other.asked[5] = other.asked_count = 1;
    model_histogram_add(&all, &one);
    model_histogram_add(&all, &other);
    assert_int_equal(all.size_count, 4);
    assert_int_equal(all.size[3], 40);
    assert_int_equal(all.asked[5], 11);
    assert_int_equal(all.asked_count, 11);
    assert_int_equal(all.lived_count, 4);
    struct model_histogram fifth = {.size_count = 1, .size = {48}, .size_max = 48};
    model_histogram_add(&all, &fifth);
    assert_int_equal(all.size_count, PSHIM_SIZES + 1);
    assert_int_equal(all.size[3], 40);
    assert_int_equal(all.size_max, 48);
    model_histogram_add(&one, &all); /* more than are held: stays so */
    assert_int_equal(one.size_count, PSHIM_SIZES + 1);
}

static void quantiles_lie_in_the_bucket_that_holds_them(void **state)
{
    (void)state;
    uint64_t counts[PSHIM_BUCKETS] = {0};
    assert_true(histogram_quantile(counts, 0.5) == 0);
    counts[pshim_bucket(100)] = 90; /* 96 … 127 */
    counts[pshim_bucket(5000)] = 10;
    assert_true(histogram_quantile(counts, 0.5) > 96 && histogram_quantile(counts, 0.5) < 128);
    assert_true(histogram_quantile(counts, 0.9) == 128);
    assert_true(histogram_quantile(counts, 0.95) > 4096 && histogram_quantile(counts, 0.95) < 6144);
    assert_true(histogram_quantile(counts, 1) == 6144);
    assert_true(histogram_quantile(counts, 0) == 96);
    uint64_t last[PSHIM_BUCKETS] = {[PSHIM_BUCKETS - 1] = 1};
    assert_true(histogram_quantile(last, 1) >= 3 << 30);
}

static void lifetimes_are_told_in_ns_of_the_profiles_clock(void **state)
{
    (void)state;
    uint32_t node = stack(1);
    struct pshim_histogram *h = fixture_histogram(&f, node);
    fixture_asked(h, 64, 100);
    h->lived[pshim_bucket(3000000000u >> PSHIM_LIFE_SHIFT)] = 80; /* 1 s at 3 GHz */
    h->lived[0] = 15;
    f.h->clock_last_units = 30000000000u;
    f.h->clock_last_ns = 10000000000u;
    loaded();
    const struct model_histogram *got = model_histogram(&m, node);
    double median = model_life_ns(&m, histogram_quantile(got->lived, 0.5));
    assert_true(median > 0.7e9 && median < 1.5e9);
    assert_int_equal(got->lived_count, 95);
    assert_int_equal(got->asked_count - got->lived_count, 5); /* still live */
    double shorter = histogram_shorter(&m, got, 1e6);
    assert_true(shorter > 15.0 / 95 - 1e-9 && shorter < 15.0 / 95 + 1e-9);
    assert_true(histogram_shorter(&m, got, 1e10) == 1);
    assert_true(histogram_shorter(&m, got, 0) == 0);
    released();
}

static void what_is_rare_of_a_site_adds_up_over_recorders(void **state)
{
    (void)state;
    uint32_t node = stack(1);
    fixture_alloc(&f, node, 10, 1000, 4, 400);
    for (int i = 0; i < 2; i++) {
        struct pshim_account *a = fixture_site(&f, node);
        a->counter[PSHIM_SITE_CROSS_FREES] = 3;
        a->counter[PSHIM_SITE_GROWN] = 2;
        a->counter[PSHIM_SITE_MOVED_BYTES] = 640;
        a->counter[PSHIM_SITE_ALLOC_TIME] = 6000;
        a->counter[PSHIM_SITE_FREE_TIME] = 3000;
        a->counter[PSHIM_SITE_TIMED] = 5;
        a->counter[PSHIM_SITE_OVERRUNS] = 1;
    }
    f.h->clock_last_units = 30000000000u; /* 3 GHz */
    f.h->clock_last_ns = 10000000000u;
    loaded();
    const struct model_sample *s = &m.samples[0];
    assert_int_equal(m.sample_count, 1);
    assert_int_equal(s->m.v[METRIC_CROSS_THREAD_FREES], 6);
    assert_int_equal(s->m.v[METRIC_GROWN_CALLS], 4);
    assert_int_equal(s->m.v[METRIC_MOVED_BYTES], 1280);
    assert_int_equal(s->m.v[METRIC_ALLOCATOR_NS], 6000);
    assert_int_equal(s->m.v[METRIC_OVERRUNS], 2);
    assert_int_equal(s->timed, 10);
    assert_int_equal(m.totals.v[METRIC_ALLOCATOR_NS], 6000);
    assert_true(model_has(&m, METRIC_CROSS_THREAD_FREES) && model_has(&m, METRIC_OVERRUNS));
    assert_int_equal(m.totals.v[METRIC_COST_NS],
                     0); /* it is CPU time, which is not counted twice */
    released();
}

static void only_exact_profiles_of_a_writer_that_has_them_measure_sites(void **state)
{
    (void)state;
    f.h->alloc_mode = PSHIM_ALLOC_SAMPLED;
    loaded();
    assert_true(model_has(&m, METRIC_ALLOC_CALLS));
    assert_false(model_has(&m, METRIC_CROSS_THREAD_FREES) || model_has(&m, METRIC_ALLOCATOR_NS));
    released();
    f.h->alloc_mode = PSHIM_ALLOC_EXACT;
    fixture_asked(fixture_histogram(&f, stack(1)), 1, 1);
    f.h->region_count = PSHIM_REGION_HISTOGRAM;
    loaded();
    assert_false(model_has(&m, METRIC_GROWN_CALLS) || model_has(&m, METRIC_OVERRUNS));
    assert_int_equal(m.histogram_count, 0);
    released();
}

static void wild_histograms_are_read_and_bad_nodes_are_damage(void **state)
{
    (void)state;
    uint32_t node = stack(1);
    struct pshim_histogram *h = fixture_histogram(&f, node);
    memset(h->asked, 0xff, sizeof h->asked);
    memset(h->lived, 0xff, sizeof h->lived);
    memset(h->size, 0xff, sizeof h->size);
    h->size_count = UINT32_MAX;
    fixture_allot(&f, PSHIM_REGION_HISTOGRAM); /* not there yet */
    loaded();
    assert_int_equal(m.histogram_count, 1);
    assert_int_equal(model_histogram(&m, node)->size_count, PSHIM_SIZES + 1);
    released();
    h->node = 4711;
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), -1);
    assert_non_null(strstr(r.error, "refers to node 4711 of 2"));
    reader_close(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(histogram_of_a_stack_is_found_by_its_node),
        cmocka_unit_test(merged_histograms_have_all_counts_and_each_size_once),
        cmocka_unit_test(quantiles_lie_in_the_bucket_that_holds_them),
        TEST(lifetimes_are_told_in_ns_of_the_profiles_clock),
        TEST(what_is_rare_of_a_site_adds_up_over_recorders),
        TEST(only_exact_profiles_of_a_writer_that_has_them_measure_sites),
        TEST(wild_histograms_are_read_and_bad_nodes_are_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
