/* What is said about waiting for files, sockets and the disk. */
#include <stdio.h>

#include "analyzer/call_site.h"
#include "analyzer/findings_say.h"
#include "analyzer/model_waits.h"
#include "analyzer/text.h"
#include "common/units.h"

void findings_io_say(struct making *g, bool first)
{
    int64_t ns;
    g->to->where = subject_most(g->subjects, g->index, SUBJECT_BY_PLACE, &ns);
    g->to->title = first ? "focus first: I/O wait" : "optimise: I/O wait";
    findings_evidence_add(
        g->to, "%.0f%% of it waits for I/O; calls, bytes and times: report --view=io",
        100 * findings_ratio((double)g->subject->waited_ns, (double)subject_cost(g->subject)));
    g->to->advice = first ? "start here: fewer and larger calls, or other work meanwhile"
                          : "worth a try: fewer and larger calls, or other work meanwhile";
}

/* Syncing, and what was written meanwhile: which file a call is about is not recorded. */
struct syncing {
    struct call_sites sites; /* owns what follows */
    struct model_wait_counts syncs, writes;
    const struct call_site *sync, *write; /* with most time; with most bytes; NULL = none */
};

static void syncing_build(struct syncing *to, const struct model *m, struct frames *f)
{
    *to = (struct syncing){0};
    call_sites_build(&to->sites, m, f, PSHIM_WAIT_IO);
    for (size_t i = 0; i < to->sites.count; i++) {
        const struct call_site *c = &to->sites.items[i];
        if (model_call_syncs(c->call)) {
            model_wait_counts_add(&to->syncs, &c->counts);
            to->sync = to->sync ? to->sync : c;
        } else if (model_call_writes(c->call)) {
            model_wait_counts_add(&to->writes, &c->counts);
            if (!to->write || c->counts.bytes > to->write->counts.bytes)
                to->write = c;
        }
    }
}

void findings_sync_evidence(struct finding_evidence *e, const struct subjects *subjects)
{
    struct syncing s;
    syncing_build(&s, subjects->model, subjects->frames);
    e->sync_bytes = findings_ratio((double)s.writes.bytes, (double)s.syncs.calls);
    call_sites_release(&s.sites);
}

/* The waits for locks while a holder syncs: what these threads wait for is the disk. */
static int64_t locked_out_ns(const struct subjects *subjects)
{
    int64_t ns = 0;
    for (size_t i = 0; i < subjects->count; i++) {
        const struct subject *s = &subjects->items[i];
        if (s->kind == SUBJECT_LOCK && model_call_syncs(s->held_io.call) &&
            (double)s->held_io.ns >= FINDING_HELD_IO * (double)s->counts.hold_ns)
            ns = metric_sum(ns, s->waited_ns);
    }
    return ns;
}

static void sync_often_say(struct making *g, const struct syncing *s)
{
    const double alone = 1.5; /* threads at a time: from here on there is somebody to sync for */
    char bytes[UNITS_BUF], text[FINDINGS_FRAME_BYTES];
    double syncs = (double)s->syncs.calls, writes = (double)s->writes.calls / syncs;
    double waiting =
        finding_sync_waiting(s->syncs.time_ns, locked_out_ns(g->subjects), g->model->wall_ns);
    findings_evidence_add(g->to, "%.1f write%s and %s for each, most of it by %s", writes,
                          writes == 1 ? "" : "s",
                          units_size(bytes, (double)s->writes.bytes / syncs),
                          findings_frame_text(g->frames, s->write->place, text));
    if (waiting >= alone)
        findings_evidence_add(g->to, "%.1f threads at a time sync, or wait for one that does",
                              waiting);
    g->to->advice = waiting >= alone ? "group commit: one thread syncs for all that wait, and for "
                                       "more writes at a time"
                                     : "group commit: sync once for many writes, if a crash may "
                                       "take the last ones";
    unsigned group = finding_sync_group(g->to->share);
    snprintf(g->to->prediction, sizeof g->to->prediction,
             "with %u%s times as many writes for each it would be %.0f%% of the cost", group,
             group == FINDING_SYNC_GROUP_MOST ? " or more" : "", 100 * FINDING_SYNC_LEFT);
}

void findings_sync_say(struct making *g)
{
    struct syncing s;
    char calls[UNITS_BUF], each[UNITS_BUF];
    bool first = g->to->share >= FINDING_FOCUS_SHARE;
    syncing_build(&s, g->model, g->frames);
    g->to->where = s.sync->place;
    findings_evidence_add(g->to, "%s call%s of %s and its kind, %s each",
                          units_count(calls, (double)s.syncs.calls), s.syncs.calls == 1 ? "" : "s",
                          model_call_name(s.sync->call),
                          units_duration(each, (double)s.syncs.time_ns / (double)s.syncs.calls));
    if (g->to->kind == FINDING_SYNC_OFTEN) {
        g->to->title = first ? "focus first: fsync too often" : "fsync too often";
        sync_often_say(g, &s);
    } else {
        g->to->title = first ? "focus first: fsync wait" : "optimise: fsync wait";
        g->to->advice = "sync less often, or in a thread of its own while others go on";
    }
    call_sites_release(&s.sites);
}
