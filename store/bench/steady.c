#include "store/bench/steady.h"

int steady_add(struct steady *s, double throughput)
{
    s->last[s->count++ % STEADY_WINDOWS] = throughput;
    if (s->count < STEADY_WINDOWS)
        return 0;
    double least = throughput, most = throughput, sum = 0;
    for (int i = 0; i < STEADY_WINDOWS; i++) {
        least = s->last[i] < least ? s->last[i] : least;
        most = s->last[i] > most ? s->last[i] : most;
        sum += s->last[i];
    }
    return least > 0 && most - least <= s->within * sum / STEADY_WINDOWS;
}
