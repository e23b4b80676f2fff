/* Has the load come to a steady state? A pure function of the throughput of the last windows. */
#ifndef PERFSHIM_STORE_BENCH_STEADY_H
#define PERFSHIM_STORE_BENCH_STEADY_H

enum { STEADY_WINDOWS = 5 };

struct steady {
    double within; /* share of the mean */
    double last[STEADY_WINDOWS];
    unsigned count; /* of all windows so far */
};

/* The throughput of the next window. 1 if the last STEADY_WINDOWS are more than 0 and lie, from the
   least to the most, within that share of their mean; else 0. */
int steady_add(struct steady *s, double throughput);

#endif
