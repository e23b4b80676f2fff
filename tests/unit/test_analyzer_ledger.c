#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "analyzer/ledger.h"

static const struct ledger_facts nothing = {
    .wall_ns = 1000, .cpu_ns = -1, .lock_ns = -1, .io_ns = -1, .idle_ns = -1, .run_delay_ns = -1};

static int64_t sum_of(const struct ledger *l)
{
    int64_t sum = 0;
    for (int i = 0; i < LEDGER_PART_COUNT; i++)
        sum += l->v[i];
    return sum;
}

static void what_nothing_explains_is_unexplained(void **state)
{
    (void)state;
    struct ledger_facts f = nothing;
    f.cpu_ns = 300;
    f.lock_ns = 200;
    f.idle_ns = 100;
    f.io_ns = 50;
    f.run_delay_ns = 40;
    f.paused_ns = 10;
    struct ledger l = ledger_books_close(&f);
    assert_int_equal(l.v[LEDGER_UNEXPLAINED], 300);
    assert_int_equal(l.v[LEDGER_RUNQUEUE], 40);
    assert_int_equal(sum_of(&l), 1000);
    assert_int_equal(l.known, (1u << LEDGER_PART_COUNT) - 1);
}

static void time_on_a_cpu_within_a_wait_is_in_cpu_alone(void **state)
{
    (void)state;
    struct ledger_facts f = nothing;
    f.cpu_ns = 600;
    f.lock_ns = 900;
    f.lock_cpu_ns = 500;
    f.idle_ns = 3;
    f.idle_cpu_ns = 5; /* one tick of a longer period */
    struct ledger l = ledger_books_close(&f);
    assert_int_equal(l.v[LEDGER_LOCK], 400);
    assert_int_equal(l.v[LEDGER_IDLE], 0);
    assert_int_equal(l.v[LEDGER_UNEXPLAINED], 0);
}

static void delays_after_wake_ups_are_in_their_waits(void **state)
{
    (void)state;
    struct ledger_facts f = nothing;
    f.cpu_ns = 300;
    f.idle_ns = 690;
    f.run_delay_ns = 200; /* 190 of it before those waits returned */
    struct ledger l = ledger_books_close(&f);
    assert_int_equal(l.v[LEDGER_RUNQUEUE], 10);
    assert_int_equal(l.v[LEDGER_UNEXPLAINED], 0);
}

static void more_than_there_was_time_for_is_told(void **state)
{
    (void)state;
    struct ledger_facts f = nothing;
    f.cpu_ns = 700;
    f.lock_ns = 400;
    f.run_delay_ns = 5;
    struct ledger l = ledger_books_close(&f);
    assert_int_equal(l.v[LEDGER_RUNQUEUE], 0);
    assert_int_equal(l.v[LEDGER_UNEXPLAINED], -100);
    assert_int_equal(sum_of(&l), 1000);
}

static void what_was_not_measured_is_not_known(void **state)
{
    (void)state;
    struct ledger_facts f = nothing;
    struct ledger l = ledger_books_close(&f);
    assert_int_equal(l.known, 1u << LEDGER_PAUSED);
    f.cpu_ns = 400;
    l = ledger_books_close(&f);
    assert_int_equal(l.known, 1u << LEDGER_PAUSED | 1u << LEDGER_CPU | 1u << LEDGER_UNEXPLAINED);
    assert_int_equal(l.v[LEDGER_UNEXPLAINED], 600);
}

static void sum_knows_what_nearly_all_of_its_time_knows(void **state)
{
    (void)state;
    struct ledger_facts lasting = nothing, brief = nothing;
    struct ledger_sum sum = {0};
    lasting.cpu_ns = brief.cpu_ns = 100;
    lasting.run_delay_ns = 900;
    brief.wall_ns = 111;
    struct ledger one = ledger_books_close(&lasting), other = ledger_books_close(&brief);
    ledger_books_add(&sum, &one);
    ledger_books_add(&sum, &other);
    assert_true(ledger_has(&sum.all, LEDGER_RUNQUEUE));
    assert_int_equal(sum.all.v[LEDGER_UNEXPLAINED], 11);
    assert_int_equal(sum.all.wall_ns, 1111);
    ledger_books_add(&sum, &other);
    assert_false(ledger_has(&sum.all, LEDGER_RUNQUEUE));
    assert_true(ledger_has(&sum.all, LEDGER_CPU));
    assert_int_equal(sum.all.wall_ns, sum_of(&sum.all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nothing_explains_is_unexplained),
        cmocka_unit_test(time_on_a_cpu_within_a_wait_is_in_cpu_alone),
        cmocka_unit_test(delays_after_wake_ups_are_in_their_waits),
        cmocka_unit_test(more_than_there_was_time_for_is_told),
        cmocka_unit_test(what_was_not_measured_is_not_known),
        cmocka_unit_test(sum_knows_what_nearly_all_of_its_time_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
