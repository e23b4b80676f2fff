/*
 * Which of n keys an operation asks for: numbers from 0, by one of the distributions below.
 *
 * Zipfian numbers are exact: rejection-inversion (Hörmann, Derflinger 1996, "Rejection-inversion to
 * generate variates from monotone discrete distributions"), for any exponent theta > 0 and any n.
 * P(rank k) = k^-theta / sum of all, ranks from 1.
 *
 *   uniform    each alike
 *   zipfian    number = rank - 1: the hot keys lie side by side
 *   scrambled  the same popularity, hot keys spread over all: a rank of 10^10, hashed (FNV-1a, 64
 *              bits) to the n keys, as YCSB does
 *   latest     zipfian from the newest key back
 *   hotspot    a share of the operations goes to a share of the keys, the first ones; uniform in
 * both
 *
 * A struct distribution is shared and read-only; what a thread changes is its own struct zipf_end.
 */
#ifndef PERFSHIM_STORE_BENCH_DISTRIBUTION_H
#define PERFSHIM_STORE_BENCH_DISTRIBUTION_H

#include <stdint.h>

#include "store/bench/random.h"

#define DISTRIBUTIONS(X)                                                                           \
    X(UNIFORM, "uniform")                                                                          \
    X(ZIPFIAN, "zipfian") X(SCRAMBLED, "scrambled") X(LATEST, "latest") X(HOTSPOT, "hotspot")

enum distribution_kind {
#define X(id, name) DISTRIBUTION_##id,
    DISTRIBUTIONS(X)
#undef X
        DISTRIBUTION_KINDS
};

/* The kind of that name, or -1. */
int distribution_named(const char *name);

struct distribution {
    enum distribution_kind kind;
    double theta;             /* of the zipfian ones */
    double hot_keys, hot_ops; /* of hotspot: shares, 0 to 1 */
    double first, squeeze;    /* of rejection-inversion: H(1.5) - 1, and its quick test */
};

/* Where the ranks end: kept from one draw to the next, for it changes seldom or never. */
struct zipf_end {
    uint64_t n;
    double integral; /* H(n + 0.5) */
};

void distribution_init(struct distribution *d, enum distribution_kind kind, double theta,
                       double hot_keys, double hot_ops);

/* A number below n, n >= 1. *end is zeroed before the first draw. */
uint64_t distribution_draw(const struct distribution *d, struct rng *rng, struct zipf_end *end,
                           uint64_t n);

#endif
