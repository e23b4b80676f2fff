#include "store/bench/compare.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "store/bench/engine_library.h"
#include "store/bench/require.h"
#include "store/bench/run.h"
#include "store/bench/session.h"

static int interrupted;
static volatile sig_atomic_t running; /* the process of the run that is under way */

/* A run ends by a signal that nobody sends to a whole group of processes: it must not meet its
 * second one while it takes its directory away. */
#define END_SIGNAL SIGUSR1

void store_bench_compare_interrupt(void)
{
    int kept = errno; /* a handler's */
    __atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
    if (running)
        kill((pid_t)running, END_SIGNAL);
    errno = kept;
}

static int stopped(void)
{
    return __atomic_load_n(&interrupted, __ATOMIC_RELAXED);
}

/* ---- one run ---- */

static void on_end_signal(int number)
{
    (void)number;
    store_bench_interrupt();
}

/* 0 if the engine has no server of its own, or does not say. */
static double of_server(const struct engine_statistics *s, const char *name)
{
    double value = engine_statistic(s, name);
    return isnan(value) ? 0 : value;
}

/* Of all that was measured: also the engine's own server. */
static void run_judge(const struct bench_config *c, struct compare_run *to, struct bench_result *r)
{
    char who[128];
    r->cpu_percent = to->cpu_percent;
    r->max_rss_bytes = to->rss_bytes;
    for (int i = 0; i < c->require_count; i++)
        to->required[i] = require_measured(&c->require[i], r);
    snprintf(who, sizeof who, "%s, repeat %" PRIu64 ": ", c->engine, to->repeat);
    to->unmet = report_requirements(who, c, r);
}

static void run_take(struct compare_run *to, const struct bench_result *r)
{
    const struct engine_statistics *s = &r->engine_measured;
    double seconds = r->duration_s > 0 ? r->duration_s : 1;
    figures_take(&to->figures, r);
    to->valid = bench_result_valid(r);
    to->cpu_percent = r->cpu_percent + of_server(s, "server_cpu_ns") / 1e9 / seconds * 100;
    to->rss_bytes = r->max_rss_bytes + (uint64_t)of_server(s, "server_rss_bytes");
    to->written_bytes_per_s = NAN;
    if (r->written_bytes != UINT64_MAX)
        to->written_bytes_per_s =
            ((double)r->written_bytes + of_server(s, "server_written_bytes")) / seconds;
    to->state = r->end == RUN_INTERRUPTED ? COMPARE_INTERRUPTED : COMPARE_MEASURED;
}

/* What the process of a run needs to know of its parent. */
struct parent {
    pid_t pid;
    sigset_t unblocked;  /* signals as they were before */
    char directory[512]; /* for its own temporary one; "": it could not be made */
};

static void run_here(const struct bench_config *c, struct compare_run *to, const struct parent *p)
{
    struct sigaction action = {.sa_handler = on_end_signal, .sa_flags = SA_RESTART};
    struct bench_result result;
    sigaction(END_SIGNAL, &action, NULL);
    signal(SIGINT, SIG_IGN); /* our parent tells us */
    signal(SIGTERM, SIG_IGN);
    sigprocmask(SIG_SETMASK, &p->unblocked, NULL);
    prctl(PR_SET_PDEATHSIG, END_SIGNAL);
    if (getppid() != p->pid)
        exit(1);
    if (p->directory[0])
        setenv("TMPDIR", p->directory, 1);
    to->error = store_bench_run(c, &result);
    if (!to->error && result.close_error != ENGINE_OK) {
        fprintf(stderr, "store_bench: %s: the last writes are not synced: %s\n", c->engine,
                result.close_trouble.text);
        to->error = result.close_trouble.disk ? -2 : -1;
    }
    if (!to->error && result.end == RUN_TOO_MANY_ERRORS) {
        fprintf(stderr, "store_bench: %s: ended at more than %" PRIu64 " errors (--max-errors)\n",
                c->engine, c->max_errors);
        to->error = 1;
    }
    if (!to->error)
        run_take(to, &result);
    if (!to->error && to->state == COMPARE_MEASURED)
        run_judge(c, to, &result);
    if (p->directory[0])
        rmdir(p->directory); /* if our parent has gone */
    exit(0);
}

static void run_apart(const struct bench_config *c, struct compare_run *to)
{
    struct parent here = {.pid = getpid()};
    sigset_t ends;
    int status = 0;
    to->state = COMPARE_FAILED;
    to->error = -1;
    fflush(NULL); /* or the child would write it, too */
    temporary_make(here.directory);
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, END_SIGNAL);
    /* until we know whom to tell, and it can be told */
    sigprocmask(SIG_BLOCK, &ends, &here.unblocked);
    pid_t pid = fork();
    if (pid == 0)
        run_here(c, to, &here);
    running = pid > 0 ? pid : 0;
    sigprocmask(SIG_SETMASK, &here.unblocked, NULL);
    if (pid < 0)
        fprintf(stderr, "store_bench: cannot start a process: %s\n", strerror(errno));
    else
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    running = 0;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "store_bench: %s: ended by signal %d\n", c->engine, WTERMSIG(status));
        to->state = COMPARE_FAILED;
        to->error = -1;
    }
    if (here.directory[0] && directory_remove(here.directory) != 0) /* also what a crash left */
        fprintf(stderr, "store_bench: cannot remove %s: %s\n", here.directory, strerror(errno));
}

/* ---- all of them ---- */

static int engines_probe(const struct bench_config *c, struct compare_result *r)
{
    int missing = 0;
    for (unsigned i = 0; i < c->engine_count; i++) {
        struct engine_trouble trouble = {.text = ""};
        const struct engine *engine = engine_choose(c->engines[i]);
        if (!engine)
            return -1;
        if (!engine->probe || engine->probe(&trouble) == ENGINE_OK)
            continue;
        r->missing[i] = 1;
        missing++;
        if (!c->skip_missing)
            fprintf(stderr, "store_bench: cannot open %s: %s\n", engine->title, trouble.text);
    }
    return missing && !c->skip_missing ? -1 : 0;
}

static void run_tell(const struct bench_config *c, const struct compare_run *run, size_t number)
{
    char rate[UNITS_BUF], p99[UNITS_BUF];
    fprintf(stderr, "compare  %3zu  %-10s repeat %" PRIu64 "  ", number, c->engines[run->engine],
            run->repeat);
    if (run->state == COMPARE_FAILED)
        fprintf(stderr, "failed\n");
    else
        fprintf(stderr, "%9s ops/s  p99 %8s  errors %" PRIu64 "\n",
                units_count(rate, run->figures.throughput),
                units_duration(p99, run->figures.latency_ns[figure_latency("p99")]),
                run->figures.errors);
}

static void compare_one(const struct bench_config *c, struct compare_result *r, unsigned engine,
                        uint64_t repeat)
{
    struct compare_run *run = &r->runs[r->count];
    struct bench_config one = *c;
    one.engine = c->engines[engine];
    one.live = 0;
    one.verb = VERB_RUN;
    run->engine = engine;
    run->repeat = repeat;
    one.seed = c->seed + repeat - 1; /* or repeats would all have the same luck */
    run_apart(&one, run);
    if (stopped() || run->state == COMPARE_INTERRUPTED) {
        r->end = RUN_INTERRUPTED;
        return;
    }
    r->count++;
    if (run->state == COMPARE_FAILED) {
        r->failed[engine]++;
        r->error = r->error && r->error != 1 ? r->error : run->error;
    } else {
        r->invalid[engine] += !run->valid;
        r->unmet[engine] += run->unmet > 0;
        if (!r->error && (!run->valid || run->unmet))
            r->error = 1;
    }
    if (c->live)
        run_tell(c, run, r->count);
}

static size_t room_bytes(const struct bench_config *c)
{
    return c->engine_count * c->repeats * sizeof(struct compare_run);
}

int store_bench_compare(const struct bench_config *c, struct compare_result *r)
{
    unsigned order[ENGINES_MAX];
    struct rng rng;
    *r = (struct compare_result){.end = RUN_COMPLETE};
    if (engines_probe(c, r) != 0)
        return -1;
    r->room_bytes = room_bytes(c);
    r->runs = mmap(NULL, r->room_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r->runs == MAP_FAILED) {
        fprintf(stderr, "store_bench: cannot keep results: out of memory\n");
        return -1;
    }
    rng_init(&rng, c->seed, ORDER_STREAM);
    for (uint64_t repeat = 1; repeat <= c->repeats; repeat++) {
        order_draw(&rng, order, c->engine_count);
        for (unsigned i = 0; i < c->engine_count; i++)
            if (!r->missing[order[i]] && r->end == RUN_COMPLETE)
                compare_one(c, r, order[i], repeat);
    }
    __atomic_store_n(&interrupted, 0, __ATOMIC_RELAXED);
    return 0;
}

void compare_result_release(struct compare_result *r)
{
    if (r->runs)
        munmap(r->runs, r->room_bytes);
    *r = (struct compare_result){0};
}

const char *compare_differs(const char *name)
{
    const struct engine *engine = engine_choose(name);
    return engine && engine->differs ? engine->differs : "";
}

/* ---- the table ---- */

typedef double figure(const struct compare_run *run);

static double throughput(const struct compare_run *run)
{
    return run->figures.throughput;
}

static double p50(const struct compare_run *run)
{
    return run->figures.latency_ns[figure_latency("p50")];
}

static double p99(const struct compare_run *run)
{
    return run->figures.latency_ns[figure_latency("p99")];
}

static double longest(const struct compare_run *run)
{
    return run->figures.latency_ns[FIGURE_LATENCIES - 1];
}

static double errors(const struct compare_run *run)
{
    return (double)run->figures.errors;
}

static double cpu(const struct compare_run *run)
{
    return run->cpu_percent;
}

static double rss(const struct compare_run *run)
{
    return (double)run->rss_bytes;
}

static double written(const struct compare_run *run)
{
    return run->written_bytes_per_s;
}

/* Of an engine's complete runs. */
static double middle(const struct compare_result *r, unsigned engine, figure *of)
{
    static double room[REPEATS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->runs[i].engine == engine && r->runs[i].state == COMPARE_MEASURED &&
            !isnan(of(&r->runs[i])))
            room[n++] = of(&r->runs[i]);
    return median(room, n);
}

static void engine_row(FILE *out, const struct bench_config *c, const struct compare_result *r,
                       unsigned i, int width)
{
    char text[UNITS_BUF], ratio[24] = "-";
    double ops = middle(r, i, throughput), first = middle(r, 0, throughput);
    fprintf(out, "%-*s ", width, c->engines[i]);
    if (isnan(ops)) {
        fprintf(out, "%s\n", r->missing[i] ? "not there" : r->failed[i] ? "failed" : "not run");
        return;
    }
    if (first > 0)
        snprintf(ratio, sizeof ratio, "%.3gx", ops / first);
    fprintf(out, "%9s %7s", units_count(text, ops), ratio);
    figure *const latencies[] = {p50, p99, longest};
    for (int k = 0; k < 3; k++)
        fprintf(out, " %8s", units_duration(text, middle(r, i, latencies[k])));
    fprintf(out, " %7.0f %5.0f%%", middle(r, i, errors), middle(r, i, cpu));
    fprintf(out, " %9s", units_size(text, middle(r, i, rss)));
    fprintf(out, " %8.1f", middle(r, i, written) / 1e6);
    if (r->failed[i])
        fprintf(out, "  failed %u of %" PRIu64, r->failed[i], c->repeats);
    if (r->invalid[i]) /* not the load that was asked for */
        fprintf(out, "  INVALID %u of %" PRIu64, r->invalid[i], c->repeats);
    if (r->unmet[i])
        fprintf(out, "  NOT MET %u of %" PRIu64, r->unmet[i], c->repeats);
    fputc('\n', out);
}

void compare_table(FILE *out, const struct bench_config *c, const struct compare_result *r)
{
    int width = 6, plural = c->threads != 1;
    for (unsigned i = 0; i < c->engine_count; i++)
        width = (int)strlen(c->engines[i]) > width ? (int)strlen(c->engines[i]) : width;
    char rate[64] = "";
    if (c->rate > 0)
        snprintf(rate, sizeof rate, ", %.6g/s %s", c->rate, c->arrivals);
    fprintf(
        out, "store_bench compare  %s, %" PRIu64 " thread%s%s, medians of %" PRIu64 " run%s%s\n",
        c->workload, c->threads, plural ? "s" : "", rate, c->repeats, c->repeats == 1 ? "" : "s",
        r->end == RUN_INTERRUPTED ? "  INTERRUPTED: a partial result" : "");
    report_data(out, c);
    fprintf(out, "\n\n%-*s %9s %7s %8s %8s %8s %7s %6s %9s %8s\n", width, "engine", "ops/s",
            "ratio", "p50", "p99", "max", "errors", "cpu", "max rss", "MB/s out");
    for (unsigned i = 0; i < c->engine_count; i++)
        engine_row(out, c, r, i, width);
    fprintf(out, "\nNot equal:\n");
    for (unsigned i = 0; i < c->engine_count; i++)
        if (!r->missing[i])
            fprintf(out, "  %-*s %s\n", width, c->engines[i], compare_differs(c->engines[i]));
}
