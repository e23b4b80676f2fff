#include "store/bench/live.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "store/bench/system.h"

struct live {
    FILE *out;
    const struct worker *workers;
    unsigned count;
    uint64_t keys;
    const char *phase;
    uint64_t begin_ns;
    uint64_t last_ns, last_cpu_ns, last_errors; /* at the last line */
    struct histogram sum, last, second;
};

struct live *live_new(FILE *out, const struct worker *workers, unsigned count, uint64_t keys)
{
    struct live *l = calloc(1, sizeof *l);
    if (l)
        *l = (struct live){.out = out, .workers = workers, .count = count, .keys = keys};
    return l;
}

void live_free(struct live *l)
{
    free(l);
}

void live_begin(struct live *l, const char *name)
{
    if (!l)
        return;
    l->phase = name;
    l->begin_ns = l->last_ns = system_now_ns();
    l->last_cpu_ns = system_cpu_ns();
    l->last_errors = 0;
    histogram_clear(&l->last);
}

static void load_tick(struct live *l)
{
    uint64_t loaded = 0;
    for (unsigned i = 0; i < l->count; i++)
        loaded += __atomic_load_n(&l->workers[i].loaded, __ATOMIC_RELAXED);
    fprintf(l->out, "%-7s %" PRIu64 " of %" PRIu64 " keys\n", l->phase, loaded, l->keys);
}

void live_tick(struct live *l)
{
    char rate[UNITS_BUF], p99[UNITS_BUF], rss[UNITS_BUF];
    if (!l)
        return;
    if (strcmp(l->phase, "load") == 0) {
        load_tick(l);
        return;
    }
    uint64_t now = system_now_ns(), cpu = system_cpu_ns(), errors = 0;
    double seconds = (double)(now - l->last_ns) / 1e9;
    histogram_clear(&l->sum);
    for (unsigned i = 0; i < l->count; i++)
        for (int k = 0; k < OP_KINDS; k++) {
            const struct op_result *op = &l->workers[i].op[k];
            histogram_add(&l->sum, op->latency);
            for (int e = 0; e < ERROR_CLASS_COUNT; e++)
                errors += __atomic_load_n(&op->errors[e], __ATOMIC_RELAXED);
        }
    l->second = l->sum;
    histogram_subtract(&l->second, &l->last);
    l->last = l->sum;
    fprintf(l->out, "%-7s %3.0f s  %9s ops/s  p99 %8s  errors %" PRIu64 "  cpu %3.0f%%  rss %s\n",
            l->phase, (double)(now - l->begin_ns) / 1e9,
            units_count(rate, (double)l->second.count / seconds),
            units_duration(p99, (double)histogram_percentile(&l->second, 99)),
            errors - l->last_errors,
            (double)(cpu - l->last_cpu_ns) / (double)(now - l->last_ns) * 100,
            units_size(rss, (double)system_rss_bytes()));
    l->last_ns = now;
    l->last_cpu_ns = cpu;
    l->last_errors = errors;
}
