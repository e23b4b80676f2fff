/* What the user asked for: filled by args.c from the command line, read by everybody else. */
#ifndef PERFSHIM_STORE_BENCH_CONFIG_H
#define PERFSHIM_STORE_BENCH_CONFIG_H

#include <stdint.h>

#include "common/budget.h"
#include "store/bench/workload.h"

enum { REQUIRE_MAX = 32, LEVELS_MAX = 64, REPEATS_MAX = 1000, ENGINES_MAX = 16 };
#define LOG_OFF UINT64_MAX /* wal_sync_every without a log */

/* X(ID, name): run is the one that need not be said. */
#define VERBS(X) X(RUN, "run") X(SWEEP, "sweep") X(COMPARE, "compare") X(BENCHMARK, "benchmark")

enum bench_verb {
#define X(id, name) VERB_##id,
    VERBS(X)
#undef X
        VERB_COUNT
};

struct bench_config {
    enum bench_verb verb;
    uint64_t threads;
    uint64_t duration_ns; /* 0 = until ops are done */
    uint64_t ops;         /* 0 = until the duration is over; else all threads together */
    double rate;          /* of an open loop: operations a second to begin; 0 = a closed loop */
    const char *arrivals; /* "poisson" or "uniform"; NULL in a closed loop */
    uint64_t warmup_ns;
    double steady;          /* per cent within which the last windows end the run; 0 = never */
    const char *workload;   /* the name of the mix; "custom" with --read-ratio */
    double share[OP_KINDS]; /* of operations of each kind */
    double read_ratio;      /* of gets: what --read-ratio or the mix says, 0…1 */
    uint64_t keys;
    uint64_t value_size;
    const char *distribution;
    double theta;             /* of a zipfian one */
    double hot_keys, hot_ops; /* of hotspot */
    double compressibility;   /* share of zeros in values */
    uint64_t scan_length;     /* entries of the longest scan */
    uint64_t seed;
    const char *pool; /* "on" or "off" */
    uint64_t shards;
    uint64_t wal_sync_every; /* LOG_OFF, or writes from one sync to the next, 0 = never */
    const char *dir;         /* of the log; NULL = a temporary one, if there is a log */
    const char *engine;      /* as engine_choose takes it */
    const char *ledger;      /* NULL = none */
    int load;                /* put all keys before measuring */
    int verify;
    uint64_t max_errors; /* UINT64_MAX = no limit */
    const char *profile_phase;
    const char *json; /* NULL = none, "-" = stdout, else a file */
    int live;
    const char *live_json; /* NULL = none, "-" = stderr, else a file */
    struct budget require[REQUIRE_MAX];
    int require_count;
    double
        levels[LEVELS_MAX]; /* sweep: run at each of these numbers of threads, or rates; ascend */
    unsigned level_count;
    int by_rate;                      /* what the levels are */
    uint64_t repeats;                 /* sweep, compare */
    const char *engines[ENGINES_MAX]; /* compare: each as engine_choose takes it */
    unsigned engine_count;
    int skip_missing;
    const char *pattern;   /* benchmark: of those to run; NULL = all */
    uint64_t benchtime_ns; /* how long each of them is to take */
    uint64_t count;        /* how often */
};

enum args_outcome { ARGS_RUN = 0, ARGS_HELP = 1, ARGS_VERSION = 2, ARGS_ERROR = -1 };

/*
 * Reads the command line; *config is complete and consistent when it returns ARGS_RUN. ARGS_ERROR
 * comes after a message on stderr. The config's strings are argv's or literals. Not thread-safe.
 */
enum args_outcome args_parse(struct bench_config *config, int argc, char **argv);

/* The text of --help, on stdout. */
void args_help(void);

#endif
