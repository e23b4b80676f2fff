/* store_bench: the command. Exit status 0 fine, 1 a requirement is not met, 2 wrong use,
 * 3 the log cannot be used. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "store/bench/benchmark.h"
#include "store/bench/compare.h"
#include "store/bench/config.h"
#include "store/bench/report.h"
#include "store/bench/run.h"
#include "store/bench/sweep.h"

enum { EXIT_UNMET = 1, EXIT_USE = 2, EXIT_LOG = 3 };

static volatile sig_atomic_t signal_seen;

static void on_signal(int number)
{
    signal_seen = number;
    store_bench_sweep_interrupt(); /* of a run alone, too */
    store_bench_compare_interrupt();
    store_bench_benchmark_interrupt();
}

/* The first one ends the run with a report, a second one ends the process. */
static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is an error to count, not our end */
}

static int cannot_write(const char *name)
{
    fprintf(stderr, "store_bench: cannot write %s: %s\n", name, strerror(errno));
    return EXIT_USE;
}

/* The last thing before the end: what is still in the buffer must go out too. */
static int finish(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return cannot_write("standard output");
    return status;
}

static int too_many_errors(const struct bench_config *c)
{
    fprintf(stderr, "store_bench: ended at more than %llu errors (--max-errors)\n",
            (unsigned long long)c->max_errors);
    return EXIT_UNMET;
}

static int results_show(const struct bench_config *c, const struct bench_result *r, FILE *json)
{
    int status = 0;
    if (json == stdout)
        report_json(stdout, c, r); /* finish() tells whether it went out */
    else
        report_table(stdout, c, r);
    if (json && json != stdout && (report_json(json, c, r) | fclose(json)) != 0)
        status = cannot_write(c->json);
    if (r->live_lost) {
        fprintf(stderr, "store_bench: not all lines could be written to %s\n", c->live_json);
        status = EXIT_USE;
    }
    if (report_requirements("", c, r) > 0 && !status)
        status = EXIT_UNMET;
    if (bench_result_measured(r) && !bench_result_valid(r)) {
        fprintf(stderr,
                "store_bench: invalid: %.6g operations a second were to begin, %.6g began\n",
                r->open.offered, r->open.achieved);
        status = status ? status : EXIT_UNMET;
    }
    if (r->end == RUN_TOO_MANY_ERRORS) {
        int unmet = too_many_errors(c);
        if (!status)
            status = unmet;
    }
    if (r->close_error != ENGINE_OK) {
        fprintf(stderr, "store_bench: the last writes are not synced: %s\n", r->close_trouble.text);
        status = r->close_trouble.disk ? EXIT_LOG : EXIT_USE;
    }
    return status;
}

static int sweep(const struct bench_config *c, FILE *json)
{
    struct sweep_result result;
    int status = 0;
    int error = store_bench_sweep(c, &result);
    if (error) {
        if (json && json != stdout)
            fclose(json);
        return error == -2 ? EXIT_LOG : EXIT_USE;
    }
    if (json == stdout)
        sweep_json(stdout, c, &result);
    else
        sweep_table(stdout, c, &result);
    if (json && json != stdout && (sweep_json(json, c, &result) | fclose(json)) != 0)
        status = cannot_write(c->json);
    if (result.end == RUN_TOO_MANY_ERRORS) {
        int unmet = too_many_errors(c);
        status = status ? status : unmet;
    }
    if (result.invalid) {
        fprintf(stderr,
                "store_bench: invalid: %zu of %zu runs began less than 99%% of their rate\n",
                result.invalid, result.count);
        status = status ? status : EXIT_UNMET;
    }
    int measured = result.count > 0;
    sweep_result_release(&result);
    if (signal_seen && !measured) {
        finish(status);
        raise(signal_seen);
    }
    return finish(status);
}

static int compare(const struct bench_config *c, FILE *json)
{
    struct compare_result result;
    int status = 0;
    if (store_bench_compare(c, &result) != 0) {
        if (json && json != stdout)
            fclose(json);
        return EXIT_USE;
    }
    if (json == stdout)
        compare_json(stdout, c, &result);
    else
        compare_table(stdout, c, &result);
    if (json && json != stdout && (compare_json(json, c, &result) | fclose(json)) != 0)
        status = cannot_write(c->json);
    if (result.error)
        status = result.error == -2 ? EXIT_LOG : result.error == 1 ? EXIT_UNMET : EXIT_USE;
    int measured = result.count > 0;
    compare_result_release(&result);
    if (signal_seen && !measured) {
        finish(status);
        raise(signal_seen);
    }
    return finish(status);
}

static int benchmark(const struct bench_config *c)
{
    int error = store_bench_benchmark(stdout, c);
    int status = finish(error == -2 ? EXIT_LOG : error ? EXIT_USE : 0);
    if (signal_seen)
        raise(signal_seen);
    return status;
}

static int run(const struct bench_config *c)
{
    struct bench_result result;
    FILE *json = NULL;
    if (c->json) /* before the run: it would be a pity to find out after it */
        json = strcmp(c->json, "-") == 0 ? stdout : fopen(c->json, "w");
    if (c->json && !json)
        return cannot_write(c->json);
    signals_catch();
    if (c->verb == VERB_SWEEP)
        return sweep(c, json);
    if (c->verb == VERB_COMPARE)
        return compare(c, json);
    if (c->verb == VERB_BENCHMARK)
        return benchmark(c);
    int error = store_bench_run(c, &result);
    if (error) {
        if (json && json != stdout)
            fclose(json);
        return error == -2 ? EXIT_LOG : EXIT_USE;
    }
    int status = results_show(c, &result, json);
    int measured = bench_result_measured(&result);
    bench_result_release(&result);
    if (signal_seen && !measured) { /* ended before it measured anything: to the caller, killed */
        finish(status);
        raise(signal_seen);
    }
    return finish(status);
}

int main(int argc, char **argv)
{
    /* glibc never frees a buffer of its own: to a profiler that is a leak of ours */
    static char out[8192];
    struct bench_config config;
    setvbuf(stdout, out, _IOFBF, sizeof out);
    switch (args_parse(&config, argc, argv)) {
    case ARGS_ERROR:
        return EXIT_USE;
    case ARGS_HELP:
        args_help();
        return finish(0);
    case ARGS_VERSION:
        printf("store_bench %s\n", PERFSHIM_VERSION);
        return finish(0);
    case ARGS_RUN:
        break;
    }
    return run(&config);
}
