#include <string.h>

#include "analyzer/advisor.h"
#include "analyzer/bypass.h"
#include "analyzer/children.h"
#include "analyzer/findings.h"
#include "analyzer/io_json.h"
#include "analyzer/lock_waiters.h"
#include "analyzer/locks_json.h"
#include "analyzer/rank.h"
#include "analyzer/report_json.h"
#include "analyzer/site.h"
#include "analyzer/timeline.h"

static const char *const metric_keys[METRIC_COUNT] = {
#define X(id, key) #key,
    METRICS(X)
#undef X
};

const char *json_metric_key(enum metric metric)
{
    return metric_keys[metric];
}

void json_put_metric(struct json *j, const char *key, const struct model *m, enum metric metric,
                     int64_t v)
{
    if (model_has(m, metric))
        json_put_int(j, key, v);
    else
        json_put_null(j, key);
}

static void put_name(struct json *j, const char *key, const char *name)
{
    json_put_string(j, key, name && *name ? name : NULL);
}

static void put_line(struct json *j, uint32_t line)
{
    if (line)
        json_put_int(j, "line", line);
    else
        json_put_null(j, "line");
}

static const char *end_name(uint32_t end)
{
    static const char *const names[] = {
        [PSHIM_END_RUNNING] = "running",
        [PSHIM_END_EXIT] = "exit",
        [PSHIM_END_SIGNAL] = "signal",
        [PSHIM_END_EXEC] = "exec",
    };
    return end < sizeof names / sizeof *names ? names[end] : NULL;
}

static void put_build_id(struct json *j, const struct model *m)
{
    char hex[2 * PSHIM_BUILD_ID_MAX + 1] = "";
    uint32_t count = reader_count(m->reader, PSHIM_REGION_MODULE);
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_module *module = reader_module(m->reader, i);
        if (!module || !(module->flags & PSHIM_MODULE_EXE))
            continue;
        for (uint32_t k = 0; k < module->build_id_bytes && k < PSHIM_BUILD_ID_MAX; k++)
            sprintf(hex + 2 * k, "%02x", module->build_id[k]);
        break;
    }
    put_name(j, "build_id", hex);
}

void json_put_process(struct json *j, const struct model *m)
{
    const struct pshim_header *h = m->header;
    json_begin(j, "process", '{');
    put_name(j, "exe", m->exe);
    json_begin(j, "argv", '[');
    for (uint32_t i = 0; i < m->argc; i++)
        json_put_string(j, NULL, m->argv[i]);
    json_end(j);
    put_name(j, "cwd", profile_string(&m->reader->profile, h->cwd));
    json_put_int(j, "pid", h->pid);
    json_put_number(j, "start_time", (double)h->start_realtime_ns / 1e9);
    json_put_int(j, "wall_ns", m->wall_ns);
    json_put_int(j, "threads", (int64_t)m->thread_count);
    json_put_string(j, "end", end_name(m->end));
    if (m->status_known)
        json_put_int(j, "status", m->status);
    else
        json_put_null(j, "status");
    json_put_int(j, "cpus", h->cpus);
    put_build_id(j, m);
    if (h->max_rss_bytes)
        json_put_int(j, "max_rss_bytes", (int64_t)h->max_rss_bytes);
    else
        json_put_null(j, "max_rss_bytes");
    if (m->rss_bytes > 0) {
        json_put_int(j, "rss_bytes", m->rss_bytes);
        json_put_int(j, "anon_bytes", m->anon_bytes);
    } else {
        json_put_null(j, "rss_bytes");
        json_put_null(j, "anon_bytes");
    }
    put_name(j, "off_reason", model_off_reason(m->header));
    json_begin(j, "notes", '[');
    const char *note;
    char children[CHILDREN_NOTE_BYTES], waiters[LOCK_WAITERS_NOTE_BYTES];
    for (unsigned i = 0; (note = model_note(m, i)); i++)
        json_put_string(j, NULL, note);
    if (children_note(m, children))
        json_put_string(j, NULL, children);
    if (lock_waiters_note(m, waiters))
        json_put_string(j, NULL, waiters);
    json_end(j);
    json_end(j);
}

static const char *switch_name(uint32_t state)
{
    static const char *const names[] = {
        [PSHIM_OFF] = "off", [PSHIM_ON] = "on", [PSHIM_WAIT] = "wait"};
    return state < sizeof names / sizeof *names ? names[state] : NULL;
}

static void put_mode(struct json *j, const struct model *m)
{
    static const char *const unwinders[] = {[PSHIM_UNWIND_CFI] = "cfi",
                                            [PSHIM_UNWIND_FP] = "fp",
                                            [PSHIM_UNWIND_LIBUNWIND] = "libunwind"};
    const struct pshim_header *h = m->header;
    char bytes[24];
    const char *alloc = h->alloc_mode == PSHIM_ALLOC_OFF ? "off" : "exact";
    if (h->alloc_mode == PSHIM_ALLOC_SAMPLED) {
        snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)h->alloc_sample_bytes);
        alloc = bytes;
    }
    json_begin(j, "mode", '{');
    json_put_string(j, "alloc", h->alloc_hidden ? NULL : alloc);
    json_put_string(j, "locks", switch_name(h->locks_mode));
    json_put_string(j, "io", switch_name(h->io_mode));
    json_put_int(j, "cpu_hz", h->cpu_hz);
    if (h->cpu_hz)
        json_put_int(j, "cpu_ticks", m->cpu_ticks);
    else
        json_put_null(j, "cpu_ticks");
    json_put_string(j, "unwind", h->unwind_mode < 3 ? unwinders[h->unwind_mode] : NULL);
    json_end(j);
}

/* The 95 % intervals of estimates; null where figures are counted. */
static void put_intervals(struct json *j, const char *key, const struct model *m,
                          const struct metrics *values, const struct estimate_spread *spread)
{
    if (!estimate_is(m, METRIC_ALLOC_CALLS)) {
        json_put_null(j, key);
        return;
    }
    json_begin(j, key, '{');
    json_put_int(j, "samples", (int64_t)spread->v[PSHIM_SPREAD_SAMPLES]);
    for (int k = 0; k < METRIC_COUNT; k++) {
        if (!estimate_is(m, k))
            continue;
        struct estimate_interval ci =
            estimate_interval(spread, k, values->v[k], m->header->alloc_sample_bytes);
        json_begin(j, metric_keys[k], '{');
        json_put_number(j, "low", ci.low);
        json_put_number(j, "high", ci.high);
        json_end(j);
    }
    json_end(j);
}

static void put_ledger_part(struct json *j, const struct ledger *l, enum ledger_part part)
{
    static const char *const keys[LEDGER_PART_COUNT] = {
#define X(id, key, column, text) #key,
        LEDGER_PARTS(X)
#undef X
    };
    if (ledger_has(l, part))
        json_put_int(j, keys[part], l->v[part]);
    else
        json_put_null(j, keys[part]);
}

void json_put_totals(struct json *j, const struct model *m)
{
    json_begin(j, "totals", '{');
    for (int i = 0; i < METRIC_COUNT; i++)
        if (i != METRIC_IDLE_NS)
            json_put_metric(j, metric_keys[i], m, i, m->totals.v[i]);
    static const enum ledger_part of_threads[] = {LEDGER_IDLE, LEDGER_RUNQUEUE, LEDGER_UNEXPLAINED,
                                                  LEDGER_PAUSED};
    for (size_t i = 0; i < sizeof of_threads / sizeof *of_threads; i++)
        put_ledger_part(j, &m->ledger, of_threads[i]);
    json_put_int(j, "thread_wall_ns", m->thread_wall_ns);
    if (m->progress_count)
        json_put_int(j, "ops", (int64_t)model_ops(m));
    else
        json_put_null(j, "ops");
    put_intervals(j, "ci", m, &m->totals, &m->spread);
    json_end(j);
    json_begin(j, "progress", '[');
    for (size_t i = 0; i < m->progress_count; i++) {
        json_begin(j, NULL, '{');
        json_put_string(j, "name", m->progress[i].name);
        json_put_int(j, "count", (int64_t)m->progress[i].count);
        json_end(j);
    }
    json_end(j);
}

static void put_if(struct json *j, const struct model *m, enum metric metric, const char *key,
                   int64_t value)
{
    if (model_has(m, metric))
        json_put_int(j, key, value);
    else
        json_put_null(j, key);
}

static void put_named(struct json *j, const struct model *m)
{
    json_begin(j, "regions", '[');
    for (size_t i = 0; i < m->region_count; i++) {
        const struct model_region *r = &m->regions[i];
        json_begin(j, NULL, '{');
        json_put_string(j, "name", r->name);
        json_put_int(j, "calls", r->calls);
        json_put_int(j, "wall_ns", r->wall_ns);
        json_put_int(j, "wall_max_ns", r->wall_max_ns);
        put_if(j, m, METRIC_CPU_NS, "cpu_ns", r->cpu_ns);
        put_if(j, m, METRIC_ALLOC_CALLS, "alloc_calls", r->alloc_calls);
        put_if(j, m, METRIC_ALLOC_BYTES, "alloc_bytes", r->alloc_bytes);
        put_if(j, m, METRIC_LOCK_WAIT_NS, "lock_wait_ns", r->lock_wait_ns);
        json_end(j);
    }
    json_end(j);
    json_begin(j, "pools", '[');
    for (size_t i = 0; i < m->pool_count; i++) {
        json_begin(j, NULL, '{');
        json_put_string(j, "name", m->pools[i].name);
        json_put_int(j, "gets", m->pools[i].gets);
        json_put_int(j, "puts", m->pools[i].puts);
        json_put_int(j, "in_use", m->pools[i].gets - m->pools[i].puts);
        json_end(j);
    }
    json_end(j);
}

void json_put_function(struct json *j, const struct model *m, const struct rank_row *row)
{
    json_begin(j, NULL, '{');
    json_put_string(j, "name", row->name);
    put_name(j, "file", row->file);
    put_line(j, row->line);
    put_name(j, "module", row->module);
    for (int k = 0; k < METRIC_COUNT; k++) {
        json_begin(j, metric_keys[k], '{');
        json_put_metric(j, "flat", m, k, row->flat.v[k]);
        json_put_metric(j, "cum", m, k, row->cum.v[k]);
        json_end(j);
    }
    if (model_has(m, METRIC_COST_NS))
        json_put_real(j, "share",
                      (double)row->cum.v[METRIC_COST_NS] / (double)m->totals.v[METRIC_COST_NS]);
    else
        json_put_null(j, "share");
    put_intervals(j, "ci_flat", m, &row->flat, &row->flat_spread);
    put_intervals(j, "ci_cum", m, &row->cum, &row->cum_spread);
    json_end(j);
}

static void put_functions(struct json *j, const struct model *m, struct frames *f)
{
    struct rank rank;
    rank_build(&rank, m, f, RANK_FUNCTION);
    rank_sort(&rank, model_has(m, METRIC_COST_NS) ? METRIC_COST_NS : METRIC_ALLOC_BYTES, false);
    json_begin(j, "functions", '[');
    for (size_t i = 0; i < rank.count; i++)
        json_put_function(j, m, &rank.rows[i]);
    json_end(j);
    rank_release(&rank);
}

void json_put_frame(struct json *j, const char *key, const struct frames *f,
                    const struct frame *frame)
{
    const struct function *fn = frames_function(f, frame->function);
    json_begin(j, key, '{');
    json_put_string(j, "name", fn->name);
    put_name(j, "file", frame->file);
    put_line(j, frame->line);
    put_name(j, "module", fn->module);
    if (fn->module)
        json_put_int(j, "offset", (int64_t)frame->offset);
    else
        json_put_null(j, "offset");
    json_put_bool(j, "inlined", frame->inlined);
    json_end(j);
}

/* The kinds of what is counted under one stack, and which metrics belong to each. */
enum site_kind {
    SITE_ALLOC,
    SITE_MAP,
    SITE_CPU,
    SITE_LOCK,
    SITE_BLAME,
    SITE_IO,
    SITE_IDLE,
    SITE_KINDS
};
static const struct {
    const char *name;
    uint32_t metrics;
} site_kinds[SITE_KINDS] = {
#define BIT(metric) (1u << METRIC_##metric)
    [SITE_ALLOC] = {"alloc", BIT(ALLOC_CALLS) | BIT(ALLOC_BYTES) | BIT(FREE_CALLS) |
                                 BIT(FREE_BYTES) | BIT(LIVE_BLOCKS) | BIT(LIVE_BYTES) |
                                 BIT(PEAK_BYTES) | BIT(TEMPORARY_CALLS) | BIT(CROSS_THREAD_FREES) |
                                 BIT(GROWN_CALLS) | BIT(MOVED_BYTES) | BIT(ALLOCATOR_NS) |
                                 BIT(OVERRUNS)},
    [SITE_MAP] = {"map", BIT(MAPPED_CALLS) | BIT(MAPPED_BYTES) | BIT(MAPPED_LIVE_BYTES)},
    [SITE_CPU] = {"cpu", BIT(CPU_NS) | BIT(PROFILER_NS) | BIT(COST_NS)},
    [SITE_LOCK] = {"lock", BIT(LOCK_WAIT_NS) | BIT(LOCK_HOLD_NS) | BIT(LOCK_ACQUISITIONS) |
                               BIT(LOCK_CONTENTIONS) | BIT(COST_NS)},
    [SITE_BLAME] = {"blame", BIT(BLAMED_WAIT_NS) | BIT(BLAMED_WAITS)},
    [SITE_IO] = {"io", BIT(IO_WAIT_NS) | BIT(IO_CPU_NS) | BIT(COST_NS)},
    [SITE_IDLE] = {"idle", BIT(IDLE_NS)},
#undef BIT
};

/* site: index of the frame to look at, −1 = the leaf is it. */
static void put_site(struct json *j, const struct model *m, const struct frames *f,
                     const struct model_sample *s, const struct frame *const *stack, unsigned depth,
                     enum site_kind kind, int site)
{
    json_begin(j, NULL, '{');
    json_put_string(j, "kind", site_kinds[kind].name);
    for (int k = 0; k < METRIC_COUNT; k++) {
        if (site_kinds[kind].metrics >> k & 1)
            json_put_metric(j, metric_keys[k], m, k, s->m.v[k]);
        else
            json_put_null(j, metric_keys[k]);
    }
    if (kind == SITE_ALLOC) {
        put_intervals(j, "ci", m, &s->m, &s->spread);
        json_put_histogram(j, m, model_histogram(m, s->node));
    }
    if (site >= 0)
        json_put_int(j, "site_frame", site);
    else
        json_put_null(j, "site_frame");
    json_begin(j, "frames", '[');
    for (unsigned i = 0; i < depth; i++)
        json_put_frame(j, NULL, f, stack[i]);
    json_end(j);
    json_end(j);
}

static void put_sites(struct json *j, const struct model *m, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    struct sites sites;
    sites_build(&sites, m, f, METRIC_ALLOC_CALLS);
    json_begin(j, "sites", '[');
    for (size_t i = 0; i < m->sample_count; i++) {
        const struct model_sample *s = &m->samples[i];
        unsigned depth = frames_stack(f, s->node, stack);
        if (!rank_selected(f, frames_selection(f), stack, depth))
            continue;
        if (s->alloc)
            put_site(j, m, f, s, stack, depth, SITE_ALLOC,
                     (int)sites_frame(&sites, f, stack, depth));
        if (s->map)
            put_site(j, m, f, s, stack, depth, SITE_MAP, 0);
        if (s->cpu)
            put_site(j, m, f, s, stack, depth, SITE_CPU, -1);
        if (s->lock)
            put_site(j, m, f, s, stack, depth, SITE_LOCK, -1);
        if (s->blame)
            put_site(j, m, f, s, stack, depth, SITE_BLAME, -1);
        if (s->io)
            put_site(j, m, f, s, stack, depth, SITE_IO, -1);
        if (s->idle)
            put_site(j, m, f, s, stack, depth, SITE_IDLE, -1);
    }
    json_end(j);
    sites_release(&sites);
}

void json_put_losses(struct json *j, const struct model *m)
{
    json_begin(j, "loss", '{');
    for (int i = 0; i < PSHIM_LOSS_COUNT; i++)
        if (m->losses[i])
            json_put_int(j, model_loss_name(i), (int64_t)m->losses[i]);
    json_end(j);
}

static void put_threads(struct json *j, const struct model *m, struct frames *f)
{
    json_begin(j, "threads", '[');
    for (size_t i = 0; i < m->threads_kept; i++) {
        const struct model_thread *t = &m->threads[i];
        json_begin(j, NULL, '{');
        json_put_int(j, "tid", t->tid);
        put_name(j, "name", t->name);
        json_put_int(j, "wall_ns", t->wall_ns);
        for (int k = 0; k < LEDGER_PART_COUNT; k++)
            put_ledger_part(j, &t->ledger, k);
        json_end(j);
    }
    json_end(j);
    json_begin(j, "ledger", '{');
    for (int k = 0; k < LEDGER_PART_COUNT; k++)
        put_ledger_part(j, &m->ledger, k);
    json_put_int(j, "thread_wall_ns", m->thread_wall_ns);
    bypass_json(j, m, f);
    json_end(j);
}

static void put_rest(struct json *j, const struct model *m, struct frames *f)
{
    const char *path, *why;
    locks_json_put(j, m, f);
    io_json_put(j, m, f);
    timeline_json(j, m);
    advisor_json(j, m, f);
    findings_json(j, m, f);
    json_put_losses(j, m);
    json_begin(j, "modules_without_symbols", '[');
    for (unsigned i = 0; frames_problem(f, i, &path, &why); i++) {
        json_begin(j, NULL, '{');
        json_put_string(j, "module", path);
        json_put_string(j, "why", why);
        json_end(j);
    }
    json_end(j);
}

void report_json(FILE *out, const struct model *m, struct frames *f)
{
    struct json j = {.out = out};
    json_begin(&j, NULL, '{');
    json_put_string(&j, "schema", "perfshim.report/1");
    json_put_string(&j, "perfshim_version", PERFSHIM_VERSION);
    json_put_process(&j, m);
    put_mode(&j, m);
    json_put_totals(&j, m);
    put_named(&j, m);
    put_functions(&j, m, f);
    put_sites(&j, m, f);
    put_threads(&j, m, f);
    put_rest(&j, m, f);
    json_end(&j);
}
