/*
 * The load generator's random numbers: SplitMix64 (Steele, Lea, Flood 2014). Fast, 64 bits of
 * state, the same sequence for the same seed on every machine. Not thread-safe: one struct per
 * thread.
 */
#ifndef PERFSHIM_STORE_BENCH_RANDOM_H
#define PERFSHIM_STORE_BENCH_RANDOM_H

#include <math.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t rng_next(struct rng *rng)
{
    return rng_mix(rng->state += 0x9e3779b97f4a7c15u);
}

/* Independent streams: one per thread from one seed. */
static inline void rng_init(struct rng *rng, uint64_t seed, uint64_t stream)
{
    rng->state = rng_mix(rng_mix(seed) + stream);
}

/* Uniform in [0, 1), of 53 bits. */
static inline double rng_real(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

/* Exponential, with the mean 1. */
static inline double rng_exponential(struct rng *rng)
{
    return -log(1 - rng_real(rng));
}

/* Uniform in [0, n); n < 2^40 keeps the bias of not rejecting below 2^-24. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
    return (uint64_t)((unsigned __int128)rng_next(rng) * n >> 64);
}

#endif
