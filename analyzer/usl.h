/*
 * The Universal Scalability Law, fitted to a load sweep:
 *
 *   X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1))
 *
 * gamma is the throughput of one, alpha contention (what is done one after another), beta coherency
 * (what each must settle with each other; it makes throughput fall again). Source: N. J. Gunther,
 * Guerrilla Capacity Planning, Springer 2007, chapters 4 to 6.
 *
 * Pure functions of numbers, thread-safe. Units of X are the caller's; N counts threads, 1 or more.
 */
#ifndef PERFSHIM_ANALYZER_USL_H
#define PERFSHIM_ANALYZER_USL_H

#include <stddef.h>

struct usl {
    double alpha, beta; /* 0 or more */
    double gamma;       /* more than 0 */
    double r_squared;   /* 1 = every point met; NaN if all X are equal */
};

enum usl_error {
    USL_FEW = -1,     /* fewer than 3 points: three coefficients would fit anything */
    USL_DIVERGED = -2 /* no coefficients were found, or no memory */
};

/*
 * Nonlinear least squares on X (GSL, Levenberg-Marquardt), started from the weighted linear fit of
 * N/X. A coefficient that would be negative is 0 and the others are fitted again: better than
 * linear scaling is not a law that holds further on. Values must be finite, n ≥ 1, x > 0. 0 or an
 * error.
 */
int usl_fit(struct usl *fit, const double *n, const double *x, size_t count);

double usl_throughput(const struct usl *u, double n);

/* Where throughput is highest: √((1 − alpha)/beta), at least 1; infinite if beta is 0. */
double usl_peak(const struct usl *u);

/* The least throughput that no N reaches: gamma/alpha when beta is 0 (else that of the peak);
   infinite when both are. */
double usl_limit(const struct usl *u);

/*
 * The knee: where throughput per response time, X²/N, is highest (Kleinrock's power); from there on
 * more threads buy less throughput than they cost response time. The positive root of
 * 3 beta N² + (alpha − beta) N − (1 − alpha) = 0, at least 1; infinite when nothing bends.
 */
double usl_knee(const struct usl *u);

/* The least N ≥ 1 with X(N) ≥ x; NaN if there is none. */
double usl_level_for(const struct usl *u, double x);

#endif
