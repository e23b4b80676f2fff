#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "analyzer/histogram.h"

static const struct model clock_of_ns = {.clock_unit_ns = 1};

static void asked(struct model_histogram *h, uint64_t size, uint64_t count)
{
    h->asked[pshim_bucket(size)] += count;
    h->asked_count += count;
    h->size_max = size > h->size_max ? size : h->size_max;
    if (h->size_count < PSHIM_SIZES)
        h->size[h->size_count] = size;
    if (h->size_count <= PSHIM_SIZES)
        h->size_count++;
}

static void lived(struct model_histogram *h, uint64_t ns, uint64_t count)
{
    h->lived[pshim_bucket(ns >> PSHIM_LIFE_SHIFT)] += count;
    h->lived_count += count;
}

static void lifetimes_have_a_cell_a_decade(void **state)
{
    (void)state;
    static const uint64_t ns[HISTOGRAM_LIFE_CELLS] = {
        300,      2000,      20000,      200000,      2000000,
        20000000, 200000000, 2000000000, 20000000000, 200000000000};
    for (unsigned i = 0; i < HISTOGRAM_LIFE_CELLS; i++) {
        struct model_histogram h = {0};
        double cells[HISTOGRAM_LIFE_CELLS];
        lived(&h, ns[i], 5);
        histogram_life_cells(&clock_of_ns, &h, cells);
        for (unsigned k = 0; k < HISTOGRAM_LIFE_CELLS; k++)
            assert_true(cells[k] == (k == i));
    }
}

static void what_lives_longest_is_in_the_last_cell(void **state)
{
    (void)state;
    struct model_histogram h = {0};
    double cells[HISTOGRAM_LIFE_CELLS];
    lived(&h, UINT64_MAX, 1);
    lived(&h, 0, 3);
    histogram_life_cells(&clock_of_ns, &h, cells);
    assert_true(cells[0] == 0.75 && cells[HISTOGRAM_LIFE_CELLS - 1] == 0.25);
}

static void sizes_have_a_cell_a_factor_of_four(void **state)
{
    (void)state;
    const struct {
        uint64_t size;
        unsigned cell;
    } cases[] = {{0, 0},    {15, 0},   {16, 1},     {63, 1},      {64, 2},      {1023, 3},
                 {1024, 4}, {4096, 5}, {262144, 8}, {1048576, 9}, {1 << 30, 14}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_histogram h = {0};
        double cells[HISTOGRAM_SIZE_CELLS];
        asked(&h, cases[i].size, 2);
        histogram_size_cells(&h, cells);
        assert_true(cells[cases[i].cell] == 1);
    }
}

static void nothing_has_no_shares(void **state)
{
    (void)state;
    const struct model_histogram h = {0};
    double life[HISTOGRAM_LIFE_CELLS], size[HISTOGRAM_SIZE_CELLS];
    histogram_life_cells(&clock_of_ns, &h, life);
    histogram_size_cells(&h, size);
    for (unsigned i = 0; i < HISTOGRAM_LIFE_CELLS; i++)
        assert_true(life[i] == 0);
    for (unsigned i = 0; i < HISTOGRAM_SIZE_CELLS; i++)
        assert_true(size[i] == 0);
    assert_true(histogram_size_quantile(&h, 0.5) == 0);
}

static void titles_have_a_letter_where_a_unit_begins(void **state)
{
    (void)state;
    assert_int_equal(HISTOGRAM_LIFE_TITLE[1], 'u');
    assert_int_equal(HISTOGRAM_LIFE_TITLE[4], 'm');
    assert_int_equal(HISTOGRAM_LIFE_TITLE[7], 's');
    assert_int_equal(HISTOGRAM_SIZE_TITLE[1], 'B');
    assert_int_equal(HISTOGRAM_SIZE_TITLE[4], 'K');
    assert_int_equal(HISTOGRAM_SIZE_TITLE[9], 'M');
    assert_int_equal(HISTOGRAM_SIZE_TITLE[14], 'G');
}

static void few_sizes_are_named_and_many_are_a_range(void **state)
{
    (void)state;
    struct model_histogram h = {0};
    char text[TEXT_BUF];
    assert_string_equal(histogram_sizes_text(&h, text), "");
    asked(&h, 100, 1);
    assert_string_equal(histogram_sizes_text(&h, text), "100");
    asked(&h, 48, 1);
    asked(&h, 7, 1);
    asked(&h, 5000, 1);
    assert_string_equal(histogram_sizes_text(&h, text), "7 48 100 5000");
    asked(&h, 200, 1);
    assert_string_equal(histogram_sizes_text(&h, text), "7..5000");
    asked(&h, 3, 1); /* smaller than all that are named: as far as its bucket tells */
    assert_string_equal(histogram_sizes_text(&h, text), "3..5000");
    asked(&h, 9000, 1);
    assert_string_equal(histogram_sizes_text(&h, text), "3..9000");
}

static void quantile_of_sizes_stays_within_them(void **state)
{
    (void)state;
    struct model_histogram h = {0};
    asked(&h, 100, 10); /* its bucket is 96 to 127 */
    for (double q = 0; q <= 1; q += 0.25)
        assert_true(histogram_size_quantile(&h, q) == 100);
    asked(&h, 1000, 10);
    assert_true(histogram_size_quantile(&h, 1) == 1000);
    assert_true(histogram_size_quantile(&h, 0.1) < 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lifetimes_have_a_cell_a_decade),
        cmocka_unit_test(what_lives_longest_is_in_the_last_cell),
        cmocka_unit_test(sizes_have_a_cell_a_factor_of_four),
        cmocka_unit_test(nothing_has_no_shares),
        cmocka_unit_test(titles_have_a_letter_where_a_unit_begins),
        cmocka_unit_test(few_sizes_are_named_and_many_are_a_range),
        cmocka_unit_test(quantile_of_sizes_stays_within_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
