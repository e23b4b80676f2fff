/* Findings that are about no part of the cost. */
#include <math.h>
#include <stdio.h>

#include "analyzer/findings_say.h"
#include "analyzer/resident.h"
#include "analyzer/site.h"
#include "common/units.h"

static const char *size_text(int64_t bytes, char to[static UNITS_BUF])
{
    return units_size(to, (double)bytes);
}

/* Resident memory that nothing live accounts for: it costs no time, and is told apart. */
void findings_resident_make(struct findings *to, const struct model *m)
{
    char a[UNITS_BUF], b[UNITS_BUF];
    struct resident_evidence e;
    resident_evidence_of(&e, m);
    if (!resident_judge(&e))
        return;
    struct finding *item = &to->items[to->count++];
    *item = (struct finding){
        .kind = FINDING_RSS_OVER_LIVE, .over_bytes = resident_over(&e), .predicted_ns = NAN};
    item->peak_share = findings_ratio((double)item->over_bytes, (double)e.max_rss_bytes);
    item->title = "memory held, not used";
    to->worth++;
    findings_evidence_add(
        item, "%s resident without files, at most %s of it live in the last fifth of the run",
        size_text(e.anon_bytes, a), size_text(resident_explained(&e), b));
    findings_evidence_add(item, "peak live %s, peak RSS %s",
                          size_text(m->totals.v[METRIC_PEAK_BYTES], a),
                          size_text(e.max_rss_bytes, b));
    item->advice = e.threads > 2
                       ? "fewer arenas (MALLOC_ARENA_MAX=2), malloc_trim(0) after much "
                         "was freed; keep what lives long apart from what does not (pools), "
                         "or try another allocator"
                       : "malloc_trim(0) after much was freed, or a lower M_TRIM_THRESHOLD; "
                         "keep what lives long apart from what does not (pools by lifetime), "
                         "or try another allocator";
}

/* Of all selected sites one finding, at the one with most overruns. */
void findings_overruns_make(struct findings *to, const struct model *m, struct frames *f)
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
        item->predicted_ns = NAN;
        item->title = "fix first: write past a block's end";
        item->max_gain = finding_max_gain(0);
        item->where = top->frame;
        item->advice =
            "without perfshim it may damage other data: -fsanitize=address shows the write";
        findings_evidence_add(item, "%s of the %s blocks allocated here",
                              units_count(blocks, (double)n),
                              units_count(all, (double)top->m.v[METRIC_ALLOC_CALLS]));
        if (top->via)
            findings_evidence_add(item, "through %s", findings_frame_text(f, top->via, text));
        if (count > 1)
            findings_evidence_add(item, "%zu more site%s", count - 1, count == 2 ? "" : "s");
        to->worth++;
    }
    sites_release(&sites);
}

/* More threads want to run than there are CPUs: waiting for one is in no cost. */
void findings_threads_make(struct findings *to, const struct model *m)
{
    char ready[UNITS_BUF];
    const struct ledger *l = &m->ledger;
    struct finding_threads t = {
        .wall_ns = m->wall_ns,
        .cpu_ns = ledger_has(l, LEDGER_CPU) ? l->v[LEDGER_CPU] : -1,
        .ready_ns = ledger_has(l, LEDGER_RUNQUEUE) ? l->v[LEDGER_RUNQUEUE] : -1,
        .io_ns = l->v[LEDGER_IO],
        .cpus = m->header->cpus,
        .threads = findings_busy_threads(m),
    };
    unsigned enough = finding_threads_judge(&t);
    if (!enough)
        return;
    struct finding *item = &to->items[to->count++];
    *item = (struct finding){.kind = FINDING_OVERSUBSCRIPTION,
                             .title = "too many threads",
                             .ready_ns = t.ready_ns,
                             .enough_threads = enough,
                             .predicted_ns = NAN};
    item->ready_share = findings_ratio((double)t.ready_ns, (double)m->ledger.wall_ns);
    to->worth++;
    findings_evidence_add(item, "%u threads computed on %u CPU%s, busy for %.0f%% of the run",
                          t.threads, t.cpus, t.cpus == 1 ? "" : "s",
                          100 * findings_ratio((double)t.cpu_ns, (double)t.wall_ns * t.cpus));
    findings_evidence_add(item, "%s ready to run, without a CPU: %.1f threads at a time",
                          units_duration(ready, (double)t.ready_ns),
                          findings_ratio((double)t.ready_ns, (double)t.wall_ns));
    item->advice = "run fewer";
    snprintf(item->prediction, sizeof item->prediction,
             "%u thread%s would keep busy what CPUs there are%s", enough, enough == 1 ? "" : "s",
             enough > t.cpus ? ", since some wait for I/O" : "; more only take turns");
}
