/*
 * Sampled allocation mode: which blocks are looked at, and for how many each of them stands.
 *
 * A thread counts down the distance to its next sample, n + 32 for a block of n bytes: blocks of
 * none take room too, and have their chance. (Of n + 1, one malloc(0) in M would be seen, for M
 * others: calls were off by more than any interval told.) Distances are exponential with mean M,
 * hence without memory: a block is sampled with p = 1 − exp(−(n + 32) / M), whatever came before
 * it. It then stands for W blocks of n bytes, W a whole number with mean 1/p: 1/p rounded down or
 * up at random, in proportion.
 *
 *   E[sampled ? W : 0] = 1          calls and bytes are unbiased before they are summed
 *   E[sampled ? W² − W : 0] = Var   so the sum of W (W − 1), and of W (W − 1) n², estimates the
 *                                   variance of the sums, the rounding included
 *
 * Invariant: a sampler that is all zero is not seeded, and samples nothing before it is.
 * Per thread, no memory beside the struct, no libm. What a signal handler allocates in between may
 * lose a step of the countdown: one distance of one thread then is longer or shorter.
 */
#ifndef PERFSHIM_SHIM_SAMPLER_H
#define PERFSHIM_SHIM_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "profile/format.h"

struct sampler {
    uint64_t left;    /* distance that passes before the next sample */
    uint64_t random;  /* state of xorshift64*; 0 = not seeded */
    const void *last; /* the block sampled last, until the thread frees any */
    uint64_t at_last; /* `left` after it: the same = no allocation since */
};

/* Counts a block down. True: it is to be sampled (sampler_hit()), or the sampler is not seeded. */
static inline __attribute__((always_inline)) bool sampler_reached(struct sampler *s, uint64_t n)
{
    uint64_t left = s->left;
    if (__builtin_expect(left < PSHIM_SAMPLE_EXTRA || n > left - PSHIM_SAMPLE_EXTRA, 0))
        return true;
    s->left = left - (n + PSHIM_SAMPLE_EXTRA);
    return false;
}

/* Different seeds give different sequences; any seed will do. Draws the first distance. */
void sampler_seed(struct sampler *s, uint64_t seed, uint64_t mean_bytes);

/* After sampler_reached(): for how many blocks this one stands. Draws the next distance. */
uint32_t sampler_hit(struct sampler *s, uint64_t n, uint64_t mean_bytes);

#endif
