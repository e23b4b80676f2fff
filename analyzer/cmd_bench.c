/*
 * `perfshim bench`: compares two commands run in turn, or one command with a saved baseline.
 *
 * Runs of A and B alternate, in random order within each pair, so that what drifts on the machine
 * meets both; the pairs are then judged by rank (stats.h), so that one slow run decides nothing.
 */
#include "analyzer/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/bench.h"
#include "analyzer/bench_json.h"
#include "analyzer/json_read.h"
#include "analyzer/text.h"
#include "common/budget.h"
#include "common/opt.h"

#define GATE_P    0.01 /* --fail-if; 20 pairs of equal programs (CV 3 %) exceed 1.01: 0.4 % */
#define GATES_MAX 16

static struct bench bench; /* large: not for the stack */
static struct bench_plan plan;
static int any_machine; /* may a baseline be of */
static const char *save_path, *baseline_path, *json_path, *names, *gate_text, *color;

static int metric_add(const struct opt *opt, const char *key);

static const struct opt OPTIONS[] = {
    {.names = "r|runs",
     .type = OPT_UINT,
     .value = &plan.runs_wanted,
     .arg = "N",
     .min = 1,
     .max = BENCH_RUNS_MAX,
     .help = "timed runs of each command (default: 10, up to 50 while they fit into 3 s)"},
    {.names = "w|warmup",
     .type = OPT_UINT,
     .value = &bench.warmup,
     .arg = "N",
     .max = BENCH_RUNS_MAX,
     .help = "runs of each command before, not timed (default: 1)"},
    {.names = "p|prepare",
     .type = OPT_STRING,
     .value = &plan.prepare,
     .arg = "CMD",
     .help = "run this before every run, not timed"},
    {.names = "metric",
     .type = OPT_CALL,
     .call = metric_add,
     .arg = "PATH",
     .help = "also compare this number of the JSON that the command prints, e.g. latency_us.p99 "
             "(repeatable)"},
    {.names = "metric-file",
     .type = OPT_STRING,
     .value = &plan.metric_path,
     .arg = "F",
     .help = "the command writes that JSON to F, not to stdout"},
    {.names = "names",
     .type = OPT_STRING,
     .value = &names,
     .arg = "A,B",
     .help = "what to call the commands"},
    {.names = "save",
     .type = OPT_STRING,
     .value = &save_path,
     .arg = "F",
     .help = "save all runs to F"},
    {.names = "baseline",
     .type = OPT_STRING,
     .value = &baseline_path,
     .arg = "F",
     .help = "compare one command with the runs saved in F"},
    {.names = "any-machine",
     .type = OPT_FLAG,
     .value = &any_machine,
     .help = "take a baseline of another machine too (CPU, number of CPUs, kernel)"},
    {.names = "fail-if",
     .type = OPT_STRING,
     .value = &gate_text,
     .arg = "BUDGET",
     .help = "exit 1 if a ratio B/A meets one of these and p < 0.01, e.g. 'wall>1.03,max_rss>1.1'"},
    {.names = "json",
     .type = OPT_OPTIONAL,
     .value = &json_path,
     .arg = "F",
     .help = "print JSON instead of the table, or write it to F beside the table"},
    {.names = "color",
     .type = OPT_CHOICE,
     .value = &color,
     .help = "colour (auto: on a terminal, without NO_COLOR)",
     .choices = "auto|always|never"},
    {.names = "seed",
     .type = OPT_UINT,
     .value = &bench.seed,
     .arg = "N",
     .max = INT64_MAX,
     .help = "of the random order (default: 1)"},
    {.names = "timeout",
     .type = OPT_DURATION,
     .value = &plan.timeout_ns,
     .arg = "TIME",
     .min = 1,
     .help = "stop when a run takes longer"},
    {.names = "i|ignore-failure",
     .type = OPT_FLAG,
     .value = &plan.ignore_failure,
     .help = "go on when a command fails"},
    OPT_END,
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: " BENCH_PROG " [options] 'COMMAND A' ['COMMAND B']\n\n"
            "Runs two commands in turn and tells what B takes in units of A, with an interval; "
            "or measures\none command, alone or against a saved baseline. Commands run by "
            "sh -c.\n\n");
    opt_help(out, OPTIONS);
}

/* --- what to measure --- */

static struct bench_metric *metric_find(const char *name)
{
    for (size_t i = 0; i < bench.metric_count; i++)
        if (strcmp(bench.metric[i].key, name) == 0 || strcmp(bench.metric[i].label, name) == 0)
            return &bench.metric[i];
    return NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static int metric_add(const struct opt *opt, const char *key)
{
    struct bench_metric *m = &bench.metric[bench.metric_count];

    (void)opt;
    if (metric_find(key))
        return bench_refuse(-1, "--metric: '%s' is measured already", key);
    if (bench.metric_count == BENCH_METRICS_MAX)
        return bench_refuse(-1, "--metric: '%s' is one too many: at most %d", key,
                            BENCH_METRICS_MAX - BENCH_MEASURE_COUNT);
    if (!*key || strlen(key) >= sizeof((struct budget *)0)->name)
        return bench_refuse(-1, "--metric: '%s' is empty or too long", key);
    m->key = m->label = key;
    m->unit = ends_with(key, "_ns")      ? BENCH_NS
              : ends_with(key, "_bytes") ? BENCH_BYTES
                                         : BENCH_NUMBER;
    bench.metric_count++;
    return 0;
}

static void measures_add(void)
{
    static const struct {
        const char *key, *label;
        enum bench_unit unit;
    } measures[] = {
#define X(id, key, label, unit) {key, label, unit},
        BENCH_MEASURES(X)
#undef X
    };

    for (size_t i = 0; i < BENCH_MEASURE_COUNT; i++) {
        bench.metric[i].key = measures[i].key;
        bench.metric[i].label = measures[i].label;
        bench.metric[i].unit = measures[i].unit;
    }
    bench.metric_count = BENCH_MEASURE_COUNT;
}

static void ratios_compute(void)
{
    const size_t *a = &bench.side[0].runs, *b = &bench.side[1].runs;

    for (size_t i = 0; i < bench.metric_count; i++) {
        struct bench_metric *m = &bench.metric[i];
        if (bench.sides == 1)
            m->ratio = (struct stats_ratio){NAN, NAN, NAN, NAN};
        else if (bench.paired)
            m->ratio = stats_ratio_paired(m->v[0], m->v[1], *a);
        else
            m->ratio = stats_ratio_unpaired(m->v[0], *a, m->v[1], *b);
    }
}

/* --- gates --- */

static struct budget gate[GATES_MAX];
static int gate_count;

/* CMD_FINE, or CMD_USAGE after a message. */
static int gates_read(void)
{
    size_t n = plan.runs_wanted ? plan.runs_wanted : BENCH_RUNS_LEAST;
    char err[160];
    double least;

    if (!gate_text)
        return CMD_FINE;
    if (bench.sides == 1)
        return bench_refuse(CMD_USAGE, "--fail-if needs two commands, or --baseline");
    gate_count = budget_parse(gate_text, gate, GATES_MAX, err);
    if (gate_count < 0)
        return bench_refuse(CMD_USAGE, "--fail-if: %s", err);
    for (int i = 0; i < gate_count; i++)
        if (!metric_find(gate[i].name))
            return bench_refuse(CMD_USAGE,
                                "--fail-if: '%s' is not measured: wall, cpu, user, sys, "
                                "max_rss or a --metric",
                                gate[i].name);
    least = bench.paired ? stats_signed_rank_least(n) : stats_rank_sum_least(bench.side[0].runs, n);
    if (least >= GATE_P)
        return bench_refuse(
            CMD_USAGE, "--fail-if can never say no: p < %g takes more than %zu runs", GATE_P, n);
    return CMD_FINE;
}

static int gates_judge(void)
{
    int status = CMD_FINE;

    for (int i = 0; i < gate_count; i++) {
        const struct stats_ratio *r = &metric_find(gate[i].name)->ratio;
        if (r->p < GATE_P && budget_met(&gate[i], r->ratio))
            status = bench_refuse(CMD_NO, "--fail-if %s: B/A is %.4g (p = %.2g)", gate[i].text,
                                  r->ratio, r->p);
    }
    return status;
}

/* --- files --- */

/* Opened before the first run, so that hours of work are not lost to a misspelt path. */
static FILE *output_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!f)
        bench_refuse(0, "%s: %s", path, strerror(errno));
    return f;
}

/* Until here what the file held before is still there. 0, or −1 after a message. */
static int output_write(FILE *f, const char *path)
{
    struct stat st;
    int status = 0;

    if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode))
        status = ftruncate(fileno(f), 0);
    if (status == 0)
        status = bench_json_write(f, &bench);
    if (status != 0)
        bench_refuse(0, "%s: %s", path, strerror(errno));
    return status;
}

static int baseline_read(struct json_doc **doc)
{
    char err[JSON_ERROR_BYTES];
    int fd = open(baseline_path, O_RDONLY | O_CLOEXEC), status;

    if (fd < 0)
        return bench_refuse(-1, "%s: %s", baseline_path, strerror(errno));
    status = bench_json_read(fd, &bench, any_machine, doc, err);
    close(fd);
    if (status != 0)
        bench_refuse(0, "%s: %s", baseline_path, err);
    return status;
}

/* --- the verb --- */

static int names_set(int operands)
{
    static char split[128];
    char *comma;

    bench.side[0].name = "A";
    bench.side[1].name = "B";
    if (!names)
        return CMD_FINE;
    comma = strchr(names, ',');
    if (strlen(names) >= sizeof split || !*names || (comma != NULL) != (operands == 2) ||
        (comma && (comma == names || !comma[1] || strchr(comma + 1, ','))))
        return bench_refuse(CMD_USAGE, "--names: '%s' is not %s", names,
                            operands == 2 ? "two names A,B" : "one name");
    strcpy(split, names);
    bench.side[0].name = split;
    if (comma) {
        split[comma - names] = '\0';
        bench.side[1].name = split + (comma - names) + 1;
    }
    return CMD_FINE;
}

/* Everything that can be refused before the first run. */
static int plan_check(int operands, char **argv)
{
    if (operands == 0)
        return bench_refuse(CMD_USAGE, "no command given; " BENCH_PROG " --help");
    if (operands > 2)
        return bench_refuse(
            CMD_USAGE, "%d commands: at most two; quote each: 'COMMAND A' 'COMMAND B'", operands);
    if (baseline_path && operands == 2)
        return bench_refuse(CMD_USAGE, "--baseline is for one command");
    if (any_machine && !baseline_path)
        return bench_refuse(CMD_USAGE, "--any-machine needs --baseline");
    if (plan.metric_path && !bench_prints_metrics(&bench))
        return bench_refuse(CMD_USAGE, "--metric-file needs a --metric");
    for (int i = 0; i < operands; i++)
        bench.side[i].command = argv[1 + i];
    bench.sides = operands;
    bench.paired = operands == 2;
    text_color_choose(color, stdout);
    return names_set(operands);
}

/* The one command becomes B, the saved runs A. */
static int baseline_take(struct json_doc **doc)
{
    bench.side[1] = bench.side[0];
    bench.side[0] = (struct bench_side){0};
    if (!names)
        bench.side[1].name = "B";
    bench.sides = 2;
    return baseline_read(doc);
}

/* What --save keeps of a comparison with a baseline: the new runs alone. */
static void baseline_drop(void)
{
    bench.side[0] = bench.side[1];
    bench.side[1] = (struct bench_side){0};
    bench.sides = 1;
    if (!names)
        bench.side[0].name = "A";
    for (size_t i = 0; i < bench.metric_count; i++)
        memcpy(bench.metric[i].v[0], bench.metric[i].v[1], sizeof bench.metric[i].v[0]);
    ratios_compute();
}

static int bench_all(void)
{
    struct json_doc *baseline = NULL;
    FILE *save = NULL, *json = NULL;
    bool json_only = json_path && strcmp(json_path, "-") == 0;
    int status = CMD_INPUT;

    if (baseline_path && baseline_take(&baseline) != 0)
        goto done;
    status = gates_read();
    if (status != CMD_FINE)
        goto done;
    status = CMD_INPUT;
    if (save_path && !(save = output_open(save_path)))
        goto done;
    if (json_path && !json_only && !(json = output_open(json_path)))
        goto done;
    if (bench_series_run(&bench, &plan) != 0)
        goto done;
    ratios_compute();
    if (json_only)
        bench_json_write(stdout, &bench);
    else
        bench_print(stdout, &bench);
    if (cmd_finish(BENCH_PROG) != CMD_FINE || (json && output_write(json, json_path) != 0))
        goto done;
    status = gates_judge();
    if (save) {
        if (baseline_path)
            baseline_drop();
        if (output_write(save, save_path) != 0)
            status = CMD_INPUT;
    }
done:
    json_doc_free(baseline);
    if (save)
        fclose(save);
    if (json)
        fclose(json);
    return status;
}

int cmd_bench(int argc, char **argv)
{
    int operands, status;

    bench.warmup = 1;
    bench.seed = 1;
    measures_add();
    machine_read(&bench.machine);
    operands = opt_parse(BENCH_PROG, OPTIONS, 0, argc, argv);
    if (operands == OPT_HELP) {
        usage(stdout);
        return CMD_FINE;
    }
    if (operands < 0)
        return CMD_USAGE;
    status = plan_check(operands, argv);
    return status == CMD_FINE ? bench_all() : status;
}
