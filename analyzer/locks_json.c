#include <stdlib.h>
#include <string.h>

#include "analyzer/blame.h"
#include "analyzer/io_json.h"
#include "analyzer/lock.h"
#include "analyzer/lock_times.h"
#include "analyzer/locks_json.h"
#include "analyzer/memory.h"
#include "analyzer/model_locks.h"
#include "analyzer/report_json.h"

/* What nobody holds has no hold; initialisation that is done once has the time that it took. */
static bool has_hold(uint32_t kind)
{
    return kind != PSHIM_LOCK_SEMAPHORE && kind != PSHIM_LOCK_BARRIER && kind != PSHIM_LOCK_COND &&
           kind != PSHIM_LOCK_FUTEX;
}

static void counts_put(struct json *j, const struct model *m, uint32_t kind,
                       const struct model_lock_counts *c)
{
    if (kind == PSHIM_LOCK_FUTEX) { /* what its word stands for is not known, only who woke whom */
        json_put_null(j, "acquisitions");
        json_put_metric(j, "wakes", m, METRIC_LOCK_ACQUISITIONS, c->acquisitions);
    } else {
        json_put_metric(j, "acquisitions", m, METRIC_LOCK_ACQUISITIONS, c->acquisitions);
    }
    json_put_metric(j, "contentions", m, METRIC_LOCK_CONTENTIONS, c->contentions);
    json_put_metric(j, "wait_ns", m, METRIC_LOCK_WAIT_NS, c->wait_ns);
    json_put_metric(j, "wait_max_ns", m, METRIC_LOCK_WAIT_NS, c->wait_max_ns);
    if (has_hold(kind)) {
        json_put_metric(j, "hold_ns", m, METRIC_LOCK_HOLD_NS, c->hold_ns);
        json_put_metric(j, "hold_max_ns", m, METRIC_LOCK_HOLD_NS, c->hold_max_ns);
    } else {
        json_put_null(j, "hold_ns");
        json_put_null(j, "hold_max_ns");
    }
}

static void quantile_put(struct json *j, const char *key, const struct model *m,
                         const struct lock_times *times, enum lock_time which, double q)
{
    int64_t ns = times ? lock_times_quantile_ns(times, m, which, q) : -1;
    if (ns >= 0)
        json_put_int(j, key, ns);
    else
        json_put_null(j, key);
}

static void histogram_put(struct json *j, const char *key, const struct model *m,
                          const struct lock_times *times, enum lock_time which)
{
    if (!times) {
        json_put_null(j, key);
        return;
    }
    json_begin(j, key, '[');
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++) {
        if (!times->counts[which][i])
            continue;
        json_begin(j, NULL, '{');
        json_put_int(j, "from", lock_times_bucket_ns(m, i));
        json_put_int(j, "count", (int64_t)times->counts[which][i]);
        json_end(j);
    }
    json_end(j);
}

/* Null: not measured; of quantiles also where there was none. */
static void times_put(struct json *j, const struct model *m, uint32_t kind,
                      const struct lock_times *times, bool whole)
{
    const struct lock_times *waits = lock_times_measured(m) ? times : NULL;
    const struct lock_times *holds =
        waits && has_hold(kind) && model_has(m, METRIC_LOCK_HOLD_NS) ? times : NULL;
    quantile_put(j, "wait_p50_ns", m, waits, LOCK_TIME_WAIT, 0.5);
    quantile_put(j, "wait_p99_ns", m, waits, LOCK_TIME_WAIT, 0.99);
    quantile_put(j, "hold_p50_ns", m, holds, LOCK_TIME_HOLD, 0.5);
    quantile_put(j, "hold_p99_ns", m, holds, LOCK_TIME_HOLD, 0.99);
    if (whole) {
        histogram_put(j, "wait_histogram", m, waits, LOCK_TIME_WAIT);
        histogram_put(j, "hold_histogram", m, holds, LOCK_TIME_HOLD);
    }
}

/* A read-write lock's two sides. */
static void sides_put(struct json *j, const struct model *m, struct frames *f, size_t lock)
{
    bool apart = m->locks[lock].kind == PSHIM_LOCK_RWLOCK;
    size_t sites, first = lock_first_site(m, lock, &sites);
    for (int reads = 1; reads >= 0; reads--) {
        struct model_lock_counts side = {0};
        struct lock_times times = {0};
        if (!apart) {
            json_put_null(j, reads ? "read" : "write");
            continue;
        }
        for (size_t i = first; i < first + sites; i++)
            if (lock_call_reads(m->lock_sites[i].node, f) == reads) {
                model_lock_counts_add(&side, &m->lock_sites[i].counts);
                lock_times_add(&times, m, &m->lock_sites[i]);
            }
        json_begin(j, reads ? "read" : "write", '{');
        counts_put(j, m, PSHIM_LOCK_RWLOCK, &side);
        times_put(j, m, PSHIM_LOCK_RWLOCK, &times, false);
        json_end(j);
    }
}

/* Where a lock is taken, as a person sees it: stacks that differ further out only are one. */
struct place {
    const struct frame *frame;
    const char *call; /* that took it there; NULL = not known */
    struct model_lock_counts counts;
    struct lock_times times;
};

static int places_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    const struct frame *f = x->frame, *g = y->frame;
    if (f->function != g->function)
        return f->function < g->function ? -1 : 1;
    if (f->line != g->line)
        return f->line < g->line ? -1 : 1;
    if (f->line == 0 && f->offset != g->offset)
        return f->offset < g->offset ? -1 : 1;
    return strcmp(x->call ? x->call : "", y->call ? y->call : "");
}

static int most_first(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = model_lock_counts_compare(&x->counts, &y->counts);
    return order ? order : places_compare(a, b);
}

static void sites_put(struct json *j, const struct model *m, struct frames *f, size_t lock)
{
    size_t sites, count = 0, first = lock_first_site(m, lock, &sites);
    struct place *places = memory_new(sites, sizeof *places);
    for (size_t i = 0; i < sites; i++) {
        const struct model_lock_site *s = &m->lock_sites[first + i];
        places[i] = (struct place){
            .frame = lock_place(s->node, f), .call = lock_call(s->node, f), .counts = s->counts};
        lock_times_add(&places[i].times, m, s);
    }
    if (sites)
        qsort(places, sites, sizeof *places, places_compare);
    for (size_t i = 0; i < sites; i++) {
        if (count && places_compare(&places[count - 1], &places[i]) == 0) {
            model_lock_counts_add(&places[count - 1].counts, &places[i].counts);
            lock_times_merge(&places[count - 1].times, &places[i].times);
        } else {
            places[count++] = places[i];
        }
    }
    if (count)
        qsort(places, count, sizeof *places, most_first);
    json_begin(j, "sites", '[');
    for (size_t i = 0; i < count; i++) {
        const struct place *p = &places[i];
        json_begin(j, NULL, '{');
        json_put_string(j, "name", frames_function(f, p->frame->function)->name);
        json_put_string(j, "file", p->frame->file);
        if (p->frame->line)
            json_put_int(j, "line", p->frame->line);
        else
            json_put_null(j, "line");
        json_put_string(j, "call", p->call);
        counts_put(j, m, m->locks[lock].kind, &p->counts);
        times_put(j, m, m->locks[lock].kind, &p->times, false);
        json_end(j);
    }
    json_end(j);
    free(places);
}

static void inside_put(struct json *j, const struct model *m, struct frames *f, size_t lock)
{
    struct lock_works works = {0};
    lock_works_add(&works, m, f, lock);
    lock_works_sort(&works);
    json_begin(j, "inside", '[');
    for (size_t i = 0; i < works.count; i++) {
        json_begin(j, NULL, '{');
        json_put_string(j, "section", frames_function(f, works.items[i].section)->name);
        json_put_frame(j, "callee", f, works.items[i].frame);
        json_put_int(j, "cpu_ns", works.items[i].cpu_ns);
        json_end(j);
    }
    json_end(j);
    free(works.items);
}

static void place_put(struct json *j, const char *key, struct frames *f, const struct frame *frame)
{
    if (frame)
        json_put_frame(j, key, f, frame);
    else
        json_put_null(j, key);
}

/* Who held it while others waited; and of each, who waited. What is missing to the lock's waits is
   hand-off. */
static void blockers_put(struct json *j, const struct model *m, struct frames *f, size_t lock)
{
    struct blame_pairs pairs = {0}, holders = {0};
    json_put_metric(j, "blamed_wait_ns", m, METRIC_BLAMED_WAIT_NS, m->locks[lock].blamed_ns);
    json_put_metric(j, "handoff_ns", m, METRIC_BLAMED_WAIT_NS, model_handoff_ns(&m->locks[lock]));
    if (!model_has(m, METRIC_BLAMED_WAIT_NS)) {
        json_put_null(j, "blockers");
        return;
    }
    blame_pairs_add(&pairs, m, f, lock, 0);
    blame_pairs_join(&pairs);
    blame_pairs_add(&holders, m, f, lock, 0);
    blame_pairs_by_holder(&holders);
    json_begin(j, "blockers", '[');
    for (size_t i = 0; i < holders.count; i++) {
        const struct blame_pair *h = &holders.items[i];
        json_begin(j, NULL, '{');
        place_put(j, "site", f, h->holder);
        json_put_int(j, "wait_ns", h->wait_ns);
        json_put_int(j, "wait_max_ns", h->wait_max_ns);
        json_put_int(j, "waits", h->waits);
        json_begin(j, "waiters", '[');
        for (size_t k = 0; k < pairs.count; k++) {
            if (!blame_same_place(pairs.items[k].holder, h->holder))
                continue;
            json_begin(j, NULL, '{');
            place_put(j, "site", f, pairs.items[k].waiter);
            json_put_int(j, "wait_ns", pairs.items[k].wait_ns);
            json_end(j);
        }
        json_end(j);
        json_end(j);
    }
    json_end(j);
    blame_pairs_release(&pairs);
    blame_pairs_release(&holders);
}

/* Where it came from. */
static void origin_put(struct json *j, const struct model_lock *l, struct frames *f)
{
    place_put(j, "first_site", f, l->site_node ? lock_place(l->site_node, f) : NULL);
    if (l->site_node)
        json_put_bool(j, "initialised", l->initialised);
    else
        json_put_null(j, "initialised");
    if (!l->block_node) {
        json_put_null(j, "allocation");
        return;
    }
    json_begin(j, "allocation", '{');
    json_put_frame(j, "site", f, lock_block_place(l, f));
    json_put_int(j, "offset", (int64_t)l->block_offset);
    json_put_int(j, "bytes", (int64_t)l->block_bytes);
    json_end(j);
}

static void lock_put(struct json *j, const struct model *m, struct frames *f, size_t lock)
{
    char name[LOCK_NAME_BYTES];
    const struct model_lock *l = &m->locks[lock];
    bool holds = model_has(m, METRIC_LOCK_HOLD_NS);
    size_t count, first = lock_first_site(m, lock, &count);
    struct lock_times times = {0};
    json_begin(j, NULL, '{');
    json_put_string(j, "name", lock_name(l, f, name));
    json_put_string(j, "kind", lock_kind_name(l->kind));
    json_put_int(j, "instances", metric_sum(1, l->again));
    origin_put(j, l, f);
    counts_put(j, m, l->kind, &l->counts);
    for (size_t i = first; i < first + count; i++)
        lock_times_add(&times, m, &m->lock_sites[i]);
    times_put(j, m, l->kind, &times, true);
    sides_put(j, m, f, lock);
    if (l->owner_changes >= 0)
        json_put_int(j, "owner_changes", l->owner_changes);
    else
        json_put_null(j, "owner_changes");
    if (holds && model_has(m, METRIC_ALLOC_CALLS))
        json_put_int(j, "held_alloc_calls", l->counts.held_allocs);
    else
        json_put_null(j, "held_alloc_calls");
    if (holds && model_has(m, METRIC_CPU_NS))
        json_put_int(j, "held_cpu_ns", l->held_cpu_ns);
    else
        json_put_null(j, "held_cpu_ns");
    if (count)
        json_put_frame(j, "site", f, lock_place(m->lock_sites[first].node, f));
    else
        json_put_null(j, "site");
    blockers_put(j, m, f, lock);
    inside_put(j, m, f, lock);
    io_json_put_held(j, "held_io", m, f, lock);
    sites_put(j, m, f, lock);
    json_end(j);
}

void locks_json_put(struct json *j, const struct model *m, struct frames *f)
{
    if (!model_has(m, METRIC_LOCK_WAIT_NS)) {
        json_put_null(j, "locks");
        return;
    }
    json_begin(j, "locks", '[');
    for (size_t i = 0; i < m->lock_count + m->idle_lock_count; i++)
        lock_put(j, m, f, i);
    json_end(j);
}
