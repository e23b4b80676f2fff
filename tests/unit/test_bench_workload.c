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

static void set_up(struct workload *w, struct generator *g, double read_ratio, uint64_t keys,
                   size_t value_size, int verify)
{
    assert_int_equal(workload_init(w, read_ratio, keys, value_size, 1, verify), 0);
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

static void mixes_have_their_share_of_gets(void **state)
{
    enum { n = 400000 };
    (void)state;
    const char *names[] = {"get", "put", "read-heavy", "mixed", "write-heavy"};
    double ratios[] = {1, 0, 0.95, 0.5, 0.05};
    for (int i = 0; i < 5; i++) {
        struct workload w;
        struct generator g;
        int gets = 0;
        assert_true(workload_read_ratio(names[i]) == ratios[i]);
        set_up(&w, &g, ratios[i], 100, 0, 0);
        for (int k = 0; k < n; k++) {
            struct op op;
            op_next(&g, &op);
            gets += op.kind == OP_GET;
        }
        /* 5 standard deviations; none at 0 and 1 */
        assert_true(fabs(gets - n * ratios[i]) <= 5 * sqrt(n * ratios[i] * (1 - ratios[i])));
        tear_down(&w, &g);
    }
    assert_true(workload_read_ratio("ycsb-z") < 0);
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
static uint64_t stream_of(uint64_t seed, unsigned thread)
{
    struct workload w;
    struct generator g;
    uint64_t fold = 0;
    assert_int_equal(workload_init(&w, 0.5, 1000000, 8, seed, 0), 0);
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
    assert_true(stream_of(1, 0) == stream_of(1, 0));
    assert_true(stream_of(1, 0) != stream_of(1, 1));
    assert_true(stream_of(1, 0) != stream_of(2, 0));
    assert_true(stream_of(1, 1) != stream_of(2, 0));
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
    struct workload w;
    struct generator g;
    (void)state;
    if (!SCARCE)
        skip();
    scarce_left = 0;
    assert_int_equal(workload_init(&w, 0.5, 10, 100, 1, 1), -1);
    scarce_left = -1;
    assert_int_equal(workload_init(&w, 0.5, 10, 100, 1, 1), 0);
    scarce_left = 0;
    assert_int_equal(generator_init(&g, &w, 0), -1);
    scarce_left = -1;
    workload_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_decimal_and_as_wide),
        cmocka_unit_test(mixes_have_their_share_of_gets),
        cmocka_unit_test(keys_are_uniform_and_all_reached),
        cmocka_unit_test(streams_depend_on_seed_and_thread_only),
        cmocka_unit_test(values_have_their_size_and_do_not_repeat_at_once),
        cmocka_unit_test(a_verified_value_is_valid_and_any_flipped_bit_is_found),
        cmocka_unit_test(a_mixture_of_two_values_of_a_key_is_found),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
