/*
 * Figures of sampled allocations are estimates: how far each may be off.
 *
 * A figure y with an estimated variance v (format.h, enum pshim_spread_counter) counts like y / u
 * independent samples of weight u = v / y. Their 95 % interval is the score interval of a Poisson
 * count, which holds for few samples too: k + z²/2 ± z √(k + z²/4), times u. (E. B. Wilson, 1927;
 * Barker, "A comparison of nine confidence intervals for a Poisson parameter", 2002.) Blocks that
 * are larger than the sampling distance by far are nearly all seen, and their v is nearly 0.
 * Where nothing was seen, one sample more would have been M bytes, or M / 32 calls: then that is u.
 *
 * Live at the peak was not kept sample by sample: a live block of n bytes adds W (W − 1) n², on
 * average less than M W n, so v = M y is used, which is no less than the truth. Pure functions.
 */
#ifndef PERFSHIM_ANALYZER_ESTIMATE_H
#define PERFSHIM_ANALYZER_ESTIMATE_H

#include "analyzer/metrics.h"

struct pshim_account;
struct model;

/* Sums over accounts; by enum pshim_spread_counter, BYTES in bytes². */
enum { ESTIMATE_SUMS = 6 };
struct estimate_spread {
    double v[ESTIMATE_SUMS];
};

struct estimate_interval {
    double low, high;
};

/* Is this metric of this model an estimate? */
bool estimate_is(const struct model *m, enum metric metric);

void estimate_add(struct estimate_spread *to, const struct estimate_spread *from);
/* Adds what an account of PSHIM_KIND_SPREAD says. */
void estimate_add_account(struct estimate_spread *to, const struct pshim_account *a,
                          uint64_t mean_bytes);

/* The estimated variance of a metric whose value is `value`. */
double estimate_variance(const struct estimate_spread *s, enum metric metric, int64_t value,
                         uint64_t mean_bytes);

/* The 95 % interval of a metric whose value is `value`. */
struct estimate_interval estimate_interval(const struct estimate_spread *s, enum metric metric,
                                           int64_t value, uint64_t mean_bytes);

#endif
