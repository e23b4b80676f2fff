#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/advisor.h"
#include "analyzer/findings_say.h"
#include "analyzer/memory.h"
#include "analyzer/site.h"
#include "analyzer/text.h"
#include "common/units.h"

#define NOT_WORTH_SHOWN_SHARE 0.01
#define CALLEE_SHOWN_SHARE    0.10 /* of a function's time */

void findings_evidence_add(struct finding *to, const char *format, ...)
{
    va_list args;
    if (to->evidence_count == FINDING_EVIDENCE_MOST)
        return;
    va_start(args, format);
    vsnprintf(to->evidence[to->evidence_count++], FINDING_TEXT_BYTES, format, args);
    va_end(args);
}

const char *findings_frame_text(const struct frames *f, const struct frame *frame,
                                char to[static FINDINGS_FRAME_BYTES])
{
    char name[FINDINGS_NAME_COLUMNS + 1], place[80];
    text_short_name(name, sizeof name, frames_function(f, frame->function)->name,
                    FINDINGS_NAME_COLUMNS);
    frames_place(f, frame, place, sizeof place);
    snprintf(to, FINDINGS_FRAME_BYTES, "%s%s%s", name, *place ? " " : "", place);
    return to;
}

unsigned findings_busy_threads(const struct model *m)
{
    const int64_t least_part = 100;
    unsigned count = 0;
    for (size_t i = 0; i < m->threads_kept; i++)
        count += m->threads[i].cpu_ns > 0 &&
                 m->threads[i].cpu_ns >= m->ledger.v[LEDGER_CPU] / least_part;
    return count;
}

const char *findings_cost_text(const struct model *m, double ns, char to[static 32])
{
    char text[UNITS_BUF];
    double ops = (double)model_ops(m);
    snprintf(to, 32, "%s%s", units_duration(text, ops > 0 ? ns / ops : ns), ops > 0 ? "/op" : "");
    return to;
}

/* ---- a function ---- */

static void function_say(struct making *g)
{
    char name[FINDINGS_NAME_COLUMNS + 1];
    int64_t place_ns, line_ns, callee_ns;
    double cpu = (double)g->subject->cpu_ns;
    bool first = g->to->kind == FINDING_FOCUS_FIRST;
    if (g->subject->waited_ns > g->subject->cpu_ns) {
        findings_io_say(g, first);
        return;
    }
    const struct frame *line = subject_most(g->subjects, g->index, SUBJECT_BY_OWN_LINE, &line_ns);
    const struct frame *callee = subject_most(g->subjects, g->index, SUBJECT_BY_CALLEE, &callee_ns);
    g->to->where = subject_most(g->subjects, g->index, SUBJECT_BY_PLACE, &place_ns);
    g->to->title = first ? "focus first: hot function" : "optimise: hot function";
    if (g->to->where->line)
        findings_evidence_add(g->to, "%.0f%% of it at this line",
                              100 * findings_ratio((double)place_ns, cpu));
    if (callee && findings_ratio((double)callee_ns, cpu) >= CALLEE_SHOWN_SHARE) {
        const struct function *fn = frames_function(g->frames, callee->function);
        findings_evidence_add(
            g->to, "%.0f%% of it inside %s%s%s%s", 100 * findings_ratio((double)callee_ns, cpu),
            text_short_name(name, sizeof name, fn->name, FINDINGS_NAME_COLUMNS),
            fn->module ? " (" : "", fn->module ? fn->module : "", fn->module ? ")" : "");
    }
    if (callee && (!line || callee_ns > line_ns))
        g->to->advice = first ? "start here: call less of the library from it, or what is cheaper"
                              : "worth a try: call less of the library from it, or what is cheaper";
    else
        g->to->advice = first ? "start here: do less in it, or call it less often"
                              : "worth a try: do less in it, or call it less often";
}

/* ---- the allocator ---- */

static const char *calls_text(const struct model *m, int64_t calls, char to[static TEXT_BUF])
{
    char count[UNITS_BUF];
    double ops = (double)model_ops(m);
    if (ops > 0)
        snprintf(to, TEXT_BUF, "%.2f allocs/op", (double)calls / ops);
    else
        snprintf(to, TEXT_BUF, "%s allocs", units_count(count, (double)calls));
    return to;
}

static const char buffer_advice[] = "keep one buffer and use it again, or put it on the stack";

static void site_say(struct making *g, const struct sites *sites)
{
    enum { shown_part = 100 }; /* a site with less than 1 % is not counted */
    const struct site *top = &sites->sites[0];
    const int64_t *v = top->m.v;
    char all[TEXT_BUF], text[160];
    int64_t calls = 0;
    size_t count = 0;
    for (size_t i = 0; i < sites->count; i++)
        calls = metric_sum(calls, sites->sites[i].m.v[METRIC_ALLOC_CALLS]);
    for (size_t i = 0; i < sites->count; i++)
        count += sites->sites[i].m.v[METRIC_ALLOC_CALLS] >= calls / shown_part;
    double n = (double)v[METRIC_ALLOC_CALLS];
    double temporary = findings_ratio((double)v[METRIC_TEMPORARY_CALLS], n);
    double kept = findings_ratio((double)v[METRIC_LIVE_BLOCKS], n);
    g->to->where = top->frame;
    if (count > 1)
        findings_evidence_add(g->to, "%s at %zu sites, %.0f%% of them at this one",
                              calls_text(g->model, calls, all), count,
                              100 * findings_ratio(n, (double)calls));
    else
        findings_evidence_add(g->to, "%s, nearly all here", calls_text(g->model, calls, all));
    if (top->via)
        findings_evidence_add(g->to, "through %s", findings_frame_text(g->frames, top->via, text));
    if (temporary >= FINDING_TEMPORARY_SHARE) {
        findings_evidence_add(g->to, "%.0f%% of these are temporary: freed next by the same thread",
                              100 * temporary);
        g->to->advice = buffer_advice;
    } else if (kept >= FINDING_KEPT_SHARE) {
        findings_evidence_add(g->to, "%.0f%% of these are never freed", 100 * kept);
        g->to->advice = "they stay: allocate many at once";
    } else {
        findings_evidence_add(g->to, "%.0f%% of these are temporary, %.0f%% are never freed",
                              100 * temporary, 100 * kept);
        g->to->advice = "keep what is freed for the next use (a pool), or do without";
    }
}

/*
 * Where pools are worth it for half of the calls or more, they are the advice, with what they would
 * save: the pool advisor's own rules.
 */
static void pools_say(struct making *g)
{
    const double most_part = 0.5;
    struct advisor a;
    advisor_build(&a, g->model, g->frames);
    bool buffers = true;
    double calls = 0;
    for (size_t i = 0; i < a.count; i++) {
        calls += (double)a.items[i].site->m.v[METRIC_ALLOC_CALLS];
        buffers = buffers && (i >= a.worth || a.items[i].pooling.verdict == POOLING_BUFFER);
    }
    if (a.worth && a.saved_calls >= most_part * calls) {
        g->to->advice = buffers ? buffer_advice : "pool them";
        advisor_words(&a, g->model, g->to->prediction);
    }
    advisor_release(&a);
}

static void allocator_say(struct making *g)
{
    struct sites sites;
    int64_t ns;
    g->to->title = g->to->kind == FINDING_FOCUS_FIRST    ? "focus first: allocations"
                   : g->to->kind == FINDING_NOT_WORTH_IT ? "allocations"
                                                         : "reduce allocations";
    g->to->advice = "allocate less often";
    sites_build(&sites, g->model, g->frames, METRIC_ALLOC_CALLS);
    if (sites.count && sites.sites[0].m.v[METRIC_ALLOC_CALLS] > 0) {
        site_say(g, &sites);
        pools_say(g);
    } else {
        g->to->where = subject_most(g->subjects, g->index, SUBJECT_BY_PLACE, &ns);
        findings_evidence_add(
            g->to, "allocations were not counted; %.0f%% of this time is called from here",
            100 * findings_ratio((double)ns, (double)g->subject->cpu_ns));
    }
    sites_release(&sites);
}

/* ---- a memory routine ---- */

static void memory_say(struct making *g)
{
    int64_t ns;
    const char *name = frames_function(g->frames, g->subject->function)->name;
    g->to->where = subject_most(g->subjects, g->index, SUBJECT_BY_PLACE, &ns);
    g->to->title = g->to->kind == FINDING_FOCUS_FIRST ? "focus first: memory routine"
                                                      : "optimise: memory routine";
    findings_evidence_add(g->to, "%.40s of the C library, %.0f%% of it called from here", name,
                          100 * findings_ratio((double)ns, (double)g->subject->cpu_ns));
    g->to->advice = "the routine is as fast as memory: move fewer bytes, or not twice";
}

/* ---- all of them ---- */

/* Little to gain: who it is, for one line with others. */
static void not_worth_say(struct making *g)
{
    int64_t ns;
    g->to->where = subject_most(g->subjects, g->index, SUBJECT_BY_PLACE, &ns);
    g->to->title = g->subject->kind == SUBJECT_ALLOCATOR ? "allocations"
                   : g->subject->kind == SUBJECT_MEMORY  ? "memory routine"
                                                         : "function";
    if (g->subject->kind == SUBJECT_ALLOCATOR)
        findings_evidence_add(g->to, "malloc and free");
    else
        findings_evidence_add(g->to, "%.*s", FINDINGS_NAME_COLUMNS,
                              frames_function(g->frames, g->subject->function)->name);
    g->to->advice = "leave it";
}

static struct finding_evidence evidence_of(const struct subjects *subjects, const struct subject *s)
{
    const struct model *m = subjects->model;
    double cost = (double)m->totals.v[METRIC_COST_NS];
    double period = (double)m->header->tick_period_ns;
    double cpu = (double)m->totals.v[METRIC_CPU_NS];
    struct finding_evidence e = {
        .subject = s->kind,
        .share = findings_ratio((double)subject_cost(s), cost),
        .waited_share = findings_ratio((double)s->waited_ns, cost),
        .spin_share = findings_ratio((double)s->spin_ns, cost),
        .ticks = findings_ratio((double)s->cpu_ns, period),
        .own = s->own,
    };
    if (s->kind == SUBJECT_LOCK)
        findings_lock_evidence(&e, s, m);
    else if (s->kind == SUBJECT_SYNC)
        findings_sync_evidence(&e, subjects);
    /* Of the cost only its CPU part scatters. */
    e.deviation =
        finding_deviation(e.ticks, findings_ratio(cpu, period)) * findings_ratio(cpu, cost);
    return e;
}

static void finding_make(struct making *g)
{
    if (g->to->kind == FINDING_NOT_WORTH_IT) {
        not_worth_say(g);
        return;
    }
    switch (g->subject->kind) {
    case SUBJECT_FUNCTION:
        function_say(g);
        break;
    case SUBJECT_LOCK:
        findings_lock_say(g);
        break;
    case SUBJECT_ALLOCATOR:
        allocator_say(g);
        break;
    case SUBJECT_MEMORY:
        memory_say(g);
        break;
    case SUBJECT_SYNC:
        findings_sync_say(g);
        break;
    }
}

static int findings_compare(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    bool x_wrong = x->kind == FINDING_OVERRUN, y_wrong = y->kind == FINDING_OVERRUN;
    if (x_wrong != y_wrong)
        return y_wrong - x_wrong;
    bool x_not = x->kind == FINDING_NOT_WORTH_IT, y_not = y->kind == FINDING_NOT_WORTH_IT;
    if (x_not != y_not)
        return x_not - y_not;
    if (x->cost_ns != y->cost_ns)
        return x->cost_ns < y->cost_ns ? 1 : -1;
    return strcmp(x->evidence[0], y->evidence[0]);
}

static enum findings_state state_of(const struct findings *findings, const struct model *m)
{
    if (!model_has(m, METRIC_COST_NS))
        return FINDINGS_NO_TIME;
    double waited = (double)m->totals.v[METRIC_COST_NS] - (double)m->totals.v[METRIC_CPU_NS];
    bool mostly_waited = waited > 0 && waited >= (double)m->totals.v[METRIC_CPU_NS];
    return findings->ticks < FINDING_RUN_TICKS_LEAST && !mostly_waited ? FINDINGS_FEW_TICKS
                                                                       : FINDINGS_MADE;
}

static void subjects_judge(struct findings *to, const struct subjects *subjects,
                           const struct model *m, struct frames *f)
{
    for (size_t i = 0; i < subjects->count; i++) {
        const struct subject *s = &subjects->items[i];
        struct finding_evidence e = evidence_of(subjects, s);
        struct finding *item = &to->items[to->count];
        item->kind = finding_judge(&e);
        if (item->kind == FINDING_NONE ||
            (item->kind == FINDING_NOT_WORTH_IT && e.share < NOT_WORTH_SHOWN_SHARE)) {
            *item = (struct finding){0};
            continue;
        }
        item->cost_ns = subject_cost(s);
        item->share = e.share;
        item->max_gain = finding_max_gain(e.share);
        item->predicted_ns = NAN;
        finding_make(&(struct making){
            .subjects = subjects, .index = i, .subject = s, .model = m, .frames = f, .to = item});
        to->count++;
        to->worth += item->kind != FINDING_NOT_WORTH_IT;
    }
}

void findings_build(struct findings *to, const struct model *m, struct frames *f)
{
    struct subjects subjects = {0};
    *to = (struct findings){0};
    to->ticks =
        findings_ratio((double)m->totals.v[METRIC_CPU_NS], (double)m->header->tick_period_ns);
    /* Of the cost only its CPU part scatters. */
    to->scatter =
        2 * finding_deviation(to->ticks / 2, to->ticks) *
        findings_ratio((double)m->totals.v[METRIC_CPU_NS], (double)m->totals.v[METRIC_COST_NS]);
    to->state = state_of(to, m);
    if (to->state == FINDINGS_MADE)
        subjects_build(&subjects, m, f);
    to->items = memory_new(subjects.count + FINDINGS_BESIDE_MOST, sizeof *to->items);
    findings_overruns_make(to, m, f);
    if (to->state == FINDINGS_MADE) {
        subjects_judge(to, &subjects, m, f);
        subjects_release(&subjects);
    }
    findings_resident_make(to, m);
    findings_threads_make(to, m);
    if (to->count)
        qsort(to->items, to->count, sizeof *to->items, findings_compare);
    for (size_t i = 0; i < to->count; i++)
        to->items[i].rank = (unsigned)i + 1;
}

void findings_release(struct findings *findings)
{
    free(findings->items);
    *findings = (struct findings){0};
}

char *findings_where(const struct finding *item, struct frames *f,
                     char to[static FINDINGS_WHERE_BYTES])
{
    char text[FINDINGS_FRAME_BYTES], escaped[160], lock[64];
    size_t n = 0;
    to[0] = '\0';
    if (*item->lock)
        n = (size_t)snprintf(
            to, FINDINGS_WHERE_BYTES, "%s%s",
            text_escape(lock, sizeof lock, item->lock_short, FINDINGS_NAME_COLUMNS),
            item->where ? " in " : "");
    if (item->where)
        snprintf(
            to + n, FINDINGS_WHERE_BYTES - n, "%s",
            text_escape(escaped, sizeof escaped, findings_frame_text(f, item->where, text), 120));
    return to;
}

char *findings_advice(const struct finding *item, char to[static FINDINGS_ADVICE_BYTES])
{
    snprintf(to, FINDINGS_ADVICE_BYTES, "%s%s%s", item->advice, *item->prediction ? ": " : "",
             item->prediction);
    return to;
}
