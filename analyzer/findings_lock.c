/* What is said about locks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analyzer/findings_say.h"
#include "analyzer/model_waits.h"
#include "analyzer/text.h"
#include "common/units.h"

/* Of the run, how long each lock of the subject was held. */
static double held_run(const struct subject *s, const struct model *m)
{
    return findings_ratio((double)s->counts.hold_ns, (double)m->wall_ns * (double)s->locks);
}

/* Of the time that it was held, in I/O. */
static double held_io(const struct subject *s)
{
    return findings_ratio((double)s->held_io.ns, (double)s->counts.hold_ns);
}

/* Of the CPU time under it, in waking others. */
static double held_waking(const struct subject *s)
{
    return findings_ratio((double)s->waking.cpu_ns, (double)s->held_cpu_ns);
}

static double mean_hold_ns(const struct subject *s)
{
    return findings_ratio((double)s->counts.hold_ns, (double)s->counts.acquisitions);
}

static double mean_wait_ns(const struct subject *s)
{
    return findings_ratio((double)s->counts.wait_ns, (double)s->counts.contentions);
}

/*
 * Were holders stopped while they held it? Then there are holds much longer than others, and those
 * are what one waits for.
 */
static bool is_stopped(const struct subject *s)
{
    enum { much = 100 };
    const struct model_lock_counts *c = &s->counts;
    double hold = mean_hold_ns(s);
    return hold > 0 && (double)c->hold_max_ns >= much * hold && mean_wait_ns(s) >= much * hold;
}

/* Is its cost mostly that of the calls, not waiting or spinning? */
static int64_t calls_ns(const struct subject *s)
{
    return s->cpu_ns - s->spin_ns;
}

static bool is_calls(const struct subject *s)
{
    return calls_ns(s) > subject_cost(s) / 2;
}

/* Of its waits, the share in which nobody had it. */
static double handoff(const struct subject *s)
{
    return s->wait_ns > 0 ? 1 - fmin(1, (double)s->blamed_ns / (double)s->wait_ns) : 0;
}

void findings_lock_evidence(struct finding_evidence *e, const struct subject *s,
                            const struct model *m)
{
    double acquisitions = (double)s->counts.acquisitions, held = (double)s->held_cpu_ns;
    e->acquisitions = s->counts.acquisitions;
    e->contentions = s->counts.contentions;
    e->held_ticks = findings_ratio(held, (double)m->header->tick_period_ns);
    e->held_run = held_run(s, m);
    e->held_io = held_io(s);
    e->held_sync = model_call_syncs(s->held_io.call);
    e->held_work = findings_ratio((double)s->work.cpu_ns, held);
    if (model_has(m, METRIC_ALLOC_CALLS))
        e->held_allocs = findings_ratio((double)s->counts.held_allocs, acquisitions);
    e->held_allocator = findings_ratio((double)s->allocating.cpu_ns, held);
    e->held_waking = held_waking(s);
    e->calls_share = findings_ratio((double)calls_ns(s), (double)m->totals.v[METRIC_COST_NS]);
    e->hold_ns = e->handoff = e->wait_holds = e->owner_changes = NAN;
    if (!model_has(m, METRIC_LOCK_HOLD_NS) || !(acquisitions > 0))
        return;
    e->hold_ns = mean_hold_ns(s);
    if (e->hold_ns > 0)
        e->wait_holds = mean_wait_ns(s) / e->hold_ns;
    if (model_has(m, METRIC_BLAMED_WAIT_NS))
        e->handoff = handoff(s);
    if (s->owner_changes >= 0)
        e->owner_changes = (double)s->owner_changes / acquisitions;
}

static void stopped_say(struct making *g)
{
    char hold[UNITS_BUF];
    if (is_stopped(g->subject))
        findings_evidence_add(g->to, "the longest hold %s: a holder that was stopped, or rare work",
                              units_duration(hold, (double)g->subject->counts.hold_max_ns));
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
    units_duration(wait, mean_wait_ns(s));
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
            100 * findings_ratio((double)c->contentions, (double)c->acquisitions), wait);
    if (model_has(g->model, METRIC_LOCK_HOLD_NS) && c->acquisitions > 0)
        SAY("; held %s each, %.0f%% of the run", units_duration(hold, mean_hold_ns(s)),
            100 * held_run(s, g->model));
#undef SAY
    findings_evidence_add(g->to, "%s", text);
    if (s->spin_ns > 0)
        findings_evidence_add(
            g->to, "%.0f%% of it is CPU time of the function that asks in vain: it spins",
            100 * findings_ratio((double)s->spin_ns, (double)subject_cost(s)));
    else if (is_calls(s) && g->to->kind != FINDING_TAKEN_TOO_OFTEN)
        findings_evidence_add(
            g->to, "%.0f%% of it is CPU time in the calls that take it, wait, or give it back",
            100 * findings_ratio((double)s->cpu_ns, (double)subject_cost(s)));
    else if (g->to->kind == FINDING_CHECK_CONTENTION || g->to->kind == FINDING_FOCUS_FIRST)
        stopped_say(g);
}

static void lock_work_say(struct making *g)
{
    char text[FINDINGS_FRAME_BYTES];
    const struct subject *s = g->subject;
    g->to->work = s->work.frame;
    findings_evidence_add(g->to, "%.0f%% of the CPU time under it is in %s",
                          100 * findings_ratio((double)s->work.cpu_ns, (double)s->held_cpu_ns),
                          findings_frame_text(g->frames, s->work.frame, text));
}

static void lock_io_say(struct making *g)
{
    char calls[UNITS_BUF], each[UNITS_BUF];
    const struct subject *s = g->subject;
    const struct model_wait_counts *c = &s->held_io.counts;
    findings_evidence_add(
        g->to, "%.0f%% of the time it is held: inside I/O, most of it in %s (%s call%s, %s each)",
        100 * held_io(s), model_call_name(s->held_io.call), units_count(calls, (double)c->calls),
        c->calls == 1 ? "" : "s",
        units_duration(each, findings_ratio((double)c->time_ns, (double)c->calls)));
}

static void lock_allocations_say(struct making *g)
{
    const struct model_lock_counts *c = &g->subject->counts;
    if (model_has(g->model, METRIC_ALLOC_CALLS) && c->held_allocs >= c->acquisitions / 10 &&
        c->held_allocs > 0)
        findings_evidence_add(g->to, "%.2f allocations each time it is held",
                              findings_ratio((double)c->held_allocs, (double)c->acquisitions));
}

/* Malloc and free are most of what it is held for: how often, for how long, and where. */
static void allocating_say(struct making *g)
{
    char text[FINDINGS_FRAME_BYTES];
    const struct subject *s = g->subject;
    g->to->work = s->allocating.frame;
    findings_evidence_add(
        g->to, "%.2f allocations each time it is held, %.0f%% of the CPU time under it; most at %s",
        findings_ratio((double)s->counts.held_allocs, (double)s->counts.acquisitions),
        100 * findings_ratio((double)s->allocating.cpu_ns, (double)s->held_cpu_ns),
        findings_frame_text(g->frames, s->allocating.frame, text));
}

/* What it is held for is waking others. */
static void waking_say(struct making *g)
{
    char text[FINDINGS_FRAME_BYTES];
    const struct subject *s = g->subject;
    g->to->work = s->waking.frame;
    findings_evidence_add(g->to, "%.0f%% of the CPU time under it wakes other threads; most at %s",
                          100 * held_waking(s),
                          findings_frame_text(g->frames, s->waking.frame, text));
    g->to->advice =
        "signal after the unlock: who is woken finds it free (the condition must outlive "
        "the signal); and only if somebody waits";
}

/*
 * The part of hand-off that goes with the waiting. It is threads that wake up, which they need not
 * where they do not wait; but where CPUs are short they wait for these as long with short holds:
 * as much of it is promised as threads that could run did run. Nothing where that is not known.
 */
static double handoff_going(const struct ledger *l)
{
    double ran = (double)l->v[LEDGER_CPU];
    return ledger_has(l, LEDGER_RUNQUEUE) ? findings_ratio(ran, ran + (double)l->v[LEDGER_RUNQUEUE])
                                          : 0;
}

/* CPU time of putting threads to sleep and waking them: what the calls took beyond a free lock's.
 */
static double sleeping_ns(const struct subject *s)
{
    const double free_pair_ns = 50; /* some 20, and room for slower machines */
    double ns = (double)s->cpu_ns - free_pair_ns * (double)s->counts.acquisitions;
    return ns > 0 ? ns : 0;
}

/* What following the advice would leave of the cost: `share` of each hold is done outside. */
static void moved_predict(struct making *g, double share)
{
    char before[32], after[32];
    const struct subject *s = g->subject;
    const struct model *m = g->model;
    double cost = (double)m->totals.v[METRIC_COST_NS], hold = mean_hold_ns(s);
    double outside = findings_ratio(cost - (double)subject_cost(s) - (double)s->counts.hold_ns,
                                    (double)s->counts.acquisitions);
    unsigned threads =
        findings_busy_threads(m); /* not known after a kill; one alone waits for none */
    double left = finding_wait_left(hold, share * hold, outside, threads > 2 ? threads : 2);
    double going = 1 - handoff(s) * (1 - handoff_going(&m->ledger));
    g->to->predicted_ns = -(1 - left) * (going * (double)s->waited_ns + sleeping_ns(s));
    findings_cost_text(m, cost, before);
    findings_cost_text(m, cost + g->to->predicted_ns, after);
    snprintf(g->to->prediction, sizeof g->to->prediction, "predicted cost %s -> %s", before, after);
}

static void held_say(struct making *g, bool first)
{
    const struct subject *s = g->subject;
    g->to->title = first ? "focus first: held too long" : "held too long";
    if (held_waking(s) >= FINDING_HELD_WAKING) {
        waking_say(g);
        moved_predict(g, held_waking(s));
    } else {
        lock_work_say(g);
        lock_allocations_say(g);
        g->to->advice =
            "if that work needs only a copy: copy under the lock, work after the unlock";
        moved_predict(g, findings_ratio((double)s->work.cpu_ns, (double)s->held_cpu_ns));
    }
}

static void convoy_say(struct making *g, bool first)
{
    const struct subject *s = g->subject;
    const struct ledger *l = &g->model->ledger;
    bool starved = ledger_has(l, LEDGER_RUNQUEUE) && l->v[LEDGER_RUNQUEUE] > l->v[LEDGER_CPU];
    g->to->title = first ? "focus first: convoy" : "convoy";
    findings_evidence_add(
        g->to,
        "nobody has it for %.0f%% of the wait: a wait is for a thread to wake up, "
        "not for work; %.1f%% of the times another thread takes it",
        100 * handoff(s),
        100 * findings_ratio((double)s->owner_changes, (double)s->counts.acquisitions));
    g->to->advice =
        starved
            ? "no more busy threads than CPUs; take it less often: do several things under it, or "
              "keep a part for each thread and add them up"
            : "take it less often: do several things under it, or keep a part for each thread and "
              "add them up; or an adaptive mutex (PTHREAD_MUTEX_ADAPTIVE_NP)";
}

static void often_say(struct making *g, bool first)
{
    const double shared = 0.1; /* from here on its cache line travels */
    char each[UNITS_BUF];
    const struct subject *s = g->subject;
    double taken = (double)s->counts.acquisitions;
    double changes = findings_ratio((double)s->owner_changes, taken);
    g->to->title = first ? "focus first: taken too often" : "taken too often";
    findings_evidence_add(g->to,
                          "%.0f%% of it is CPU time in the calls that take it and give it back",
                          100 * findings_ratio((double)calls_ns(s), (double)subject_cost(s)));
    if (s->owner_changes >= 0)
        findings_evidence_add(g->to,
                              "%s of CPU time each; %.1f%% of the times another thread takes it",
                              units_duration(each, (double)calls_ns(s) / taken), 100 * changes);
    g->to->advice = changes >= shared
                        ? "split it (one for each shard), or keep a part for each thread and add "
                          "them up; do several things under one lock"
                        : "do several things under one lock, or do without: a part for each thread";
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

void findings_lock_say(struct making *g)
{
    const struct subject *s = g->subject;
    bool first = g->to->share >= FINDING_FOCUS_SHARE;
    g->to->where = s->place;
    strcpy(g->to->lock, s->lock);
    strcpy(g->to->lock_short, s->lock_short);
    lock_counts_say(g);
    switch (g->to->kind) {
    case FINDING_HELD_TOO_LONG:
        held_say(g, first);
        break;
    case FINDING_ALLOC_UNDER_LOCK:
        allocating_say(g);
        g->to->title = first ? "focus first: allocations under a lock" : "allocations under a lock";
        g->to->advice = "allocate before taking it, free after giving it back, or keep what is "
                        "freed for the next use";
        moved_predict(g, findings_ratio((double)s->allocating.cpu_ns, (double)s->held_cpu_ns));
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
    case FINDING_CONVOY:
        convoy_say(g, first);
        break;
    case FINDING_TAKEN_TOO_OFTEN:
        often_say(g, first);
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
