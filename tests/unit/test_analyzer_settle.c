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

/* What a wait at a stack of its own adds to the cost, beside how long it was. */
static int64_t wait_cost(const struct pshim_account *a, int64_t *wait)
{
    const struct pshim_node *lock = profile_record(&r.profile, PSHIM_REGION_NODE, a->node);
    const struct metrics *of = &sample(lock->parent)->m;
    *wait = of->v[METRIC_LOCK_WAIT_NS];
    return of->v[METRIC_COST_NS];
}

static void ticks_within_a_wait_are_not_counted_twice(void **state)
{
    (void)state;
    int64_t tick = FIXTURE_TICK_NS, wait;
    uint32_t lock = fixture_lock(&f, 0x1000, 0, true), spins = code(0, 1);
    struct pshim_account *a = fixture_taken(&f, spins, lock, 9, 9, 4 * FIXTURE_TICK_NS, 0);
    fixture_wait_ticks(&f, a->node, 3);
    fixture_cpu(&f, code(spins, 2), 3);
    loaded();
    assert_int_equal(wait_cost(a, &wait), tick);
    assert_int_equal(wait, 4 * tick);
    assert_int_equal(m.totals.v[METRIC_LOCK_WAIT_NS], 4 * tick);
    assert_int_equal(m.totals.v[METRIC_LOCK_CPU_NS], 3 * tick);
    assert_int_equal(m.totals.v[METRIC_CPU_NS], 3 * tick);
    assert_int_equal(m.totals.v[METRIC_COST_NS], 4 * tick);
}

static void tick_longer_than_its_wait_is_shared_by_waits_that_had_none(void **state)
{
    (void)state;
    int64_t tick = FIXTURE_TICK_NS, wait;
    uint32_t lock = fixture_lock(&f, 0x1000, 0, true);
    struct pshim_account *shorter = fixture_taken(&f, code(0, 1), lock, 1, 1, 1000000, 0);
    struct pshim_account *one = fixture_taken(&f, code(0, 2), lock, 1, 1, 6000000, 0);
    struct pshim_account *two = fixture_taken(&f, code(0, 3), lock, 1, 1, 2000000, 0);
    fixture_wait_ticks(&f, shorter->node, 1);
    loaded();
    assert_int_equal(wait_cost(shorter, &wait), 0);
    assert_int_equal(wait_cost(one, &wait), 3000000);
    assert_int_equal(wait_cost(two, &wait), 1000000);
    assert_int_equal(m.totals.v[METRIC_LOCK_CPU_NS], tick);
}

static void ticks_beyond_all_waits_take_no_more_than_these(void **state)
{
    (void)state;
    int64_t wait;
    uint32_t lock = fixture_lock(&f, 0x1000, 0, true);
    struct pshim_account *a = fixture_taken(&f, code(0, 1), lock, 1, 1, 1000, 0);
    struct pshim_account *b = fixture_taken(&f, code(0, 2), lock, 1, 1, 2000, 0);
    fixture_wait_ticks(&f, a->node, 7);
    fixture_wait_ticks(&f, b->node, UINT64_MAX / 2); /* damage */
    loaded();
    assert_int_equal(wait_cost(a, &wait), 0);
    assert_int_equal(wait_cost(b, &wait), 0);
    assert_int_equal(m.totals.v[METRIC_LOCK_WAIT_NS], 3000);
    assert_int_equal(m.totals.v[METRIC_COST_NS], 0);
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
        TEST(ticks_within_a_wait_are_not_counted_twice),
        TEST(tick_longer_than_its_wait_is_shared_by_waits_that_had_none),
        TEST(ticks_beyond_all_waits_take_no_more_than_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
