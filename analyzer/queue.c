#include "analyzer/queue.h"

#include <math.h>

double queue_erlang_c(uint64_t servers, double utilisation)
{
    double load = utilisation * (double)servers, b = 1; /* Erlang's B, by its recursion */

    for (uint64_t k = 1; k <= servers; k++)
        b = load * b / ((double)k + load * b);
    return b / (1 - utilisation * (1 - b));
}

double queue_mean(uint64_t servers, double utilisation)
{
    return 1 + queue_erlang_c(servers, utilisation) / ((double)servers * (1 - utilisation));
}

/* Of those that wait: waiting and service together. */
static double waiting_tail(double theta, double t)
{
    double d = theta - 1;

    /* theta = 1 divides 0 by 0, and near it nothing of the difference is left: there by expm1 */
    if (d == 0)
        return exp(-t) * (1 + t);
    if (fabs(d) * t < 1)
        return exp(-t) * (1 - expm1(-d * t) / d);
    return (theta * exp(-t) - exp(-theta * t)) / d;
}

static double tail(double c, double theta, double t)
{
    return (1 - c) * exp(-t) + c * waiting_tail(theta, t);
}

double queue_tail(uint64_t servers, double utilisation, double t)
{
    return tail(queue_erlang_c(servers, utilisation), (double)servers * (1 - utilisation), t);
}

double queue_quantile(uint64_t servers, double utilisation, double q)
{
    double c = queue_erlang_c(servers, utilisation);
    double theta = (double)servers * (1 - utilisation), low = 0, high = 1;

    while (tail(c, theta, high) > 1 - q)
        high *= 2;
    for (int i = 0; i < 100 && low < high; i++) {
        double middle = low + (high - low) / 2;
        if (tail(c, theta, middle) > 1 - q)
            low = middle;
        else
            high = middle;
    }
    return high;
}
