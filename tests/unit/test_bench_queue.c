/* The load generator in virtual time, before a server of known speed: what it reports is computed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/bench/worker.h"

#define SECOND_NS 1000000000u
enum { THREADS_MAX = 64 };

/* The parts of a run, as run.c puts them together, but for threads: the worker whose time is the
   earliest makes the next step. */
struct load {
    struct virtual_clock clock;
    struct workload workload;
    struct worker_shared shared;
    struct worker workers[THREADS_MAX];
    struct arrivals arrivals;
    int stop;
    struct bench_result result;
};

static uint64_t load_seed = 1;

static struct load *load_run(const char *engine, unsigned threads, enum arrivals_kind kind,
                             double rate, uint64_t duration_ns, uint64_t ops)
{
    static struct load l;
    uint64_t times[THREADS_MAX] = {0}, done = 0, end = 0;
    struct engine_trouble trouble;
    struct engine_setup setup = {.clock = &l.clock.clock, .threads = threads, .seed = load_seed};
    memset(&l, 0, sizeof l);
    virtual_clock_init(&l.clock);
    l.shared = (struct worker_shared){.engine = engine_choose(engine),
                                      .workload = &l.workload,
                                      .clock = &l.clock.clock,
                                      .arrivals = rate > 0 ? &l.arrivals : NULL,
                                      .max_errors = UINT64_MAX,
                                      .stop = &l.stop};
    assert_non_null(l.shared.engine);
    assert_int_equal(l.shared.engine->open(&setup, &l.shared.self, &trouble), ENGINE_OK);
    struct workload_setup what = {.share = {0.5, 0.5}, .keys = 1000, .seed = load_seed};
    assert_int_equal(workload_init(&l.workload, &what), 0);
    assert_int_equal(bench_result_init(&l.result), 0);
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(worker_init(&l.workers[i], &l.shared, i, &trouble), 0);
    if (rate > 0) {
        arrivals_init(&l.arrivals, kind, rate, load_seed);
        arrivals_begin(&l.arrivals, 0, duration_ns, ops);
    }
    while (done < ops) {
        unsigned first = 0;
        for (unsigned i = 1; i < threads; i++)
            if (times[i] < times[first])
                first = i;
        if (times[first] >= duration_ns)
            break; /* as worker_operate does */
        l.clock.time_ns = times[first];
        if (!worker_step(&l.workers[first]))
            break;
        times[first] = l.clock.time_ns;
        done++;
    }
    for (unsigned i = 0; i < threads; i++) {
        struct worker *w = &l.workers[i];
        for (int k = OP_GET; k <= OP_PUT; k++)
            histogram_add(l.result.all.latency, w->op[k].latency);
        timing_add(&l.result.timing, &w->timing);
        end = w->end_ns > end ? w->end_ns : end;
    }
    l.result.is_open = rate > 0;
    if (rate > 0)
        arrivals_judge(&l.arrivals, &l.result.open, l.result.all.latency->count,
                       l.result.timing.last_start_ns, end);
    return &l;
}

static void load_release(struct load *l, unsigned threads)
{
    struct engine_statistics last;
    struct engine_trouble trouble;
    for (unsigned i = 0; i < threads; i++)
        worker_release(&l->workers[i]);
    assert_int_equal(l->shared.engine->close(l->shared.self, &last, &trouble), ENGINE_OK);
    assert_true(engine_statistic(&last, "gets") + engine_statistic(&last, "puts") ==
                (double)l->result.all.latency->count);
    if (l->shared.arrivals)
        arrivals_release(&l->arrivals);
    workload_release(&l->workload);
    bench_result_release(&l->result);
}

/* ---- M/M/c ---- */

static double erlang_c(unsigned c, double offered)
{
    double term = 1, sum = 1;
    for (unsigned k = 1; k < c; k++)
        sum += term *= offered / k;
    term *= offered / c;
    double last = term / (1 - offered / c);
    return last / (sum + last);
}

/* P(response > t), in units of the mean service. */
static double tail(unsigned c, double load, double t)
{
    double wait = erlang_c(c, load * c), theta = c * (1 - load);
    if (fabs(theta - 1) < 1e-9)
        return (1 - wait) * exp(-t) + wait * (1 + t) * exp(-t);
    return (1 - wait) * exp(-t) + wait * (theta * exp(-t) - exp(-theta * t)) / (theta - 1);
}

static double response_percentile(unsigned c, double load, double percent)
{
    double low = 0, high = 1000;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        *(tail(c, load, middle) > 1 - percent / 100 ? &low : &high) = middle;
    }
    return low;
}

static void the_formula_gives_the_golden_figures(void **state)
{
    const struct {
        unsigned c;
        double load, p99;
    } golden[] = {{1, .7, 15.35}, {1, .8, 23.03}, {1, .9, 46.05}, {2, .7, 8.27}, {2, .8, 11.94},
                  {2, .9, 23.34}, {4, .7, 5.49},  {4, .8, 6.89},  {4, .9, 12.19}};
    (void)state;
    for (int i = 0; i < 9; i++)
        assert_true(fabs(response_percentile(golden[i].c, golden[i].load, 99) - golden[i].p99) <
                    0.006);
}

/* 2 million jobs a point, service of 1 ms. As many threads as servers: jobs wait for a thread; and
   more: they wait in the engine. The response is the same. */
static void an_open_loop_before_c_servers_is_mmc(void **state)
{
    const double loads[] = {.5, .7, .8}, percents[] = {50, 90, 99};
    (void)state;
    for (unsigned c = 1; c <= 4; c *= 2)
        for (int i = 0; i < 3; i++) {
            char engine[64];
            unsigned threads = i == 1 ? 2 * c : c;
            load_seed++; /* another sample */
            snprintf(engine, sizeof engine, "sim:servers=%u,mean=1ms", c);
            struct load *l = load_run(engine, threads, ARRIVALS_POISSON, loads[i] * c * 1000,
                                      UINT64_MAX, 2000000);
            assert_int_equal(l->result.all.latency->count, 2000000);
            assert_true(bench_result_valid(&l->result));
            for (int p = 0; p < 3; p++) {
                double want = response_percentile(c, loads[i], percents[p]) * 1e6,
                       seen = (double)histogram_percentile(l->result.all.latency, percents[p]);
                print_message("# c=%u load %.1f p%.0f: %.3f ms, computed %.3f, %+.2f%%\n", c,
                              loads[i], percents[p], seen / 1e6, want / 1e6,
                              (seen / want - 1) * 100);
                assert_true(fabs(seen / want - 1) < 0.03);
            }
            double parts =
                histogram_mean(l->result.timing.wait) + histogram_mean(l->result.timing.service);
            assert_true(fabs(parts / histogram_mean(l->result.all.latency) - 1) < 1e-9);
            load_release(l, threads);
        }
}

/* ---- one stall ---- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double service_p99(const struct load *l)
{
    return (double)histogram_percentile(l->result.timing.service, 99);
}

/* 1000 operations a second for 60 s, each taking 0.5 ms, one stall of 1.4 s after 20 s. */
static void a_stall_is_in_the_response_and_not_in_the_service_times(void **state)
{
    enum { n = 60000 };
    static double response[n];
    double free_ms = 0, sum = 0;
    (void)state;
    for (int i = 0; i < n; i++) {
        double start = i > free_ms ? i : free_ms;
        free_ms = start + 0.5 + (i == 20000 ? 1400 : 0);
        response[i] = free_ms - i;
        sum += response[i];
    }
    qsort(response, n, sizeof response[0], by_number);
    struct load *l = load_run("sim:mean=500us,dist=fixed", 1, ARRIVALS_UNIFORM, 1000,
                              60ull * SECOND_NS, UINT64_MAX);
    double calm = service_p99(l);
    assert_int_equal(l->result.timing.max_lag_ns, 0);
    assert_int_equal(l->result.timing.late, 0);
    load_release(l, 1);
    l = load_run("sim:mean=500us,dist=fixed,stall=1400ms,stall-after=20000", 1, ARRIVALS_UNIFORM,
                 1000, 60ull * SECOND_NS, UINT64_MAX);
    const struct histogram *h = l->result.all.latency;
    assert_int_equal(h->count, n);
    assert_true(fabs((double)histogram_percentile(h, 99) / 1e6 / response[n * 99 / 100 - 1] - 1) <
                0.002);
    assert_true(fabs((double)h->max / 1e6 / response[n - 1] - 1) < 0.002);
    assert_true(fabs(histogram_mean(h) / 1e6 / (sum / n) - 1) < 0.002);
    assert_true(service_p99(l) < calm * 2);
    assert_true(histogram_percentile(h, 99) > 1000 * calm); /* 0.8 s against 0.5 ms */
    assert_int_equal(l->result.timing.max_lag_ns, 1399500000);
    assert_true(bench_result_valid(&l->result));
    load_release(l, 1);
    /* the same by a closed loop, which does not see it */
    l = load_run("sim:mean=500us,dist=fixed,stall=1400ms,stall-after=20000", 1, 0, 0,
                 60ull * SECOND_NS, UINT64_MAX);
    assert_true((double)histogram_percentile(l->result.all.latency, 99) < calm * 2);
    assert_null(l->workers[0].timing.wait);
    load_release(l, 1);
}

/* ---- offered and achieved ---- */

/* 1000 a second asked for, 100 done: at 0, 10, … 90 ms. */
static void a_server_too_slow_makes_the_run_invalid(void **state)
{
    (void)state;
    struct load *l =
        load_run("sim:mean=10ms,dist=fixed", 1, ARRIVALS_UNIFORM, 1000, 100000000, UINT64_MAX);
    struct bench_result *r = &l->result;
    assert_int_equal(r->all.latency->count, 10);
    assert_int_equal(r->open.dropped, 90);
    assert_true(fabs(r->open.offered - 1000) < 1e-6 && fabs(r->open.achieved - 100) < 1e-6);
    assert_int_equal(r->timing.late, 9);              /* not the first */
    assert_int_equal(r->timing.max_lag_ns, 81000000); /* due at 9 ms, begun at 90 */
    assert_true(bench_result_measured(r) && !bench_result_valid(r));
    load_release(l, 1);
    /* to the end of its operations: nothing is dropped, but it takes ten times as long */
    l = load_run("sim:mean=10ms,dist=fixed", 1, ARRIVALS_UNIFORM, 1000, UINT64_MAX, 100);
    assert_int_equal(r->open.dropped, 0);
    assert_true(fabs(r->open.offered - 1000) < 1e-6);
    assert_true(fabs(r->open.achieved - 100 / 0.991) < 1e-6);
    assert_false(bench_result_valid(r));
    load_release(l, 1);
}

static void less_than_99_percent_is_invalid(void **state)
{
    struct bench_result r = {.is_open = 1};
    (void)state;
    assert_int_equal(bench_result_init(&r), 0);
    assert_false(bench_result_measured(&r));
    histogram_record(r.all.latency, 1);
    assert_true(bench_result_valid(&r)); /* a closed loop is what it is */
    r.is_open = 1;
    r.open = (struct open_result){.offered = 1000, .achieved = 990};
    assert_true(bench_result_valid(&r));
    r.open.achieved = 989.9;
    assert_false(bench_result_valid(&r));
    bench_result_release(&r);
}

/* ---- the schedule ---- */

static void uniform_starts_are_exact_to_the_nanosecond(void **state)
{
    struct arrivals a;
    uint64_t start;
    (void)state;
    arrivals_init(&a, ARRIVALS_UNIFORM, 3, 1);
    arrivals_begin(&a, 1000, UINT64_MAX, 1000001);
    for (uint64_t i = 0; i <= 1000000; i++) {
        assert_int_equal(arrivals_take(&a, &start), 1);
        assert_in_range(start, 1000 + i * SECOND_NS / 3 - (i > 0), 1000 + i * SECOND_NS / 3 + 1);
    }
    assert_int_equal(arrivals_take(&a, &start), 0);
    arrivals_release(&a);
}

static void poisson_starts_are_as_many_as_asked_and_memoryless(void **state)
{
    enum { n = 1000000 };
    struct arrivals a;
    uint64_t start, last = 0, again = 0;
    double longer = 0;
    (void)state;
    arrivals_init(&a, ARRIVALS_POISSON, 1000, 5);
    arrivals_begin(&a, 0, UINT64_MAX, n);
    while (arrivals_take(&a, &start)) {
        longer += start - last > 3000000; /* three mean intervals */
        again += last && start < last;
        last = start;
    }
    assert_int_equal(a.taken, n);
    assert_int_equal(again, 0);
    assert_true(fabs((double)last / 1e6 / n - 1) < 5 / sqrt(n));
    assert_true(fabs(longer - n * exp(-3)) < 5 * sqrt(n * exp(-3)));
    arrivals_release(&a);
}

static void a_seed_repeats_the_schedule_exactly(void **state)
{
    uint64_t starts[3][100];
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        struct arrivals a;
        arrivals_init(&a, ARRIVALS_POISSON, 1000, i / 2);
        arrivals_begin(&a, 0, UINT64_MAX, 100);
        for (int k = 0; k < 100; k++)
            arrivals_take(&a, &starts[i][k]);
        arrivals_release(&a);
    }
    assert_memory_equal(starts[0], starts[1], sizeof starts[0]);
    assert_memory_not_equal(starts[0], starts[2], sizeof starts[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_formula_gives_the_golden_figures),
        cmocka_unit_test(an_open_loop_before_c_servers_is_mmc),
        cmocka_unit_test(a_stall_is_in_the_response_and_not_in_the_service_times),
        cmocka_unit_test(a_server_too_slow_makes_the_run_invalid),
        cmocka_unit_test(less_than_99_percent_is_invalid),
        cmocka_unit_test(uniform_starts_are_exact_to_the_nanosecond),
        cmocka_unit_test(poisson_starts_are_as_many_as_asked_and_memoryless),
        cmocka_unit_test(a_seed_repeats_the_schedule_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
