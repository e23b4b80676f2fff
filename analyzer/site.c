#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/memory.h"
#include "analyzer/rank.h"
#include "analyzer/site.h"

/* Compared as bytes: no padding. */
struct place_key {
    uint64_t offset; /* 0 where the line is known */
    const char *file;
    uint32_t function, line;
};
struct site_key {
    struct place_key place, via;
};
struct place {
    struct site_key key;
    size_t site;
    UT_hash_handle hh;
};
struct site_leaf {
    struct place_key key;
    struct place_key entered_from;
    bool is_layer; /* entered from a second line */
    UT_hash_handle hh;
};

static struct place_key place_key(const struct frame *frame)
{
    return (struct place_key){frame->line ? 0 : frame->offset, frame->file, frame->function,
                              frame->line};
}

static unsigned leaf_find(const struct frames *f, const struct frame *const *stack, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        if (!frames_function(f, stack[i]->function)->runtime)
            return i;
    return 0;
}

static bool is_libc(const char *module)
{
    return module && (strncmp(module, "libc.so", 7) == 0 || strncmp(module, "ld-linux", 8) == 0);
}

/* Source file, or module for a library whose files are not known, and for libc as a whole; interned
   names. NULL = none, as for a program without debug information: it is not one layer. */
static const char *layer(const struct frames *f, const struct frame *frame)
{
    const struct function *fn = frames_function(f, frame->function);
    if (frame->file && !is_libc(fn->module))
        return frame->file;
    return fn->executable ? NULL : fn->module;
}

/* The first frame outside of the leaf's layer, or `depth`. What starts a program or a thread is
   libc's, and nobody's answer. */
static unsigned outside_find(const struct frames *f, const struct frame *const *stack,
                             unsigned depth, unsigned leaf)
{
    const char *inside = layer(f, stack[leaf]);
    for (unsigned i = leaf + 1; inside && i < depth; i++) {
        const struct function *fn = frames_function(f, stack[i]->function);
        if (fn->module && !fn->runtime && !is_libc(fn->module) && layer(f, stack[i]) != inside &&
            (stack[i]->file || !stack[leaf]->file))
            return i;
    }
    return depth;
}

static struct site_leaf *leaf_get(const struct sites *s, const struct frame *leaf)
{
    struct place_key key = place_key(leaf);
    struct site_leaf *found;
    HASH_FIND(hh, s->leaves, &key, sizeof key, found);
    return found;
}

/* Notes from where the leaf's layer was entered. */
static void leaf_note(struct sites *s, const struct frames *f, const struct frame *const *stack,
                      unsigned depth)
{
    unsigned leaf = leaf_find(f, stack, depth), outside = outside_find(f, stack, depth, leaf);
    if (outside == depth)
        return;
    struct place_key from = place_key(stack[outside]);
    struct site_leaf *known = leaf_get(s, stack[leaf]);
    if (!known) {
        known = memory_new(1, sizeof *known);
        known->key = place_key(stack[leaf]);
        known->entered_from = from;
        HASH_ADD(hh, s->leaves, key, sizeof known->key, known);
    } else if (memcmp(&known->entered_from, &from, sizeof from) != 0) {
        known->is_layer = true;
    }
}

unsigned sites_frame(const struct sites *s, const struct frames *f,
                     const struct frame *const *stack, unsigned depth)
{
    unsigned leaf = leaf_find(f, stack, depth);
    const struct site_leaf *known = leaf_get(s, stack[leaf]);
    unsigned outside = known && known->is_layer ? outside_find(f, stack, depth, leaf) : depth;
    return outside < depth ? outside : leaf;
}

static struct site *site_get(struct sites *s, struct place **places, const struct frame *frame,
                             const struct frame *via)
{
    struct site_key key = {.place = place_key(frame)};
    if (via)
        key.via = place_key(via);
    struct place *p;
    HASH_FIND(hh, *places, &key, sizeof key, p);
    if (!p) {
        p = memory_new(1, sizeof *p);
        p->key = key;
        p->site = s->count;
        HASH_ADD(hh, *places, key, sizeof key, p);
        memory_grow((void **)&s->sites, &s->room, s->count, sizeof *s->sites);
        s->sites[s->count] = (struct site){.frame = frame, .via = via, .made = s->count};
        s->count++;
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

/* The stack of a sample that allocated, or mapped, and is selected; 0 = it is not. */
static unsigned stack_get(struct frames *f, const struct model_sample *sample, enum metric metric,
                          const struct frame *stack[static FRAMES_STACK_MAX])
{
    if (metric == METRIC_MAPPED_BYTES ? !sample->map : !sample->alloc)
        return 0;
    unsigned depth = frames_stack(f, sample->node, stack);
    return rank_selected(f, frames_selection(f), stack, depth) ? depth : 0;
}

/* Once the sites are in order. */
static void of_sample_sort(struct sites *s, const struct model *m)
{
    size_t *now = memory_new(s->count, sizeof *now);
    for (size_t i = 0; i < s->count; i++)
        now[s->sites[i].made] = i + 1;
    for (size_t i = 0; i < m->sample_count; i++)
        if (s->of_sample[i])
            s->of_sample[i] = now[s->of_sample[i] - 1];
    free(now);
}

static void build(struct sites *s, const struct model *m, struct frames *f, enum metric metric,
                  bool by_place)
{
    *s = (struct sites){.of_sample = memory_new(m->sample_count, sizeof *s->of_sample)};
    struct place *places = NULL, *p, *next;
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < m->sample_count; i++) {
        unsigned depth = stack_get(f, &m->samples[i], metric, stack);
        if (depth)
            leaf_note(s, f, stack, depth);
    }
    for (size_t i = 0; i < m->sample_count; i++) {
        const struct model_sample *sample = &m->samples[i];
        unsigned depth = stack_get(f, sample, metric, stack);
        if (!depth)
            continue;
        unsigned leaf = leaf_find(f, stack, depth), at = sites_frame(s, f, stack, depth);
        const struct frame *via = at == leaf || by_place ? NULL : stack[leaf];
        struct site *site = site_get(s, &places, stack[at], via);
        struct metrics added = sample->m;
        for (int k = 0; k < METRIC_COUNT; k++)
            /* The same stack's, not the site's. */
            if (metric_is_time(k) && k != METRIC_ALLOCATOR_NS)
                added.v[k] = 0;
        metrics_add(&site->m, &added);
        estimate_add(&site->spread, &sample->spread);
        site->timed = metric_sum(site->timed, sample->timed);
        s->of_sample[i] = site->made + 1;
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
    of_sample_sort(s, m);
}

void sites_build(struct sites *s, const struct model *m, struct frames *f, enum metric metric)
{
    build(s, m, f, metric, false);
}

void sites_build_by_place(struct sites *s, const struct model *m, struct frames *f,
                          enum metric metric)
{
    build(s, m, f, metric, true);
}

void sites_build_layers(struct sites *s, const struct model *m, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    *s = (struct sites){0};
    for (size_t i = 0; i < m->sample_count; i++)
        if (m->samples[i].alloc)
            leaf_note(s, f, stack, frames_stack(f, m->samples[i].node, stack));
}

struct model_histogram *sites_histograms(const struct sites *s, const struct model *m)
{
    struct model_histogram *all = memory_new(s->count, sizeof *all);
    for (size_t i = 0; i < m->sample_count; i++) {
        const struct model_histogram *h = model_histogram(m, m->samples[i].node);
        if (s->of_sample[i] && h && h->node)
            model_histogram_add(&all[s->of_sample[i] - 1], h);
    }
    return all;
}

void sites_release(struct sites *s)
{
    struct site_leaf *l, *next;
    HASH_ITER(hh, s->leaves, l, next)
    {
        HASH_DEL(s->leaves, l);
        free(l);
    }
    free(s->sites);
    free(s->of_sample);
    *s = (struct sites){0};
}
