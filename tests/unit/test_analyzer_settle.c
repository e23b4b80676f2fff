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
    fixture_path(path, "settle");
    fixture_open(&f, path, 1 << 20);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    model_release(&m);
    reader_close(&r);
    fixture_close(&f);
    return unlink(path);
}

static uint32_t code(uint32_t parent, uint64_t offset)
{
    return fixture_node(&f, parent, PSHIM_MODULE_ANON, offset);
}

static uint32_t unsampled(uint32_t start, int64_t ns)
{
    uint32_t node = fixture_node(&f, start, PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_UNSAMPLED);
    fixture_cpu(&f, node, 0)->counter[PSHIM_CPU_EXTRA_NS] = (uint64_t)ns;
    return node;
}

static void loaded(void)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
}

static const struct model_sample *sample(uint32_t node)
{
    for (size_t i = 0; i < m.sample_count; i++)
        if (m.samples[i].node == node)
            return &m.samples[i];
    fail_msg("no sample of node %u", node);
    return NULL;
}

static int64_t cpu(uint32_t node)
{
    return sample(node)->m.v[METRIC_CPU_NS];
}

static void negative_remainder_is_taken_from_the_ticks_of_its_start_routine(void **state)
{
    (void)state;
    uint32_t a = code(0, 1), b = code(0, 2), leaf = code(code(a, 3), 4), other = code(b, 4);
    fixture_cpu(&f, leaf, 3);
    fixture_cpu(&f, a, 1);
    fixture_cpu(&f, other, 8);
    uint32_t rest = unsampled(a, -4000000), positive = unsampled(b, 1000);
    loaded();
    assert_int_equal(cpu(rest), 0);
    assert_int_equal(cpu(leaf), 3 * FIXTURE_TICK_NS - 3000000);
    assert_int_equal(cpu(a), FIXTURE_TICK_NS - 1000000);
    assert_int_equal(cpu(other), 8 * FIXTURE_TICK_NS);
    assert_int_equal(cpu(positive), 1000);
    assert_int_equal(sample(leaf)->ticks, 3);
    assert_int_equal(m.totals.v[METRIC_CPU_NS], 12 * FIXTURE_TICK_NS - 4000000 + 1000);
}

static void parts_of_a_remainder_add_up_whatever_is_rounded(void **state)
{
    (void)state;
    uint32_t a = code(0, 1), leaves[7];
    for (unsigned i = 0; i < 7; i++)
        fixture_cpu(&f, leaves[i] = code(a, 10 + i), 1 + i % 2);
    uint32_t rest = unsampled(a, -1000001);
    loaded();
    int64_t sum = 0;
    for (unsigned i = 0; i < 7; i++) {
        int64_t taken = (1 + i % 2) * FIXTURE_TICK_NS - cpu(leaves[i]);
        assert_in_range(taken, (1 + i % 2) * 100000, (1 + i % 2) * 100002);
        sum += cpu(leaves[i]);
    }
    assert_int_equal(cpu(rest), 0);
    assert_int_equal(sum, 10 * FIXTURE_TICK_NS - 1000001);
}

static void threads_of_unknown_start_pay_for_themselves(void **state)
{
    (void)state;
    uint32_t start = code(0, 1), known = code(start, 2), unknown = code(0, 3);
    fixture_cpu(&f, known, 10);
    fixture_cpu(&f, unknown, 2);
    uint32_t positive = unsampled(start, 1), rest = unsampled(0, -5);
    loaded();
    assert_int_equal(cpu(known), 10 * FIXTURE_TICK_NS);
    assert_int_equal(cpu(unknown), 2 * FIXTURE_TICK_NS - 5);
    assert_int_equal(cpu(rest), 0);
    assert_int_equal(cpu(positive), 1);
}

static void ticks_in_the_profiler_pay_their_part(void **state)
{
    (void)state;
    uint32_t a = code(0, 1), leaf = code(a, 2);
    uint32_t own = fixture_node(&f, leaf, PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_PROFILER);
    fixture_cpu(&f, leaf, 3);
    fixture_cpu(&f, own, 1);
    unsampled(a, -4000);
    loaded();
    assert_int_equal(cpu(leaf), 3 * FIXTURE_TICK_NS - 3000);
    assert_int_equal(sample(own)->m.v[METRIC_PROFILER_NS], FIXTURE_TICK_NS - 1000);
    assert_int_equal(sample(own)->ticks, 0);
}

static void what_no_tick_can_pay_stays(void **state)
{
    (void)state;
    uint32_t a = code(0, 1), leaf = code(a, 2), b = code(0, 3);
    fixture_cpu(&f, leaf, 1);
    uint32_t more = unsampled(a, -6000000), none = unsampled(b, -7);
    loaded();
    assert_int_equal(cpu(leaf), FIXTURE_TICK_NS);
    assert_int_equal(cpu(more), -6000000);
    assert_int_equal(cpu(none), -7);
}

static void damaged_counters_take_nothing(void **state)
{
    (void)state;
    uint32_t a = code(0, 1), huge[2] = {code(a, 2), code(a, 3)};
    for (int i = 0; i < 2; i++)
        fixture_cpu(&f, huge[i], 0)->counter[PSHIM_CPU_EXTRA_NS] = INT64_MAX;
    uint32_t rest = unsampled(a, -9);
    loaded();
    assert_int_equal(cpu(huge[0]), INT64_MAX);
    assert_int_equal(cpu(huge[1]), INT64_MAX);
    assert_int_equal(cpu(rest), -9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(negative_remainder_is_taken_from_the_ticks_of_its_start_routine),
        TEST(parts_of_a_remainder_add_up_whatever_is_rounded),
        TEST(threads_of_unknown_start_pay_for_themselves),
        TEST(ticks_in_the_profiler_pay_their_part),
        TEST(what_no_tick_can_pay_stays),
        TEST(damaged_counters_take_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
