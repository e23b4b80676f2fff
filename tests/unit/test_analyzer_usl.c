#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "analyzer/usl.h"

/* The measurements of R's package usl, and made ones of alpha = beta = 0.02. */
static const double RAYTRACER_N[] = {1, 18, 36, 72, 108, 144, 216},
                    RAYTRACER_X[] = {64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2},
                    MADE_N[] = {1, 2, 4, 6, 8, 10},
                    MADE_X[] = {1, 1.8868, 3.0769, 3.5294, 3.5398, 3.3557};

static void near(double got, double want, double room)
{
    if (!(fabs(got - want) <= room))
        print_error("got %.9g, want %.9g +- %g\n", got, want, room);
    assert_true(fabs(got - want) <= room);
}

static struct usl fitted(const double *n, const double *x, size_t count)
{
    struct usl u;
    assert_int_equal(usl_fit(&u, n, x, count), 0);
    return u;
}

static void the_fit_is_that_of_r(void **state)
{
    struct usl u = fitted(RAYTRACER_N, RAYTRACER_X, 7);
    (void)state;
    near(u.alpha, .0277285, 5e-8);
    near(u.beta, .000104365, 5e-10);
    near(u.gamma, 89.99523, 5e-6);
    near(usl_peak(&u), 96.5196, 5e-5);
    near(u.r_squared, .99, .01);
    near(usl_limit(&u), usl_throughput(&u, 96.5196), 1e-6);
}

static void made_measurements_give_back_their_law(void **state)
{
    struct usl u = fitted(MADE_N, MADE_X, 6);
    (void)state;
    near(u.alpha, .02, 5e-5);
    near(u.beta, .02, 5e-5);
    near(u.gamma, 1, 5e-5);
    near(u.r_squared, 1, 1e-8);
    near(usl_peak(&u), 7, 5e-3);
}

/* Why extrapolating is refused: up to 72 threads nothing tells that 108 are no better. */
static void extrapolating_is_wrong_by_42_percent(void **state)
{
    struct usl u = fitted(RAYTRACER_N, RAYTRACER_X, 4);
    (void)state;
    near(usl_throughput(&u, 216) / 1702.2 - 1, -.42, .005);
}

static void the_unit_and_order_of_the_measurements_do_not_matter(void **state)
{
    struct usl u = fitted(RAYTRACER_N, RAYTRACER_X, 7);
    double n[7], x[7];
    (void)state;
    for (double unit = 1e-9; unit < 1e13; unit *= 1e7) {
        for (int i = 0; i < 7; i++) {
            n[i] = RAYTRACER_N[6 - i];
            x[i] = RAYTRACER_X[6 - i] * unit;
        }
        struct usl v = fitted(n, x, 7);
        near(v.alpha / u.alpha, 1, 1e-6);
        near(v.beta / u.beta, 1, 1e-6);
        near(v.gamma / u.gamma / unit, 1, 1e-6);
    }
}

static void every_law_is_found_again(void **state)
{
    static const double n[] = {1, 2, 3, 4, 6, 8, 12, 16};
    static const double alphas[] = {0, 1e-4, .01, .1, .5, .9, 1},
                        betas[] = {0, 1e-5, 1e-3, .02, .5};
    double x[8];
    (void)state;
    for (size_t a = 0; a < sizeof alphas / sizeof *alphas; a++)
        for (size_t b = 0; b < sizeof betas / sizeof *betas; b++) {
            const struct usl law = {alphas[a], betas[b], 123456, 1};
            for (int i = 0; i < 8; i++)
                x[i] = usl_throughput(&law, n[i]);
            struct usl u = fitted(n, x, 8);
            near(u.alpha, law.alpha, 1e-6);
            near(u.beta, law.beta, 1e-6);
            near(u.gamma / law.gamma, 1, 1e-6);
        }
}

static void coefficients_are_never_negative(void **state)
{
    static const double n[] = {1, 2, 3, 4, 5, 6};
    static const double superlinear[] = {1, 2.2, 3.5, 4.9, 6.4, 8}, bent[] = {1, 1.2, 1.5, 2, 3, 5},
                        dip[] = {1, 1.9, 1.5, 3.9, 4.1, 6.2}, flat[] = {5, 5, 5, 5, 5, 5},
                        falling[] = {6, 5, 4, 3, 2, 1};
    static const double *const all[] = {superlinear, bent, dip, flat, falling};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct usl u = fitted(n, all[i], 6);
        assert_true(u.alpha >= 0 && u.beta >= 0 && u.gamma > 0);
    }
    struct usl u = fitted(n, superlinear, 6);
    near(u.alpha, 0, 0);
    near(u.beta, 0, 0);
    u = fitted(n, flat, 6);
    near(u.alpha, 1, 1e-6);
    assert_true(isnan(u.r_squared));
    u = fitted(n, falling, 6);
    assert_true(usl_peak(&u) < 2);
}

static void two_points_are_too_few(void **state)
{
    struct usl u;
    (void)state;
    assert_int_equal(usl_fit(&u, MADE_N, MADE_X, 2), USL_FEW);
    assert_int_equal(usl_fit(&u, MADE_N, MADE_X, 3), 0);
}

static void one_point_many_times_does_not_diverge(void **state)
{
    static const double n[] = {4, 4, 4, 4}, x[] = {9, 9, 9, 9};
    struct usl u;
    (void)state;
    if (usl_fit(&u, n, x, 4) == 0)
        near(usl_throughput(&u, 4), 9, 1e-6);
}

static void the_peak_is_where_throughput_is_highest(void **state)
{
    static const struct usl u[] = {
        {.02, .02, 1, 0}, {0, .01, 1, 0}, {.3, 1e-4, 7, 0}, {.9, .5, 1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof u / sizeof *u; i++) {
        double at = usl_peak(&u[i]), most = usl_throughput(&u[i], at);
        assert_true(usl_throughput(&u[i], at * 1.01) < most);
        assert_true(at == 1 || usl_throughput(&u[i], at * .99) < most);
        near(usl_limit(&u[i]), most, 0);
    }
    assert_true(isinf(usl_peak(&(struct usl){.1, 0, 1, 0})));
    assert_true(usl_peak(&(struct usl){1, .1, 1, 0}) == 1);
    assert_true(usl_peak(&(struct usl){1.5, 0, 1, 0}) == 1);
    near(usl_limit(&(struct usl){.1, 0, 3, 0}), 30, 1e-12);
    assert_true(isinf(usl_limit(&(struct usl){0, 0, 3, 0})));
}

static double power(const struct usl *u, double n)
{
    return usl_throughput(u, n) * usl_throughput(u, n) / n;
}

static void the_knee_is_where_power_is_highest(void **state)
{
    static const struct usl u[] = {{.02, .02, 1, 0}, {0, .01, 1, 0},    {.3, 1e-4, 7, 0},
                                   {.1, 0, 1, 0},    {.1, 1e-18, 1, 0}, {.001, .1, 1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof u / sizeof *u; i++) {
        double at = usl_knee(&u[i]);
        assert_true(at >= 1 && at <= usl_peak(&u[i]));
        assert_true(power(&u[i], at * 1.01) < power(&u[i], at));
        assert_true(at == 1 || power(&u[i], at * .99) < power(&u[i], at));
    }
    near(usl_knee(&u[0]), 4.04145188, 1e-8); /* √(0.2352)/0.12 */
    near(usl_knee(&(struct usl){.1, 0, 1, 0}), 9, 1e-12);
    assert_true(isinf(usl_knee(&(struct usl){0, 0, 1, 0})));
    assert_true(usl_knee(&(struct usl){1, .1, 1, 0}) == 1);
}

static void the_level_for_a_throughput_is_the_least(void **state)
{
    static const struct usl u[] = {
        {.02, .02, 10, 0}, {.1, 0, 10, 0}, {0, 0, 10, 0}, {0, .01, 10, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof u / sizeof *u; i++)
        for (double n = 1; n < 6; n += .5)
            near(usl_level_for(&u[i], usl_throughput(&u[i], n)), n, 1e-9);
    near(usl_level_for(&u[0], 3), 1, 0);
    assert_true(isnan(usl_level_for(&u[0], usl_limit(&u[0]) * 1.0001)));
    near(usl_level_for(&u[0], usl_limit(&u[0]) * .999999), 7, .02);
    assert_true(isnan(usl_level_for(&u[1], 100)));
    near(usl_level_for(&u[1], 99), 891, 1e-6);
    near(usl_level_for(&u[2], 1e6), 1e5, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fit_is_that_of_r),
        cmocka_unit_test(made_measurements_give_back_their_law),
        cmocka_unit_test(extrapolating_is_wrong_by_42_percent),
        cmocka_unit_test(the_unit_and_order_of_the_measurements_do_not_matter),
        cmocka_unit_test(every_law_is_found_again),
        cmocka_unit_test(coefficients_are_never_negative),
        cmocka_unit_test(two_points_are_too_few),
        cmocka_unit_test(one_point_many_times_does_not_diverge),
        cmocka_unit_test(the_peak_is_where_throughput_is_highest),
        cmocka_unit_test(the_knee_is_where_power_is_highest),
        cmocka_unit_test(the_level_for_a_throughput_is_the_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
