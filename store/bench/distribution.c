#include "store/bench/distribution.h"

#include <math.h>
#include <string.h>

#define SCRAMBLED_RANKS 10000000000u

int distribution_named(const char *name)
{
    static const char *const names[] = {
#define X(id, known) known,
        DISTRIBUTIONS(X)
#undef X
    };
    for (int i = 0; i < DISTRIBUTION_KINDS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

/* h(x) = x^-theta; H is an integral of it and H_inverse its inverse, written so that they hold near
   theta = 1 too, where H is the logarithm. */
static double h(double x, double theta)
{
    return exp(-theta * log(x));
}

static double H(double x, double theta)
{
    double l = log(x), t = (1 - theta) * l;
    return fabs(t) > 1e-8 ? expm1(t) / t * l : l * (1 + t / 2);
}

static double H_inverse(double y, double theta)
{
    double t = (1 - theta) * y;
    if (t < -1) /* only by rounding */
        t = -1;
    return exp(fabs(t) > 1e-8 ? log1p(t) / t * y : y * (1 - t / 2));
}

void distribution_init(struct distribution *d, enum distribution_kind kind, double theta,
                       double hot_keys, double hot_ops)
{
    *d = (struct distribution){
        .kind = kind, .theta = theta, .hot_keys = hot_keys, .hot_ops = hot_ops};
    d->first = H(1.5, theta) - 1;
    d->squeeze = 2 - H_inverse(H(2.5, theta) - h(2, theta), theta);
}

/*
 * The area under h from 1/2 to n + 1/2, where rank k owns [k - 1/2, k + 1/2): at least h(k), for h
 * is convex. A point of it, uniform, falls into some rank's part; kept are as many as h(k) says,
 * the last ones of the part. Rank 1 owns just h(1) = 1.
 */
static uint64_t zipf_draw(const struct distribution *d, struct rng *rng, struct zipf_end *end,
                          uint64_t n)
{
    if (end->n != n)
        *end = (struct zipf_end){.n = n, .integral = H((double)n + 0.5, d->theta)};
    for (;;) {
        double y = end->integral + rng_real(rng) * (d->first - end->integral);
        double x = H_inverse(y, d->theta), k = floor(x + 0.5);
        if (k < 1)
            k = 1;
        else if (k > (double)n)
            k = (double)n;
        if (k - x <= d->squeeze || y >= H(k + 0.5, d->theta) - h(k, d->theta))
            return (uint64_t)k - 1;
    }
}

static uint64_t fnv(uint64_t value)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < 8; i++, value >>= 8)
        hash = (hash ^ (value & 0xff)) * 1099511628211u;
    return hash;
}

uint64_t distribution_draw(const struct distribution *d, struct rng *rng, struct zipf_end *end,
                           uint64_t n)
{
    uint64_t hot;
    switch (d->kind) {
    case DISTRIBUTION_ZIPFIAN:
        return zipf_draw(d, rng, end, n);
    case DISTRIBUTION_SCRAMBLED:
        return fnv(zipf_draw(d, rng, end, SCRAMBLED_RANKS)) % n;
    case DISTRIBUTION_LATEST:
        return n - 1 - zipf_draw(d, rng, end, n);
    case DISTRIBUTION_HOTSPOT:
        hot = (uint64_t)ceil((double)n * d->hot_keys);
        if (hot == n || (hot > 0 && rng_real(rng) < d->hot_ops))
            return rng_below(rng, hot);
        return hot + rng_below(rng, n - hot);
    default:
        return rng_below(rng, n);
    }
}
