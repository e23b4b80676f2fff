#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/advisor.h"
#include "analyzer/findings.h"
#include "analyzer/memory.h"
#include "analyzer/model_waits.h"
#include "analyzer/resident.h"
#include "analyzer/site.h"
#include "analyzer/subject.h"
#include "analyzer/text.h"
#include "common/units.h"

enum { NAME_COLUMNS = 40 };
#define NOT_WORTH_SHOWN_SHARE 0.01
#define CALLEE_SHOWN_SHARE    0.10 /* of a function's time */

/* One subject on its way to a finding. */
struct making {
    const struct subjects *subjects;
    size_t index;
    const struct subject *subject;
    const struct model *model;
    struct frames *frames;
    struct finding *to;
};

__attribute__((format(printf, 2, 3))) static void evidence_add(struct finding *to,
                                                               const char *format, ...)
{
    va_list args;
    if (to->evidence_count == FINDING_EVIDENCE_MOST)
        return;
    va_start(args, format);
    vsnprintf(to->evidence[to->evidence_count++], FINDING_TEXT_BYTES, format, args);
    va_end(args);
}

/* "name file.c:12" */
static const char *frame_text(const struct frames *f, const struct frame *frame,
                              char to[static 160])
{
    char name[NAME_COLUMNS + 1], place[80];
    text_short_name(name, sizeof name, frames_function(f, frame->function)->name, NAME_COLUMNS);
    frames_place(f, frame, place, sizeof place);
    snprintf(to, 160, "%s%s%s", name, *place ? " " : "", place);
    return to;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* ---- a function ---- */

/* Most of it is waiting: the calls that wait are its leaves. */
static void function_io_say(struct making *g, bool first)
{
    int64_t ns;
    g->to->where = subject_most(g->subjects, g->index, SUBJECT_BY_PLACE, &ns);
    g->to->title = first ? "focus first: I/O wait" : "optimise: I/O wait";
    evidence_add(g->to, "%.0f%% of it waits for I/O; calls, bytes and times: report --view=io",
                 100 * ratio((double)g->subject->waited_ns, (double)subject_cost(g->subject)));
    g->to->advice = first ? "start here: fewer and larger calls, or other work meanwhile"
                          : "worth a try: fewer and larger calls, or other work meanwhile";
}

static void function_say(struct making *g)
{
    char name[NAME_COLUMNS + 1];
    int64_t place_ns, line_ns, callee_ns;
    double cpu = (double)g->subject->cpu_ns;
    bool first = g->to->kind == FINDING_FOCUS_FIRST;
    if (g->subject->waited_ns > g->subject->cpu_ns) {
        function_io_say(g, first);
        return;
    }
    const struct frame *line = subject_most(g->subjects, g->index, SUBJECT_BY_OWN_LINE, &line_ns);
    const struct frame *callee = subject_most(g->subjects, g->index, SUBJECT_BY_CALLEE, &callee_ns);
    g->to->where = subject_most(g->subjects, g->index, SUBJECT_BY_PLACE, &place_ns);
    g->to->title = first ? "focus first: hot function" : "optimise: hot function";
    if (g->to->where->line)
        evidence_add(g->to, "%.0f%% of it at this line", 100 * ratio((double)place_ns, cpu));
    if (callee && ratio((double)callee_ns, cpu) >= CALLEE_SHOWN_SHARE) {
        const struct function *fn = frames_function(g->frames, callee->function);
        evidence_add(g->to, "%.0f%% of it inside %s%s%s%s", 100 * ratio((double)callee_ns, cpu),
                     text_short_name(name, sizeof name, fn->name, NAME_COLUMNS),
                     fn->module ? " (" : "", fn->module ? fn->module : "", fn->module ? ")" : "");
    }
    if (callee && (!line || callee_ns > line_ns))
        g->to->advice = first ? "start here: call less of the library from it, or what is cheaper"
                              : "worth a try: call less of the library from it, or what is cheaper";
    else
        g->to->advice = first ? "start here: do less in it, or call it less often"
                              : "worth a try: do less in it, or call it less often";
}

/* ---- a lock ---- */

/* Of the run, how long each lock of the subject was held. */
static double held_run(const struct subject *s, const struct model *m)
{
    return ratio((double)s->counts.hold_ns, (double)m->wall_ns * (double)s->locks);
}

/*
 * Were holders stopped while they held it? Then there are holds much longer than others, and those
 * are what one waits for.
 */
static bool is_stopped(const struct subject *s)
{
    enum { much = 100 };
    const struct model_lock_counts *c = &s->counts;
    double hold = ratio((double)c->hold_ns, (double)c->acquisitions);
    return hold > 0 && (double)c->hold_max_ns >= much * hold &&
           ratio((double)c->wait_ns, (double)c->contentions) >= much * hold;
}

/* Is its cost mostly that of the calls, not waiting or spinning? */
static bool is_calls(const struct subject *s)
{
    return s->cpu_ns - s->spin_ns > subject_cost(s) / 2;
}

static void lock_counts_say(struct making *g)
{
    char taken[UNITS_BUF], found[UNITS_BUF], wait[UNITS_BUF], hold[UNITS_BUF], text[200];
    const struct subject *s = g->subject;
    const struct model_lock_counts *c = &s->counts;
    size_t n = 0;
#define SAY(...) (n += (size_t)snprintf(text + n, sizeof text - n, __VA_ARGS__))
    units_count(taken, (double)c->acquisitions);
    units_count(found, (double)c->contentions);
    units_duration(wait, ratio((double)c->wait_ns, (double)c->contentions));
    if (s->locks > 1)
        SAY("%zu locks: ", s->locks);
    if (!model_has(g->model, METRIC_LOCK_ACQUISITIONS)) /* only waits are counted */
        SAY("%s wait%s, %s each", found, c->contentions == 1 ? "" : "s", wait);
    else
        SAY("taken %s time%s", taken, c->acquisitions == 1 ? "" : "s");
    if (!model_has(g->model, METRIC_LOCK_ACQUISITIONS))
        ; /* how many did not wait is not known */
    else if (finding_spins(c->acquisitions, c->contentions))
        SAY(", asked for in vain %s times", found);
    else
        SAY(", %s (%.1f%%) had to wait, %s each", found,
            100 * ratio((double)c->contentions, (double)c->acquisitions), wait);
    if (model_has(g->model, METRIC_LOCK_HOLD_NS) && c->acquisitions > 0)
        SAY("; held %s each, %.0f%% of the run",
            units_duration(hold, ratio((double)c->hold_ns, (double)c->acquisitions)),
            100 * held_run(s, g->model));
#undef SAY
    evidence_add(g->to, "%s", text);
    if (s->spin_ns > 0)
        evidence_add(g->to, "%.0f%% of it is CPU time of the function that asks in vain: it spins",
                     100 * ratio((double)s->spin_ns, (double)subject_cost(s)));
    else if (is_calls(s))
        evidence_add(g->to,
                     "%.0f%% of it is CPU time in the calls that take it, wait, or give it back",
                     100 * ratio((double)s->cpu_ns, (double)subject_cost(s)));
    else if (g->to->kind != FINDING_HELD_TOO_LONG && is_stopped(s))
        evidence_add(g->to, "the longest hold %s: a holder that was stopped, or rare work",
                     units_duration(hold, (double)c->hold_max_ns));
}

static void lock_work_say(struct making *g)
{
    char text[160];
    const struct subject *s = g->subject;
    g->to->work = s->work.frame;
    evidence_add(g->to, "%.0f%% of the CPU time under it is in %s",
                 100 * ratio((double)s->work.cpu_ns, (double)s->held_cpu_ns),
                 frame_text(g->frames, s->work.frame, text));
}

/* Of the time that it was held, in I/O. */
static double held_io(const struct subject *s)
{
    return ratio((double)s->held_io.ns, (double)s->counts.hold_ns);
}

static void lock_io_say(struct making *g)
{
    char calls[UNITS_BUF], each[UNITS_BUF];
    const struct subject *s = g->subject;
    const struct model_wait_counts *c = &s->held_io.counts;
    evidence_add(g->to,
                 "%.0f%% of the time it is held: inside I/O, most of it in %s (%s call%s, %s each)",
                 100 * held_io(s), model_call_name(s->held_io.call),
                 units_count(calls, (double)c->calls), c->calls == 1 ? "" : "s",
                 units_duration(each, ratio((double)c->time_ns, (double)c->calls)));
}

static void lock_allocations_say(struct making *g)
{
    const struct model_lock_counts *c = &g->subject->counts;
    if (model_has(g->model, METRIC_ALLOC_CALLS) && c->held_allocs >= c->acquisitions / 10 &&
        c->held_allocs > 0)
        evidence_add(g->to, "%.2f allocations each time it is held",
                     ratio((double)c->held_allocs, (double)c->acquisitions));
}

static const char *lock_advice(const struct subject *s, bool first)
{
    if (is_calls(s))
        return first ? "start here: take it less often" : "take it less often";
    if (s->spin_ns > s->waited_ns)
        return first ? "start here: wait instead of spinning, or hold it for less"
                     : "wait instead of spinning, or hold it for less";
    if (is_stopped(s))
        return first ? "start here: no blocking call under it, no more busy threads than CPUs"
                     : "no blocking call under it, no more busy threads than CPUs";
    return first ? "start here: hold it for less, split what it protects, or take it less often"
                 : "hold it for less, split what it protects, or take it less often";
}

static void lock_say(struct making *g)
{
    const struct subject *s = g->subject;
    bool first = g->to->share >= FINDING_FOCUS_SHARE;
    g->to->where = s->place;
    strcpy(g->to->lock, s->lock);
    strcpy(g->to->lock_short, s->lock_short);
    lock_counts_say(g);
    switch (g->to->kind) {
    case FINDING_HELD_TOO_LONG:
        lock_work_say(g);
        lock_allocations_say(g);
        g->to->title = first ? "focus first: held too long" : "held too long";
        g->to->advice =
            "if that work needs only a copy: copy under the lock, work after the unlock";
        break;
    case FINDING_SYNC_UNDER_LOCK:
        lock_io_say(g);
        g->to->title = first ? "focus first: fsync under a lock" : "fsync under a lock";
        g->to->advice = "sync outside the lock: one thread syncs for all that wait (group commit)";
        break;
    case FINDING_IO_UNDER_LOCK:
        lock_io_say(g);
        g->to->title = first ? "focus first: I/O under a lock" : "I/O under a lock";
        g->to->advice = "do it outside the lock: copy under it, read or write before or after";
        break;
    case FINDING_OPTIMISE:
        g->to->title = "optimise: locking";
        g->to->advice = "hardly anybody waits, but the calls cost: take it less often";
        break;
    default:
        lock_allocations_say(g);
        g->to->title = !first                      ? "check contention"
                       : is_calls(s)               ? "focus first: locking"
                       : s->spin_ns > s->waited_ns ? "focus first: spinning"
                                                   : "focus first: lock wait";
        g->to->advice = lock_advice(s, first);
    }
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
    double temporary = ratio((double)v[METRIC_TEMPORARY_CALLS], n);
    double kept = ratio((double)v[METRIC_LIVE_BLOCKS], n);
    g->to->where = top->frame;
    if (count > 1)
        evidence_add(g->to, "%s at %zu sites, %.0f%% of them at this one",
                     calls_text(g->model, calls, all), count, 100 * ratio(n, (double)calls));
    else
        evidence_add(g->to, "%s, nearly all here", calls_text(g->model, calls, all));
    if (top->via)
        evidence_add(g->to, "through %s", frame_text(g->frames, top->via, text));
    if (temporary >= FINDING_TEMPORARY_SHARE) {
        evidence_add(g->to, "%.0f%% of these are temporary: freed next by the same thread",
                     100 * temporary);
        g->to->advice = buffer_advice;
    } else if (kept >= FINDING_KEPT_SHARE) {
        evidence_add(g->to, "%.0f%% of these are never freed", 100 * kept);
        g->to->advice = "they stay: allocate many at once";
    } else {
        evidence_add(g->to, "%.0f%% of these are temporary, %.0f%% are never freed",
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
        evidence_add(g->to, "allocations were not counted; %.0f%% of this time is called from here",
                     100 * ratio((double)ns, (double)g->subject->cpu_ns));
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
    evidence_add(g->to, "%.40s of the C library, %.0f%% of it called from here", name,
                 100 * ratio((double)ns, (double)g->subject->cpu_ns));
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
        evidence_add(g->to, "malloc and free");
    else
        evidence_add(g->to, "%.*s", NAME_COLUMNS,
                     frames_function(g->frames, g->subject->function)->name);
    g->to->advice = "leave it";
}

static struct finding_evidence evidence_of(const struct subject *s, const struct model *m)
{
    double cost = (double)m->totals.v[METRIC_COST_NS];
    double period = (double)m->header->tick_period_ns;
    double cpu = (double)m->totals.v[METRIC_CPU_NS];
    struct finding_evidence e = {
        .subject = s->kind,
        .share = ratio((double)subject_cost(s), cost),
        .waited_share = ratio((double)s->waited_ns, cost),
        .spin_share = ratio((double)s->spin_ns, cost),
        .ticks = ratio((double)s->cpu_ns, period),
        .own = s->own,
        .acquisitions = s->counts.acquisitions,
        .contentions = s->counts.contentions,
        .held_ticks = ratio((double)s->held_cpu_ns, period),
        .held_run = held_run(s, m),
        .held_io = held_io(s),
        .held_sync = model_call_syncs(s->held_io.call),
        .held_work = ratio((double)s->work.cpu_ns, (double)s->held_cpu_ns),
    };
    /* Of the cost only its CPU part scatters. */
    e.deviation = finding_deviation(e.ticks, ratio(cpu, period)) * ratio(cpu, cost);
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
        lock_say(g);
        break;
    case SUBJECT_ALLOCATOR:
        allocator_say(g);
        break;
    case SUBJECT_MEMORY:
        memory_say(g);
        break;
    }
}

/* ---- memory ---- */

static const char *size_text(int64_t bytes, char to[static UNITS_BUF])
{
    return units_size(to, (double)bytes);
}

/* Resident memory that nothing live accounts for: it costs no time, and is told apart. */
static void resident_make(struct findings *to, const struct model *m)
{
    char a[UNITS_BUF], b[UNITS_BUF];
    struct resident_evidence e;
    resident_evidence_of(&e, m);
    if (!resident_judge(&e))
        return;
    struct finding *item = &to->items[to->count++];
    *item = (struct finding){.kind = FINDING_RSS_OVER_LIVE, .over_bytes = resident_over(&e)};
    item->peak_share = ratio((double)item->over_bytes, (double)e.max_rss_bytes);
    item->title = "memory held, not used";
    to->worth++;
    evidence_add(item,
                 "%s resident without files, at most %s of it live in the last fifth of the run",
                 size_text(e.anon_bytes, a), size_text(resident_explained(&e), b));
    evidence_add(item, "peak live %s, peak RSS %s", size_text(m->totals.v[METRIC_PEAK_BYTES], a),
                 size_text(e.max_rss_bytes, b));
    item->advice = e.threads > 2
                       ? "fewer arenas (MALLOC_ARENA_MAX=2), malloc_trim(0) after much "
                         "was freed; keep what lives long apart from what does not (pools), "
                         "or try another allocator"
                       : "malloc_trim(0) after much was freed, or a lower M_TRIM_THRESHOLD; "
                         "keep what lives long apart from what does not (pools by lifetime), "
                         "or try another allocator";
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
        struct finding_evidence e = evidence_of(s, m);
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
        finding_make(&(struct making){
            .subjects = subjects, .index = i, .subject = s, .model = m, .frames = f, .to = item});
        to->count++;
        to->worth += item->kind != FINDING_NOT_WORTH_IT;
    }
}

/* Of all selected sites one finding, at the one with most overruns. */
static void overruns_judge(struct findings *to, const struct model *m, struct frames *f)
{
    struct sites sites;
    if (!model_has(m, METRIC_OVERRUNS) || m->totals.v[METRIC_OVERRUNS] < FINDING_OVERRUNS_LEAST)
        return;
    sites_build(&sites, m, f, METRIC_OVERRUNS);
    size_t count = 0;
    while (count < sites.count && sites.sites[count].m.v[METRIC_OVERRUNS] >= FINDING_OVERRUNS_LEAST)
        count++;
    if (count) {
        char blocks[UNITS_BUF], all[UNITS_BUF], text[160];
        const struct site *top = &sites.sites[0];
        struct finding *item = &to->items[to->count++];
        int64_t n = top->m.v[METRIC_OVERRUNS];
        item->kind = FINDING_OVERRUN;
        item->title = "fix first: write past a block's end";
        item->max_gain = finding_max_gain(0);
        item->where = top->frame;
        item->advice =
            "without perfshim it may damage other data: -fsanitize=address shows the write";
        evidence_add(item, "%s of the %s blocks allocated here", units_count(blocks, (double)n),
                     units_count(all, (double)top->m.v[METRIC_ALLOC_CALLS]));
        if (top->via)
            evidence_add(item, "through %s", frame_text(f, top->via, text));
        if (count > 1)
            evidence_add(item, "%zu more site%s", count - 1, count == 2 ? "" : "s");
        to->worth++;
    }
    sites_release(&sites);
}

void findings_build(struct findings *to, const struct model *m, struct frames *f)
{
    struct subjects subjects = {0};
    *to = (struct findings){0};
    to->ticks = ratio((double)m->totals.v[METRIC_CPU_NS], (double)m->header->tick_period_ns);
    /* Of the cost only its CPU part scatters. */
    to->scatter = 2 * finding_deviation(to->ticks / 2, to->ticks) *
                  ratio((double)m->totals.v[METRIC_CPU_NS], (double)m->totals.v[METRIC_COST_NS]);
    to->state = state_of(to, m);
    if (to->state == FINDINGS_MADE)
        subjects_build(&subjects, m, f);
    to->items = memory_new(subjects.count + 2, sizeof *to->items);
    overruns_judge(to, m, f);
    if (to->state == FINDINGS_MADE) {
        subjects_judge(to, &subjects, m, f);
        subjects_release(&subjects);
    }
    resident_make(to, m);
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
    char text[160], escaped[160], lock[64];
    size_t n = 0;
    to[0] = '\0';
    if (*item->lock)
        n = (size_t)snprintf(to, FINDINGS_WHERE_BYTES, "%s%s",
                             text_escape(lock, sizeof lock, item->lock_short, NAME_COLUMNS),
                             item->where ? " in " : "");
    if (item->where)
        snprintf(to + n, FINDINGS_WHERE_BYTES - n, "%s",
                 text_escape(escaped, sizeof escaped, frame_text(f, item->where, text), 120));
    return to;
}

char *findings_advice(const struct finding *item, char to[static FINDINGS_ADVICE_BYTES])
{
    snprintf(to, FINDINGS_ADVICE_BYTES, "%s%s%s", item->advice, *item->prediction ? ": " : "",
             item->prediction);
    return to;
}
