#include "analyzer/model_threads.h"

#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/process.h"

static int64_t not_negative(int64_t ns)
{
    return ns > 0 ? ns : 0;
}

/* When a moment of the header's clock was, CLOCK_MONOTONIC. */
static int64_t clock_moment_ns(const struct model *m, uint64_t units)
{
    const struct pshim_header *h = m->header;
    return metric_sum((int64_t)h->clock_first_ns, model_clock_ns(m, units - h->clock_first_units));
}

/* What a thread waited, by kind; a wait that is under way at end_ns is in it. Returns what of that
   is one for a lock. */
static int64_t waits_load(const struct model *m, const struct pshim_thread *t, uint64_t end_ns,
                          int64_t waits[static PSHIM_WAITS], int64_t cpu[static PSHIM_WAITS])
{
    enum { kind_bits = 3 };
    uint64_t before[PSHIM_WAITS], waiting;
    bool moved = true;
    for (int tries = 0; moved && tries < 3; tries++) { /* it may end just now */
        moved = false;
        for (int i = 0; i < PSHIM_WAITS; i++)
            before[i] = pshim_load(&t->wait[i]);
        waiting = __atomic_load_n(&t->waiting, __ATOMIC_ACQUIRE);
        for (int i = 0; i < PSHIM_WAITS; i++)
            moved = moved || before[i] != pshim_load(&t->wait[i]);
    }
    for (int i = 0; i < PSHIM_WAITS; i++) {
        waits[i] = model_clock_ns(m, before[i]);
        cpu[i] = (int64_t)(pshim_load(&t->wait_ticks[i]) * m->header->tick_period_ns);
    }
    if (!waiting || pshim_load32(&t->state) == PSHIM_THREAD_ENDED)
        return 0;
    int64_t now = not_negative(
        metric_difference((int64_t)end_ns, clock_moment_ns(m, waiting & ~(uint64_t)kind_bits)));
    waits[waiting & kind_bits] = metric_sum(waits[waiting & kind_bits], now);
    return (waiting & kind_bits) == PSHIM_WAIT_LOCK ? now : 0;
}

static int64_t paused_ns(const struct pshim_header *h, const struct pshim_thread *t, bool ended,
                         uint64_t end_ns)
{
    uint64_t since = pshim_load(&h->paused_since_ns);
    uint64_t until = pshim_load(&h->paused_ns) + (since && end_ns > since ? end_ns - since : 0);
    return not_negative((int64_t)((ended ? t->paused_at_end_ns : until) - t->paused_at_start_ns));
}

/* Of a thread that lives in a process that does: what the kernel says now. */
static void running_ask(const struct model *m, const struct pshim_thread *t, int64_t *cpu,
                        struct ledger_facts *facts)
{
    const struct pshim_header *h = m->header;
    int64_t ran, delay;
    if (process_thread_times(h->pid, t->tid, &ran, &delay) != 0)
        return;
    facts->run_delay_ns = not_negative(delay - (int64_t)t->run_delay_at_start_ns);
    bool paused = pshim_load(&h->paused_ns) || pshim_load(&h->paused_since_ns);
    if (!paused && ran >= (int64_t)t->cpu_at_start_ns)
        *cpu = ran - (int64_t)t->cpu_at_start_ns;
}

static void thread_load(struct model *m, const struct pshim_thread *t, struct model_thread *to,
                        uint64_t end_ns)
{
    const struct pshim_header *h = m->header;
    uint64_t end = pshim_load(&t->end_monotonic_ns);
    bool waits_known = reader_has_waits(m->reader);
    int64_t waits[PSHIM_WAITS], ran[PSHIM_WAITS];
    to->tid = t->tid;
    memcpy(to->name, t->name, sizeof t->name);
    to->ended = pshim_load32(&t->state) == PSHIM_THREAD_ENDED;
    to->merged = pshim_load(&t->merged);
    to->wall_ns = not_negative(
        metric_difference((int64_t)(end ? end : end_ns), (int64_t)t->start_monotonic_ns));
    to->cpu_ns = (int64_t)pshim_load(&t->cpu_ns);
    if (!to->cpu_ns)
        to->cpu_ns = (int64_t)(pshim_load(&t->ticks) * h->tick_period_ns);
    struct ledger_facts facts = {.wall_ns = to->wall_ns,
                                 .cpu_ns = -1,
                                 .lock_ns = -1,
                                 .io_ns = -1,
                                 .idle_ns = -1,
                                 .run_delay_ns = -1};
    if (waits_known && !to->merged) {
        facts.paused_ns = paused_ns(h, t, end != 0, end_ns);
        if (t->run_delay_ns)
            facts.run_delay_ns = not_negative((int64_t)(t->run_delay_ns - 1));
        if (!to->ended && m->end == PSHIM_END_RUNNING)
            running_ask(m, t, &to->cpu_ns, &facts);
        int64_t now = waits_load(m, t, end_ns, waits, ran);
        bool locks = h->locks_mode == PSHIM_ON || h->locks_mode == PSHIM_WAIT;
        m->lock_waiters += locks && now;
        m->lock_waiters_ns = metric_sum(m->lock_waiters_ns, locks ? now : 0);
        bool io = h->io_mode == PSHIM_ON;
        facts.lock_ns = locks ? waits[PSHIM_WAIT_LOCK] : -1;
        facts.io_ns = io ? waits[PSHIM_WAIT_IO] : -1;
        facts.idle_ns = locks || io ? waits[PSHIM_WAIT_IDLE] : -1;
        facts.lock_cpu_ns = ran[PSHIM_WAIT_LOCK];
        facts.io_cpu_ns = ran[PSHIM_WAIT_IO];
        facts.idle_cpu_ns = ran[PSHIM_WAIT_IDLE];
    }
    if (h->cpu_hz)
        facts.cpu_ns = to->cpu_ns;
    to->ledger = ledger_books_close(&facts);
}

void model_threads_load(struct model *m, uint64_t end_ns)
{
    uint32_t count = reader_count(m->reader, PSHIM_REGION_THREAD);
    struct ledger_sum sum = {0};
    m->threads = memory_new(count, sizeof *m->threads);
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_thread *t = reader_thread(m->reader, i);
        if (!t)
            continue;
        struct model_thread *to = &m->threads[m->threads_kept++];
        thread_load(m, t, to, end_ns);
        ledger_books_add(&sum, &to->ledger);
        m->thread_wall_ns = metric_sum(m->thread_wall_ns, to->wall_ns);
        m->thread_count += 1 + to->merged;
    }
    m->ledger = sum.all;
}
