#include "shim/sampler.h"

static uint64_t random_next(struct sampler *s)
{
    uint64_t x = s->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    s->random = x;
    return x * 0x2545f4914f6cdd1du;
}

/* Uniform in (0, 1]. */
static double random_unit(struct sampler *s)
{
    return ((double)(random_next(s) >> 11) + 1) * 0x1p-53;
}

/* ln u for u in (0, 1], to 1e-13: u = m 2^e with m near 1, ln m = 2 artanh((m − 1) / (m + 1)). */
static double ln(double u)
{
    int e = 0;
    for (; u < 0.70710678118654752; e++)
        u *= 2;
    double t = (u - 1) / (u + 1), t2 = t * t, sum = 0;
    for (int k = 17; k >= 1; k -= 2)
        sum = sum * t2 + 1.0 / k;
    return 2 * t * sum - e * 0.69314718055994531;
}

/* 1 − exp(−x) for x > 0, to 1e-12 of itself: a few terms for a small x, doubled as often. */
static double chance(double x)
{
    int doublings = 0;
    if (x > 40)
        return 1;
    for (; x > 0x1p-7; doublings++)
        x /= 2;
    double p = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5))));
    for (; doublings; doublings--)
        p *= 2 - p;
    return p;
}

static void distance_draw(struct sampler *s, uint64_t mean_bytes)
{
    s->left = (uint64_t)(-ln(random_unit(s)) * (double)mean_bytes);
}

/*
 * The host's floating-point environment: no exception that it asked for is raised here, and none is
 * left for it to find. What is between fp_enter() and fp_leave() is one call, since the compiler
 * moves arithmetic across them.
 */
#define APART __attribute__((noipa))

static unsigned fp_enter(void)
{
    enum { all_masked = 0x1f80 };
    unsigned was = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(all_masked);
    return was;
}

static void fp_leave(unsigned was)
{
    __builtin_ia32_ldmxcsr(was);
}

static APART void seed_apart(struct sampler *s, uint64_t seed, uint64_t mean_bytes)
{
    seed = (seed + 1) * 0x9e3779b97f4a7c15u;
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebu;
    *s = (struct sampler){.random = (seed ^ (seed >> 31)) | 1};
    distance_draw(s, mean_bytes);
}

static APART uint32_t hit_apart(struct sampler *s, uint64_t n, uint64_t mean_bytes)
{
    double w = 1 / chance(((double)n + PSHIM_SAMPLE_EXTRA) / (double)mean_bytes);
    double rounded = w + 1 - random_unit(s); /* down to w's floor, or one more in proportion */
    distance_draw(s, mean_bytes);
    return rounded < 0x1p32 ? (uint32_t)rounded : UINT32_MAX;
}

void sampler_seed(struct sampler *s, uint64_t seed, uint64_t mean_bytes)
{
    unsigned was = fp_enter();
    seed_apart(s, seed, mean_bytes);
    fp_leave(was);
}

uint32_t sampler_hit(struct sampler *s, uint64_t n, uint64_t mean_bytes)
{
    unsigned was = fp_enter();
    uint32_t weight = hit_apart(s, n, mean_bytes);
    fp_leave(was);
    return weight;
}
