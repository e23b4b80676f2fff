#include <stdlib.h>

#include "analyzer/memory.h"
#include "analyzer/settle.h"

/* The threads of one start routine, by its node. Node 0: those whose start is not known. */
struct starter {
    bool known;
    int64_t excess_ns; /* of their ticks over their clocks */
    int64_t ticks_ns;
    int64_t passed_ns; /* while the excess is shared out: ticks already passed */
    bool taken;
};

static bool is_unsampled(const struct model *m, const struct model_sample *s, uint32_t *start)
{
    const struct pshim_node *n = s->node ? reader_node(m->reader, s->node) : NULL;
    if (!s->cpu || !n || n->module != PSHIM_MODULE_SPECIAL || n->offset != PSHIM_SPECIAL_UNSAMPLED)
        return false;
    *start = n->parent;
    return true;
}

/* NULL: the stack is under no start routine that has anything booked. */
static struct starter *starter_of(const struct model *m, struct starter *starters, uint32_t node)
{
    while (node && !starters[node].known)
        node = reader_node(m->reader, node)->parent;
    return starters[node].known ? &starters[node] : NULL;
}

/* part × of ÷ whole, rounded down; nothing is negative, part ≤ whole. */
static int64_t proportion(int64_t part, int64_t of, int64_t whole)
{
    return (int64_t)((unsigned __int128)part * (unsigned __int128)of / (unsigned __int128)whole);
}

static void share_out(struct model *m, struct starter *starters)
{
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t *ns = &m->samples[i].m.v[METRIC_CPU_NS];
        struct starter *s = *ns > 0 ? starter_of(m, starters, m->samples[i].node) : NULL;
        if (!s || s->excess_ns <= 0 || s->excess_ns > s->ticks_ns)
            continue;
        /* Differences of a running sum: the parts add up to the whole, whatever is rounded. */
        int64_t before = proportion(s->passed_ns, s->excess_ns, s->ticks_ns);
        s->passed_ns += *ns;
        *ns -= proportion(s->passed_ns, s->excess_ns, s->ticks_ns) - before;
        s->taken = true;
    }
}

void settle_cpu(struct model *m)
{
    bool any = false;
    uint32_t start;
    for (size_t i = 0; i < m->sample_count && !any; i++)
        any = m->samples[i].m.v[METRIC_CPU_NS] < 0 && is_unsampled(m, &m->samples[i], &start);
    if (!any)
        return;
    struct starter *starters =
        memory_new(reader_count(m->reader, PSHIM_REGION_NODE) + 1, sizeof *starters);
    for (size_t i = 0; i < m->sample_count; i++)
        if (is_unsampled(m, &m->samples[i], &start)) {
            int64_t ns = m->samples[i].m.v[METRIC_CPU_NS];
            starters[start].known = true;
            if (ns < 0)
                starters[start].excess_ns = metric_difference(starters[start].excess_ns, ns);
        }
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t ns = m->samples[i].m.v[METRIC_CPU_NS];
        struct starter *s = ns > 0 ? starter_of(m, starters, m->samples[i].node) : NULL;
        if (s && __builtin_add_overflow(s->ticks_ns, ns, &s->ticks_ns))
            s->excess_ns = 0; /* a damaged file: nothing is taken */
    }
    share_out(m, starters);
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t *ns = &m->samples[i].m.v[METRIC_CPU_NS];
        if (*ns < 0 && is_unsampled(m, &m->samples[i], &start) && starters[start].taken)
            *ns = 0;
    }
    free(starters);
}

static void settle_wait(struct model *m, enum pshim_wait kind, enum metric wait, enum metric cpu)
{
    int64_t excess = 0, room = 0, passed = 0;
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t *v = m->samples[i].m.v;
        uint64_t ticks = (uint64_t)m->samples[i].wait_ticks[kind];
        uint64_t ns, waited = v[wait] > 0 ? (uint64_t)v[wait] : 0;
        if (__builtin_mul_overflow(ticks, m->header->tick_period_ns, &ns) || ns > INT64_MAX)
            ns = waited;
        v[cpu] = (int64_t)(ns < waited ? ns : waited);
        /* A damaged file: what overflows is not shared out. */
        if (__builtin_add_overflow(excess, (int64_t)ns - v[cpu], &excess) ||
            __builtin_add_overflow(room, (int64_t)waited - v[cpu], &room))
            return;
    }
    if (excess > room)
        excess = room;
    for (size_t i = 0; i < m->sample_count && excess; i++) {
        int64_t *v = m->samples[i].m.v;
        int64_t before = proportion(passed, excess, room);
        passed += (v[wait] > 0 ? v[wait] : 0) - v[cpu];
        v[cpu] += proportion(passed, excess, room) - before;
    }
}

void settle_waits(struct model *m)
{
    settle_wait(m, PSHIM_WAIT_LOCK, METRIC_LOCK_WAIT_NS, METRIC_LOCK_CPU_NS);
    settle_wait(m, PSHIM_WAIT_IO, METRIC_IO_WAIT_NS, METRIC_IO_CPU_NS);
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t *v = m->samples[i].m.v, *ticks = m->samples[i].wait_ticks, ran;
        v[METRIC_IO_WAIT_NS] = metric_difference(v[METRIC_IO_WAIT_NS], v[METRIC_IO_CPU_NS]);
        if (__builtin_mul_overflow(ticks[PSHIM_WAIT_IDLE], m->header->tick_period_ns, &ran) ||
            ran > v[METRIC_IDLE_NS])
            ran = v[METRIC_IDLE_NS];
        v[METRIC_IDLE_NS] = metric_difference(v[METRIC_IDLE_NS], ran);
    }
}
