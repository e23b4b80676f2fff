#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <math.h>

#include "analyzer/diff.h"
#include "analyzer/view_diff.h"
#include "tests/unit/profile_fixture.h"

/* ---- arithmetic ---- */

static const struct diff_scatter exact;

static void median_of_runs_is_compared_and_delta_is_after_minus_before(void **state)
{
    (void)state;
    const double a[] = {10, 100, 12}, b[] = {6, 5, 7};
    struct diff_value v = diff_compare(a, 3, b, 3, exact);
    assert_true(v.a == 12 && v.b == 6 && v.delta == -6 && v.ratio == 0.5);
    assert_true(v.exact);
    assert_false(v.noise);
}

static void what_one_side_did_not_measure_has_no_difference(void **state)
{
    (void)state;
    const double a[] = {10, NAN}, b[] = {6, 5};
    struct diff_value v = diff_compare(a, 2, b, 2, exact);
    assert_true(isnan(v.a) && isnan(v.delta) && isnan(v.ratio));
    assert_true(v.b == 5.5);
}

static void change_within_the_scatter_of_ticks_may_be_noise(void **state)
{
    (void)state;
    const struct diff_scatter ticks = {.quantum = {1, 1}}; /* a value of n is n ticks */
    const double few[] = {100}, more[] = {125}, many[] = {10000}, other[] = {9000};
    assert_true(diff_compare(few, 1, more, 1, ticks).noise);    /* 25 < 2 * sqrt(225) */
    assert_false(diff_compare(many, 1, other, 1, ticks).noise); /* 1000 > 2 * sqrt(19000) */
    const double close[] = {9600};
    assert_true(diff_compare(many, 1, close, 1, ticks).noise); /* 4 %: runs differ that much */
    const double none[] = {0};
    assert_false(diff_compare(few, 1, none, 1, ticks).noise); /* gone is gone */
    assert_true(diff_compare(none, 1, none, 1, ticks).noise);
}

static void enough_runs_give_an_interval_of_the_ratio(void **state)
{
    (void)state;
    const struct diff_scatter ticks = {.quantum = {1, 1}};
    const double a[] = {100, 101, 102, 103}, b[] = {50, 51, 52, 53};
    struct diff_value v = diff_compare(a, 4, b, 4, ticks);
    assert_true(v.low > 0.45 && v.low <= v.ratio && v.ratio <= v.high && v.high < 0.55);
    assert_false(v.noise);
    v = diff_compare(a, 4, a, 4, ticks);
    assert_true(v.noise && v.low <= 1 && v.high >= 1);
    v = diff_compare(a, 3, b, 3, ticks);
    assert_true(isnan(v.low));
}

static void growth_from_nothing_has_no_ratio(void **state)
{
    (void)state;
    const double none[] = {0}, some[] = {3};
    struct diff_value v = diff_compare(none, 1, some, 1, exact);
    assert_true(isnan(v.ratio) && v.delta == 3);
    assert_true(diff_compare(none, 1, none, 1, exact).ratio == 1);
}

/* ---- profiles ---- */

/* Code to stand in stacks: at the end of this file, since #line holds for the rest of it. */
static void store_put(void), store_get(void), pool_grow(void);
extern char put_early[] __attribute__((visibility("hidden")));
extern char put_late[] __attribute__((visibility("hidden")));

static char before[PATH_MAX], after[PATH_MAX];
static struct fixture f;
static struct diff d;
static char err[512];

/* A node at one of the two calls in store_put(). */
static uint32_t put_call(uint32_t module, const char *at)
{
    return fixture_call(&f, 0, module, (void (*)(void))(uintptr_t)at);
}

static uint32_t opened(const char *path)
{
    fixture_open(&f, path, 1 << 20);
    return fixture_own_module(&f);
}

/* A: put 2 and get 1 a op, of 1000 ops; B: get 1 and pool_grow 0.01, of 2000 ops. */
static int profiles_make(void **state)
{
    (void)state;
    store_put();
    fixture_path(before, "a");
    fixture_path(after, "b");
    uint32_t m = opened(before);
    uint32_t node = put_call(m, put_early);
    fixture_alloc(&f, node, 2000, 64000, 2000, 64000);
    fixture_cpu(&f, node, 400);
    fixture_alloc(&f, fixture_call(&f, 0, m, store_get), 1000, 8000, 1000, 8000);
    fixture_progress(&f, "op", 1000);
    fixture_progress(&f, "batch", 9000);
    f.h->peak_bytes = 5000;
    fixture_close(&f);
    m = opened(after);
    fixture_alloc(&f, fixture_call(&f, 0, m, store_get), 2000, 16000, 2000, 16000);
    node = fixture_call(&f, 0, m, pool_grow);
    fixture_alloc(&f, node, 20, 90000, 0, 0);
    fixture_cpu(&f, node, 100);
    fixture_progress(&f, "op", 2000);
    f.h->peak_bytes = 95000;
    fixture_close(&f);
    return 0;
}

static int profiles_remove(void **state)
{
    (void)state;
    diff_release(&d);
    unlink(before);
    return unlink(after);
}

static const struct diff_item *item(const struct diff_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    fail_msg("no %s", name);
    return NULL;
}

static int built(int per)
{
    char *a[] = {before}, *b[] = {after};
    return diff_build(&d, a, 1, b, 1, per, err);
}

static void figures_are_per_operation_of_the_common_progress_point(void **state)
{
    (void)state;
    assert_int_equal(built(-1), 0);
    assert_int_equal(d.per, DIFF_PER_OP);
    assert_string_equal(d.progress, "op");
    const struct diff_value *calls = &d.totals[DIFF_ALLOC_CALLS];
    assert_true(calls->a == 3 && fabs(calls->b - 1.01) < 1e-12 && calls->exact);
    assert_true(d.totals[DIFF_CPU_NS].a == 400.0 * FIXTURE_TICK_NS / 1000);
    assert_true(d.totals[DIFF_PEAK_BYTES].delta == 90000);
    assert_true(isnan(d.totals[DIFF_LOCK_WAIT_NS].a));
    assert_true(d.rate.a == 100 && d.rate.b == 200);
}

static void sites_and_functions_are_both_new_or_gone(void **state)
{
    (void)state;
    assert_int_equal(built(-1), 0);
    const struct diff_item *put = item(&d.sites, "store_put"), *get = item(&d.sites, "store_get"),
                           *grow = item(&d.sites, "pool_grow");
    assert_ptr_equal(put, &d.sites.items[0]); /* the largest change */
    assert_true(put->in_a && !put->in_b && put->calls.delta == -2);
    assert_true(get->in_a && get->in_b && get->calls.delta == 0);
    assert_true(!grow->in_a && grow->in_b && grow->line == 60);
    assert_true(item(&d.functions, "store_put")->cpu.delta == -2.0 * FIXTURE_TICK_NS / 5);
}

static void per_second_and_total_need_no_progress_point(void **state)
{
    (void)state;
    assert_int_equal(built(DIFF_PER_SECOND), 0);
    assert_true(d.totals[DIFF_ALLOC_CALLS].a == 300);
    diff_release(&d);
    assert_int_equal(built(DIFF_TOTAL), 0);
    assert_true(d.totals[DIFF_ALLOC_CALLS].a == 3000);
}

static void without_a_common_progress_point_it_is_per_second(void **state)
{
    (void)state;
    uint32_t m = opened(after);
    fixture_alloc(&f, fixture_call(&f, 0, m, store_get), 100, 100, 0, 0);
    fixture_progress(&f, "other", 5);
    fixture_close(&f);
    assert_int_equal(built(-1), 0);
    assert_int_equal(d.per, DIFF_PER_SECOND);
    assert_null(d.progress);
    diff_release(&d);
    assert_int_equal(built(DIFF_PER_OP), -1);
    assert_non_null(strstr(err, "progress point"));
}

static void site_whose_line_moved_is_the_same_site(void **state)
{
    (void)state;
    uint32_t m = opened(after);
    fixture_alloc(&f, put_call(m, put_late), 500, 1000, 0, 0);
    fixture_progress(&f, "op", 1000);
    fixture_close(&f);
    assert_int_equal(built(-1), 0);
    const struct diff_item *put = item(&d.sites, "store_put");
    assert_true(put->in_a && put->in_b && put->calls.a == 2 && put->calls.b == 0.5);
    assert_int_equal(put->line, 103);
}

static void what_was_not_measured_is_absent_not_zero(void **state)
{
    (void)state;
    opened(after);
    f.h->alloc_mode = PSHIM_ALLOC_OFF;
    fixture_progress(&f, "op", 1000);
    fixture_close(&f);
    assert_int_equal(built(-1), 0);
    assert_true(isnan(d.totals[DIFF_ALLOC_CALLS].b));
    assert_true(isnan(item(&d.sites, "store_put")->calls.delta));
}

/* 10000 allocations a side, of which B has `left`: and the rate at which they are not rare. */
static void allocates_often(uint64_t left)
{
    char *const paths[] = {before, after};
    const uint64_t calls[] = {20000, left};
    for (int i = 0; i < 2; i++) {
        fixture_open(&f, paths[i], 1 << 20);
        uint32_t node = fixture_call(&f, 0, fixture_own_module(&f), store_get);
        fixture_alloc(&f, node, calls[i], 64 * calls[i], calls[i], 64 * calls[i]);
        struct pshim_account *site = fixture_site(&f, node);
        site->counter[PSHIM_SITE_ALLOC_TIME] = 56 * calls[i];
        site->counter[PSHIM_SITE_TIMED] = 1000;
        fixture_cpu(&f, node, i ? 1000 : 1100);
        fixture_progress(&f, "op", 10000);
        fixture_close(&f);
    }
}

static void what_the_pool_advisor_predicted_is_compared(void **state)
{
    (void)state;
    allocates_often(5);
    assert_int_equal(built(-1), 0);
    assert_int_equal(d.advisor.sites, 1);
    assert_float_equal(d.advisor.predicted_calls, -1.9999, 1e-9); /* one slab is left */
    assert_float_equal(d.advisor.predicted_ns, -1.9999 * 50, 1e-6);
    assert_float_equal(d.advisor.measured_calls, -1.9995, 1e-9);
    assert_float_equal(d.advisor.measured_ns, -100.0 * FIXTURE_TICK_NS / 10000, 1e-6);
}

static void site_that_did_not_follow_has_no_prediction(void **state)
{
    (void)state;
    allocates_often(10002);
    assert_int_equal(built(-1), 0);
    assert_int_equal(d.advisor.sites, 0);
    assert_true(diff_followed(-2, -1));
    assert_false(diff_followed(-2, -0.99));
    assert_false(diff_followed(0, -5));
    assert_false(diff_followed(-2, NAN));
}

/* Two threads under one lock; B holds it for `hold_ns`, and costs what is left. */
static void holds_less(uint64_t hold_ns)
{
    char *const paths[] = {before, after};
    const uint64_t holds[] = {1000000000, hold_ns}, waits[] = {1000000000, 100000000};
    for (int i = 0; i < 2; i++) {
        fixture_open(&f, paths[i], 1 << 20);
        uint32_t m = fixture_own_module(&f), at = fixture_call(&f, 0, m, store_get);
        fixture_lock(&f, 0, 0, false); /* record 0 */
        uint32_t lock = fixture_lock(&f, 0x1000, at, true);
        fixture_thread(&f, 1, "a", 5000000000u, 1000000000);
        fixture_thread(&f, 2, "b", 5000000000u, 1000000000);
        fixture_taken(&f, at, lock, 1000, 400, waits[i], holds[i]);
        fixture_blame(&f, at, lock, at, 400, waits[i]);
        fixture_held(&f, fixture_call(&f, at, m, pool_grow), lock, i ? 0 : 200);
        fixture_cpu(&f, at, i ? 400 : 200);
        fixture_progress(&f, "op", 1000);
        fixture_close(&f);
    }
}

static void what_was_predicted_of_a_lock_is_compared(void **state)
{
    (void)state;
    holds_less(500000000);
    assert_int_equal(built(-1), 0);
    assert_int_equal(strncmp(d.moved.lock, "mutex of store_get", 18), 0);
    assert_float_equal(d.moved.predicted_ns, -1000000, 1e-6); /* all of the wait */
    assert_float_equal(d.moved.measured_ns, -900000, 1e-6);
    diff_release(&d);
    holds_less(501000000);
    assert_int_equal(built(-1), 0);
    assert_string_equal(d.moved.lock, ""); /* B did not follow it */
    assert_true(diff_held_less(10, 0));
    assert_false(diff_held_less(0, 0));
    assert_false(diff_held_less(10, NAN));
}

static void unreadable_profile_is_told_by_name(void **state)
{
    (void)state;
    char *a[] = {before}, *b[] = {(char *)(uintptr_t) "/nowhere/b.pshim"};
    assert_int_equal(diff_build(&d, a, 1, b, 1, -1, err), -1);
    assert_non_null(strstr(err, "/nowhere/b.pshim: cannot open"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profiles_make, profiles_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median_of_runs_is_compared_and_delta_is_after_minus_before),
        cmocka_unit_test(what_one_side_did_not_measure_has_no_difference),
        cmocka_unit_test(change_within_the_scatter_of_ticks_may_be_noise),
        cmocka_unit_test(enough_runs_give_an_interval_of_the_ratio),
        cmocka_unit_test(growth_from_nothing_has_no_ratio),
        TEST(figures_are_per_operation_of_the_common_progress_point),
        TEST(sites_and_functions_are_both_new_or_gone),
        TEST(per_second_and_total_need_no_progress_point),
        TEST(without_a_common_progress_point_it_is_per_second),
        TEST(site_whose_line_moved_is_the_same_site),
        TEST(what_was_not_measured_is_absent_not_zero),
        TEST(what_the_pool_advisor_predicted_is_compared),
        TEST(site_that_did_not_follow_has_no_prediction),
        TEST(what_was_predicted_of_a_lock_is_compared),
        TEST(unreadable_profile_is_told_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* clang-format off */
#define CODE(name) __attribute__((noinline)) static void name(void) { __asm__ volatile("" ::: "memory"); }
#line 100 "store.c"
__attribute__((noinline, noclone)) static void store_put(void)
{
    __asm__ volatile(".globl put_early\nput_early: nop" ::: "memory");
    __asm__ volatile(".globl put_late\nput_late: nop" ::: "memory");
}
#line 120 "store.c"
CODE(store_get)
#line 60 "pool.c"
CODE(pool_grow)
/* clang-format on */
