#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "analyzer/children.h"

/* As timeout(1): it waits for a signal, and then once for its child. */
static struct children_evidence of_timeout(void)
{
    return (struct children_evidence){
        .wall_ns = 1000, .cpu_ns = 1, .wait_calls = 1, .wait_ns = 0, .signals_ns = 990};
}

static void who_waited_for_a_child_and_did_little_else_only_started_it(void **state)
{
    (void)state;
    struct children_evidence e = of_timeout();
    assert_true(children_judge(&e));
    e.signals_ns = 200;
    e.wait_ns = 299;
    assert_false(children_judge(&e));
    e.wait_ns = 300; /* half of the time */
    assert_true(children_judge(&e));
    e.cpu_ns = 50;
    assert_true(children_judge(&e));
    e.cpu_ns = 51;
    assert_false(children_judge(&e));
}

static void who_waits_for_signals_without_a_child_is_a_program_of_its_own(void **state)
{
    (void)state;
    struct children_evidence e = of_timeout();
    e.wait_calls = 0;
    assert_false(children_judge(&e));
}

static void nothing_is_said_of_what_is_not_known(void **state)
{
    (void)state;
    struct children_evidence e = of_timeout();
    e.cpu_ns = -1;
    assert_false(children_judge(&e));
    e = of_timeout();
    e.wall_ns = 0;
    assert_false(children_judge(&e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waited_for_a_child_and_did_little_else_only_started_it),
        cmocka_unit_test(who_waits_for_signals_without_a_child_is_a_program_of_its_own),
        cmocka_unit_test(nothing_is_said_of_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
