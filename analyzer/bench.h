/*
 * A benchmark of one command or two: what was measured, ready to be shown, saved and judged.
 *
 * Side 0 is A (or the baseline), side 1 is B. Plain data, owned by cmd_bench.c; everything here is
 * used by one thread.
 */
#ifndef PERFSHIM_ANALYZER_BENCH_H
#define PERFSHIM_ANALYZER_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "analyzer/machine.h"
#include "analyzer/stats.h"

#define BENCH_PROG            "perfshim bench"
#define BENCH_SCHEMA          "perfshim.bench/1"
#define BENCH_RUNS_MAX        1000
#define BENCH_RUNS_LEAST      10 /* when no number is asked for */
#define BENCH_METRICS_MAX     32
#define BENCH_COMMAND_COLUMNS 66 /* of a command on screen */

/* What bench_run() measures of any command: id, JSON key, name on screen and in --fail-if, unit. */
#define BENCH_MEASURES(X)                                                                          \
    X(WALL, "wall_ns", "wall", BENCH_NS)                                                           \
    X(CPU, "cpu_ns", "cpu", BENCH_NS) /* user + sys: sampled less coarsely than its parts */       \
    X(USER, "user_ns", "user", BENCH_NS)                                                           \
    X(SYS, "sys_ns", "sys", BENCH_NS)                                                              \
    X(MAX_RSS, "max_rss_bytes", "max_rss", BENCH_BYTES)

enum bench_unit { BENCH_NUMBER, BENCH_NS, BENCH_BYTES };

enum bench_measure {
#define X(id, key, label, unit) BENCH_##id,
    BENCH_MEASURES(X)
#undef X
        BENCH_MEASURE_COUNT
};

struct bench_metric {
    const char *key;   /* in JSON; a path for a metric that the command prints */
    const char *label; /* on screen */
    enum bench_unit unit;
    double v[2][BENCH_RUNS_MAX]; /* in order of the runs */
    struct stats_ratio ratio;    /* B/A; NaNs with one side */
};

struct bench_side {
    const char *name;
    const char *command;
    size_t runs;
    size_t failures; /* runs that ended with another status than 0 */
    int status;      /* of the last of them, as from wait(2) */
};

struct bench {
    struct machine machine; /* that this process runs on */
    struct bench_side side[2];
    int sides;
    bool paired; /* two commands run in turn; else side 0 is a baseline */
    struct bench_metric metric[BENCH_METRICS_MAX]; /* BENCH_MEASURES first */
    size_t metric_count;
    uint64_t seed;
    uint64_t warmup;
    uint8_t b_first[BENCH_RUNS_MAX]; /* of each pair */
    uint64_t elapsed_ns;
};

/* How to run. Zeroed = nothing asked for. */
struct bench_plan {
    uint64_t runs_wanted;    /* 0 = BENCH_RUNS_LEAST, more while they fit into a few seconds */
    uint64_t timeout_ns;     /* 0 = none */
    const char *prepare;     /* a command before every run, or NULL */
    const char *metric_path; /* the file that the command writes its JSON to; NULL = stdout */
    int ignore_failure;
};

/* Does the command print metrics of its own? */
static inline bool bench_prints_metrics(const struct bench *b)
{
    return b->metric_count > BENCH_MEASURE_COUNT;
}

/*
 * Warms up, then runs the commands in turn (a baseline is not run) and stores what was measured.
 * Shows progress on stderr if that is a terminal. 0, or −1 after a message.
 */
int bench_series_run(struct bench *b, const struct bench_plan *plan);

/* The table and the verdict, ≤ 100 columns, ASCII. */
void bench_print(FILE *out, const struct bench *b);

/* Prints "perfshim bench: …" on stderr; returns status. */
int bench_refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
