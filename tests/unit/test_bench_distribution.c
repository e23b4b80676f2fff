#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "store/bench/distribution.h"

enum { MILLION = 1000000 };

enum { RANKS_MAX = 1000 };

static double harmonic(uint64_t n, double theta)
{
    double sum = 0;
    for (uint64_t k = n; k >= 1; k--) /* small ones first */
        sum += pow((double)k, -theta);
    return sum;
}

static double chi_square_of_ranks(double theta, unsigned n, unsigned draws)
{
    static unsigned seen[RANKS_MAX];
    struct distribution d;
    struct zipf_end end = {0};
    struct rng rng;
    double chi = 0, zeta = harmonic(n, theta);
    distribution_init(&d, DISTRIBUTION_ZIPFIAN, theta, 0, 0);
    rng_init(&rng, 1, (uint64_t)(theta * 100));
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < draws; i++) {
        uint64_t number = distribution_draw(&d, &rng, &end, n);
        assert_true(number < n);
        seen[number]++;
    }
    for (unsigned k = 0; k < n; k++) {
        double want = draws * pow(k + 1, -theta) / zeta;
        chi += (seen[k] - want) * (seen[k] - want) / want;
    }
    return chi;
}

static void zipfian_ranks_have_their_exact_probabilities(void **state)
{
    const double thetas[] = {0.5, 0.99, 1, 1.2, 3};
    const unsigned ns[] = {1000, 1000, 1000, 1000, 20};
    (void)state;
    for (int i = 0; i < 5; i++) {
        double chi = chi_square_of_ranks(thetas[i], ns[i], 2 * MILLION), freedom = ns[i] - 1;
        print_message("# theta %.2f: chi-square %.1f of %.0f degrees\n", thetas[i], chi, freedom);
        assert_true(fabs(chi - freedom) < 4 * sqrt(2 * freedom));
    }
    assert_true(chi_square_of_ranks(0.99, 1, 1000) == 0); /* one key is all */
}

/* A million keys: rank 1 gets 6.5 %, the first 1 % of them 66.4 %. */
static void the_hottest_of_a_million_get_what_is_known(void **state)
{
    enum { draws = 2 * MILLION };
    struct distribution d;
    struct zipf_end end = {0};
    struct rng rng;
    unsigned first = 0, third = 0, percent = 0;
    (void)state;
    assert_true(fabs(harmonic(MILLION, 0.99) - 15.391849746) < 1e-8);
    distribution_init(&d, DISTRIBUTION_ZIPFIAN, 0.99, 0, 0);
    rng_init(&rng, 3, 0);
    for (int i = 0; i < draws; i++) {
        uint64_t number = distribution_draw(&d, &rng, &end, MILLION);
        first += number == 0;
        third += number == 2;
        percent += number < MILLION / 100;
    }
    print_message("# top 1 %%: %.2f %% of the draws\n", percent * 100.0 / draws);
    assert_true(fabs(percent * 100.0 / draws - 66.4) < 0.2);
    assert_true(fabs((double)first / draws - 1 / 15.391849746) < 0.001);
    /* where Gray's method has 18 % too many */
    assert_true(fabs((double)third / draws * 15.391849746 / pow(3, -0.99) - 1) < 0.02);
}

static void scrambled_has_the_same_popularity_spread_over_all_keys(void **state)
{
    enum { keys = 1000, draws = 2 * MILLION };
    static unsigned seen[keys];
    struct distribution d;
    struct zipf_end end = {0};
    struct rng rng;
    unsigned most = 0, hottest = 0, low = 0;
    (void)state;
    distribution_init(&d, DISTRIBUTION_SCRAMBLED, 0.99, 0, 0);
    rng_init(&rng, 1, 0);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < draws; i++)
        seen[distribution_draw(&d, &rng, &end, keys)]++;
    for (unsigned k = 0; k < keys; k++) {
        assert_true(seen[k] > 0);
        low += k < keys / 2 ? seen[k] : 0;
        if (seen[k] > most)
            most = seen[hottest = k];
    }
    /* rank 1 of 10^10 gets 1/26.469, and its key its share of the rest */
    assert_true(fabs((double)most / draws - 1 / 26.46902820178302) < 0.003);
    assert_int_equal(hottest, 0xa8c7f832281a39c5u % keys); /* FNV-1a of eight zero bytes */
    assert_true(low > draws * 0.35 && low < draws * 0.65);
}

static void latest_goes_from_the_newest_key_back(void **state)
{
    struct distribution d;
    struct zipf_end end = {0};
    struct rng rng;
    (void)state;
    distribution_init(&d, DISTRIBUTION_LATEST, 0.99, 0, 0);
    rng_init(&rng, 1, 0);
    for (uint64_t n = 10000; n < 10003; n++) { /* the newest one is the hottest, whichever it is */
        unsigned newest = 0, next = 0;
        for (int i = 0; i < 200000; i++) {
            uint64_t number = distribution_draw(&d, &rng, &end, n);
            assert_true(number < n);
            newest += number == n - 1;
            next += number == n - 2;
        }
        assert_true(fabs(newest / 2e5 - 1 / 10.2243615) < 0.004);
        assert_true(fabs(next / 2e5 - pow(2, -0.99) / 10.2243615) < 0.004);
    }
}

static double hot_share(double hot_keys, double hot_ops, uint64_t n)
{
    struct distribution d;
    struct zipf_end end = {0};
    struct rng rng;
    unsigned hot = 0;
    distribution_init(&d, DISTRIBUTION_HOTSPOT, 0.99, hot_keys, hot_ops);
    rng_init(&rng, 1, 0);
    for (int i = 0; i < 200000; i++) {
        uint64_t number = distribution_draw(&d, &rng, &end, n);
        assert_true(number < n);
        hot += (double)number < (double)n * hot_keys;
    }
    return hot / 2e5;
}

static void hotspot_gives_the_first_keys_their_share(void **state)
{
    (void)state;
    assert_true(fabs(hot_share(0.2, 0.8, 1000) - 0.8) < 0.005);
    assert_true(fabs(hot_share(0.01, 0.5, 1000) - 0.5) < 0.006);
    assert_true(hot_share(0, 0.8, 1000) == 0);
    assert_true(hot_share(0.2, 0, 1000) == 0);
    assert_true(hot_share(0.2, 1, 1000) == 1);
    assert_true(hot_share(1, 0, 1000) == 1);
    assert_true(hot_share(0.2, 0.8, 1) == 1); /* the one key is hot */
}

static void uniform_is_flat(void **state)
{
    static unsigned seen[RANKS_MAX];
    struct distribution d;
    struct zipf_end end = {0};
    struct rng rng;
    double chi = 0;
    (void)state;
    distribution_init(&d, DISTRIBUTION_UNIFORM, 0.99, 0, 0);
    rng_init(&rng, 1, 0);
    for (int i = 0; i < MILLION; i++)
        seen[distribution_draw(&d, &rng, &end, RANKS_MAX)]++;
    for (int k = 0; k < RANKS_MAX; k++)
        chi += (seen[k] - 1000.0) * (seen[k] - 1000.0) / 1000;
    assert_true(fabs(chi - 999) < 4 * sqrt(2 * 999.0));
}

static void names_are_known(void **state)
{
    (void)state;
    assert_int_equal(distribution_named("uniform"), DISTRIBUTION_UNIFORM);
    assert_int_equal(distribution_named("hotspot"), DISTRIBUTION_HOTSPOT);
    assert_int_equal(distribution_named("gauss"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zipfian_ranks_have_their_exact_probabilities),
        cmocka_unit_test(the_hottest_of_a_million_get_what_is_known),
        cmocka_unit_test(scrambled_has_the_same_popularity_spread_over_all_keys),
        cmocka_unit_test(latest_goes_from_the_newest_key_back),
        cmocka_unit_test(hotspot_gives_the_first_keys_their_share),
        cmocka_unit_test(uniform_is_flat),
        cmocka_unit_test(names_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
