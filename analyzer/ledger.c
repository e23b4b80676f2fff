#include "analyzer/ledger.h"

#include "analyzer/metrics.h"

static void put(struct ledger *l, enum ledger_part part, int64_t ns)
{
    l->v[part] = ns;
    l->known |= 1u << part;
}

/* A wait without what its thread ran meanwhile. */
static void put_wait(struct ledger *l, enum ledger_part part, int64_t wait_ns, int64_t cpu_ns)
{
    if (wait_ns < 0)
        return;
    int64_t off_cpu = metric_difference(wait_ns, cpu_ns);
    put(l, part, off_cpu > 0 ? off_cpu : 0); /* a tick stands for a period, the wait was shorter */
}

struct ledger ledger_books_close(const struct ledger_facts *f)
{
    struct ledger l = {.wall_ns = f->wall_ns};
    put(&l, LEDGER_PAUSED, f->paused_ns);
    if (f->cpu_ns >= 0)
        put(&l, LEDGER_CPU, f->cpu_ns);
    put_wait(&l, LEDGER_LOCK, f->lock_ns, f->lock_cpu_ns);
    put_wait(&l, LEDGER_IO, f->io_ns, f->io_cpu_ns);
    put_wait(&l, LEDGER_IDLE, f->idle_ns, f->idle_cpu_ns);
    if (f->cpu_ns < 0)
        return l;
    int64_t rest = l.wall_ns;
    for (int i = 0; i < LEDGER_PART_COUNT; i++)
        rest = metric_difference(rest, l.v[i]);
    if (f->run_delay_ns >= 0) {
        int64_t most = rest > 0 ? rest : 0;
        put(&l, LEDGER_RUNQUEUE, f->run_delay_ns < most ? f->run_delay_ns : most);
    }
    put(&l, LEDGER_UNEXPLAINED, metric_difference(rest, l.v[LEDGER_RUNQUEUE]));
    return l;
}

static void known_set(struct ledger_sum *sum)
{
    struct ledger *all = &sum->all;
    all->known = 0;
    for (int i = 0; i < LEDGER_PART_COUNT; i++)
        if (sum->known_wall_ns[i] >= all->wall_ns - all->wall_ns / 10)
            all->known |= 1u << i;
}

void ledger_books_sum(struct ledger_sum *sum, const struct ledger_sum *more)
{
    sum->all.wall_ns = metric_sum(sum->all.wall_ns, more->all.wall_ns);
    for (int i = 0; i < LEDGER_PART_COUNT; i++) {
        sum->all.v[i] = metric_sum(sum->all.v[i], more->all.v[i]);
        sum->known_wall_ns[i] = metric_sum(sum->known_wall_ns[i], more->known_wall_ns[i]);
    }
    known_set(sum);
}

void ledger_books_add(struct ledger_sum *sum, const struct ledger *one)
{
    struct ledger_sum more = {.all = *one};
    for (int i = 0; i < LEDGER_PART_COUNT; i++)
        more.known_wall_ns[i] = ledger_has(one, i) ? one->wall_ns : 0;
    ledger_books_sum(sum, &more);
}
