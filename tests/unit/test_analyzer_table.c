#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/table.h"
#include "analyzer/text.h"

static char *printed(struct table *t)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    table_print(t, out);
    fclose(out);
    table_release(t);
    return text;
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;
    for (; *text; text += strcspn(text, "\n") + 1)
        if (strcspn(text, "\n") > longest)
            longest = strcspn(text, "\n");
    return longest;
}

static char *three_names(const char *number)
{
    struct table t = {0};
    table_column(&t, "number", TABLE_RIGHT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, NULL, TABLE_FILE);
    table_column(&t, "through", TABLE_NAME);
    table_cell(&t, "%s", number);
    table_cell(&t, "a_function_of_some_length");
    table_cell(&t, "a_file_of_some_length.c:1234");
    table_cell(&t, "another_function_of_some_length");
    return printed(&t);
}

static void names_give_way_below_sixteen_characters_until_a_line_fits(void **state)
{
    (void)state;
    char number[80];
    for (size_t n = 30; n <= 69; n++) {
        memset(number, '9', n);
        number[n] = '\0';
        char *text = three_names(number);
        assert_in_range(longest_line(text), 1, TEXT_COLUMNS);
        assert_non_null(strstr(text, number)); /* figures are never cut */
        free(text);
    }
}

static void a_cut_file_keeps_its_line_number(void **state)
{
    (void)state;
    char number[61];
    memset(number, '9', 60);
    number[60] = '\0';
    char *text = three_names(number);
    assert_non_null(strstr(text, "...:1234 "));
    assert_null(strstr(text, "some_length.c:1234"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_give_way_below_sixteen_characters_until_a_line_fits),
        cmocka_unit_test(a_cut_file_keeps_its_line_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
