#include "analyzer/json_bench.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* Counts and nanoseconds are integers in JSON; what is not measured is null. */
static json_t *number(double v)
{
    if (!isfinite(v))
        return json_null();
    return fabs(v) < 9e15 && v == floor(v) ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *runs_json(const struct bench_metric *m, int side, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, number(m->v[side][i]));
    return list;
}

static json_t *metric_json(const struct bench *b, const struct bench_metric *m)
{
    static const char *const units[] = {
        [BENCH_NUMBER] = "", [BENCH_NS] = "ns", [BENCH_BYTES] = "bytes"};
    size_t n[2] = {b->side[0].runs, b->side[1].runs};

    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "unit", units[m->unit],
                     "a", runs_json(m, 0, n[0]), "b", runs_json(m, 1, n[1]), "median_a",
                     number(stats_median(m->v[0], n[0])), "median_b",
                     number(stats_median(m->v[1], n[1])), "ratio", number(m->ratio.ratio), "ci_low",
                     number(m->ratio.low), "ci_high", number(m->ratio.high), "p",
                     number(m->ratio.p), "n", (json_int_t)n[b->sides - 1]);
}

static json_t *bench_json(const struct bench *b)
{
    json_t *commands = json_array(), *order = json_array(), *metrics = json_object();

    for (int i = 0; i < b->sides; i++)
        json_array_append_new(commands,
                              json_pack("{s:s, s:s, s:I, s:I}", "name", b->side[i].name, "command",
                                        b->side[i].command, "runs", (json_int_t)b->side[i].runs,
                                        "failures", (json_int_t)b->side[i].failures));
    for (size_t i = 0; b->paired && i < b->side[0].runs; i++)
        json_array_append_new(order, json_string(b->b_first[i] ? "BA" : "AB"));
    for (size_t i = 0; i < b->metric_count; i++)
        json_object_set_new(metrics, b->metric[i].key, metric_json(b, &b->metric[i]));
    return json_pack("{s:s, s:s, s:b, s:o, s:I, s:I, s:I, s:f, s:o, s:o}", "schema", BENCH_SCHEMA,
                     "perfshim_version", PERFSHIM_VERSION, "paired", b->paired, "commands",
                     commands, "warmup", (json_int_t)b->warmup, "seed", (json_int_t)b->seed,
                     "elapsed_ns", (json_int_t)b->elapsed_ns, "confidence", STATS_CONFIDENCE,
                     "order", order, "metrics", metrics);
}

int json_bench_write(FILE *out, const struct bench *b)
{
    json_t *root = bench_json(b);
    int status;

    errno = EILSEQ; /* what a NULL root means: a command line that is not UTF-8 */
    status = root ? json_dumpf(root, out, JSON_COMPACT) : -1;
    json_decref(root);
    if (status == 0 && (fputc('\n', out) == EOF || fflush(out) != 0))
        status = -1;
    return status;
}

int json_bench_read(int fd, struct bench *b, struct json_doc **doc,
                    char err[static JSON_ERROR_BYTES])
{
    const char *schema;
    struct bench_side *side = &b->side[0];

    *doc = json_doc_read(fd, err);
    if (!*doc)
        return -1;
    schema = json_string_at(*doc, "schema");
    side->name = json_string_at(*doc, "commands.0.name");
    side->command = json_string_at(*doc, "commands.0.command");
    if (!schema || strcmp(schema, BENCH_SCHEMA) != 0 || !side->name || !side->command) {
        snprintf(err, JSON_ERROR_BYTES, "not a file of perfshim bench --save (schema %s)",
                 BENCH_SCHEMA);
        return -1;
    }
    if (json_string_at(*doc, "commands.1.command")) {
        snprintf(err, JSON_ERROR_BYTES, "it holds a comparison; a baseline is one command");
        return -1;
    }
    for (size_t i = 0; i < b->metric_count; i++) {
        struct bench_metric *m = &b->metric[i];
        char path[128];
        int n;

        snprintf(path, sizeof path, "metrics.%s.a", m->key);
        n = json_numbers_at(*doc, path, m->v[0], BENCH_RUNS_MAX, err);
        if (n < 0)
            return -1;
        if (i > 0 && (size_t)n != side->runs) {
            snprintf(err, JSON_ERROR_BYTES, "'%.80s' has %d values, the first metric has %zu", path,
                     n, side->runs);
            return -1;
        }
        side->runs = (size_t)n;
    }
    return 0;
}
