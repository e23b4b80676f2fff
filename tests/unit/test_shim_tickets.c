#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shim/tickets.h"

static const void *lock(uint64_t i)
{
    return (const void *)(uintptr_t)(0x7f0000000000u + i * 40);
}

static struct claims claim(const void *of, uint64_t since, uint64_t now)
{
    struct claims c;
    tickets_claim(of, since, now, 0, &c);
    return c;
}

static void nobody_waits_for_a_lock_without_tickets(void **state)
{
    (void)state;
    assert_false(tickets_may_be(lock(1)));
    uint32_t ticket = ticket_open(lock(1), 3, 7, 100);
    assert_true(tickets_may_be(lock(1)));
    assert_int_equal(claim(lock(2), 0, 500).count, 0);
    ticket_drop(lock(1), ticket);
    assert_false(tickets_may_be(lock(1)));
    assert_int_equal(claim(lock(1), 0, 500).count, 0);
}

static void holder_answers_from_the_later_of_its_hold_and_the_wait(void **state)
{
    (void)state;
    uint32_t ticket = ticket_open(lock(1), 3, 7, 100);
    struct claims c = claim(lock(1), 40, 150); /* held it before the wait began */
    assert_int_equal(c.count, 1);
    assert_int_equal(c.items[0].node, 7);
    assert_int_equal(c.items[0].index, 3);
    assert_int_equal(c.items[0].waits, 1);
    assert_int_equal(c.items[0].time, 50);
    c = claim(lock(1), 170, 200); /* the next one had it 20 later: hand-off */
    assert_int_equal(c.items[0].time, 30);
    assert_int_equal(claim(lock(1), 170, 200).count, 0); /* paid */
    c = claim(lock(1), 0, 260); /* since when is not known: since it was paid until */
    assert_int_equal(c.items[0].time, 60);
    assert_int_equal(claim(lock(1), 0, 250).count, 0); /* a clock that lags behind */
    ticket_drop(lock(1), ticket);
}

static void waiters_at_one_stack_are_one_claim(void **state)
{
    (void)state;
    uint32_t tickets[3] = {ticket_open(lock(1), 3, 7, 100), ticket_open(lock(1), 3, 7, 130),
                           ticket_open(lock(1), 3, 8, 140)};
    struct claims c = claim(lock(1), 1, 200);
    assert_int_equal(c.count, 2);
    assert_int_equal(c.items[0].waits, 2);
    assert_int_equal(c.items[0].time, 170);
    assert_int_equal(c.items[0].time_max, 100);
    assert_int_equal(c.items[1].time, 60);
    for (int i = 0; i < 3; i++)
        ticket_drop(lock(1), tickets[i]);
}

static void wait_in_vain_is_charged_to_its_end_and_once(void **state)
{
    (void)state;
    uint32_t ticket = ticket_open(lock(1), 3, 7, 100);
    ticket_close(ticket, 160);
    assert_true(tickets_may_be(lock(1)));
    struct claims c = claim(lock(1), 50, 900);
    assert_int_equal(c.items[0].time, 161 - 100); /* its end is never 0 */
    assert_false(tickets_may_be(lock(1)));
    ticket_close(ticket_open(lock(1), 3, 7, 100), 160);
    assert_int_equal(claim(lock(1), 500, 900).count, 0); /* held only later */
    assert_false(tickets_may_be(lock(1)));
    ticket_close(ticket_open(lock(1), 3, 7, 100), 160);
    tickets_forget(lock(1)); /* it was destroyed */
    assert_false(tickets_may_be(lock(1)));
}

static void own_ticket_is_not_asked(void **state)
{
    (void)state;
    struct claims c;
    uint32_t ticket = ticket_open(lock(1), 3, 7, 100);
    tickets_claim(lock(1), 0, 200, ticket, &c);
    assert_int_equal(c.count, 0);
    ticket_drop(lock(1), ticket);
}

static void more_stacks_than_can_be_told_apart_are_counted(void **state)
{
    (void)state;
    uint32_t tickets[claims_most + 3];
    for (uint32_t i = 0; i < claims_most + 3; i++)
        tickets[i] = ticket_open(lock(1), 3, 100 + i, 10);
    struct claims c = claim(lock(1), 1, 20);
    assert_int_equal(c.count, claims_most);
    assert_int_equal(c.lost, 3);
    for (uint32_t i = 0; i < claims_most + 3; i++)
        ticket_drop(lock(1), tickets[i]);
}

static void full_table_has_no_ticket_but_for_closed_ones(void **state)
{
    (void)state;
    static uint32_t tickets[ticket_probes];
    for (uint32_t i = 0; i < ticket_probes; i++) {
        tickets[i] = ticket_open(lock(1), 3, 7, 100);
        assert_int_not_equal(tickets[i], 0);
    }
    assert_int_equal(ticket_open(lock(1), 3, 7, 100), 0);
    assert_int_equal(claim(lock(1), 0, 101).items[0].waits, ticket_probes);
    ticket_close(tickets[5], 200);
    uint32_t instead = ticket_open(lock(1), 4, 9, 300);
    assert_int_not_equal(instead, 0);
    struct claims c = claim(lock(1), 290, 310);
    assert_int_equal(c.count, 2);
    tickets[5] = instead;
    for (uint32_t i = 0; i < ticket_probes; i++)
        ticket_drop(lock(1), tickets[i]);
    assert_false(tickets_may_be(lock(1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_for_a_lock_without_tickets),
        cmocka_unit_test(holder_answers_from_the_later_of_its_hold_and_the_wait),
        cmocka_unit_test(waiters_at_one_stack_are_one_claim),
        cmocka_unit_test(wait_in_vain_is_charged_to_its_end_and_once),
        cmocka_unit_test(own_ticket_is_not_asked),
        cmocka_unit_test(more_stacks_than_can_be_told_apart_are_counted),
        cmocka_unit_test(full_table_has_no_ticket_but_for_closed_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
