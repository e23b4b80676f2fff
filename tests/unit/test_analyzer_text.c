#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/json_write.h"
#include "analyzer/table.h"
#include "analyzer/text.h"

static char to[256];

static void control_characters_and_high_bytes_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(text_escape(to, sizeof to, "a\033[2Jb\n\x7f", 80), "a\\x1b[2Jb\\x0a\\x7f");
    assert_string_equal(text_escape(to, sizeof to, "caf\xc3\xa9", 80), "caf\\xc3\\xa9");
    assert_string_equal(text_escape(to, sizeof to, "", 80), "");
}

static void long_text_is_cut_with_dots_within_its_columns(void **state)
{
    (void)state;
    assert_string_equal(text_escape(to, sizeof to, "abcdefghij", 10), "abcdefghij");
    assert_string_equal(text_escape(to, sizeof to, "abcdefghijk", 10), "abcdefg...");
    assert_string_equal(text_escape(to, sizeof to, "abcde\nfghij", 10), "abcde...");
    assert_string_equal(text_escape(to, 6, "abcdefghij", 80), "ab...");
    assert_string_equal(text_escape(to, 3, "abcdefghij", 80), "ab");
}

static void names_lose_parameters_and_if_long_template_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shown;
    } cases[] = {
        {"store_put", "store_put"},
        {"f(int, char)", "f"},
        {"ns::C::m(std::vector<int, std::allocator<int> >) const", "ns::C::m"},
        {"C::operator()(int)", "C::operator()"},
        {"(anonymous namespace)::f(int)", "(anonymous namespace)::f"},
        {"std::vector<unsigned long, std::allocator<unsigned long> >::push_back(unsigned long&&)",
         "std::vector<>::push_back"},
        {"a<b<c> >::operator<<(very_long_parameter_type_name)", "a<b<c> >::operator<<(very_..."},
        {"libc.so.6+0x98f10", "libc.so.6+0x98f10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(text_short_name(to, sizeof to, cases[i].name, 29), cases[i].shown);
}

static void times_of_a_column_share_the_unit_of_the_largest(void **state)
{
    (void)state;
    char cell[TEXT_BUF];
    assert_string_equal(text_scaled(cell, text_scale_for(35e9), 930e6), "0.93s");
    assert_string_equal(text_scaled(cell, text_scale_for(35e6), 1.25e6), "1.2ms");
    assert_string_equal(text_scaled(cell, text_scale_for(999), 999), "1.0us");
    assert_string_equal(text_percent(cell, 1, 3), "33.3%");
    assert_string_equal(text_percent(cell, 1, 0), "-");
}

static void colour_is_asked_for_or_absent(void **state)
{
    (void)state;
    text_color_choose("always", stdout);
    assert_string_equal(text_bold(), "\033[1m");
    text_color_choose("never", stdout);
    assert_string_equal(text_bold(), "");
    setenv("NO_COLOR", "1", 1);
    text_color_choose(NULL, stdout);
    assert_string_equal(text_plain(), "");
}

/* ---- tables ---- */

static char *printed;
static size_t printed_bytes;

static void table_shown(struct table *t)
{
    free(printed);
    FILE *out = open_memstream(&printed, &printed_bytes);
    table_print(t, out);
    fclose(out);
    table_release(t);
}

static int printed_free(void **state)
{
    (void)state;
    free(printed);
    printed = NULL;
    return 0;
}

static void bars_are_tenths_in_plain_text(void **state)
{
    (void)state;
    char bars[TEXT_BARS_BYTES];
    const double parts[] = {0, 0.001, 0.049, 0.051, 0.149, 0.5, 0.949, 0.951, 1};
    setenv("LC_ALL", "C", 1);
    text_color_choose("never", stdout);
    assert_string_equal(text_bars(bars, parts, 9), " ..1159##");
    assert_string_equal(text_bars(bars, parts, 0), "");
    assert_int_equal(text_width("\xe2\x96\x81x\xe2\x96\x88"), 3);
}

static void columns_align_and_lines_end_without_blanks(void **state)
{
    struct table t = {0};
    (void)state;
    table_column(&t, "n", TABLE_RIGHT);
    table_column(&t, "name", TABLE_NAME);
    table_column(&t, "", TABLE_LEFT);
    table_cell(&t, "%d", 7);
    table_cell(&t, "long name");
    table_cell(&t, "x");
    table_cell(&t, "1234");
    table_cell(&t, "b");
    table_cell(&t, "%s", "");
    table_shown(&t);
    assert_string_equal(printed, "    n  name\n"
                                 "    7  long name  x\n"
                                 " 1234  b\n");
}

static void table_without_titles_has_no_heading(void **state)
{
    struct table t = {0};
    (void)state;
    table_column(&t, NULL, TABLE_LEFT);
    table_cell(&t, "a");
    table_cell(&t, "b");
    table_shown(&t);
    assert_string_equal(printed, " a\n b\n");
}

static void names_give_way_so_that_a_line_fits(void **state)
{
    struct table t = {0};
    (void)state;
    table_column(&t, "n", TABLE_RIGHT);
    table_column(&t, "first", TABLE_NAME);
    table_column(&t, "second", TABLE_NAME);
    table_column(&t, "place", TABLE_LEFT);
    table_cell(&t, "1");
    table_cell(&t, "%060d", 1);
    table_cell(&t, "%060d", 2);
    table_cell(&t, "file.c:1");
    table_shown(&t);
    const char *second = strchr(printed, '\n') + 1;
    assert_int_equal(strcspn(second, "\n"), TEXT_COLUMNS);
    assert_non_null(strstr(second, "  file.c:1\n"));
    assert_non_null(strstr(second, "..."));
}

static void columns_past_the_limit_are_left_out(void **state)
{
    struct table t = {0};
    (void)state;
    for (unsigned i = 0; i < TABLE_COLUMNS_MAX + 3; i++)
        table_column(&t, "c", TABLE_RIGHT);
    assert_int_equal(t.column_count, TABLE_COLUMNS_MAX);
    table_shown(&t);
}

/* ---- JSON ---- */

static void json_nests_escapes_and_knows_null(void **state)
{
    (void)state;
    free(printed);
    struct json j = {.out = open_memstream(&printed, &printed_bytes)};
    json_begin(&j, NULL, '{');
    json_put_string(&j, "text", "a\"\n\x01");
    json_put_string(&j, "bad", "\xff\xfe!");
    json_put_string(&j, "none", NULL);
    json_put_int(&j, "int", -7);
    json_put_real(&j, "real", 0.25);
    json_put_real(&j, "nan", NAN);
    json_put_bool(&j, "yes", true);
    json_begin(&j, "list", '[');
    for (int i = 0; i < 2; i++) {
        json_begin(&j, NULL, '{');
        json_put_int(&j, "i", i);
        json_put_null(&j, "n");
        json_end(&j);
    }
    json_end(&j);
    json_begin(&j, "empty", '[');
    json_end(&j);
    json_end(&j);
    fclose(j.out);
    assert_string_equal(printed, "{\n"
                                 "  \"text\": \"a\\\"\\n\\u0001\",\n"
                                 "  \"bad\": \"\xef\xbf\xbd\xef\xbf\xbd!\",\n"
                                 "  \"none\": null,\n"
                                 "  \"int\": -7,\n"
                                 "  \"real\": 0.25,\n"
                                 "  \"nan\": null,\n"
                                 "  \"yes\": true,\n"
                                 "  \"list\": [\n"
                                 "    {\"i\": 0, \"n\": null},\n"
                                 "    {\"i\": 1, \"n\": null}\n"
                                 "  ],\n"
                                 "  \"empty\": []\n"
                                 "}\n");
}

static void json_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    assert_null(json_open("test", "/nowhere/out.json"));
    FILE *full = json_open("test", "/dev/full");
    assert_non_null(full);
    fputs("x", full);
    assert_int_equal(json_close("test", "/dev/full", full), -1);
    assert_ptr_equal(json_open("test", "-"), stdout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_and_high_bytes_are_escaped),
        cmocka_unit_test(long_text_is_cut_with_dots_within_its_columns),
        cmocka_unit_test(names_lose_parameters_and_if_long_template_arguments),
        cmocka_unit_test(times_of_a_column_share_the_unit_of_the_largest),
        cmocka_unit_test(colour_is_asked_for_or_absent),
        cmocka_unit_test(bars_are_tenths_in_plain_text),
        cmocka_unit_test(columns_align_and_lines_end_without_blanks),
        cmocka_unit_test(table_without_titles_has_no_heading),
        cmocka_unit_test(names_give_way_so_that_a_line_fits),
        cmocka_unit_test(columns_past_the_limit_are_left_out),
        cmocka_unit_test(json_nests_escapes_and_knows_null),
        cmocka_unit_test(json_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, printed_free);
}
