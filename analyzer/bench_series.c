/* Running the commands of a benchmark: order, captures, failures, progress. */
#include "analyzer/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/bench_run.h"
#include "analyzer/json_read.h"
#include "analyzer/text.h"
#include "common/units.h"

#define RUNS_MOST   50          /* without --runs: up to these … */
#define FILL_NS     3000000000u /* … while they fit into this time */
#define TAIL_BYTES  800         /* of a failed command's stderr */
#define OLD_SECONDS 1           /* since 1970: when a metric file not yet written "changed" */
#define CLEAR_LINE  "\r\033[K"

struct series {
    struct bench *b;
    const struct bench_plan *plan;
    int out_fd, err_fd; /* files in memory: what the running command prints */
};

int bench_refuse(int status, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s" BENCH_PROG ": ", isatty(2) ? CLEAR_LINE : "");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

/* The end of what a failed command said, without what could steer a terminal. */
static void stderr_tail_print(int fd)
{
    char tail[TAIL_BYTES + 1], line[TEXT_COLUMNS], *save = NULL;
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, tail, TAIL_BYTES, end > TAIL_BYTES ? end - TAIL_BYTES : 0);

    tail[n > 0 ? n : 0] = '\0';
    for (char *s = strtok_r(tail, "\n", &save); s; s = strtok_r(NULL, "\n", &save))
        fprintf(stderr, "  | %s\n", text_escape(line, sizeof line, s, TEXT_COLUMNS - 4));
}

/* The command shares our offset: emptied and at 0, the file is as new. */
static bool capture_reset(int fd)
{
    return ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0;
}

/*
 * A number must come from this run, not from a file left by an earlier one: the file's time of
 * change is set back before the run, and must have moved after.
 */
static void metric_file_age(const char *path)
{
    const struct timespec old[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = OLD_SECONDS}};
    utimensat(AT_FDCWD, path, old, 0);
}

static int metric_file_open(const char *path, char err[static JSON_ERROR_BYTES])
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        snprintf(err, JSON_ERROR_BYTES, "%s", strerror(errno));
    } else if (fstat(fd, &st) == 0 && st.st_mtim.tv_sec == OLD_SECONDS) {
        snprintf(err, JSON_ERROR_BYTES, "the run did not write it");
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Stores the run-th values of the metrics that the command printed; −1 after a message. */
static int printed_store(const struct series *s, int side, size_t run)
{
    const char *path = s->plan->metric_path;
    char err[JSON_ERROR_BYTES];
    struct json_doc *doc = NULL;
    int fd = path ? metric_file_open(path, err) : s->out_fd;
    int status;

    if (!path)
        lseek(fd, 0, SEEK_SET);
    if (fd >= 0)
        doc = json_doc_read(fd, err);
    status = doc ? 0 : -1;
    for (size_t i = BENCH_MEASURE_COUNT; status == 0 && i < s->b->metric_count; i++) {
        struct bench_metric *m = &s->b->metric[i];
        status = json_number_at(doc, m->key, &m->v[side][run], err);
    }
    json_doc_free(doc);
    if (path && fd >= 0)
        close(fd);
    if (status != 0)
        bench_refuse(0, "%s, run %zu: %s: %s", s->b->side[side].name, run + 1,
                     path ? path : "stdout", err);
    return status;
}

static int prepare_run(const struct series *s, const char *before, size_t number)
{
    struct bench_run run;
    char status[64], command[BENCH_COMMAND_COLUMNS + 1];

    if (!capture_reset(s->err_fd) ||
        bench_run(s->plan->prepare, -1, s->err_fd, s->plan->timeout_ns, &run) != 0)
        return bench_refuse(-1, "cannot run --prepare: %s", strerror(errno));
    if (run.status == 0)
        return 0;
    bench_refuse(0, "--prepare, before %s %zu: %s: %s", before, number,
                 bench_status_text(run.status, status),
                 text_escape(command, sizeof command, s->plan->prepare, BENCH_COMMAND_COLUMNS));
    stderr_tail_print(s->err_fd);
    return -1;
}

/* Runs the preparation and then the command; −1 after a message. `what` is "run" or "warm-up". */
static int command_run(const struct series *s, int side, const char *what, size_t number,
                       struct bench_run *run)
{
    const struct bench_plan *plan = s->plan;
    struct bench_side *c = &s->b->side[side];
    char command[BENCH_COMMAND_COLUMNS + 1], text[64];
    int out_fd = bench_prints_metrics(s->b) && !plan->metric_path ? s->out_fd : -1;

    text_escape(command, sizeof command, c->command, BENCH_COMMAND_COLUMNS);
    if (plan->prepare && prepare_run(s, what, number) != 0)
        return -1;
    if (plan->metric_path)
        metric_file_age(plan->metric_path);
    if (!capture_reset(s->err_fd) || !capture_reset(s->out_fd) ||
        bench_run(c->command, out_fd, s->err_fd, plan->timeout_ns, run) != 0)
        return bench_refuse(-1, "cannot run %s: %s", c->name, strerror(errno));
    if (run->timed_out)
        return bench_refuse(-1, "%s, %s %zu: still running after %s, killed: %s", c->name, what,
                            number, units_duration(text, (double)plan->timeout_ns), command);
    if (run->status == 0 || plan->ignore_failure)
        return 0;
    bench_refuse(0, "%s, %s %zu: %s: %s (--ignore-failure goes on)", c->name, what, number,
                 bench_status_text(run->status, text), command);
    stderr_tail_print(s->err_fd);
    return -1;
}

static int run_timed(const struct series *s, int side)
{
    struct bench_side *c = &s->b->side[side];
    struct bench_metric *m = s->b->metric;
    size_t i = c->runs;
    struct bench_run run;

    if (command_run(s, side, "run", i + 1, &run) != 0)
        return -1;
    if (run.status != 0) {
        c->failures++;
        c->status = run.status;
    }
    m[BENCH_WALL].v[side][i] = (double)run.wall_ns;
    m[BENCH_CPU].v[side][i] = (double)(run.user_ns + run.sys_ns);
    m[BENCH_USER].v[side][i] = (double)run.user_ns;
    m[BENCH_SYS].v[side][i] = (double)run.sys_ns;
    m[BENCH_MAX_RSS].v[side][i] = (double)run.max_rss_bytes;
    if (bench_prints_metrics(s->b) && printed_store(s, side, i) != 0)
        return -1;
    c->runs++;
    return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014): every seed gives a good sequence at once. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void progress_print(const struct bench *b, int first, size_t done, size_t of,
                           uint64_t elapsed_ns)
{
    char text[UNITS_BUF];

    if (!isatty(2))
        return;
    fprintf(stderr, CLEAR_LINE "%s %zu of %zu", b->paired ? "pair" : "run", done, of);
    for (int i = first; i < b->sides; i++) {
        double median_ns = stats_median(b->metric[BENCH_WALL].v[i], b->side[i].runs);
        fprintf(stderr, "   %.20s %s", b->side[i].name, units_duration(text, median_ns));
    }
    if (done < of)
        fprintf(stderr, "   %s left",
                units_duration(text, (double)elapsed_ns / (double)done * (double)(of - done)));
    else
        fprintf(stderr, CLEAR_LINE);
}

/* Runs of each command: as asked, or as many as fit into FILL_NS, judged by the first. */
static size_t runs_choose(const struct bench_plan *plan, uint64_t first_ns)
{
    uint64_t fit = FILL_NS / (first_ns + 1);

    if (plan->runs_wanted)
        return plan->runs_wanted;
    return fit < BENCH_RUNS_LEAST ? BENCH_RUNS_LEAST : fit > RUNS_MOST ? RUNS_MOST : fit;
}

static int all_run(const struct series *s, int first)
{
    struct bench *b = s->b;
    uint64_t random_state = b->seed, since;
    size_t runs = 1;
    struct bench_run ignored;

    for (size_t i = 0; i < b->warmup; i++)
        for (int side = first; side < b->sides; side++)
            if (command_run(s, side, "warm-up", i + 1, &ignored) != 0)
                return -1;
    since = now_ns();
    for (size_t i = 0; i < runs; i++) {
        int swap = b->paired ? (int)(random_next(&random_state) >> 63) : 0;

        b->b_first[i] = (uint8_t)swap;
        for (int turn = first; turn < b->sides; turn++)
            if (run_timed(s, turn ^ swap) != 0)
                return -1;
        if (i == 0)
            runs = runs_choose(s->plan, now_ns() - since);
        progress_print(b, first, i + 1, runs, now_ns() - since);
    }
    return 0;
}

int bench_series_run(struct bench *b, const struct bench_plan *plan)
{
    struct series s = {b, plan, memfd_create("stdout", MFD_CLOEXEC),
                       memfd_create("stderr", MFD_CLOEXEC)};
    uint64_t start = now_ns();
    int status = -1;

    if (s.out_fd < 0 || s.err_fd < 0)
        bench_refuse(0, "cannot create a file in memory: %s", strerror(errno));
    else
        status = all_run(&s, b->sides == 2 && !b->paired ? 1 : 0);
    b->elapsed_ns = now_ns() - start;
    if (s.out_fd >= 0)
        close(s.out_fd);
    if (s.err_fd >= 0)
        close(s.err_fd);
    return status;
}
