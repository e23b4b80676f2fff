/*
 * Comparing two samples of measurements: rank tests and the intervals that belong to them.
 *
 * Pure functions of numbers; thread-safe. Nothing is assumed of the shape of the measurements:
 * timings have long tails, and one slow run must not decide a comparison. Values must be finite.
 * Memory: O(n²) for the intervals, freed before the return; a function that gets none returns NaNs.
 *
 * Paired values (one run of A, one of B, close in time): Wilcoxon's signed-rank test, and for the
 * size of the effect the median of all Walsh averages (Hodges–Lehmann). Unpaired: Mann–Whitney's
 * rank-sum test, and the median of all differences. The interval holds exactly those shifts that
 * the test would not reject, up to ties. Source: Hollander, Wolfe, Chicken, Nonparametric
 * Statistical Methods, 3rd ed., chapters 3 and 4.
 */
#ifndef PERFSHIM_ANALYZER_STATS_H
#define PERFSHIM_ANALYZER_STATS_H

#include <stddef.h>

#define STATS_CONFIDENCE 0.95
#define STATS_EXACT_MAX  50 /* values a sample: up to here p and interval are exact */

void stats_sort(double *v, size_t n);
/* Of ascending values; linear between the two nearest ranks (type 7). NaN if n is 0. */
double stats_quantile(const double *sorted, size_t n, double q);
/* Of values in any order, which are left alone. */
double stats_median(const double *v, size_t n);

/*
 * Two-sided p of "the differences are symmetric about 0". Zeros are dropped, equal sizes share
 * their mean rank; *used (may be NULL) gets how many remain. Exact up to STATS_EXACT_MAX, given the
 * ties; then the normal approximation with continuity and tie correction. 1 if nothing remains.
 */
double stats_signed_rank(const double *d, size_t n, size_t *used);

/*
 * Two-sided p of "both samples come from one distribution". *u (may be NULL) gets Mann–Whitney's U
 * of a: pairs in which a is larger, ties half. Exact (given the ties) when neither sample has more
 * than STATS_EXACT_MAX values. NaN if one is empty.
 */
double stats_rank_sum(const double *a, size_t n, const double *b, size_t m, double *u);

/* The least p that the two tests can give with so many values: a gate must be within reach. */
double stats_signed_rank_least(size_t n);
double stats_rank_sum_least(size_t n, size_t m);

/* An estimate and its interval of confidence STATS_CONFIDENCE; NaN ends if n is too small for it.
 */
struct stats_interval {
    double estimate, low, high;
};
/* The centre of the differences d. */
struct stats_interval stats_center(const double *d, size_t n);
/* By how much b lies above a. */
struct stats_interval stats_shift(const double *a, size_t n, const double *b, size_t m);

/*
 * b in units of a. Through logarithms, so that b/a and a/b are reciprocal. Where a value is not
 * positive there are none: then the ratio is that of the medians (equal ones 1, infinite if a's is
 * 0) without an interval, and p is that of the plain values.
 */
struct stats_ratio {
    double ratio, low, high;
    double p;
};
struct stats_ratio stats_ratio_paired(const double *a, const double *b, size_t n);
struct stats_ratio stats_ratio_unpaired(const double *a, size_t n, const double *b, size_t m);

#endif
