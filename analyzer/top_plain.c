#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyzer/memory.h"
#include "analyzer/report_json.h"
#include "analyzer/text.h"
#include "analyzer/top_plain.h"
#include "analyzer/top_text.h"

enum { columns = TEXT_COLUMNS - TOP_STAMP };

char *top_stamp(char to[static TOP_STAMP], uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000u);
    unsigned ms = (unsigned)(realtime_ns / 1000000u % 1000u);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(to, TOP_STAMP, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(to + n, TOP_STAMP - n, ".%03uZ", ms);
    return to;
}

/* Prints and frees lines, each behind the stamp. */
static void lines_print(FILE *out, FILE *lines, char **text, uint64_t realtime_ns)
{
    char stamp[TOP_STAMP];
    fclose(lines);
    top_stamp(stamp, realtime_ns);
    for (const char *at = *text; *at;) {
        int n = (int)strcspn(at, "\n");
        fprintf(out, "%s %.*s\n", stamp, n, at);
        at += n + (at[n] == '\n');
    }
    fflush(out);
    free(*text);
}

void top_plain_title(FILE *out, const struct model *m, uint64_t realtime_ns)
{
    char *text;
    size_t bytes;
    FILE *lines = memory_stream(&text, &bytes);
    top_text_title(lines, m, columns);
    lines_print(out, lines, &text, realtime_ns);
}

void top_plain(FILE *out, const struct top_output *o, const struct top_change *c,
               uint64_t realtime_ns)
{
    char *text;
    size_t bytes;
    FILE *lines = memory_stream(&text, &bytes);
    top_text_figures(lines, c, columns);
    top_text_functions(lines, c, o->frames, o->sort, o->limit, columns, true);
    top_text_locks(lines, c, o->frames, TOP_LOCKS, columns, true);
    lines_print(out, lines, &text, realtime_ns);
}

void top_plain_end(FILE *out, const struct model *m, uint64_t realtime_ns)
{
    char *text;
    size_t bytes;
    FILE *lines = memory_stream(&text, &bytes);
    top_text_end(lines, m);
    lines_print(out, lines, &text, realtime_ns);
}

static void put_rates(struct json *j, const struct top_change *c)
{
    const int64_t *v = c->m.totals.v;
    json_begin(j, "per_second", '{');
    json_put_real(j, "ops", c->m.progress_count ? top_rate(c, (int64_t)model_ops(&c->m)) : NAN);
    for (int k = 0; k < METRIC_COUNT; k++)
        if (k != METRIC_LIVE_BLOCKS && k != METRIC_LIVE_BYTES && k != METRIC_PEAK_BYTES &&
            k != METRIC_BLAMED_WAIT_NS)
            json_put_real(j, json_metric_key(k), model_has(&c->m, k) ? top_rate(c, v[k]) : NAN);
    json_end(j);
}

static void put_now(struct json *j, const struct top_change *c)
{
    const struct model *now = c->now;
    json_begin(j, "now", '{');
    if (now->progress_count)
        json_put_int(j, "ops", (int64_t)model_ops(now));
    else
        json_put_null(j, "ops");
    json_put_int(j, "threads", now->end == PSHIM_END_RUNNING ? (int64_t)c->threads : 0);
    for (int k = 0; k < METRIC_COUNT; k++)
        if (k == METRIC_LIVE_BLOCKS || k == METRIC_LIVE_BYTES || k == METRIC_PEAK_BYTES)
            json_put_metric(j, json_metric_key(k), now, k, now->totals.v[k]);
    json_end(j);
}

static void put_locks(struct json *j, const struct top_output *o, const struct top_change *c)
{
    if (!model_has(&c->m, METRIC_LOCK_WAIT_NS)) {
        json_put_null(j, "locks");
        return;
    }
    struct top_lock *rows = memory_new(o->limit, sizeof *rows);
    size_t count = top_locks(c, o->frames, rows, o->limit);
    json_begin(j, "locks", '[');
    for (size_t i = 0; i < count; i++) {
        const struct model_lock_counts *n = &rows[i].counts;
        json_begin(j, NULL, '{');
        json_put_string(j, "name", rows[i].name);
        json_put_string(j, "kind", lock_kind_name(rows[i].kind));
        json_put_int(j, "locks", (int64_t)rows[i].locks);
        json_put_metric(j, "acquisitions", &c->m, METRIC_LOCK_ACQUISITIONS, n->acquisitions);
        json_put_metric(j, "contentions", &c->m, METRIC_LOCK_CONTENTIONS, n->contentions);
        json_put_metric(j, "wait_ns", &c->m, METRIC_LOCK_WAIT_NS, n->wait_ns);
        json_put_metric(j, "hold_ns", &c->m, METRIC_LOCK_HOLD_NS, n->hold_ns);
        json_end(j);
    }
    json_end(j);
    free(rows);
}

void top_json(FILE *out, const struct top_output *o, const struct top_change *c,
              uint64_t realtime_ns)
{
    char stamp[TOP_STAMP];
    struct rank rank;
    struct json j = {.out = out, .one_line = true};
    json_begin(&j, NULL, '{');
    json_put_string(&j, "schema", "perfshim.top/1");
    json_put_string(&j, "perfshim_version", PERFSHIM_VERSION);
    json_put_string(&j, "time", top_stamp(stamp, realtime_ns));
    json_put_real(&j, "interval_s", c->seconds > 0 ? c->seconds : NAN);
    json_put_process(&j, c->now);
    put_now(&j, c);
    put_rates(&j, c);
    json_put_totals(&j, &c->m);
    json_put_int(&j, "ticks", c->ticks);
    json_begin(&j, "functions", '[');
    top_rank_build(&rank, c, o->frames, o->sort);
    for (size_t i = 0; i < rank.count && i < o->limit; i++)
        json_put_function(&j, &c->m, &rank.rows[i]);
    rank_release(&rank);
    json_end(&j);
    put_locks(&j, o, c);
    json_put_losses(&j, &c->m);
    json_end(&j);
    fflush(out);
}
