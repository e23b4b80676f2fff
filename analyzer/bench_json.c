#include "analyzer/bench_json.h"

#include <string.h>

#include "analyzer/json_write.h"

static void runs_put(struct json *j, const char *key, const double *v, size_t n)
{
    json_begin(j, key, '[');
    for (size_t i = 0; i < n; i++)
        json_put_number(j, NULL, v[i]);
    json_end(j);
}

static void metric_put(struct json *j, const struct bench *b, const struct bench_metric *m)
{
    static const char *const units[] = {
        [BENCH_NUMBER] = "", [BENCH_NS] = "ns", [BENCH_BYTES] = "bytes"};
    const size_t n[2] = {b->side[0].runs, b->side[1].runs};

    json_begin(j, m->key, '{');
    json_put_string(j, "unit", units[m->unit]);
    json_put_number(j, "median_a", stats_median(m->v[0], n[0]));
    json_put_number(j, "median_b", stats_median(m->v[1], n[1]));
    json_put_number(j, "ratio", m->ratio.ratio);
    json_put_number(j, "ci_low", m->ratio.low);
    json_put_number(j, "ci_high", m->ratio.high);
    json_put_number(j, "p", m->ratio.p);
    json_put_int(j, "n", (int64_t)n[b->sides - 1]);
    runs_put(j, "a", m->v[0], n[0]);
    runs_put(j, "b", m->v[1], n[1]);
    json_end(j);
}

int bench_json_write(FILE *out, const struct bench *b)
{
    struct json j = {.out = out};

    json_begin(&j, NULL, '{');
    json_put_string(&j, "schema", BENCH_SCHEMA);
    json_put_string(&j, "perfshim_version", PERFSHIM_VERSION);
    machine_write(&j, &b->machine);
    json_begin(&j, "commands", '[');
    for (int i = 0; i < b->sides; i++) {
        json_begin(&j, NULL, '{');
        json_put_string(&j, "name", b->side[i].name);
        json_put_string(&j, "command", b->side[i].command);
        json_put_int(&j, "runs", (int64_t)b->side[i].runs);
        json_put_int(&j, "failures", (int64_t)b->side[i].failures);
        json_end(&j);
    }
    json_end(&j);
    json_put_bool(&j, "paired", b->paired);
    json_put_int(&j, "warmup", (int64_t)b->warmup);
    json_put_int(&j, "seed", (int64_t)b->seed);
    json_put_int(&j, "elapsed_ns", (int64_t)b->elapsed_ns);
    json_put_number(&j, "confidence", STATS_CONFIDENCE);
    json_begin(&j, "order", '[');
    for (size_t i = 0; b->paired && i < b->side[0].runs; i++)
        json_put_string(&j, NULL, b->b_first[i] ? "BA" : "AB");
    json_end(&j);
    json_begin(&j, "metrics", '{');
    for (size_t i = 0; i < b->metric_count; i++)
        metric_put(&j, b, &b->metric[i]);
    json_end(&j);
    json_end(&j);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

int bench_json_read(int fd, struct bench *b, bool any_machine, struct json_doc **doc,
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
    if (!any_machine && machine_same(*doc, &b->machine, err) != 0)
        return -1;
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
