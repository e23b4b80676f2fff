#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/call_site.h"
#include "analyzer/lock_groups.h"
#include "analyzer/memory.h"
#include "analyzer/model_waits.h"
#include "analyzer/rank.h"
#include "analyzer/subject.h"

/* What is known of each function while the cost is cut. */
struct by_function {
    size_t function, memory; /* its subjects: index + 1 */
    size_t lock;             /* the lock that it takes, most contended first: subject index + 1 */
    int64_t lock_contentions;
    int64_t acquisitions, contentions; /* of all locks that it takes */
};

struct subject_works {
    struct subject_work *items;
    size_t count, room;
};

struct builder {
    struct subjects *s;
    struct by_function *functions;
    struct lock_groups groups; /* the i-th is the i-th subject */
    size_t allocator, sync;    /* index + 1 */
};

static size_t subject_new(struct subjects *s, enum finding_subject kind, uint32_t function)
{
    memory_grow((void **)&s->items, &s->room, s->count, sizeof *s->items);
    s->items[s->count] = (struct subject){.kind = kind, .function = function};
    return ++s->count;
}

/* ---- locks ---- */

/* All locks of a group are one subject: a program may have one for each of its shards. */
static void locks_add(struct builder *b)
{
    const struct model *m = b->s->model;
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < b->groups.count; i++) {
        struct lock_group *group = &b->groups.items[i];
        size_t made = subject_new(b->s, SUBJECT_LOCK, 0);
        struct subject *to = &b->s->items[made - 1];
        snprintf(to->lock, sizeof to->lock, "%s", group->name);
        snprintf(to->lock_short, sizeof to->lock_short, "%s", group->brief_name);
        to->locks = group->locks;
        to->counts = group->counts;
        to->waited_ns = group->counts.wait_ns;
        to->place = group->place;
    }
    for (size_t i = 0; i < m->lock_count; i++) {
        struct subject *to = &b->s->items[b->groups.of[i]];
        const struct model_lock *lock = &m->locks[i];
        to->wait_ns = metric_sum(to->wait_ns, lock->counts.wait_ns);
        to->blamed_ns = metric_sum(to->blamed_ns, lock->blamed_ns);
        to->owner_changes = lock->owner_changes < 0 || to->owner_changes < 0
                                ? -1
                                : metric_sum(to->owner_changes, lock->owner_changes);
    }
    for (size_t i = 0; i < m->lock_site_count; i++) {
        const struct model_lock_site *site = &m->lock_sites[i];
        unsigned depth = frames_stack(b->s->frames, site->node, stack);
        if (!rank_selected(b->s->frames, frames_selection(b->s->frames), stack, depth))
            continue;
        struct by_function *f = &b->functions[lock_place(site->node, b->s->frames)->function];
        f->acquisitions = metric_sum(f->acquisitions, site->counts.acquisitions);
        f->contentions = metric_sum(f->contentions, site->counts.contentions);
        if (!f->lock || site->counts.contentions > f->lock_contentions) {
            f->lock = b->groups.of[site->lock] + 1; /* the groups are the first subjects */
            f->lock_contentions = site->counts.contentions;
        }
    }
}

/* A place with its time, of several: returns it as it is now. */
static struct subject_work work_add(struct subject_works *all, const struct frame *frame,
                                    int64_t ns,
                                    bool (*same)(const struct frame *, const struct frame *))
{
    size_t at = 0;
    while (at < all->count && !same(all->items[at].frame, frame))
        at++;
    if (at == all->count) {
        memory_grow((void **)&all->items, &all->room, all->count, sizeof *all->items);
        all->items[all->count++] = (struct subject_work){.frame = frame};
    }
    all->items[at].cpu_ns = metric_sum(all->items[at].cpu_ns, ns);
    return all->items[at];
}

static bool same_function(const struct frame *a, const struct frame *b)
{
    return a->function == b->function;
}

/* What critical sections called, over the locks of a group. */
static void works_add(struct builder *b, size_t subject)
{
    const struct model *m = b->s->model;
    struct subject *to = &b->s->items[subject];
    struct subject_works works = {0};
    struct lock_works all = {0};
    for (size_t i = 0; i < m->lock_count; i++)
        if (b->groups.of[i] == subject)
            lock_works_add(&all, m, b->s->frames, i);
    for (size_t k = 0; k < all.count; k++) {
        const struct lock_work *w = &all.items[k];
        to->held_cpu_ns = metric_sum(to->held_cpu_ns, w->cpu_ns);
        if (w->callee == w->section)
            continue;
        struct subject_work work = work_add(&works, w->frame, w->cpu_ns, same_function);
        if (!to->work.frame || work.cpu_ns > to->work.cpu_ns)
            to->work = work;
    }
    free(works.items);
    free(all.items);
}

/* CPU time in a service while the locks of a group were held, and who asked for most of it. */
static void service_add(struct builder *b, const struct origins *origins, size_t subject,
                        enum origin_service service, struct subject_work *to)
{
    const struct model *m = b->s->model;
    const struct frame *stack[FRAMES_STACK_MAX];
    struct subject_works places = {0};
    int64_t all = 0, most = 0;
    for (size_t i = 0; i < m->held_count; i++) {
        if (b->groups.of[m->held[i].lock] != subject)
            continue;
        unsigned depth = frames_stack(b->s->frames, m->held[i].node, stack);
        if (!rank_selected(b->s->frames, frames_selection(b->s->frames), stack, depth))
            continue;
        struct origin o = origin_find(origins, b->s->frames, stack, depth);
        if (o.service != service)
            continue;
        all = metric_sum(all, m->held[i].cpu_ns);
        struct subject_work place =
            work_add(&places, o.frame, m->held[i].cpu_ns, frames_same_place);
        if (!to->frame || place.cpu_ns > most) {
            most = place.cpu_ns;
            to->frame = place.frame;
        }
    }
    to->cpu_ns = all;
    free(places.items);
}

/* I/O in critical sections, over the locks of a group. */
static void held_io_add(struct builder *b, size_t subject)
{
    const struct model *m = b->s->model;
    struct subject *to = &b->s->items[subject];
    struct model_wait_counts by_call[PSHIM_CALL_COUNT] = {{0}};
    struct call_sites calls = {0};
    for (size_t i = 0; i < m->lock_count; i++)
        if (b->groups.of[i] == subject)
            call_sites_of_lock(&calls, m, b->s->frames, i);
    for (size_t i = 0; i < calls.count; i++) {
        const struct call_site *c = &calls.items[i];
        if (pshim_call_waits(c->call) != PSHIM_WAIT_IO)
            continue;
        model_wait_counts_add(&by_call[c->call], &c->counts);
        to->held_io.ns = metric_sum(to->held_io.ns, c->counts.time_ns);
    }
    for (uint32_t call = 0; call < PSHIM_CALL_COUNT; call++)
        if (by_call[call].time_ns > to->held_io.counts.time_ns) {
            to->held_io.call = call;
            to->held_io.counts = by_call[call];
        }
    call_sites_release(&calls);
}

/* ---- samples ---- */

static size_t function_subject(struct builder *b, const struct origin *o)
{
    struct by_function *f = &b->functions[o->frame->function];
    if (!f->function) {
        f->function = subject_new(b->s, SUBJECT_FUNCTION, o->frame->function);
        b->s->items[f->function - 1].own = o->own;
    }
    return f->function;
}

static size_t memory_subject(struct builder *b, uint32_t routine)
{
    struct by_function *f = &b->functions[routine];
    if (!f->memory)
        f->memory = subject_new(b->s, SUBJECT_MEMORY, routine);
    return f->memory;
}

static size_t subject_of(struct builder *b, const struct origin *o, bool syncs)
{
    const struct by_function *f = &b->functions[o->frame->function];
    if (o->service == ORIGIN_NOBODY)
        return 0;
    if (syncs) {
        if (!b->sync)
            b->sync = subject_new(b->s, SUBJECT_SYNC, 0);
        return b->sync;
    }
    if (o->service == ORIGIN_ALLOCATOR) {
        if (!b->allocator)
            b->allocator = subject_new(b->s, SUBJECT_ALLOCATOR, 0);
        return b->allocator;
    }
    if (o->service == ORIGIN_MEMORY)
        return memory_subject(b, o->leaf->function);
    bool known = model_has(b->s->model, METRIC_LOCK_ACQUISITIONS); /* else only waits are */
    if (f->lock &&
        (o->service == ORIGIN_LOCK || (known && finding_spins(f->acquisitions, f->contentions))))
        return f->lock;
    return function_subject(b, o);
}

/* Is the stack's leaf a call that forces data to the disk? */
static bool sample_syncs(const struct model *m, uint32_t node)
{
    uint32_t lock;
    return model_call_syncs(model_call_of(m, &node, &lock));
}

static void samples_add(struct builder *b, const struct origins *origins)
{
    const struct model *m = b->s->model;
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < m->sample_count; i++) {
        struct subject_part *part = &b->s->parts[i];
        part->cpu_ns = m->samples[i].m.v[METRIC_CPU_NS];
        part->other_ns = m->samples[i].m.v[METRIC_IO_WAIT_NS];
        if (part->cpu_ns == 0 && part->other_ns == 0)
            continue;
        unsigned depth = frames_stack(b->s->frames, m->samples[i].node, stack);
        if (!rank_selected(b->s->frames, frames_selection(b->s->frames), stack, depth))
            continue;
        part->origin = origin_find(origins, b->s->frames, stack, depth);
        part->subject = subject_of(b, &part->origin, sample_syncs(m, m->samples[i].node));
        if (!part->subject)
            continue;
        struct subject *to = &b->s->items[part->subject - 1];
        to->cpu_ns = metric_sum(to->cpu_ns, part->cpu_ns);
        to->waited_ns = metric_sum(to->waited_ns, part->other_ns);
        if (to->kind == SUBJECT_LOCK && part->origin.service != ORIGIN_LOCK)
            to->spin_ns = metric_sum(to->spin_ns, part->cpu_ns);
    }
}

/* Names every stack, so that no function gets an index later. */
static void stacks_name(const struct model *m, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < m->sample_count; i++)
        frames_stack(f, m->samples[i].node, stack);
    for (size_t i = 0; i < m->lock_site_count; i++)
        frames_stack(f, m->lock_sites[i].node, stack);
    for (size_t i = 0; i < m->held_count; i++)
        frames_stack(f, m->held[i].node, stack);
}

void subjects_build(struct subjects *s, const struct model *m, struct frames *f)
{
    stacks_name(m, f);
    *s = (struct subjects){.model = m, .frames = f};
    s->parts = memory_new(m->sample_count, sizeof *s->parts);
    struct builder b = {.s = s};
    lock_groups_build(&b.groups, m, f);
    struct origins *origins = origins_new(m->reader);
    b.functions = memory_new(frames_function_count(f), sizeof *b.functions);
    locks_add(&b);
    samples_add(&b, origins);
    double least = FINDING_LOCK_SHARE * (double)m->totals.v[METRIC_COST_NS];
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].kind == SUBJECT_LOCK && (double)subject_cost(&s->items[i]) >= least) {
            works_add(&b, i);
            held_io_add(&b, i);
            service_add(&b, origins, i, ORIGIN_ALLOCATOR, &s->items[i].allocating);
            service_add(&b, origins, i, ORIGIN_WAKE, &s->items[i].waking);
        }
    origins_free(origins);
    free(b.functions);
    lock_groups_release(&b.groups);
}

void subjects_release(struct subjects *s)
{
    free(s->parts);
    free(s->items);
    *s = (struct subjects){0};
}

/* ---- where in a subject ---- */

static const struct frame *part_frame(const struct subject_part *p, enum subject_by by)
{
    switch (by) {
    case SUBJECT_BY_OWN_LINE:
        return p->origin.callee ? NULL : p->origin.frame;
    case SUBJECT_BY_CALLEE:
        return p->origin.callee;
    case SUBJECT_BY_PLACE:
        return p->origin.frame;
    }
    return NULL;
}

const struct frame *subject_most(const struct subjects *s, size_t subject, enum subject_by by,
                                 int64_t *ns)
{
    struct subject_works places = {0};
    struct subject_work most = {0};
    for (size_t i = 0; i < s->model->sample_count; i++) {
        const struct subject_part *p = &s->parts[i];
        const struct frame *frame = p->subject == subject + 1 ? part_frame(p, by) : NULL;
        if (!frame)
            continue;
        struct subject_work place = work_add(
            &places, frame, p->cpu_ns, by == SUBJECT_BY_CALLEE ? same_function : frames_same_place);
        if (!most.frame || place.cpu_ns > most.cpu_ns)
            most = place;
    }
    free(places.items);
    *ns = most.cpu_ns;
    return most.frame;
}
