#include "analyzer/stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *v, size_t n)
{
    if (n)
        qsort(v, n, sizeof *v, ascending);
}

double stats_quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;

    if (n == 0)
        return NAN;
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

double stats_median(const double *v, size_t n)
{
    double *sorted = malloc(n * sizeof *v), median = NAN;

    if (sorted && n) {
        memcpy(sorted, v, n * sizeof *v);
        stats_sort(sorted, n);
        median = stats_quantile(sorted, n, 0.5);
    }
    free(sorted);
    return median;
}

/* Twice the normal tail beyond |z|. */
static double normal_two_sided(double z)
{
    return erfc(fabs(z) / M_SQRT2);
}

/* Twice the mean rank of each of the ascending values, so that shared ranks stay whole numbers. */
static double ranks_double(const double *sorted, size_t n, uint32_t *rank2)
{
    double ties = 0; /* Σ (t³ − t) over groups of t equal values */

    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && sorted[j] == sorted[i]; j++)
            ;
        for (size_t k = i; k < j; k++)
            rank2[k] = (uint32_t)(i + 1 + j);
        ties += pow((double)(j - i), 3) - (double)(j - i);
    }
    return ties;
}

/* P(|S − mean| ≥ |s − mean|) for S symmetric about top/2: sums of ranks are whole, so it is exact.
 */
static double two_sided(const double *prob, size_t top, size_t s)
{
    size_t low = s < top - s ? s : top - s;
    double p = 0;

    for (size_t i = 0; i <= low; i++)
        p += 2 * prob[i];
    return fmin(p, 1);
}

/* Distribution of the sum of each rank taken or not with probability ½: prob[0..Σ rank2]. */
static double *signed_rank_distribution(const uint32_t *rank2, size_t n, size_t *total)
{
    double *prob;
    size_t top = 0;

    for (size_t i = 0; i < n; i++)
        top += rank2[i];
    *total = top;
    prob = calloc(top + 1, sizeof *prob);
    if (!prob)
        return NULL;
    prob[0] = 1;
    top = 0;
    for (size_t i = 0; i < n; i++) {
        top += rank2[i];
        for (size_t s = top + 1; s-- > 0;)
            prob[s] = 0.5 * (prob[s] + (s >= rank2[i] ? prob[s - rank2[i]] : 0));
    }
    return prob;
}

/* Distribution of the sum of n ranks drawn from all N: prob[0..Σ rank2]. */
static double *rank_sum_distribution(const uint32_t *rank2, size_t all, size_t n, size_t *total)
{
    double *prob, *table;
    size_t top = 0, width;

    for (size_t i = 0; i < all; i++)
        top += rank2[i];
    width = top + 1;
    *total = top;
    table = calloc((n + 1) * width, sizeof *table); /* ways to draw k ranks with sum s */
    prob = malloc(width * sizeof *prob);
    if (table && prob) {
        double ways = 0;

        table[0] = 1;
        top = 0;
        for (size_t i = 0; i < all; i++) {
            top += rank2[i];
            for (size_t k = i + 1 < n ? i + 1 : n; k > 0; k--)
                for (size_t s = rank2[i]; s <= top; s++)
                    table[k * width + s] += table[(k - 1) * width + s - rank2[i]];
        }
        for (size_t s = 0; s < width; s++)
            ways += table[n * width + s];
        for (size_t s = 0; s < width; s++)
            prob[s] = table[n * width + s] / ways;
    } else {
        free(prob);
        prob = NULL;
    }
    free(table);
    return prob;
}

static int size_ascending(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

/* p of count ≥ 1 differences, none 0; they get sorted by size. `size` and rank2 are workspace. */
static double signed_rank_p(double *d, size_t count, double *size, uint32_t *rank2)
{
    size_t positive2 = 0, total;
    double ties, c = (double)count, p = NAN;

    qsort(d, count, sizeof *d, size_ascending);
    for (size_t i = 0; i < count; i++)
        size[i] = fabs(d[i]);
    ties = ranks_double(size, count, rank2);
    for (size_t i = 0; i < count; i++)
        positive2 += d[i] > 0 ? rank2[i] : 0;
    if (count > STATS_EXACT_MAX) {
        double variance = c * (c + 1) * (2 * c + 1) / 24 - ties / 48;
        double distance = fabs((double)positive2 / 2 - c * (c + 1) / 4) - 0.5;
        return normal_two_sided(fmax(distance, 0) / sqrt(variance));
    }
    double *prob = signed_rank_distribution(rank2, count, &total);
    if (prob)
        p = two_sided(prob, total, positive2);
    free(prob);
    return p;
}

double stats_signed_rank(const double *d, size_t n, size_t *used)
{
    double *v = malloc((n + 1) * 2 * sizeof *v), p = NAN;
    uint32_t *rank2 = malloc((n + 1) * sizeof *rank2);
    size_t count = 0;

    if (v && rank2) {
        for (size_t i = 0; i < n; i++)
            if (d[i] != 0)
                v[count++] = d[i];
        p = count ? signed_rank_p(v, count, v + n, rank2) : 1;
    }
    if (used)
        *used = count;
    free(rank2);
    free(v);
    return p;
}

/* p of a rank sum (doubled) of n out of all ranks; ties is what ranks_double() returned. */
static double rank_sum_p(const uint32_t *rank2, size_t n, size_t m, size_t sum2, double ties)
{
    double dn = (double)n, dm = (double)m, all = dn + dm, p = 0;
    double mean2 = dn * (all + 1), distance2 = fabs((double)sum2 - mean2);
    size_t total;

    if (n > STATS_EXACT_MAX || m > STATS_EXACT_MAX) {
        double variance = dn * dm / 12 * (all + 1 - ties / (all * (all - 1)));
        double distance = fmax(distance2 / 2 - 0.5, 0);
        return variance > 0 ? normal_two_sided(distance / sqrt(variance)) : 1;
    }
    double *prob = rank_sum_distribution(rank2, n + m, n, &total);
    if (!prob)
        return NAN;
    /* by the distance from the mean: with ties the distribution may be lopsided */
    for (size_t s = 0; s <= total; s++)
        if (fabs((double)s - mean2) >= distance2)
            p += prob[s];
    free(prob);
    return fmin(p, 1);
}

double stats_rank_sum(const double *a, size_t n, const double *b, size_t m, double *u)
{
    size_t all = n + m, sum2 = 0;
    double *sorted = malloc((all + 1) * sizeof *sorted), p = NAN;
    uint32_t *rank2 = malloc((all + 1) * sizeof *rank2);

    if (u)
        *u = NAN;
    if (sorted && rank2 && n && m) {
        double ties;

        memcpy(sorted, a, n * sizeof *a);
        memcpy(sorted + n, b, m * sizeof *b);
        stats_sort(sorted, all);
        ties = ranks_double(sorted, all, rank2);
        for (size_t i = 0; i < n; i++) {
            const double *at = bsearch(&a[i], sorted, all, sizeof *sorted, ascending);
            sum2 += rank2[at - sorted];
        }
        if (u)
            *u = ((double)sum2 - (double)n * (double)(n + 1)) / 2;
        p = rank_sum_p(rank2, n, m, sum2, ties);
    }
    free(rank2);
    free(sorted);
    return p;
}

double stats_signed_rank_least(size_t n)
{
    return n ? fmin(1, ldexp(1, 1 - (int)n)) : 1;
}

double stats_rank_sum_least(size_t n, size_t m)
{
    double p = 2;

    for (size_t i = 1; i <= n; i++) /* 2 / C(n + m, n) */
        p *= (double)i / (double)(m + i);
    return fmin(1, p);
}

/*
 * How many of the `count` ordered pair values lie outside the interval on each side, plus one: the
 * largest k with P(S < k) ≤ α/2, where S has the test's distribution prob[bottom..] in steps of 2.
 * 0 when even the widest interval is not confident enough.
 */
static size_t interval_rank(const double *prob, size_t bottom, size_t total)
{
    double tail = 0;
    size_t k = 0;

    for (size_t s = bottom; s <= total; s += 2, k++) {
        tail += prob[s];
        if (tail > (1 - STATS_CONFIDENCE) / 2)
            break;
    }
    return k;
}

static size_t interval_rank_normal(double mean, double variance)
{
    double k = floor(mean - 1.959963984540054 * sqrt(variance));
    return k > 0 ? (size_t)k : 0;
}

static struct stats_interval interval_from(double *values, size_t count, size_t k)
{
    struct stats_interval out = {NAN, NAN, NAN};

    stats_sort(values, count);
    out.estimate = stats_quantile(values, count, 0.5);
    if (k > 0) {
        out.low = values[k - 1];
        out.high = values[count - k];
    }
    return out;
}

/* 2, 4, 6 …: doubled ranks without ties. */
static void ranks_plain(uint32_t *rank2, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rank2[i] = (uint32_t)(2 * (i + 1));
}

struct stats_interval stats_center(const double *d, size_t n)
{
    struct stats_interval out = {NAN, NAN, NAN};
    size_t count = n * (n + 1) / 2, k = 0, total;
    double *walsh = n ? malloc(count * sizeof *walsh) : NULL;

    if (!walsh)
        return out;
    if (n <= STATS_EXACT_MAX) {
        uint32_t rank2[STATS_EXACT_MAX];
        double *prob;
        ranks_plain(rank2, n);
        prob = signed_rank_distribution(rank2, n, &total);
        if (prob)
            k = interval_rank(prob, 0, total);
        free(prob);
    } else {
        double c = (double)n;
        k = interval_rank_normal(c * (c + 1) / 4, c * (c + 1) * (2 * c + 1) / 24);
    }
    count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            walsh[count++] = (d[i] + d[j]) / 2;
    out = interval_from(walsh, count, k);
    free(walsh);
    return out;
}

struct stats_interval stats_shift(const double *a, size_t n, const double *b, size_t m)
{
    struct stats_interval out = {NAN, NAN, NAN};
    size_t count = 0, k = 0, total;
    double *differences = n && m ? malloc(n * m * sizeof *differences) : NULL;

    if (!differences)
        return out;
    if (n <= STATS_EXACT_MAX && m <= STATS_EXACT_MAX) {
        uint32_t rank2[2 * STATS_EXACT_MAX];
        double *prob;
        ranks_plain(rank2, n + m);
        prob = rank_sum_distribution(rank2, n + m, n, &total);
        if (prob)
            k = interval_rank(prob, n * (n + 1), total);
        free(prob);
    } else {
        double dn = (double)n, dm = (double)m;
        k = interval_rank_normal(dn * dm / 2, dn * dm * (dn + dm + 1) / 12);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            differences[count++] = b[j] - a[i];
    out = interval_from(differences, count, k);
    free(differences);
    return out;
}

static int all_positive(const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(v[i] > 0))
            return 0;
    return 1;
}

static double ratio_of_medians(const double *a, size_t n, const double *b, size_t m)
{
    double of_a = stats_median(a, n), of_b = stats_median(b, m);
    return of_a == of_b ? 1 : of_b / of_a;
}

struct stats_ratio stats_ratio_paired(const double *a, const double *b, size_t n)
{
    struct stats_ratio out = {NAN, NAN, NAN, NAN};
    int logs = all_positive(a, n) && all_positive(b, n);
    double *d = malloc((n + 1) * sizeof *d);

    if (!d)
        return out;
    /* log(b/a), not log b − log a: equal ratios must give equal numbers, or ties are missed */
    for (size_t i = 0; i < n; i++)
        d[i] = logs ? log(b[i] / a[i]) : b[i] - a[i];
    out.p = stats_signed_rank(d, n, NULL);
    if (logs) {
        struct stats_interval center = stats_center(d, n);
        out.ratio = exp(center.estimate);
        out.low = exp(center.low);
        out.high = exp(center.high);
    } else
        out.ratio = ratio_of_medians(a, n, b, n);
    free(d);
    return out;
}

static void logs_of(const double *v, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = log(v[i]);
}

struct stats_ratio stats_ratio_unpaired(const double *a, size_t n, const double *b, size_t m)
{
    struct stats_ratio out = {NAN, NAN, NAN, NAN};
    double *logs = malloc((n + m + 1) * sizeof *logs);

    if (!logs)
        return out;
    out.p = stats_rank_sum(a, n, b, m, NULL);
    if (all_positive(a, n) && all_positive(b, m)) {
        struct stats_interval shift;
        logs_of(a, n, logs);
        logs_of(b, m, logs + n);
        shift = stats_shift(logs, n, logs + n, m);
        out.ratio = exp(shift.estimate);
        out.low = exp(shift.low);
        out.high = exp(shift.high);
    } else
        out.ratio = ratio_of_medians(a, n, b, m);
    free(logs);
    return out;
}
