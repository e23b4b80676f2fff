#include "analyzer/usl.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>

/* Of the vector that is fitted; a model leaves out alpha, beta or both. */
enum { GAMMA, ALPHA, BETA, COEFFICIENTS };

struct fitting {
    const double *n, *x;
    size_t count;
    double unit; /* throughputs are fitted in units of the largest: coefficients of one size */
    size_t used[COEFFICIENTS]; /* which coefficient the i-th free one is */
    size_t free;
};

/* The terms of 1/X that gamma, alpha and beta stand for. */
static double term(size_t coefficient, double n)
{
    return coefficient == GAMMA ? 1 : coefficient == ALPHA ? n - 1 : n * (n - 1);
}

static void spread(const struct fitting *f, const gsl_vector *free, double c[COEFFICIENTS])
{
    c[ALPHA] = c[BETA] = 0;
    for (size_t i = 0; i < f->free; i++)
        c[f->used[i]] = gsl_vector_get(free, i);
}

static double divisor(const double c[COEFFICIENTS], double n)
{
    return 1 + c[ALPHA] * term(ALPHA, n) + c[BETA] * term(BETA, n);
}

static int residuals(const gsl_vector *free, void *context, gsl_vector *r)
{
    const struct fitting *f = context;
    double c[COEFFICIENTS];

    spread(f, free, c);
    for (size_t i = 0; i < f->count; i++)
        gsl_vector_set(r, i, c[GAMMA] * f->n[i] / divisor(c, f->n[i]) - f->x[i] / f->unit);
    return GSL_SUCCESS;
}

static int derivatives(const gsl_vector *free, void *context, gsl_matrix *j)
{
    const struct fitting *f = context;
    double c[COEFFICIENTS];

    spread(f, free, c);
    for (size_t i = 0; i < f->count; i++) {
        double n = f->n[i], d = divisor(c, n);
        for (size_t k = 0; k < f->free; k++)
            gsl_matrix_set(j, i, k,
                           f->used[k] == GAMMA ? n / d
                                               : -c[GAMMA] * n * term(f->used[k], n) / (d * d));
    }
    return GSL_SUCCESS;
}

/* N/X is linear in (1, alpha, beta)/gamma. Weighted so that errors count as those of X would. */
static bool start(const struct fitting *f, gsl_vector *free)
{
    gsl_matrix *a = gsl_matrix_alloc(f->count, f->free), *cov = gsl_matrix_alloc(f->free, f->free);
    gsl_vector *y = gsl_vector_alloc(f->count), *w = gsl_vector_alloc(f->count);
    gsl_multifit_linear_workspace *work = gsl_multifit_linear_alloc(f->count, f->free);
    double chi;
    bool good = a && cov && y && w && work;

    for (size_t i = 0; good && i < f->count; i++) {
        double x = f->x[i] / f->unit, weight = x * x / f->n[i];
        gsl_vector_set(y, i, f->n[i] / x);
        gsl_vector_set(w, i, weight * weight);
        for (size_t k = 0; k < f->free; k++)
            gsl_matrix_set(a, i, k, term(f->used[k], f->n[i]));
    }
    good = good && gsl_multifit_wlinear(a, w, y, free, cov, &chi, work) == GSL_SUCCESS;
    if (good) {
        double one = gsl_vector_get(free, 0);
        if (one > 0) {
            gsl_vector_scale(free, 1 / one);
            gsl_vector_set(free, 0, 1 / one);
        } else { /* far from the law: any rising start will do */
            gsl_vector_set_all(free, 0.01);
            gsl_vector_set(free, 0, f->x[0] / f->unit / f->n[0]);
        }
    }
    gsl_multifit_linear_free(work);
    gsl_vector_free(w);
    gsl_vector_free(y);
    gsl_matrix_free(cov);
    gsl_matrix_free(a);
    return good;
}

/* The coefficients of one model and its sum of squared errors; infinite if it has no good fit. */
static double model_fit(struct fitting *f, double c[COEFFICIENTS])
{
    enum { steps = 500 };
    const gsl_multifit_nlinear_parameters how = gsl_multifit_nlinear_default_parameters();
    gsl_multifit_nlinear_fdf fdf = {
        .f = residuals, .df = derivatives, .n = f->count, .p = f->free, .params = f};
    gsl_vector *free = gsl_vector_alloc(f->free);
    gsl_multifit_nlinear_workspace *work =
        gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &how, f->count, f->free);
    double sum = INFINITY;
    int why;

    if (free && work && start(f, free) &&
        gsl_multifit_nlinear_init(free, &fdf, work) == GSL_SUCCESS) {
        /* a fit that cannot get better (GSL_ENOPROG) is where it wants to be */
        int status = gsl_multifit_nlinear_driver(steps, 1e-12, 1e-12, 0, NULL, NULL, &why, work);
        if (status == GSL_SUCCESS || status == GSL_ENOPROG || status == GSL_EMAXITER) {
            const gsl_vector *r = gsl_multifit_nlinear_residual(work);
            sum = 0;
            for (size_t i = 0; i < f->count; i++)
                sum += gsl_vector_get(r, i) * gsl_vector_get(r, i);
            spread(f, gsl_multifit_nlinear_position(work), c);
        }
    }
    gsl_multifit_nlinear_free(work);
    gsl_vector_free(free);
    if (!isfinite(sum) || !isfinite(c[ALPHA]) || !isfinite(c[BETA]) || !(c[GAMMA] > 0) ||
        c[ALPHA] < 0 || c[BETA] < 0)
        return INFINITY;
    return sum;
}

static void errors_are_returned(void)
{
    gsl_set_error_handler_off(); /* the default ends the program */
}

int usl_fit(struct usl *fit, const double *n, const double *x, size_t count)
{
    static const struct {
        size_t used[COEFFICIENTS], free;
    } models[] = {{{GAMMA, ALPHA, BETA}, 3}, {{GAMMA, ALPHA}, 2}, {{GAMMA, BETA}, 2}, {{GAMMA}, 1}};
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct fitting f = {.n = n, .x = x, .count = count};
    double best = INFINITY, mean = 0, spread_sum = 0;

    pthread_once(&once, errors_are_returned);
    if (count < COEFFICIENTS)
        return USL_FEW;
    for (size_t i = 0; i < count; i++) {
        f.unit = fmax(f.unit, x[i]);
        mean += x[i] / (double)count;
    }
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        double c[COEFFICIENTS] = {0}, sum;
        f.free = models[m].free;
        for (size_t i = 0; i < COEFFICIENTS; i++)
            f.used[i] = models[m].used[i];
        sum = model_fit(&f, c);
        if (sum < best) {
            best = sum;
            *fit = (struct usl){c[ALPHA], c[BETA], c[GAMMA] * f.unit, 0};
        }
        if (m == 0 && isfinite(sum)) /* fits best of all, being the most general */
            break;
    }
    if (!isfinite(best))
        return USL_DIVERGED;
    for (size_t i = 0; i < count; i++)
        spread_sum += pow((x[i] - mean) / f.unit, 2);
    fit->r_squared = spread_sum > 0 ? 1 - best / spread_sum : NAN;
    return 0;
}

double usl_throughput(const struct usl *u, double n)
{
    return u->gamma * n / (1 + u->alpha * (n - 1) + u->beta * n * (n - 1));
}

double usl_peak(const struct usl *u)
{
    if (u->alpha >= 1)
        return u->beta > 0 || u->alpha > 1 ? 1 : INFINITY;
    return u->beta > 0 ? fmax(1, sqrt((1 - u->alpha) / u->beta)) : INFINITY;
}

double usl_limit(const struct usl *u)
{
    double peak = usl_peak(u);

    if (isfinite(peak))
        return usl_throughput(u, peak);
    return u->alpha > 0 ? u->gamma / u->alpha : INFINITY;
}

double usl_knee(const struct usl *u)
{
    double b = u->alpha - u->beta, c = 1 - u->alpha;

    if (c <= 0)
        return 1;
    if (u->beta > 0) {
        /* the form without cancellation: beta may be tiny beside alpha */
        double root = sqrt(b * b + 12 * u->beta * c);
        return fmax(1, b >= 0 ? 2 * c / (b + root) : (root - b) / (6 * u->beta));
    }
    return u->alpha > 0 ? fmax(1, c / u->alpha) : INFINITY;
}

double usl_level_for(const struct usl *u, double x)
{
    /* gamma N = x D(N): beta x N² + (x (alpha − beta) − gamma) N + x (1 − alpha) = 0 */
    double a = u->beta * x, b = x * (u->alpha - u->beta) - u->gamma, c = x * (1 - u->alpha);
    double d = b * b - 4 * a * c;

    if (x <= usl_throughput(u, 1))
        return 1;
    if (b >= 0 || d < 0)
        return NAN;
    return fmax(1, 2 * c / (sqrt(d) - b));
}
