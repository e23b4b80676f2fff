#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "store/hash.h"

enum { KEYS = 1 << 16, CELLS = 1 << 10 };

/* Chi-square of KEYS things over CELLS cells: mean CELLS - 1, standard deviation sqrt(2 (CELLS -
 * 1)). */
static double chi_square(const unsigned counts[CELLS])
{
    double expected = (double)KEYS / CELLS, sum = 0;
    for (int i = 0; i < CELLS; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    return sum;
}

/* Keys as people make them: consecutive numbers in decimal, and as 8 raw bytes. */
static void low_and_high_bits_of_consecutive_keys_spread_evenly(void **state)
{
    (void)state;
    for (int raw = 0; raw < 2; raw++) {
        static unsigned low[CELLS], high[CELLS];
        memset(low, 0, sizeof low);
        memset(high, 0, sizeof high);
        for (uint64_t i = 0; i < KEYS; i++) {
            char key[32];
            int n = snprintf(key, sizeof key, "key%013lu", (unsigned long)i);
            uint64_t h = raw ? hash_bytes(&i, 8) : hash_bytes(key, (size_t)n);
            low[h % CELLS]++;
            high[h >> 54]++;
        }
        /* 5 standard deviations either way: fails by chance once in a million keys sets */
        assert_true(chi_square(low) > 1023 - 227 && chi_square(low) < 1023 + 227);
        assert_true(chi_square(high) > 1023 - 227 && chi_square(high) < 1023 + 227);
    }
}

static void every_input_bit_flips_half_of_the_output(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 40; size++) {
        unsigned char key[40];
        for (size_t bit = 0; bit < size * 8; bit++) {
            unsigned flips = 0;
            for (unsigned sample = 0; sample < 64; sample++) {
                memset(key, (int)(sample * 37 + 11), size);
                key[sample % size] ^= (unsigned char)(sample * 101);
                uint64_t before = hash_bytes(key, size);
                key[bit / 8] ^= (unsigned char)(1 << bit % 8);
                flips += (unsigned)__builtin_popcountll(before ^ hash_bytes(key, size));
            }
            assert_in_range(flips, 64 * 32 - 300, 64 * 32 + 300);
        }
    }
}

static void zeros_of_different_length_differ(void **state)
{
    static const char zeros[64];
    (void)state;
    for (size_t a = 1; a < 64; a++)
        for (size_t b = a + 1; b <= 64; b++)
            assert_true(hash_bytes(zeros, a) != hash_bytes(zeros, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_and_high_bits_of_consecutive_keys_spread_evenly),
        cmocka_unit_test(every_input_bit_flips_half_of_the_output),
        cmocka_unit_test(zeros_of_different_length_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
