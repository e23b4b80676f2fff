/*
 * `perfshim plan`: how much to provide for a target, and from a load sweep what is there, what
 * binds, and where a latency target is last met.
 *
 * plan_combine() and plan_compute() are pure functions of numbers. Throughput is operations a
 * second, latencies are ns, N (a level) is threads; NaN = not measured or not asked for.
 * Not thread-safe (memory.h ends the program when there is none).
 */
#ifndef PERFSHIM_ANALYZER_PLAN_H
#define PERFSHIM_ANALYZER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "analyzer/usl.h"
#include "common/budget.h"

#define PLAN_PROG   "perfshim plan"
#define PLAN_SCHEMA "perfshim.plan/1"

enum {
    PLAN_LEVELS_LEAST = 6, /* three coefficients, and as many points that can contradict them */
    PLAN_SLOS_MAX = 8,
    PLAN_SERVERS_MAX = 1000000,
    PLAN_ERROR_BYTES = 256,
};

/* How far past the largest measured N a fit is believed; wrong by −42 % at three times. */
#define PLAN_REACH 1.5

/* X(id, name in latency_us and --slo, quantile; NaN = none) */
#define PLAN_LATENCIES(X)                                                                          \
    X(AVG, "avg", NAN)                                                                             \
    X(P50, "p50", .5)                                                                              \
    X(P90, "p90", .9)                                                                              \
    X(P95, "p95", .95)                                                                             \
    X(P99, "p99", .99)                                                                             \
    X(P999, "p999", .999)                                                                          \
    X(MAX, "max", NAN)
enum plan_latency {
#define X(id, name, quantile) PLAN_##id,
    PLAN_LATENCIES(X)
#undef X
        PLAN_LATENCY_COUNT
};
const char *plan_latency_name(enum plan_latency which);

/* One measurement, and the combination of the repeats of a level. */
struct plan_level {
    double level, throughput;
    double latency_ns[PLAN_LATENCY_COUNT];
    double errors;  /* sum */
    size_t repeats; /* 1 for a measurement */
};

struct plan_series {
    struct plan_level *levels;
    size_t count, room;
    const char *unit; /* what the file calls a level: "threads" or "level" */
};

/*
 * Reads a sweep, JSON or CSV, told apart by the first character; "-" is stdin. 0, or −1 with what
 * and where in err. The caller releases the series, also then.
 */
int plan_read(const char *path, struct plan_series *s, char err[static PLAN_ERROR_BYTES]);
/* The same of text, which is changed. */
int plan_parse(char *text, size_t bytes, struct plan_series *s, char err[static PLAN_ERROR_BYTES]);
void plan_series_release(struct plan_series *s);

/* Sorts by level; repeats of one level become one, with the medians of what they measured. */
void plan_combine(struct plan_series *s);

/* A latency that must hold: at most (or below) limit_ns. */
struct plan_slo {
    enum plan_latency latency;
    bool strict;
    double limit_ns;
    char text[96];
};
/* "p99=10ms,avg<1ms": = and <= say at most. How many, or −1 with what is wrong in err. */
int plan_slo_parse(const char *s, struct plan_slo out[static PLAN_SLOS_MAX], char err[static 160]);
bool plan_slo_met(const struct plan_slo *slo, double latency_ns); /* not measured: not met */

enum plan_binds {
    PLAN_BINDS_NOTHING, /* it still scales */
    PLAN_BINDS_CONTENTION,
    PLAN_BINDS_COHERENCY,
    PLAN_BINDS_SLO
};
const char *plan_binds_name(enum plan_binds binds);

enum plan_answer {
    PLAN_NONE,      /* no target, or no sweep */
    PLAN_ENOUGH,    /* measured, within the SLO */
    PLAN_PREDICTED, /* not measured; the fit reaches it at `needed_level` */
    PLAN_SHORT,     /* no N reaches it */
    PLAN_UNKNOWN    /* the fit would have to be believed too far past what was measured */
};
const char *plan_answer_name(enum plan_answer answer);

struct plan {
    /* asked */
    double target, util; /* util in (0, 1] */
    struct plan_slo slo[PLAN_SLOS_MAX];
    int slo_count;
    const char *from;
    struct plan_series sweep; /* combined */
    bool extrapolate;
    double at;        /* predict the throughput of this N */
    uint64_t servers; /* 0 = none */
    double service_ns;

    /* answered: the target */
    double provisioned;

    /* answered: the sweep. Indexes are into sweep.levels, −1 = none. */
    struct usl fit;
    double reach;      /* the largest N that the fit is asked about; infinite with extrapolate */
    double knee, peak; /* N; NaN past reach */
    double limit;      /* the predicted maximum: throughput of the peak; NaN past reach */
    long highest;      /* most throughput */
    long slo_last;     /* the last level before the first that breaks an SLO */
    long slo_broken;   /* that level */
    long capacity;     /* most throughput within the SLO */
    enum plan_binds binds;
    double contention, coherency; /* what each adds to the cost of an operation at binds_level */
    double binds_level;
    enum plan_answer answer;
    double needed_level;  /* the least N that gives what to provide: measured, or by the fit */
    double instances;     /* how many of what was measured would */
    double at_throughput; /* NaN past reach */

    /* answered: the queue */
    double servers_needed; /* of the target at util; NaN without target or service */
    double queue_rate;     /* arrivals a second at util */
    double queue_ns[PLAN_LATENCY_COUNT];
};

/* target / util, rounded up; what is whole but for rounding stays. */
double plan_provisioned(double target, double util);

/* Fills what is answered. 0, or −1 with what is wrong in err: too few levels, no fit. */
int plan_compute(struct plan *p, char err[static PLAN_ERROR_BYTES]);

/* An SLO says no: to the target, to every level, or to the expected response time. */
bool plan_slo_says_no(const struct plan *p);

void plan_print(FILE *out, const struct plan *p);
void plan_json(FILE *out, const struct plan *p);

#endif
