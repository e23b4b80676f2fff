#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "common/budget.h"

static struct budget b[4];
static char err[160];

static void the_contract_example_parses_into_base_units(void **state)
{
    (void)state;
    assert_int_equal(budget_parse("throughput>10000,avg<1ms,p99<10ms,errors=0", b, 4, err), 4);
    assert_string_equal(b[0].name, "throughput");
    assert_int_equal(b[0].op, BUDGET_GT);
    assert_true(b[0].value == 10000);
    assert_string_equal(b[0].text, "throughput>10000");
    assert_string_equal(b[1].name, "avg");
    assert_int_equal(b[1].op, BUDGET_LT);
    assert_true(b[1].value == 1e6);
    assert_true(b[2].value == 1e7);
    assert_int_equal(b[3].op, BUDGET_EQ);
    assert_true(b[3].value == 0);
    assert_string_equal(b[3].text, "errors=0");
}

static void operators_blanks_signs_and_units_are_understood(void **state)
{
    (void)state;
    assert_int_equal(
        budget_parse(" rss <= 64MiB , latency_us.p99>=-1.5e3, hit = 7% ,allocs/op<.5", b, 4, err),
        4);
    assert_string_equal(b[0].name, "rss");
    assert_string_equal(b[0].text, "rss <= 64MiB");
    assert_int_equal(b[0].op, BUDGET_LE);
    assert_true(b[0].value == 64 << 20);
    assert_string_equal(b[1].name, "latency_us.p99");
    assert_int_equal(b[1].op, BUDGET_GE);
    assert_true(b[1].value == -1500);
    assert_true(b[2].value == 0.07);
    assert_string_equal(b[3].name, "allocs/op");
    assert_true(b[3].value == 0.5);
}

static void a_budget_is_met_only_by_numbers_that_meet_it(void **state)
{
    (void)state;
    assert_int_equal(budget_parse("a<1,b<=1,c>1,d>=1", b, 4, err), 4);
    assert_true(budget_met(&b[0], 0.999) && !budget_met(&b[0], 1));
    assert_true(budget_met(&b[1], 1) && !budget_met(&b[1], 1.001));
    assert_true(budget_met(&b[2], 1.001) && !budget_met(&b[2], 1));
    assert_true(budget_met(&b[3], 1) && !budget_met(&b[3], 0.999));
    for (int i = 0; i < 4; i++)
        assert_false(budget_met(&b[i], NAN));
    assert_int_equal(budget_parse("e=0", b, 4, err), 1);
    assert_true(budget_met(&b[0], 0) && !budget_met(&b[0], 1) && !budget_met(&b[0], NAN));
}

static void an_error_says_what_and_where(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "a budget is missing at character 1 of ''"},
        {"a<1,", "a budget is missing at character 5 of 'a<1,'"},
        {"a<1,,b<2", "a budget is missing at character 5 of 'a<1,,b<2'"},
        {"<5", "a name is missing at character 1 of '<5'"},
        {"avg", "one of < <= > >= = is missing at character 4 of 'avg'"},
        {"avg 5", "one of < <= > >= = is missing at character 5 of 'avg 5'"},
        {"a<1,avg<", "a number is missing at character 9 of 'a<1,avg<'"},
        {"avg<ms", "not a number at character 5 of 'avg<ms'"},
        {"avg==1", "not a number at character 5 of 'avg==1'"},
        {"avg<inf", "not a number at character 5 of 'avg<inf'"},
        {"avg<1parsec", "unknown unit at character 6 of 'avg<1parsec'"},
        {"avg<1kilometres", "unknown unit at character 6 of 'avg<1kilometres'"},
        {"a<1,b<2,c<3,d<4,e<5", "too many budgets at character 17 of 'a<1,b<2,c<3,d<4,e<5'"},
        {"a123456789b123456789c123456789d123456789e1234567<1",
         "the name is too long at character 1 of "
         "'a123456789b123456789c123456789d123456789e1234567<1'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(budget_parse(bad[i].text, b, 4, err), -1);
        assert_string_equal(err, bad[i].message);
    }
}

static void a_name_of_47_bytes_fits_and_long_text_is_cut_not_overrun(void **state)
{
    char text[400];
    (void)state;
    memset(text, 'n', 47);
    strcpy(text + 47, " < ");
    memset(text + 50, ' ', 100);
    strcpy(text + 150, "1");
    assert_int_equal(budget_parse(text, b, 4, err), 1);
    assert_int_equal(strlen(b[0].name), 47);
    assert_int_equal(strlen(b[0].text), sizeof b[0].text - 1);
    memset(text, 'n', 399);
    text[399] = '\0';
    assert_int_equal(budget_parse(text, b, 4, err), -1);
    assert_true(strlen(err) < sizeof err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract_example_parses_into_base_units),
        cmocka_unit_test(operators_blanks_signs_and_units_are_understood),
        cmocka_unit_test(a_budget_is_met_only_by_numbers_that_meet_it),
        cmocka_unit_test(an_error_says_what_and_where),
        cmocka_unit_test(a_name_of_47_bytes_fits_and_long_text_is_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
