#include "store/bench/sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "store/bench/random.h"
#include "store/bench/run.h"

/* Of the sweep: a run forgets an interrupt that comes while it closes. */
static int interrupted;

void store_bench_sweep_interrupt(void)
{
    __atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
    store_bench_interrupt();
}

static const char *level_name(const struct bench_config *c)
{
    return c->by_rate ? "rate" : "threads";
}

/* Fewer operations begun than its rate asked for. A run whose operations all failed is not valid
 * either, but that is what its errors say. */
static int run_invalid(const struct bench_config *c, const struct sweep_run *run)
{
    return c->by_rate && !run->valid && !isnan(run->figures.latency_ns[0]);
}

static void run_tell(const struct bench_config *c, const struct sweep_run *run, size_t number)
{
    char rate[UNITS_BUF], p99[UNITS_BUF];
    double at = run->figures.latency_ns[figure_latency("p99")];
    fprintf(stderr,
            "sweep  %3zu of %" PRIu64 "  %s %*.7g  repeat %" PRIu64
            "  %9s ops/s  p99 %8s  errors %" PRIu64 "%s\n",
            number, c->level_count * c->repeats, level_name(c), c->by_rate ? 8 : 5, run->level,
            run->repeat, units_count(rate, run->figures.throughput), units_duration(p99, at),
            run->figures.errors, run_invalid(c, run) ? "  INVALID" : "");
}

static int by_level(const void *a, const void *b)
{
    const struct sweep_run *x = a, *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    return (x->repeat > y->repeat) - (x->repeat < y->repeat);
}

int store_bench_sweep(const struct bench_config *c, struct sweep_result *r)
{
    struct bench_config one = *c; /* a run's: its own lines a second would drown ours */
    unsigned order[LEVELS_MAX];
    struct rng rng;
    one.live = 0;
    one.verb = VERB_RUN;
    *r = (struct sweep_result){.runs = calloc(c->level_count * c->repeats, sizeof *r->runs),
                               .end = RUN_COMPLETE};
    if (!r->runs) {
        fprintf(stderr, "store_bench: cannot keep results: out of memory\n");
        return -1;
    }
    rng_init(&rng, c->seed, ORDER_STREAM);
    for (uint64_t repeat = 1; repeat <= c->repeats && r->end == RUN_COMPLETE; repeat++) {
        order_draw(&rng, order, c->level_count);
        for (unsigned i = 0; i < c->level_count && r->end == RUN_COMPLETE; i++) {
            struct sweep_run *run = &r->runs[r->count];
            struct bench_result result;
            run->level = c->levels[order[i]];
            if (c->by_rate)
                one.rate = run->level;
            else
                one.threads = (uint64_t)run->level;
            run->repeat = repeat;
            one.seed = c->seed + repeat - 1; /* or repeats would all have the same luck */
            int error = store_bench_run(&one, &result);
            if (!error && result.close_error != ENGINE_OK) {
                fprintf(stderr, "store_bench: the last writes are not synced: %s\n",
                        result.close_trouble.text);
                error = result.close_trouble.disk ? -2 : -1;
                bench_result_release(&result);
            }
            if (error) {
                sweep_result_release(r);
                return error;
            }
            figures_take(&run->figures, &result);
            run->valid = bench_result_valid(&result);
            r->end = __atomic_load_n(&interrupted, __ATOMIC_RELAXED) ? RUN_INTERRUPTED : result.end;
            bench_result_release(&result);
            if (r->end != RUN_COMPLETE)
                break;
            r->count++;
            r->invalid += (size_t)run_invalid(c, run);
            if (c->live)
                run_tell(c, run, r->count);
        }
    }
    __atomic_store_n(&interrupted, 0, __ATOMIC_RELAXED);
    qsort(r->runs, r->count, sizeof *r->runs, by_level);
    return 0;
}

void sweep_result_release(struct sweep_result *r)
{
    free(r->runs);
    *r = (struct sweep_result){0};
}

/* --- the table --- */

static size_t invalid_count(const struct bench_config *c, const struct sweep_run *runs, size_t n)
{
    size_t invalid = 0;
    for (size_t i = 0; i < n; i++)
        invalid += (size_t)run_invalid(c, &runs[i]);
    return invalid;
}

static void level_row(FILE *out, const struct bench_config *c, const struct sweep_run *runs,
                      size_t n, double *room)
{
    char text[UNITS_BUF], spread[UNITS_BUF] = "-";
    uint64_t errors = 0;
    for (size_t i = 0; i < n; i++) {
        room[i] = runs[i].figures.throughput;
        errors += runs[i].figures.errors;
    }
    double middle = median(room, n);
    if (n > 1 && middle > 0)
        snprintf(spread, sizeof spread, "%.1f%%", (room[n - 1] - room[0]) / middle * 100);
    size_t invalid = invalid_count(c, runs, n);
    fprintf(out, "%7.7g %7zu %9s %7s", runs->level, n, units_count(text, middle), spread);
    for (unsigned k = 0; k < FIGURE_LATENCIES; k++) {
        size_t measured = 0;
        for (size_t i = 0; i < n; i++)
            if (!isnan(runs[i].figures.latency_ns[k]))
                room[measured++] = runs[i].figures.latency_ns[k];
        fprintf(out, " %8s", units_duration(text, median(room, measured)));
    }
    if (errors)
        fprintf(out, "  errors %" PRIu64, errors);
    if (invalid) /* not the load that was asked for */
        fprintf(out, "  INVALID %zu of %zu", invalid, n);
    fputc('\n', out);
}

void sweep_table(FILE *out, const struct bench_config *c, const struct sweep_result *r)
{
    double room[REPEATS_MAX], highest = 0;
    char engine[80], load[64] = "";
    if (c->by_rate)
        snprintf(load, sizeof load, "%" PRIu64 " thread%s, %s, ", c->threads,
                 c->threads == 1 ? "" : "s", c->arrivals);
    fprintf(out, "store_bench sweep  %s, %.4g%% gets, %s%s, %zu of %" PRIu64 " runs%s\n",
            c->workload, c->read_ratio * 100, load, report_engine(engine, c), r->count,
            c->level_count * c->repeats,
            r->end == RUN_INTERRUPTED       ? "  INTERRUPTED: a partial result"
            : r->end == RUN_TOO_MANY_ERRORS ? "  ENDED by --max-errors: a partial result"
                                            : "");
    report_data(out, c);
    fputs("; medians of the repeats\n\n", out);
    fprintf(out, "%7s %7s %9s %7s", level_name(c), "repeats", "ops/s", "spread");
    for (unsigned k = 0; k < FIGURE_LATENCIES; k++)
        fprintf(out, " %8s", figure_latency_name(k));
    fputc('\n', out);
    for (size_t i = 0, n; i < r->count; i += n) {
        int valid = r->runs[i].valid;
        for (n = 1; i + n < r->count && r->runs[i + n].level == r->runs[i].level; n++)
            valid &= r->runs[i + n].valid;
        level_row(out, c, &r->runs[i], n, room);
        highest = valid ? r->runs[i].level : highest;
    }
    if (!c->by_rate)
        fprintf(out,
                "\nNext: store_bench sweep --json=F and perfshim plan --from F --target OPS\n");
    else if (highest > 0)
        fprintf(out, "\nThe highest rate at which every run is valid: %.7g ops/s\n", highest);
    else
        fprintf(out, "\nAt none of the rates every run is valid\n");
}
