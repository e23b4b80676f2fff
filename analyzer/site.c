#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/memory.h"
#include "analyzer/rank.h"
#include "analyzer/site.h"

struct place_key {
    uint64_t offset; /* 0 where the line is known */
    const char *file;
    uint32_t function, line;
};
struct place {
    struct place_key key;
    size_t site;
    UT_hash_handle hh;
};

static struct site *site_get(struct sites *s, struct place **places, const struct frame *frame)
{
    struct place_key key = {frame->line ? 0 : frame->offset, frame->file, frame->function,
                            frame->line};
    struct place *p;
    HASH_FIND(hh, *places, &key, sizeof key, p);
    if (!p) {
        p = memory_new(1, sizeof *p);
        p->key = key;
        p->site = s->count;
        HASH_ADD(hh, *places, key, sizeof key, p);
        memory_grow((void **)&s->sites, &s->room, s->count, sizeof *s->sites);
        s->sites[s->count++] = (struct site){.frame = frame};
    }
    return &s->sites[p->site];
}

struct order {
    const struct frames *frames;
    enum metric metric;
};

static int sites_compare(const void *a, const void *b, void *context)
{
    const struct site *x = a, *y = b;
    const struct order *o = context;
    int64_t v = x->m.v[o->metric], w = y->m.v[o->metric];
    if (v != w)
        return v < w ? 1 : -1;
    int by_name = strcmp(frames_function(o->frames, x->frame->function)->name,
                         frames_function(o->frames, y->frame->function)->name);
    if (by_name)
        return by_name;
    if (x->frame->line != y->frame->line)
        return x->frame->line < y->frame->line ? -1 : 1;
    return x->frame->offset < y->frame->offset ? -1 : x->frame->offset > y->frame->offset;
}

void sites_build(struct sites *s, const struct model *m, struct frames *f, enum metric metric)
{
    *s = (struct sites){0};
    struct place *places = NULL, *p, *next;
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < m->sample_count; i++) {
        const struct model_sample *sample = &m->samples[i];
        if (!sample->alloc)
            continue;
        unsigned depth = frames_stack(f, sample->node, stack);
        if (!rank_selected(f, frames_selection(f), stack, depth))
            continue;
        struct site *site = site_get(s, &places, frames_site(f, stack, depth));
        struct metrics added = sample->m;
        added.v[METRIC_CPU_NS] = added.v[METRIC_COST_NS] = 0; /* the same stack's, not the site's */
        metrics_add(&site->m, &added);
        if (!site->node || added.v[metric] > site->most) {
            site->node = sample->node;
            site->most = added.v[metric];
        }
    }
    HASH_ITER(hh, places, p, next)
    {
        HASH_DEL(places, p);
        free(p);
    }
    struct order order = {f, metric};
    if (s->count)
        qsort_r(s->sites, s->count, sizeof *s->sites, sites_compare, &order);
}

void sites_release(struct sites *s)
{
    free(s->sites);
    *s = (struct sites){0};
}
