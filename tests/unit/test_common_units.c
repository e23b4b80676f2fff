#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "common/units.h"

static uint64_t duration(const char *s)
{
    uint64_t ns = 0;
    assert_int_equal(units_parse_duration(s, &ns), 0);
    return ns;
}

static uint64_t size(const char *s)
{
    uint64_t bytes = 0;
    assert_int_equal(units_parse_size(s, &bytes), 0);
    return bytes;
}

static void every_duration_unit_is_known_and_bare_means_seconds(void **state)
{
    (void)state;
    assert_int_equal(duration("58ns"), 58);
    assert_int_equal(duration("250us"), 250000);
    assert_int_equal(duration("10ms"), 10000000);
    assert_int_equal(duration("30s"), 30000000000);
    assert_int_equal(duration("30"), 30000000000);
    assert_int_equal(duration("2m"), 120000000000);
    assert_int_equal(duration("2min"), 120000000000);
    assert_int_equal(duration("1h"), 3600000000000);
    assert_int_equal(duration("0"), 0);
}

static void durations_may_have_fractions_and_round_to_the_nearest_ns(void **state)
{
    (void)state;
    assert_int_equal(duration("1.5ms"), 1500000);
    assert_int_equal(duration("0.1"), 100000000);
    assert_int_equal(duration("0.0000000014s"), 1);
    assert_int_equal(duration("0.0000000016s"), 2);
}

static void a_bad_duration_is_refused_and_leaves_the_value_alone(void **state)
{
    static const char *const bad[] = {"",    "s",   "-1s",  "+1s",   "1x",  "1 s", "1e3", "0x10",
                                      "inf", "nan", "1..5", "1.",    ".5s", "1S",  "1M",  "10ms ",
                                      " 1s", "1,5", "1ss",  "1.5.1", "--1", "1.ms"};
    uint64_t ns = 77;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (units_parse_duration(bad[i], &ns) != -1)
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(ns, 77);
    }
}

static void sizes_are_in_powers_of_1024_in_either_case(void **state)
{
    (void)state;
    assert_int_equal(size("4096"), 4096);
    assert_int_equal(size("4096B"), 4096);
    assert_int_equal(size("4K"), 4096);
    assert_int_equal(size("4k"), 4096);
    assert_int_equal(size("512M"), 512ULL << 20);
    assert_int_equal(size("64MiB"), 64ULL << 20);
    assert_int_equal(size("64mb"), 64ULL << 20);
    assert_int_equal(size("1G"), 1ULL << 30);
    assert_int_equal(size("1.5G"), 3ULL << 29);
    assert_int_equal(size("2T"), 2ULL << 40);
}

static void whole_numbers_are_exact_to_the_last_unit_of_64_bits(void **state)
{
    uint64_t v = 5;
    (void)state;
    assert_int_equal(size("18446744073709551615"), UINT64_MAX);
    assert_int_equal(size("9007199254740993"), 9007199254740993); /* 2^53 + 1: no double holds it */
    assert_int_equal(units_parse_uint("18446744073709551615", &v), 0);
    assert_int_equal(v, UINT64_MAX);
    assert_int_equal(units_parse_uint("18446744073709551616", &v), -1);
    assert_int_equal(units_parse_size("18446744073709551616", &v), -1);
    assert_int_equal(units_parse_size("17592186044416M", &v), -1); /* 2^64 */
    assert_int_equal(units_parse_duration("18446744074", &v), -1);
    assert_int_equal(v, UINT64_MAX);
}

static void a_bad_size_or_count_is_refused(void **state)
{
    static const char *const bad_sizes[] = {"", "K", "-4K", "4Q", "4 K", "4KK", "1e3", "0x1000"};
    static const char *const bad_uints[] = {"", "-1", "+1", "1.0", "1K", " 1", "1 ", "0x1", "1e3"};
    uint64_t v;
    (void)state;
    for (size_t i = 0; i < sizeof bad_sizes / sizeof *bad_sizes; i++)
        if (units_parse_size(bad_sizes[i], &v) != -1)
            fail_msg("size '%s' was accepted", bad_sizes[i]);
    for (size_t i = 0; i < sizeof bad_uints / sizeof *bad_uints; i++)
        if (units_parse_uint(bad_uints[i], &v) != -1)
            fail_msg("count '%s' was accepted", bad_uints[i]);
}

static void a_real_number_stops_at_its_unit(void **state)
{
    const char *end;
    double v;
    (void)state;
    assert_int_equal(units_parse_real("1e12", &v, &end), 0);
    assert_true(v == 1e12 && *end == '\0');
    assert_int_equal(units_parse_real("-.5ms", &v, &end), 0);
    assert_true(v == -0.5);
    assert_string_equal(end, "ms");
    assert_int_equal(units_parse_real("3e", &v, &end), 0);
    assert_string_equal(end, "e");
    assert_int_equal(units_parse_real("inf", &v, &end), -1);
    assert_int_equal(units_parse_real("nan", &v, &end), -1);
    assert_int_equal(units_parse_real("0x10", &v, &end), -1);
    assert_int_equal(units_parse_real("1e999", &v, &end), -1);
    assert_int_equal(units_parse_real(" 1", &v, &end), -1);
    assert_int_equal(units_parse_real("-", &v, &end), -1);
}

static void case_tells_minutes_from_mebibytes(void **state)
{
    (void)state;
    assert_true(units_scale("m") == 60e9);
    assert_true(units_scale("M") == 1048576);
    assert_true(units_scale("us") == 1000);
    assert_true(units_scale("%") == 0.01);
    assert_true(units_scale("") == 1);
    assert_true(units_scale("mib") == 0);
    assert_true(units_scale("x") == 0);
}

struct shown {
    double v;
    const char *text;
};

static void check_all(char *(*print)(char *, double), const struct shown *t, size_t n)
{
    char buf[UNITS_BUF];
    for (size_t i = 0; i < n; i++)
        assert_string_equal(print(buf, t[i].v), t[i].text);
}
#define CHECK_ALL(print, table) check_all(print, table, sizeof table / sizeof *table)

static void durations_print_with_three_digits_and_never_round_into_a_wrong_unit(void **state)
{
    static const struct shown t[] = {
        {0, "0 ns"},          {0.4, "0.4 ns"},      {5.8, "5.8 ns"},     {58, "58 ns"},
        {999.4, "999 ns"},    {999.6, "1.00 us"},   {1234, "1.23 us"},   {11750, "11.8 us"},
        {331000, "331 us"},   {999499, "999 us"},   {999501, "1.00 ms"}, {12.3e6, "12.3 ms"},
        {9.996e6, "10.0 ms"}, {99.94e6, "99.9 ms"}, {99.96e6, "0.10s"},  {0.93e9, "0.93s"},
        {10.02e9, "10.02s"},  {3600e9, "3600.00s"}, {-331e3, "-331 us"}, {NAN, "-"},
        {1e300, "1e+291s"},   {-1e300, "-1e+291s"}, {INFINITY, "infs"},
    };
    (void)state;
    CHECK_ALL(units_duration, t);
}

static void sizes_print_in_binary_units(void **state)
{
    static const struct shown t[] = {
        {0, "0 B"},
        {286, "286 B"},
        {1.5, "1.5 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {4198, "4.1 KiB"},
        {1048575, "1.0 MiB"},
        {432642457, "412.6 MiB"},
        {5.0 * (1ULL << 40), "5.0 TiB"},
        {-4096, "-4.0 KiB"},
        {NAN, "-"},
        {1e300, "8.67e+281 EiB"},
    };
    (void)state;
    CHECK_ALL(units_size, t);
}

static void counts_print_in_decimal_units(void **state)
{
    static const struct shown t[] = {
        {0, "0"},          {15, "15"},          {2.5, "2.50"},      {999, "999"},
        {999.7, "1.00 k"}, {1000, "1.00 k"},    {12345, "12.3 k"},  {299000, "299 k"},
        {3e6, "3.00 M"},   {4.56e9, "4.56 G"},  {999600, "1.00 M"}, {-1500, "-1.50 k"},
        {NAN, "-"},        {1e300, "1e+288 T"},
    };
    (void)state;
    CHECK_ALL(units_count, t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_duration_unit_is_known_and_bare_means_seconds),
        cmocka_unit_test(durations_may_have_fractions_and_round_to_the_nearest_ns),
        cmocka_unit_test(a_bad_duration_is_refused_and_leaves_the_value_alone),
        cmocka_unit_test(sizes_are_in_powers_of_1024_in_either_case),
        cmocka_unit_test(whole_numbers_are_exact_to_the_last_unit_of_64_bits),
        cmocka_unit_test(a_bad_size_or_count_is_refused),
        cmocka_unit_test(a_real_number_stops_at_its_unit),
        cmocka_unit_test(case_tells_minutes_from_mebibytes),
        cmocka_unit_test(durations_print_with_three_digits_and_never_round_into_a_wrong_unit),
        cmocka_unit_test(sizes_print_in_binary_units),
        cmocka_unit_test(counts_print_in_decimal_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
