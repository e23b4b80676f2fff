#include "store/bench/arrivals.h"

#include <math.h>

/* A stream of random numbers that no thread uses. */
#define ARRIVALS_STREAM (UINT64_MAX - 2)

void arrivals_init(struct arrivals *a, enum arrivals_kind kind, double rate, uint64_t seed)
{
    *a = (struct arrivals){.kind = kind, .interval_ns = 1e9 / rate};
    pthread_mutex_init(&a->lock, NULL);
    rng_init(&a->rng, seed, ARRIVALS_STREAM);
}

void arrivals_release(struct arrivals *a)
{
    pthread_mutex_destroy(&a->lock);
}

void arrivals_begin(struct arrivals *a, uint64_t begin_ns, uint64_t end_ns, uint64_t limit)
{
    a->begin_ns = a->last_ns = begin_ns;
    a->end_ns = end_ns;
    a->limit = limit;
    a->taken = 0;
    a->next_ns = a->kind == ARRIVALS_POISSON ? rng_exponential(&a->rng) * a->interval_ns : 0;
}

int arrivals_take(struct arrivals *a, uint64_t *start_ns)
{
    pthread_mutex_lock(&a->lock);
    uint64_t start = a->begin_ns + (uint64_t)a->next_ns;
    int there = a->taken < a->limit && start < a->end_ns;
    if (there) {
        a->taken++;
        a->last_ns = start;
        if (a->kind == ARRIVALS_POISSON)
            a->next_ns += rng_exponential(&a->rng) * a->interval_ns;
        else /* not by adding, which would sum the errors of rounding */
            a->next_ns = (double)a->taken * a->interval_ns;
    }
    pthread_mutex_unlock(&a->lock);
    *start_ns = start;
    return there;
}

int arrivals_over(const struct arrivals *a)
{
    return a->taken < a->limit && a->begin_ns + (uint64_t)a->next_ns >= a->end_ns;
}

uint64_t arrivals_lag_ns(struct arrivals *a, uint64_t now_ns)
{
    pthread_mutex_lock(&a->lock);
    uint64_t next = a->begin_ns + (uint64_t)a->next_ns;
    int over = a->taken == a->limit || next >= a->end_ns;
    pthread_mutex_unlock(&a->lock);
    return over || next >= now_ns ? 0 : now_ns - next;
}

/* Starts due before the time, since begin_ns, that nobody has taken. */
static uint64_t arrivals_due(const struct arrivals *a, double end)
{
    if (a->next_ns >= end)
        return 0;
    uint64_t due = (uint64_t)ceil((end - a->next_ns) / a->interval_ns);
    return due < a->limit - a->taken ? due : a->limit - a->taken;
}

void arrivals_judge(const struct arrivals *a, struct open_result *out, uint64_t begun,
                    uint64_t last_start_ns, uint64_t end_ns)
{
    double count = (double)begun;
    *out = (struct open_result){.dropped = 0};
    if (a->taken == a->limit) {
        /* evenly spaced ones have each an interval of their own, also the last */
        double more = a->kind == ARRIVALS_UNIFORM ? a->interval_ns : 0;
        out->offered = count / ((double)(a->last_ns - a->begin_ns) + more) * 1e9;
        out->achieved = count / ((double)(last_start_ns - a->begin_ns) + more) * 1e9;
        return;
    }
    double span = (double)((end_ns < a->end_ns ? end_ns : a->end_ns) - a->begin_ns);
    out->dropped = arrivals_due(a, span);
    out->offered = (count + (double)out->dropped) / span * 1e9;
    out->achieved = count / span * 1e9;
}
