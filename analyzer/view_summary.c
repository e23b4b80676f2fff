#include <string.h>

#include "analyzer/path.h"
#include "analyzer/view.h"
#include "common/units.h"

/* Where the threads' time went; what is not known is left out. */
static void time_line(const struct view *v)
{
    static const char *const names[LEDGER_PART_COUNT] = {
#define X(id, key, column, text) column,
        LEDGER_PARTS(X)
#undef X
    };
    char share[TEXT_BUF], text[64];
    const struct model *m = v->model;
    double wall = (double)m->thread_wall_ns, profiler = (double)m->totals.v[METRIC_PROFILER_NS];
    const unsigned waits = 1u << LEDGER_LOCK | 1u << LEDGER_IO | 1u << LEDGER_IDLE;
    size_t at = 0;
    if (wall <= 0)
        return;
    at = (size_t)fprintf(v->out, "TIME    %.2f thread-s:", wall / 1e9);
    for (int k = 0; k <= LEDGER_PART_COUNT; k++) {
        bool last = k == LEDGER_PART_COUNT;
        double ns = last ? profiler : (double)view_ledger_part(m, k);
        if (last || k == LEDGER_PAUSED ? ns <= 0 : !ledger_has(&m->ledger, k))
            continue;
        const char *name = last ? "profiler" : names[k];
        if (k == LEDGER_UNEXPLAINED && !(m->ledger.known & waits))
            name = "off cpu"; /* nobody looked for an explanation */
        size_t n =
            (size_t)snprintf(text, sizeof text, "%s %s", name, text_percent(share, ns, wall));
        if (at + 2 + n > TEXT_COLUMNS) {
            fputs("\n      ", v->out);
            at = 6;
        }
        at += (size_t)fprintf(v->out, "%s%s", k ? "  " : " ", text);
    }
    fputc('\n', v->out);
}

static void cost_line(const struct view *v)
{
    char buf[UNITS_BUF];
    const struct model *m = v->model;
    double cost = (double)m->totals.v[METRIC_COST_NS];
    fprintf(v->out, "COST    cpu%s%s = %s", model_has(m, METRIC_LOCK_WAIT_NS) ? " + lock" : "",
            model_has(m, METRIC_IO_WAIT_NS) ? " + io" : "", units_duration(buf, cost));
    if (model_ops(m))
        fprintf(v->out, ", %s/op", units_duration(buf, cost / (double)model_ops(m)));
    fputc('\n', v->out);
}

/* Without CPU time, which the line TIME begins with, what is known of the locks. */
static void locks_line(const struct view *v)
{
    const int64_t *t = v->model->totals.v;
    if (model_has(v->model, METRIC_CPU_NS) || !model_has(v->model, METRIC_LOCK_WAIT_NS))
        return;
    view_locks_line(v, &(struct model_lock_counts){.acquisitions = t[METRIC_LOCK_ACQUISITIONS],
                                                   .contentions = t[METRIC_LOCK_CONTENTIONS],
                                                   .wait_ns = t[METRIC_LOCK_WAIT_NS],
                                                   .hold_ns = t[METRIC_LOCK_HOLD_NS]});
}

static void memory_line(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], off_a[TEXT_BUF], off_b[TEXT_BUF];
    char off_peak[TEXT_BUF], off_live[TEXT_BUF];
    const struct model *m = v->model;
    const int64_t *t = m->totals.v;
    if (!model_has(m, METRIC_ALLOC_CALLS))
        return;
    view_error(off_a, m, METRIC_ALLOC_CALLS, t[METRIC_ALLOC_CALLS], &m->spread);
    view_error(off_b, m, METRIC_ALLOC_BYTES, t[METRIC_ALLOC_BYTES], &m->spread);
    double calls = (double)t[METRIC_ALLOC_CALLS], bytes = (double)t[METRIC_ALLOC_BYTES];
    double ops = (double)model_ops(m);
    char text[256], rss[TEXT_BUF] = "";
    size_t n = 0;
    if (ops > 0)
        n += (size_t)snprintf(text, sizeof text, "%.2f allocs/op%s  %s/op%s", calls / ops, off_a,
                              units_size(a, bytes / ops), off_b);
    else
        n += (size_t)snprintf(text, sizeof text, "%s allocs%s  %s%s", units_count(a, calls), off_a,
                              units_size(b, bytes), off_b);
    if (m->header->max_rss_bytes)
        snprintf(rss, sizeof rss, " (RSS %s)", units_size(a, (double)m->header->max_rss_bytes));
    n += (size_t)snprintf(
        text + n, sizeof text - n, "  peak live %s%s%s",
        units_size(a, (double)t[METRIC_PEAK_BYTES]),
        view_error(off_peak, m, METRIC_PEAK_BYTES, t[METRIC_PEAK_BYTES], &m->spread), rss);
    char live[128];
    snprintf(live, sizeof live, "live %s %s block%s, %s%s",
             m->end == PSHIM_END_RUNNING ? "now" : "at exit",
             units_count(a, (double)t[METRIC_LIVE_BLOCKS]), t[METRIC_LIVE_BLOCKS] == 1 ? "" : "s",
             units_size(b, (double)t[METRIC_LIVE_BYTES]),
             view_error(off_live, m, METRIC_LIVE_BYTES, t[METRIC_LIVE_BYTES], &m->spread));
    bool fits = strlen("MEMORY  ") + n + 2 + strlen(live) <= TEXT_COLUMNS;
    fprintf(v->out, "MEMORY  %s%s%s\n", text, fits ? "  " : "\n        ", live);
}

static void mapped_line(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF];
    const struct model *m = v->model;
    const int64_t *t = m->totals.v;
    if (model_has(m, METRIC_MAPPED_CALLS) && t[METRIC_MAPPED_CALLS] > 0)
        fprintf(v->out, "MAPPED  %lld mapping%s, %s  live %s %s\n",
                (long long)t[METRIC_MAPPED_CALLS], t[METRIC_MAPPED_CALLS] == 1 ? "" : "s",
                units_size(a, (double)t[METRIC_MAPPED_BYTES]), view_end_words(m),
                units_size(b, (double)t[METRIC_MAPPED_LIVE_BYTES]));
}

static void path_line(const struct view *v, enum metric metric)
{
    struct path p;
    char text[TEXT_COLUMNS + 1], name[64], share[TEXT_BUF];
    path_find(&p, v->model, v->frames, metric);
    if (p.depth < 2 || v->model->totals.v[metric] <= 0)
        return;
    text_percent(share, (double)p.values[p.depth - 1], (double)v->model->totals.v[metric]);
    /* The leaf's end matters most: names go in from there until the line is full. */
    size_t room = sizeof text - strlen("Hot path: ... > ") - strlen(share) - 2;
    size_t at = sizeof text - 1;
    unsigned i = p.depth;
    text[at] = '\0';
    while (i > 0) {
        const struct function *fn = frames_function(v->frames, p.functions[i - 1]);
        size_t n = strlen(text_short_name(name, sizeof name, fn->name, 40));
        size_t more = n + (i < p.depth ? 3 : 0);
        if (sizeof text - 1 - at + more > room)
            break;
        if (i < p.depth)
            memcpy(text + (at -= 3), " > ", 3);
        memcpy(text + (at -= n), name, n);
        i--;
    }
    fprintf(v->out, "Hot path: %s%s  %s\n", i ? "... > " : "", text + at, share);
}

void view_summary(const struct view *v)
{
    const struct model *m = v->model;
    bool allocs = model_has(m, METRIC_ALLOC_CALLS), locks = model_has(m, METRIC_LOCK_WAIT_NS);
    enum metric metric = model_has(m, METRIC_COST_NS) ? METRIC_COST_NS
                         : locks && !allocs           ? METRIC_LOCK_WAIT_NS
                                                      : METRIC_ALLOC_CALLS;
    view_header(v);
    if (model_has(m, METRIC_CPU_NS)) {
        time_line(v);
        cost_line(v);
    }
    locks_line(v);
    memory_line(v);
    mapped_line(v);
    if (model_has(m, METRIC_CPU_NS) || locks || allocs)
        fputc('\n', v->out);
    view_named(v);
    view_findings(v);
    view_functions(v, metric);
    path_line(v, metric);
    fprintf(
        v->out,
        "Next: perfshim report --view=cpu|alloc|peak|leaks|timeline%s%s    perfshim diff BEFORE "
        "AFTER\n",
        model_has(m, METRIC_CROSS_THREAD_FREES) ? "|pool" : "",
        model_has(m, METRIC_IO_WAIT_NS) ? "|io"
        : locks                         ? "|locks"
                                        : "");
}
