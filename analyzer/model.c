#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyzer/memory.h"
#include "analyzer/model.h"
#include "analyzer/model_blame.h"
#include "analyzer/model_locks.h"
#include "analyzer/model_named.h"
#include "analyzer/model_threads.h"
#include "analyzer/model_waits.h"
#include "analyzer/settle.h"
#include "analyzer/process.h"

#define BIT(metric)  (1u << METRIC_##metric)
#define WAIT_METRICS (BIT(LOCK_WAIT_NS) | BIT(LOCK_CONTENTIONS))
#define LOCK_METRICS (WAIT_METRICS | BIT(LOCK_HOLD_NS) | BIT(LOCK_ACQUISITIONS))
#define ALLOC_METRICS                                                                              \
    (BIT(ALLOC_CALLS) | BIT(ALLOC_BYTES) | BIT(FREE_CALLS) | BIT(FREE_BYTES) | BIT(LIVE_BLOCKS) |  \
     BIT(LIVE_BYTES) | BIT(PEAK_BYTES) | BIT(TEMPORARY_CALLS))
#define SITE_METRICS                                                                               \
    (BIT(CROSS_THREAD_FREES) | BIT(GROWN_CALLS) | BIT(MOVED_BYTES) | BIT(ALLOCATOR_NS) |           \
     BIT(OVERRUNS))

/* ns per unit of the header's clock; 1 where the pair says nothing (a damaged file). */
static double clock_unit_ns(const struct pshim_header *h)
{
    uint64_t units = pshim_load(&h->clock_last_units) - h->clock_first_units;
    uint64_t ns = pshim_load(&h->clock_last_ns) - h->clock_first_ns;
    double unit = units && ns ? (double)ns / (double)units : 1;
    return unit < 1000 ? unit : 1; /* no counter is slower than a MHz */
}

int64_t model_clock_ns(const struct model *m, uint64_t units)
{
    enum { longest_years = 100 };
    const double most = longest_years * 366.0 * 86400e9;
    double ns = (double)units * m->clock_unit_ns + 0.5;
    return (int64_t)(ns < most ? ns : most);
}

static int64_t counter(const struct pshim_account *a, unsigned i)
{
    return (int64_t)pshim_load(&a->counter[i]);
}

static void add(int64_t *to, int64_t n)
{
    *to = metric_sum(*to, n);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* argv stands in the file as one run of NUL-terminated strings. */
static void argv_load(struct model *m)
{
    const struct reader *r = m->reader;
    uint32_t limit = reader_count(r, PSHIM_REGION_STRING);
    uint32_t at = m->header->argv;
    uint32_t count = m->header->argc;
    if (at == 0 || at >= limit || count > limit - at)
        count = 0;
    const char **argv = memory_new(count, sizeof *argv);
    m->argv = argv;
    for (uint32_t i = 0; i < count && at < limit; i++) {
        const char *s = (const char *)profile_record(&r->profile, PSHIM_REGION_STRING, at);
        size_t n = strnlen(s, limit - at);
        if (n == limit - at)
            break;
        argv[i] = s;
        m->argc = i + 1;
        at += (uint32_t)n + 1;
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The latest moment that the file tells of: a killed process has no end time. */
static uint64_t last_sign_of_life(const struct model *m)
{
    uint64_t last = pshim_load(&m->header->peak_monotonic_ns);
    uint32_t count = reader_count(m->reader, PSHIM_REGION_THREAD);
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_thread *t = reader_thread(m->reader, i);
        if (!t)
            continue;
        uint64_t seen = pshim_load(&t->last_seen_ns), end = pshim_load(&t->end_monotonic_ns);
        last = seen > last ? seen : last;
        last = end > last ? end : last;
        last = t->start_monotonic_ns > last ? t->start_monotonic_ns : last;
    }
    for (uint32_t i = reader_count(m->reader, PSHIM_REGION_MOMENT); i-- > 0;)
        if (reader_moment(m->reader, i) && pshim_moment_start(i) < INT64_MAX) {
            uint64_t told = m->header->start_monotonic_ns + pshim_moment_start(i);
            return told > last ? told : last;
        }
    return last;
}

/* Returns when the process ended, or now if it runs. */
static uint64_t end_load(struct model *m)
{
    const struct pshim_header *h = m->header;
    uint64_t end_ns = pshim_load(&h->end_monotonic_ns);
    m->end = pshim_load32(&h->end);
    m->status = h->status;
    m->status_known = m->end == PSHIM_END_EXIT || m->end == PSHIM_END_SIGNAL;
    m->rss_bytes = (int64_t)h->end_rss_bytes;
    m->anon_bytes = (int64_t)h->end_anon_bytes;
    if (m->end == PSHIM_END_RUNNING) {
        if (process_alive(h->pid, h->start_ticks)) {
            process_resident(h->pid, &m->rss_bytes, &m->anon_bytes);
            return now_ns();
        }
        m->end = PSHIM_END_SIGNAL; /* it never came to tell: killed, by what is not known */
    }
    return end_ns ? end_ns : last_sign_of_life(m);
}

/* While accounts are summed: which sample a node has. */
struct sums {
    uint32_t *sample_of_node; /* index + 1 */
    uint32_t nodes;
    uint32_t names;
    struct model_named *named;
    uint32_t room; /* of m->samples */
    uint64_t peak_epoch;
    struct model_locks *locks;
    struct model_blames *blames;
    struct model_waits *waits;
};

static struct model_sample *sample_get(struct model *m, struct sums *s, uint32_t node)
{
    uint32_t *slot = &s->sample_of_node[node];
    if (*slot == 0) {
        *slot = (uint32_t)m->sample_count + 1;
        m->samples[m->sample_count++].node = node;
    }
    return &m->samples[*slot - 1];
}

/* Handed out, nothing counted yet: the one that is kept for a full table, for example. */
static bool account_is_idle(const struct pshim_account *a)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < PSHIM_ACCOUNT_COUNTERS; i++)
        any |= pshim_load(&a->counter[i]);
    return any == 0;
}

static void account_add_frees(struct model *m, struct sums *s, const struct pshim_account *a)
{
    struct model_sample *to = sample_get(m, s, a->node);
    add(&to->m.v[METRIC_FREE_CALLS], counter(a, PSHIM_ALLOC_FREE_CALLS));
    add(&to->m.v[METRIC_FREE_BYTES], counter(a, PSHIM_ALLOC_FREE_BYTES));
    add(&to->m.v[METRIC_TEMPORARY_CALLS], counter(a, PSHIM_ALLOC_TEMPORARY));
    /* An account that was not touched since the peak still has what was live at it. */
    if (pshim_load(&a->counter[PSHIM_ALLOC_PEAK_EPOCH]) == s->peak_epoch)
        add(&to->m.v[METRIC_PEAK_BYTES], counter(a, PSHIM_ALLOC_PEAK_SAVED));
    else
        add(&to->m.v[METRIC_PEAK_BYTES],
            metric_difference(counter(a, PSHIM_ALLOC_BYTES), counter(a, PSHIM_ALLOC_FREE_BYTES)));
}

/* What a lock's account says becomes a sample of the call that took it. 0, or −1: damaged. */
static int account_add_lock(struct model *m, struct sums *s, const struct pshim_account *a,
                            uint32_t index)
{
    uint32_t node, kind;
    struct model_lock_counts counts;
    if (model_locks_add(s->locks, a, index, &node, &kind, &counts) != 0)
        return -1;
    if (node >= s->nodes || a->kind != PSHIM_KIND_LOCK)
        return 0;
    struct model_sample *to = sample_get(m, s, node);
    if (model_lock_is_idle(kind)) {
        to->idle = 1;
        add(&to->wait_ns[PSHIM_WAIT_IDLE], counts.wait_ns);
        return 0;
    }
    to->lock = 1;
    add(&to->m.v[METRIC_LOCK_WAIT_NS], counts.wait_ns);
    add(&to->m.v[METRIC_LOCK_HOLD_NS], counts.hold_ns);
    add(&to->m.v[METRIC_LOCK_ACQUISITIONS], counts.acquisitions);
    add(&to->m.v[METRIC_LOCK_CONTENTIONS], counts.contentions);
    return 0;
}

static int account_add_blame(struct model *m, struct sums *s, const struct pshim_account *a,
                             uint32_t index)
{
    uint32_t node;
    int64_t ns, waits;
    if (model_blames_add(s->blames, s->locks, a, index, &node, &ns, &waits) != 0)
        return -1;
    if (node >= s->nodes)
        return 0;
    struct model_sample *to = sample_get(m, s, node);
    to->blame = 1;
    add(&to->m.v[METRIC_BLAMED_WAIT_NS], ns);
    add(&to->m.v[METRIC_BLAMED_WAITS], waits);
    return 0;
}

static void site_add(const struct model *m, struct model_sample *to, const struct pshim_account *a)
{
    to->alloc = 1;
    add(&to->m.v[METRIC_CROSS_THREAD_FREES], counter(a, PSHIM_SITE_CROSS_FREES));
    add(&to->m.v[METRIC_GROWN_CALLS], counter(a, PSHIM_SITE_GROWN));
    add(&to->m.v[METRIC_MOVED_BYTES], counter(a, PSHIM_SITE_MOVED_BYTES));
    add(&to->m.v[METRIC_ALLOCATOR_NS],
        model_clock_ns(m, pshim_load(&a->counter[PSHIM_SITE_ALLOC_TIME])));
    add(&to->m.v[METRIC_ALLOCATOR_NS],
        model_clock_ns(m, pshim_load(&a->counter[PSHIM_SITE_FREE_TIME])));
    add(&to->timed, counter(a, PSHIM_SITE_TIMED));
    add(&to->m.v[METRIC_OVERRUNS], counter(a, PSHIM_SITE_OVERRUNS));
}

/* stack > CALL, or beside KIND_LOCK stack > CALL > LOCK, of which only the ticks are new. */
static void account_add_wait(struct model *m, struct sums *s, const struct pshim_account *a)
{
    uint32_t node = a->node, lock;
    uint32_t call = model_call_of(m, &node, &lock);
    model_waits_add(s->waits, a);
    if (call == PSHIM_CALL_COUNT || node >= s->nodes)
        return; /* a call of a later version, or there was no room for its node */
    enum pshim_wait waits = pshim_call_waits(call);
    struct model_sample *to = sample_get(m, s, node);
    add(&to->wait_ticks[waits], counter(a, PSHIM_WAIT_TICKS));
    if (lock != UINT32_MAX)
        return;
    to->io |= waits == PSHIM_WAIT_IO;
    to->idle |= waits == PSHIM_WAIT_IDLE;
    add(&to->wait_ns[waits], model_clock_ns(m, pshim_load(&a->counter[PSHIM_WAIT_TIME])));
}

static int account_add(struct model *m, struct sums *s, const struct pshim_account *a,
                       uint32_t index)
{
    struct model_sample *to;
    switch (a->kind) {
    case PSHIM_KIND_ALLOC:
        to = sample_get(m, s, a->node);
        to->alloc = 1;
        add(&to->m.v[METRIC_ALLOC_CALLS], counter(a, PSHIM_ALLOC_CALLS));
        add(&to->m.v[METRIC_ALLOC_BYTES], counter(a, PSHIM_ALLOC_BYTES));
        break;
    case PSHIM_KIND_SITE:
        site_add(m, sample_get(m, s, a->node), a);
        break;
    case PSHIM_KIND_SPREAD:
        to = sample_get(m, s, a->node);
        estimate_add_account(&to->spread, a, m->header->alloc_sample_bytes);
        break;
    case PSHIM_KIND_MAP:
        to = sample_get(m, s, a->node);
        to->map = 1;
        add(&to->m.v[METRIC_MAPPED_CALLS], counter(a, PSHIM_MAP_CALLS));
        add(&to->m.v[METRIC_MAPPED_BYTES], counter(a, PSHIM_MAP_BYTES));
        add(&to->m.v[METRIC_MAPPED_LIVE_BYTES], counter(a, PSHIM_MAP_BYTES));
        break;
    case PSHIM_KIND_CPU:
        to = sample_get(m, s, a->node);
        to->cpu = 1;
        add(&m->cpu_ticks, counter(a, PSHIM_CPU_TICKS));
        add(&to->ticks, counter(a, PSHIM_CPU_TICKS));
        add(&to->m.v[METRIC_CPU_NS],
            (int64_t)(pshim_load(&a->counter[PSHIM_CPU_TICKS]) * m->header->tick_period_ns +
                      pshim_load(&a->counter[PSHIM_CPU_EXTRA_NS])));
        break;
    case PSHIM_KIND_PROGRESS:
    case PSHIM_KIND_REGION:
    case PSHIM_KIND_POOL:
        model_named_add(s->named, a);
        break;
    case PSHIM_KIND_WAIT:
        account_add_wait(m, s, a);
        break;
    case PSHIM_KIND_HELD_WAIT:
        model_waits_add(s->waits, a);
        break;
    case PSHIM_KIND_LOCK:
    case PSHIM_KIND_HELD:
        return account_add_lock(m, s, a, index);
    case PSHIM_KIND_BLAME:
        return account_add_blame(m, s, a, index);
    default:; /* a kind of a later version */
    }
    return 0;
}

/* What an account is about must exist; its kind decides what its `node` refers to. */
static int account_check(struct model *m, const struct sums *s, const struct pshim_account *a,
                         uint32_t index)
{
    bool of_name = model_named_is(a->kind);
    uint32_t limit = of_name ? s->names : s->nodes;
    if (a->node < limit)
        return 0;
    return reader_damaged(m->reader, "byte %llu: account %u refers to %s %u of %u",
                          (unsigned long long)reader_where(m->reader, PSHIM_REGION_ACCOUNT, index),
                          index, of_name ? "progress point" : "node", a->node, limit);
}

static int accounts_walk(struct model *m, struct sums *s)
{
    uint32_t count = s->room;
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_account *a = reader_account(m->reader, i);
        if (!a)
            continue;
        if (account_check(m, s, a, i))
            return -1;
        if (a->kind == PSHIM_KIND_ALLOC && !account_is_idle(a))
            account_add_frees(m, s, a);
        if (a->kind == PSHIM_KIND_MAP && !account_is_idle(a))
            add(&sample_get(m, s, a->node)->m.v[METRIC_MAPPED_LIVE_BYTES],
                metric_difference(0, counter(a, PSHIM_MAP_FREE_BYTES)));
    }
    /* A free that is counted above has its allocation counted below. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_account *a = reader_account(m->reader, i);
        if (!a)
            continue;
        if (account_check(m, s, a, i)) /* it may have appeared between the two walks */
            return -1;
        if (!account_is_idle(a) && account_add(m, s, a, i))
            return -1;
    }
    return 0;
}

static int accounts_load(struct model *m)
{
    struct reader *r = m->reader;
    struct sums s = {
        .peak_epoch = pshim_load(&m->header->peak_epoch),
        .room = reader_count(r, PSHIM_REGION_ACCOUNT),
    };
    /* After the accounts: what they refer to was there before them. */
    s.nodes = reader_count(r, PSHIM_REGION_NODE);
    s.names = reader_count(r, PSHIM_REGION_PROGRESS);
    s.nodes += s.nodes == 0; /* node 0, the empty stack, needs no record */
    s.sample_of_node = memory_new(s.nodes, sizeof *s.sample_of_node);
    s.named = model_named_new(m, s.names);
    m->samples = memory_new(s.room, sizeof *m->samples);
    s.locks = model_locks_new(m, s.room);
    s.blames = model_blames_new(m);
    s.waits = model_waits_new(m, s.room);
    int error = accounts_walk(m, &s);
    if (!error) {
        model_named_finish(s.named);
        model_locks_finish(s.locks);
        model_blames_finish(s.blames);
        model_waits_finish(s.waits);
    }
    model_locks_free(s.locks);
    model_blames_free(s.blames);
    model_waits_free(s.waits);
    free(s.sample_of_node);
    model_named_free(s.named);
    return error;
}

bool model_leaf_is_profiler(const struct model *m, uint32_t id)
{
    const struct pshim_node *node = id ? reader_node(m->reader, id) : NULL;
    if (!node)
        return false;
    if (node->module == PSHIM_MODULE_SPECIAL)
        return node->offset == PSHIM_SPECIAL_PROFILER;
    const struct pshim_module *module = reader_module(m->reader, node->module);
    return module && (module->flags & PSHIM_MODULE_SHIM);
}

void model_finish(struct model *m)
{
    for (size_t i = 0; i < m->sample_count; i++) {
        struct model_sample *s = &m->samples[i];
        s->booked_ns = s->m.v[METRIC_CPU_NS];
        s->m.v[METRIC_IO_WAIT_NS] = s->wait_ns[PSHIM_WAIT_IO];
        s->m.v[METRIC_IDLE_NS] = s->wait_ns[PSHIM_WAIT_IDLE];
    }
    /* Before the profiler's part is taken out: the ticks there are the thread's too. */
    settle_cpu(m);
    settle_waits(m);
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t *v = m->samples[i].m.v;
        v[METRIC_LIVE_BLOCKS] = metric_difference(v[METRIC_ALLOC_CALLS], v[METRIC_FREE_CALLS]);
        v[METRIC_LIVE_BYTES] = metric_difference(v[METRIC_ALLOC_BYTES], v[METRIC_FREE_BYTES]);
        if (model_leaf_is_profiler(m, m->samples[i].node)) {
            v[METRIC_PROFILER_NS] = v[METRIC_CPU_NS];
            v[METRIC_CPU_NS] = 0;
            m->samples[i].ticks = 0;
        }
        v[METRIC_COST_NS] = metric_sum(
            v[METRIC_CPU_NS], metric_difference(v[METRIC_LOCK_WAIT_NS], v[METRIC_LOCK_CPU_NS]));
        v[METRIC_COST_NS] = metric_sum(v[METRIC_COST_NS], v[METRIC_IO_WAIT_NS]);
        for (int k = 0; k < METRIC_COUNT; k++)
            add(&m->totals.v[k], v[k]);
        estimate_add(&m->spread, &m->samples[i].spread);
    }
}

static void peak_load(struct model *m)
{
    /* The highest moment itself was seen in the live bytes; the accounts were caught within 1 %. */
    int64_t peak = (int64_t)pshim_load(&m->header->peak_bytes);
    int64_t live = m->totals.v[METRIC_LIVE_BYTES];
    m->totals.v[METRIC_PEAK_BYTES] = peak > live ? peak : live;
}

static int stacks_check(struct model *m)
{
    uint32_t nodes[READER_DEPTH_MAX];
    for (size_t i = 0; i < m->sample_count; i++)
        if (reader_stack(m->reader, m->samples[i].node, nodes) < 0)
            return -1;
    for (size_t i = 0; i < m->held_count; i++)
        if (reader_stack(m->reader, m->held[i].node, nodes) < 0)
            return -1;
    for (size_t i = 0; i < m->blame_count; i++)
        if (reader_stack(m->reader, m->blames[i].node, nodes) < 0 ||
            reader_stack(m->reader, m->blames[i].waiter, nodes) < 0)
            return -1;
    for (size_t i = 0; i < m->wait_count; i++)
        if (reader_stack(m->reader, m->waits[i].node, nodes) < 0)
            return -1;
    for (size_t i = 0; i < m->held_wait_count; i++)
        if (reader_stack(m->reader, m->held_waits[i].node, nodes) < 0)
            return -1;
    for (size_t i = 0; i < m->histogram_count; i++)
        if (reader_stack(m->reader, m->histograms[i].node, nodes) < 0)
            return -1;
    for (size_t i = 0; i < m->lock_count + m->idle_lock_count; i++)
        if (reader_stack(m->reader, m->locks[i].site_node, nodes) < 0 ||
            reader_stack(m->reader, m->locks[i].block_node, nodes) < 0)
            return -1;
    return 0;
}

static void measured_set(struct model *m)
{
    const struct pshim_header *h = m->header;
    if (h->alloc_mode != PSHIM_ALLOC_OFF && !h->alloc_hidden)
        m->measured |= ALLOC_METRICS;
    if (h->alloc_mode == PSHIM_ALLOC_EXACT && !h->alloc_hidden &&
        h->region_count > PSHIM_REGION_HISTOGRAM) /* else of an earlier writer */
        m->measured |= SITE_METRICS;
    if (h->maps_mode == PSHIM_ON)
        m->measured |= BIT(MAPPED_CALLS) | BIT(MAPPED_BYTES) | BIT(MAPPED_LIVE_BYTES);
    if (h->cpu_hz)
        m->measured |= BIT(CPU_NS) | BIT(PROFILER_NS) | BIT(COST_NS);
    if (h->locks_mode == PSHIM_ON)
        m->measured |= LOCK_METRICS;
    if (h->locks_mode == PSHIM_ON &&
        h->regions[PSHIM_REGION_THREAD].record_bytes > PSHIM_THREAD_LEAST) /* likewise */
        m->measured |= BIT(BLAMED_WAIT_NS) | BIT(BLAMED_WAITS);
    if (h->locks_mode == PSHIM_WAIT)
        m->measured |= WAIT_METRICS;
    if (model_has(m, METRIC_LOCK_WAIT_NS) && h->cpu_hz && reader_has_waits(m->reader))
        m->measured |= BIT(LOCK_CPU_NS);
    if (h->io_mode == PSHIM_ON)
        m->measured |= BIT(IO_WAIT_NS) | BIT(IDLE_NS) | (h->cpu_hz ? BIT(IO_CPU_NS) : 0);
}

int model_load(struct model *m, struct reader *r)
{
    *m = (struct model){.reader = r, .header = r->profile.header};
    m->exe = profile_string(&r->profile, m->header->exe);
    m->program = base_name(m->exe);
    m->clock_unit_ns = clock_unit_ns(m->header);
    measured_set(m);
    uint64_t end_ns = end_load(m);
    m->wall_ns = metric_difference((int64_t)end_ns, (int64_t)m->header->start_monotonic_ns);
    if (m->wall_ns < 0)
        m->wall_ns = 0;
    argv_load(m);
    model_threads_load(m, end_ns);
    if (accounts_load(m) || model_histograms_load(m) || stacks_check(m)) {
        model_release(m);
        return -1;
    }
    model_finish(m);
    peak_load(m);
    for (unsigned i = 0; i < PSHIM_LOSS_COUNT; i++)
        m->losses[i] = pshim_load(&m->header->losses[i]);
    return 0;
}

void model_release(struct model *m)
{
    free((void *)m->argv);
    free(m->samples);
    free(m->locks);
    free(m->lock_sites);
    free(m->held);
    free(m->blames);
    free(m->waits);
    free(m->held_waits);
    free(m->histograms);
    free(m->threads);
    free(m->progress);
    free(m->regions);
    free(m->pools);
    *m = (struct model){0};
}

const char *model_note(const struct model *m, unsigned i)
{
    for (unsigned k = 0; k < PSHIM_NOTES; k++) {
        const char *note = profile_string(&m->reader->profile, m->header->notes[k]);
        if (*note && i-- == 0)
            return note;
    }
    return NULL;
}

const char *model_off_reason(const struct pshim_header *h)
{
    static const char *const texts[] = {
#define X(id, text) text,
        PSHIM_OFFS(X)
#undef X
    };
    uint32_t reason = pshim_load32(&h->off_reason);
    return reason < PSHIM_OFF_REASONS ? texts[reason] : "for a reason of a later version";
}

const char *model_loss_text(enum pshim_loss loss)
{
    static const char *const texts[] = {
#define X(id, text) text,
        PSHIM_LOSSES(X)
#undef X
    };
    return texts[loss];
}

const char *model_loss_name(enum pshim_loss loss)
{
    static const char *const names[] = {
#define X(id, text) #id,
        PSHIM_LOSSES(X)
#undef X
    };
    return names[loss];
}
