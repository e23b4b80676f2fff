#include "store/bench/live.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "shim/perfshim.h"
#include "store/bench/system.h"

enum { LINES_A_HEAD = 20, REST_NS = 100000000 };

/* What has to be known of a moment. */
struct moment {
    uint64_t time_ns, cpu_ns, written_bytes, errors;
    uint64_t allocs; /* by the profiler */
    int is_profiled;
    struct engine_statistics engine;
    struct histogram latency; /* of the phase so far */
};

struct live {
    FILE *text, *json;
    const struct worker *workers;
    unsigned count;
    uint64_t keys;
    const char *phase;
    uint64_t begin_ns;
    unsigned lines;          /* of text, since the phase began */
    struct moment last, now; /* at the last line */
    struct histogram second;
};

struct live *live_new(FILE *text, FILE *json, const struct worker *workers, unsigned count,
                      uint64_t keys)
{
    struct live *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->text = text;
    l->json = json;
    l->workers = workers;
    l->count = count;
    l->keys = keys;
    return l;
}

void live_free(struct live *l)
{
    free(l);
}

static const struct worker_shared *shared(const struct live *l)
{
    return l->workers[0].shared;
}

static void moment_take(struct live *l, struct moment *m)
{
    m->time_ns = system_now_ns();
    m->cpu_ns = system_cpu_ns();
    m->written_bytes = system_written_bytes();
    uint64_t bytes;
    m->is_profiled = perfshim_allocations(&m->allocs, &bytes);
    m->errors = 0;
    shared(l)->engine->statistics(shared(l)->self, &m->engine);
    histogram_clear(&m->latency);
    for (unsigned i = 0; i < l->count; i++)
        for (int k = 0; k < OP_KINDS; k++) {
            const struct op_result *op = &l->workers[i].op[k];
            if (op->latency)
                histogram_add(&m->latency, op->latency);
            for (int e = 0; e < ERROR_CLASS_COUNT; e++)
                m->errors += __atomic_load_n(&op->errors[e], __ATOMIC_RELAXED);
        }
}

void live_begin(struct live *l, const char *name)
{
    if (!l)
        return;
    l->phase = name;
    l->lines = 0;
    moment_take(l, &l->last); /* the workers have been reset */
    l->begin_ns = l->last.time_ns;
}

static void load_line(const struct live *l, struct live_line *line)
{
    line->is_load = 1;
    line->keys = l->keys;
    for (unsigned i = 0; i < l->count; i++)
        line->loaded += __atomic_load_n(&l->workers[i].loaded, __ATOMIC_RELAXED);
}

static void operation_line(struct live *l, struct live_line *line)
{
    const struct moment *now = &l->now, *last = &l->last;
    double interval_ns = (double)(now->time_ns - last->time_ns);
    l->second = now->latency;
    histogram_subtract(&l->second, &last->latency);
    line->latency = &l->second;
    line->errors = now->errors - last->errors;
    line->ops = l->second.count + line->errors;
    line->average = (double)now->latency.count / line->time_s;
    line->cpu_percent = (double)(now->cpu_ns - last->cpu_ns) / interval_ns * 100;
    line->rss_bytes = system_rss_bytes();
    line->written_rate =
        now->written_bytes == UINT64_MAX
            ? NAN
            : (double)(now->written_bytes - last->written_bytes) / line->interval_s;
    line->profiled_allocs =
        now->is_profiled && last->is_profiled ? (double)(now->allocs - last->allocs) : NAN;
    line->is_open = shared(l)->arrivals != NULL;
    if (line->is_open)
        line->lag_ns = arrivals_lag_ns(shared(l)->arrivals, now->time_ns);
}

static void text_head(FILE *out, const struct live_line *line)
{
    fprintf(out, "%-7s %4s %7s %7s %7s %7s %7s %7s %6s %5s %8s %8s%s%s\n", "phase", "s", "ops/s",
            "average", "p50", "p99", "p999", "max", "errors", "cpu", "rss", "write/s",
            line->is_open ? "     lag" : "", isnan(line->profiled_allocs) ? "" : " allocs/op");
}

static void text_line(struct live *l, const struct live_line *line)
{
    char t[8][UNITS_BUF];
    const struct histogram *h = line->latency;
    if (line->is_load) {
        fprintf(l->text, "%-7s %" PRIu64 " of %" PRIu64 " keys\n", line->phase, line->loaded,
                line->keys);
        return;
    }
    if (l->lines++ % LINES_A_HEAD == 0)
        text_head(l->text, line);
    fprintf(l->text, "%-7s %4.0f %7s %7s %7s %7s %7s %7s %6" PRIu64 " %4.0f%% %8s %8s", line->phase,
            line->time_s, units_count(t[0], (double)h->count / line->interval_s),
            units_count(t[1], line->average),
            units_duration(t[2], (double)histogram_percentile(h, 50)),
            units_duration(t[3], (double)histogram_percentile(h, 99)),
            units_duration(t[4], (double)histogram_percentile(h, 99.9)),
            units_duration(t[5], (double)h->max), line->errors, line->cpu_percent,
            units_size(t[6], (double)line->rss_bytes), units_size(t[7], line->written_rate));
    if (line->is_open)
        fprintf(l->text, " %7s", units_duration(t[0], (double)line->lag_ns));
    if (!isnan(line->profiled_allocs))
        fprintf(l->text, " %9.2f", line->ops ? line->profiled_allocs / (double)line->ops : 0);
    fputc('\n', l->text);
}

static void line_print(struct live *l, FILE *text)
{
    moment_take(l, &l->now);
    struct engine_statistics since = l->now.engine;
    engine_statistics_subtract(&since, &l->last.engine);
    struct live_line line = {.phase = l->phase,
                             .time_s = (double)(l->now.time_ns - l->begin_ns) / 1e9,
                             .interval_s = (double)(l->now.time_ns - l->last.time_ns) / 1e9,
                             .measured = &since};
    if (strcmp(l->phase, "load") == 0)
        load_line(l, &line);
    else
        operation_line(l, &line);
    if (text)
        text_line(l, &line);
    if (l->json)
        live_json(l->json, &line);
    l->last = l->now;
}

void live_tick(struct live *l)
{
    if (l)
        line_print(l, l->text);
}

void live_end(struct live *l)
{
    if (l)
        line_print(l, l->lines && system_now_ns() - l->last.time_ns > REST_NS ? l->text : NULL);
}
