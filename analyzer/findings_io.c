/* What is said about waiting for files, sockets and the disk. */
#include <stdio.h>
#include <stdlib.h>

#include "analyzer/call_site.h"
#include "analyzer/findings_say.h"
#include "analyzer/lock.h"
#include "analyzer/memory.h"
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

/*
 * Syncing, and what is written for it. Which file a call is about is not recorded; what belongs to
 * a sync is taken to be written by the same callers: below the innermost frame around the sync
 * below which anything is written. So a load phase that writes and does not sync is in no figure.
 * Where most syncs have no such frame, a thread syncs for others: then all that is written counts.
 */
struct syncing {
    struct call_sites sites; /* owns what follows */
    struct model_wait_counts syncs, writes;
    const struct call_site *sync; /* with most time */
    uint32_t write_node;          /* the call with most bytes; 0 = none */
};

static uint32_t outer(const struct model *m, uint32_t node)
{
    const struct pshim_node *n = node ? reader_node(m->reader, node) : NULL;
    return n && n->parent && reader_node(m->reader, n->parent) ? n->parent : 0;
}

/* What is known of a node: something is written below it; what is written below it is synced. */
enum { WRITES = 1, SYNCED = 2 };

/* The innermost frame from here outwards that has the mark; 0, all frames, if none has. */
static uint32_t innermost(const struct model *m, const uint8_t *marks, uint32_t node, uint8_t mark)
{
    for (unsigned i = 0; node && !(marks[node] & mark); i++)
        node = i < READER_DEPTH_MAX ? outer(m, node) : 0;
    return node;
}

static uint8_t *marks_make(const struct model *m)
{
    uint8_t *marks = memory_new((size_t)reader_count(m->reader, PSHIM_REGION_NODE) + 1, 1);
    for (size_t i = 0; i < m->wait_count; i++)
        if (model_call_writes(m->waits[i].call))
            for (uint32_t n = m->waits[i].node; n && !(marks[n] & WRITES); n = outer(m, n))
                marks[n] |= WRITES;
    int64_t for_own = 0, for_others = 0;
    for (size_t i = 0; i < m->wait_count; i++) {
        if (!model_call_syncs(m->waits[i].call))
            continue;
        uint32_t frame = innermost(m, marks, m->waits[i].node, WRITES);
        int64_t *calls = frame ? &for_own : &for_others;
        *calls = metric_sum(*calls, m->waits[i].counts.calls);
        if (frame)
            marks[frame] |= SYNCED;
    }
    if (for_others > for_own)
        marks[0] |= SYNCED;
    return marks;
}

static void writes_add(struct syncing *to, const struct model *m)
{
    int64_t most = -1;
    uint8_t *marks = marks_make(m);
    for (size_t i = 0; i < m->wait_count; i++) {
        const struct model_wait *w = &m->waits[i];
        if (!model_call_writes(w->call) || !(marks[innermost(m, marks, w->node, SYNCED)] & SYNCED))
            continue;
        model_wait_counts_add(&to->writes, &w->counts);
        if (w->counts.bytes > most) {
            most = w->counts.bytes;
            to->write_node = w->node;
        }
    }
    free(marks);
}

static void syncing_build(struct syncing *to, const struct model *m, struct frames *f)
{
    *to = (struct syncing){0};
    call_sites_build(&to->sites, m, f, PSHIM_WAIT_IO);
    for (size_t i = 0; i < to->sites.count; i++) {
        const struct call_site *c = &to->sites.items[i];
        if (model_call_syncs(c->call)) {
            model_wait_counts_add(&to->syncs, &c->counts);
            to->sync = to->sync ? to->sync : c;
        }
    }
    writes_add(to, m);
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
    findings_evidence_add(
        g->to, "%.1f write%s and %s for each, most of it by %s", writes, writes == 1 ? "" : "s",
        units_size(bytes, (double)s->writes.bytes / syncs),
        findings_frame_text(g->frames, lock_place(s->write_node, g->frames), text));
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
