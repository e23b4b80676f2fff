#include "analyzer/children.h"

#include <stdio.h>

#include "common/units.h"

static bool waits_for_child(uint32_t call)
{
    return call == PSHIM_CALL_WAIT || call == PSHIM_CALL_WAITPID || call == PSHIM_CALL_WAIT3 ||
           call == PSHIM_CALL_WAIT4 || call == PSHIM_CALL_WAITID;
}

static bool waits_for_signal(uint32_t call)
{
    return call == PSHIM_CALL_PAUSE || call == PSHIM_CALL_SIGSUSPEND ||
           call == PSHIM_CALL_SIGWAIT || call == PSHIM_CALL_SIGWAITINFO ||
           call == PSHIM_CALL_SIGTIMEDWAIT;
}

bool children_judge(const struct children_evidence *e)
{
    double wall = (double)e->wall_ns;
    return wall > 0 && e->wait_calls > 0 && e->cpu_ns >= 0 &&
           (double)e->cpu_ns <= CHILDREN_CPU_MOST * wall &&
           (double)e->wait_ns + (double)e->signals_ns >= CHILDREN_WAIT_LEAST * wall;
}

const char *children_note(const struct model *m, char to[static CHILDREN_NOTE_BYTES])
{
    char waited[UNITS_BUF], ran[UNITS_BUF];
    const struct ledger *l = &m->ledger;
    struct children_evidence e = {.wall_ns = l->wall_ns,
                                  .cpu_ns = ledger_has(l, LEDGER_CPU) ? l->v[LEDGER_CPU] : -1};
    for (size_t i = 0; i < m->wait_count; i++) {
        const struct model_wait *w = &m->waits[i];
        if (waits_for_child(w->call)) {
            e.wait_calls = metric_sum(e.wait_calls, w->counts.calls);
            e.wait_ns = metric_sum(e.wait_ns, w->counts.time_ns);
        } else if (waits_for_signal(w->call)) {
            e.signals_ns = metric_sum(e.signals_ns, w->counts.time_ns);
        }
    }
    if (!children_judge(&e))
        return NULL;
    units_duration(waited, (double)metric_sum(e.wait_ns, e.signals_ns));
    units_duration(ran, (double)e.cpu_ns);
    snprintf(to, CHILDREN_NOTE_BYTES,
             "it waited %s for a child and ran %s itself: record --follow (PERFSHIM_FOLLOW=1) "
             "profiles children",
             waited, ran);
    return to;
}
