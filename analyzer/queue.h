/*
 * M/M/c: c equal servers, one queue, random arrivals and service times. What response times to
 * expect at a utilisation, before anything is built.
 *
 *   C = Erlang's C,  mu = 1/service,  theta = c mu (1 - utilisation)
 *   P(R > t) = (1 - C) e^(-mu t) + C (theta e^(-mu t) - mu e^(-theta t)) / (theta - mu)
 *
 * Times are in units of the mean service time. Source: D. Gross et al., Fundamentals of Queueing
 * Theory, 4th ed., section 2.3. Pure functions, thread-safe. servers ≥ 1, 0 ≤ utilisation < 1.
 */
#ifndef PERFSHIM_ANALYZER_QUEUE_H
#define PERFSHIM_ANALYZER_QUEUE_H

#include <stdint.h>

/* The share of arrivals that must wait. */
double queue_erlang_c(uint64_t servers, double utilisation);

/* Mean response time. */
double queue_mean(uint64_t servers, double utilisation);

/* The share of responses that take longer than t. */
double queue_tail(uint64_t servers, double utilisation, double t);

/* The response time that a share q (0 … below 1) of responses stays within. */
double queue_quantile(uint64_t servers, double utilisation, double q);

#endif
