#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/bench/workload.h"
#include "tests/unit/scarce.h"

/* Gets and puts of keys that are chosen uniformly. */
static struct workload_setup setup_of(double read_ratio, uint64_t keys, size_t value_size,
                                      uint64_t seed, int verify)
{
    return (struct workload_setup){.share = {[OP_GET] = read_ratio, [OP_PUT] = 1 - read_ratio},
                                   .keys = keys,
                                   .value_size = value_size,
                                   .seed = seed,
                                   .verify = verify,
                                   .theta = 0.99,
                                   .scan_length = 10};
}

static void set_up(struct workload *w, struct generator *g, double read_ratio, uint64_t keys,
                   size_t value_size, int verify)
{
    struct workload_setup setup = setup_of(read_ratio, keys, value_size, 1, verify);
    assert_int_equal(workload_init(w, &setup), 0);
    assert_int_equal(generator_init(g, w, 0), 0);
}

static void tear_down(struct workload *w, struct generator *g)
{
    generator_release(g);
    workload_release(w);
}

static void keys_are_decimal_and_as_wide(void **state)
{
    uint64_t numbers[] = {0, 7, 10, 99999, 123456789012, KEYS_MAX - 1};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char key[KEY_SIZE], want[64];
        key_write(key, numbers[i]);
        assert_int_equal(snprintf(want, sizeof want, "key%013lu", (unsigned long)numbers[i]), 16);
        assert_memory_equal(key, want, KEY_SIZE);
    }
}

static void mixes_have_their_shares_of_operations(void **state)
{
    enum { n = 400000 };
    const char *names[] = {"get",    "put",    "read-heavy", "mixed",  "write-heavy", "ycsb-a",
                           "ycsb-b", "ycsb-c", "ycsb-d",     "ycsb-e", "ycsb-f"};
    const double shares[][OP_KINDS] = {
        {1, 0}, {0, 1},        {.95, .05},          {.5, .5},      {.05, .95}, {.5, .5}, {.95, .05},
        {1},    {.95, 0, .05}, {0, 0, .05, 0, .95}, {.5, 0, 0, .5}};
    const char *distributions[] = {"uniform", "uniform",   "uniform",   "uniform",
                                   "uniform", "scrambled", "scrambled", "scrambled",
                                   "latest",  "scrambled", "scrambled"};
    (void)state;
    for (int i = 0; i < 11; i++) {
        const struct mix *mix = mix_named(names[i]);
        struct workload_setup setup = setup_of(1, 100, 0, 1, 0);
        struct workload w;
        struct generator g;
        double seen[OP_KINDS] = {0};
        assert_non_null(mix);
        assert_string_equal(mix->distribution, distributions[i]);
        memcpy(setup.share, mix->share, sizeof setup.share);
        assert_int_equal(workload_init(&w, &setup), 0);
        assert_int_equal(generator_init(&g, &w, 0), 0);
        for (int k = 0; k < n; k++) {
            struct op op;
            op_next(&g, &op);
            seen[op.kind]++;
            if (op.kind == OP_INSERT)
                op_inserted(&g);
        }
        for (int k = 0; k < OP_KINDS; k++) { /* 5 standard deviations; none at 0 and 1 */
            double p = shares[i][k];
            assert_true(fabs(seen[k] - n * p) <= 5 * sqrt(n * p * (1 - p)));
        }
        tear_down(&w, &g);
    }
    assert_null(mix_named("ycsb-z"));
}

/* 0.1 + 0.2 + 0.7 is less than 1 in floating point. */
static void only_kinds_with_a_share_are_asked_for(void **state)
{
    struct workload_setup setup = setup_of(1, 10, 0, 1, 0);
    struct workload w;
    (void)state;
    setup.share[OP_GET] = 0.1;
    setup.share[OP_PUT] = 0.2;
    setup.share[OP_RMW] = 0.7 - 1e-16;
    assert_int_equal(workload_init(&w, &setup), 0);
    assert_true(w.below[OP_RMW] == (uint64_t)1 << 53);
    assert_true(w.below[OP_PUT] < (uint64_t)1 << 53);
    workload_release(&w);
}

static void inserts_are_new_keys_and_one_that_failed_comes_again(void **state)
{
    struct workload_setup setup = setup_of(0, 100, 0, 1, 0);
    struct workload w;
    struct generator a, b;
    struct op op;
    (void)state;
    setup.share[OP_PUT] = 0;
    setup.share[OP_INSERT] = 1;
    assert_int_equal(workload_init(&w, &setup), 0);
    assert_int_equal(generator_init(&a, &w, 0) | generator_init(&b, &w, 1), 0);
    op_next(&a, &op);
    assert_int_equal(op.number, 100);
    op_next(&b, &op);
    assert_int_equal(op.number, 101);
    op_inserted(&b);
    assert_int_equal(keyspace_count(&w.keyspace), 100);
    op_next(&a, &op); /* not told to be done */
    assert_int_equal(op.number, 100);
    op_inserted(&a);
    assert_int_equal(keyspace_count(&w.keyspace), 102);
    op_next(&a, &op);
    assert_int_equal(op.number, 102);
    generator_release(&b);
    tear_down(&w, &a);
}

static void scans_take_from_one_entry_to_the_most(void **state)
{
    struct workload_setup setup = setup_of(0, 100, 0, 1, 0);
    struct workload w;
    struct generator g;
    unsigned seen[11] = {0};
    (void)state;
    setup.share[OP_PUT] = 0;
    setup.share[OP_SCAN] = 1;
    assert_int_equal(workload_init(&w, &setup), 0);
    assert_int_equal(generator_init(&g, &w, 0), 0);
    for (int i = 0; i < 100000; i++) {
        struct op op;
        op_next(&g, &op);
        assert_in_range(op.entries, 1, 10);
        seen[op.entries]++;
    }
    for (int i = 1; i <= 10; i++)
        assert_in_range(seen[i], 9500, 10500);
    tear_down(&w, &g);
}

static void a_share_of_the_value_is_zeros(void **state)
{
    const double shares[] = {0, 0.25, 0.5, 1};
    const size_t sizes[] = {50, 100, 1000};
    (void)state;
    for (int i = 0; i < 4; i++)
        for (int s = 0; s < 3; s++) {
            struct workload_setup setup = setup_of(0, 10, sizes[s], 1, 0);
            struct workload w;
            struct generator g;
            double zeros = 0;
            setup.compressibility = shares[i];
            assert_int_equal(workload_init(&w, &setup), 0);
            assert_int_equal(generator_init(&g, &w, 0), 0);
            for (int n = 0; n < 1024; n++) {
                const char *value = value_next(&g, 1);
                for (size_t k = 0; k < sizes[s]; k++)
                    zeros += value[k] == 0;
            }
            zeros /= 1024.0 * (double)sizes[s];
            /* of random bytes 1 in 256 is zero too */
            assert_true(fabs(zeros - (shares[i] + (1 - shares[i]) / 256)) < 0.01);
            tear_down(&w, &g);
        }
}

static void the_number_of_a_key_is_read_back(void **state)
{
    uint64_t numbers[] = {0, 7, 123456789012, KEYS_MAX - 1};
    char key[KEY_SIZE];
    (void)state;
    for (int i = 0; i < 4; i++) {
        key_write(key, numbers[i]);
        assert_int_equal(key_number(key, KEY_SIZE), numbers[i]);
    }
    assert_true(key_number(key, KEY_SIZE - 1) == UINT64_MAX);
    key[5] = 'x';
    assert_true(key_number(key, KEY_SIZE) == UINT64_MAX);
    key[0] = 'x';
    assert_true(key_number(key, KEY_SIZE) == UINT64_MAX);
}

static void keys_are_uniform_and_all_reached(void **state)
{
    enum { keys = 1000, n = 1000000 };
    static unsigned seen[keys];
    struct workload w;
    struct generator g;
    double chi = 0;
    (void)state;
    set_up(&w, &g, 0.5, keys, 0, 0);
    for (int i = 0; i < n; i++) {
        struct op op;
        char want[KEY_SIZE];
        op_next(&g, &op);
        assert_true(op.number < keys);
        key_write(want, op.number);
        assert_memory_equal(op.key, want, KEY_SIZE);
        seen[op.number]++;
    }
    for (int k = 0; k < keys; k++)
        chi += (seen[k] - 1000.0) * (seen[k] - 1000.0) / 1000.0;
    assert_true(chi > 999 - 5 * sqrt(2 * 999.0) && chi < 999 + 5 * sqrt(2 * 999.0));
    tear_down(&w, &g);
}

/* The first operations of a stream, folded into one number. */
static uint64_t stream_of(enum distribution_kind kind, uint64_t seed, unsigned thread)
{
    struct workload w;
    struct generator g;
    uint64_t fold = 0;
    struct workload_setup setup = setup_of(0.5, 1000000, 8, seed, 0);
    setup.distribution = kind;
    assert_int_equal(workload_init(&w, &setup), 0);
    assert_int_equal(generator_init(&g, &w, thread), 0);
    for (int i = 0; i < 100; i++) {
        struct op op;
        op_next(&g, &op);
        fold = rng_mix(fold ^ (op.number << 1 | (op.kind == OP_GET)));
    }
    tear_down(&w, &g);
    return fold;
}

static void streams_depend_on_seed_and_thread_only(void **state)
{
    (void)state;
    for (enum distribution_kind k = 0; k < DISTRIBUTION_KINDS; k++) {
        assert_true(stream_of(k, 1, 0) == stream_of(k, 1, 0));
        assert_true(stream_of(k, 1, 0) != stream_of(k, 1, 1));
        assert_true(stream_of(k, 1, 0) != stream_of(k, 2, 0));
        assert_true(stream_of(k, 1, 1) != stream_of(k, 2, 0));
    }
}

static void values_have_their_size_and_do_not_repeat_at_once(void **state)
{
    struct workload w;
    struct generator g;
    char last[100];
    (void)state;
    set_up(&w, &g, 0, 10, sizeof last, 0);
    memcpy(last, value_next(&g, 1), sizeof last);
    for (int i = 0; i < 5000; i++) {
        const char *value = value_next(&g, 1);
        assert_true(value >= w.filler && value + 100 <= w.filler + 100 + 4096);
        assert_true(memcmp(value, last, sizeof last) != 0);
        memcpy(last, value, sizeof last);
    }
    tear_down(&w, &g);
}

static void a_verified_value_is_valid_and_any_flipped_bit_is_found(void **state)
{
    size_t sizes[] = {sizeof(struct value_header), 25, 31, 32, 33, 100, 1000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct workload w;
        struct generator g;
        char value[1000];
        set_up(&w, &g, 0, 10, sizes[i], 1);
        for (int round = 0; round < 3; round++) {
            memcpy(value, value_next(&g, 5), sizes[i]);
            assert_true(value_valid(&w, value, sizes[i], 5));
            assert_false(value_valid(&w, value, sizes[i], 6));
            assert_false(value_valid(&w, value, sizes[i] - 1, 5));
            for (size_t bit = 0; bit < sizes[i] * 8; bit++) {
                value[bit / 8] ^= (char)(1 << bit % 8);
                assert_false(value_valid(&w, value, sizes[i], 5));
                value[bit / 8] ^= (char)(1 << bit % 8);
            }
        }
        tear_down(&w, &g);
    }
}

static void a_mixture_of_two_values_of_a_key_is_found(void **state)
{
    struct workload w;
    struct generator g;
    char a[200], b[200];
    (void)state;
    set_up(&w, &g, 0, 10, sizeof a, 1);
    memcpy(a, value_next(&g, 5), sizeof a);
    memcpy(b, value_next(&g, 5), sizeof b);
    for (size_t cut = 1; cut < sizeof a; cut++) {
        char torn[200];
        memcpy(torn, a, cut);
        memcpy(torn + cut, b + cut, sizeof b - cut);
        assert_true(memcmp(torn, a, sizeof a) == 0 || memcmp(torn, b, sizeof b) == 0 ||
                    !value_valid(&w, torn, sizeof torn, 5));
    }
    tear_down(&w, &g);
}

static void no_memory_is_told(void **state)
{
    struct workload_setup setup = setup_of(0.5, 10, 100, 1, 1);
    struct workload w;
    struct generator g;
    (void)state;
    if (!SCARCE)
        skip();
    long live = scarce_live;
    setup.share[OP_INSERT] = 0.1;
    for (long left = 0; left < 2; left++) {
        scarce_left = left;
        assert_int_equal(workload_init(&w, &setup), -1);
        scarce_left = -1;
        workload_release(&w);
        assert_int_equal(scarce_live, live);
    }
    assert_int_equal(workload_init(&w, &setup), 0);
    scarce_left = 0;
    assert_int_equal(generator_init(&g, &w, 0), -1);
    scarce_left = -1;
    workload_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_decimal_and_as_wide),
        cmocka_unit_test(mixes_have_their_shares_of_operations),
        cmocka_unit_test(only_kinds_with_a_share_are_asked_for),
        cmocka_unit_test(inserts_are_new_keys_and_one_that_failed_comes_again),
        cmocka_unit_test(scans_take_from_one_entry_to_the_most),
        cmocka_unit_test(a_share_of_the_value_is_zeros),
        cmocka_unit_test(the_number_of_a_key_is_read_back),
        cmocka_unit_test(keys_are_uniform_and_all_reached),
        cmocka_unit_test(streams_depend_on_seed_and_thread_only),
        cmocka_unit_test(values_have_their_size_and_do_not_repeat_at_once),
        cmocka_unit_test(a_verified_value_is_valid_and_any_flipped_bit_is_found),
        cmocka_unit_test(a_mixture_of_two_values_of_a_key_is_found),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
