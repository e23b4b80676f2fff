#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/memory.h"
#include "analyzer/rank.h"

/* Which row a function belongs to. */
struct group {
    const char *key; /* interned name of a file or module */
    size_t row;
    UT_hash_handle hh;
};
struct builder {
    struct rank *rank;
    const struct frames *frames;
    enum rank_by by;
    size_t *row_of_function; /* index + 1 */
    size_t functions_room;
    struct group *groups;
};

static size_t row_new(struct rank *rank, struct rank_row row)
{
    memory_grow((void **)&rank->rows, &rank->room, rank->count, sizeof *rank->rows);
    rank->rows[rank->count] = row;
    return rank->count++;
}

static size_t group_row(struct builder *b, const char *key)
{
    struct group *g;
    HASH_FIND_PTR(b->groups, &key, g);
    if (!g) {
        g = memory_new(1, sizeof *g);
        g->key = key;
        g->row = row_new(b->rank, (struct rank_row){.name = key ? key : "[unknown]"});
        HASH_ADD_PTR(b->groups, key, g);
    }
    return g->row;
}

static struct rank_row *row_get(struct builder *b, uint32_t function)
{
    while (function >= b->functions_room) {
        size_t before = b->functions_room;
        memory_grow((void **)&b->row_of_function, &b->functions_room, b->functions_room,
                    sizeof *b->row_of_function);
        memset(b->row_of_function + before, 0,
               (b->functions_room - before) * sizeof *b->row_of_function);
    }
    if (!b->row_of_function[function]) {
        const struct function *fn = frames_function(b->frames, function);
        size_t row;
        if (b->by == RANK_FUNCTION)
            row = row_new(b->rank, (struct rank_row){.name = fn->name,
                                                     .file = fn->file,
                                                     .module = fn->module,
                                                     .line = fn->line});
        else
            row = group_row(b, b->by == RANK_FILE ? fn->file : fn->module);
        b->row_of_function[function] = row + 1;
    }
    return &b->rank->rows[b->row_of_function[function] - 1];
}

bool rank_selected(const struct frames *f, const struct selection *s,
                   const struct frame *const *stack, unsigned depth)
{
    if (!s || (!s->used[SELECT_FOCUS] && !s->used[SELECT_IGNORE]))
        return true;
    unsigned any = 0;
    for (unsigned i = 0; i < depth; i++)
        any |= frames_function(f, stack[i]->function)->selected;
    return !(any & 1u << SELECT_IGNORE) && (!s->used[SELECT_FOCUS] || any & 1u << SELECT_FOCUS);
}

/* The bit of a stack's outermost function; the last bit is shared by all that are too many. */
static uint64_t root_bit(struct rank *rank, uint32_t function, const struct metrics *m)
{
    unsigned i = 0;
    while (i < rank->root_count && rank->root_functions[i] != function)
        i++;
    if (i == RANK_ROOTS_MAX)
        i = RANK_ROOTS_MAX - 1;
    else if (i == rank->root_count)
        rank->root_functions[rank->root_count++] = function;
    metrics_add(&rank->roots[i], m);
    return (uint64_t)1 << i;
}

void rank_build(struct rank *rank, const struct model *m, struct frames *f, enum rank_by by)
{
    *rank = (struct rank){0};
    struct builder b = {.rank = rank, .frames = f, .by = by};
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < m->sample_count; i++) {
        const struct model_sample *s = &m->samples[i];
        unsigned depth = frames_stack(f, s->node, stack);
        if (!rank_selected(f, frames_selection(f), stack, depth))
            continue;
        metrics_add(&rank->selected, &s->m);
        uint64_t root = root_bit(rank, stack[depth - 1]->function, &s->m);
        struct rank_row *leaf = row_get(&b, stack[0]->function);
        metrics_add(&leaf->flat, &s->m);
        estimate_add(&leaf->flat_spread, &s->spread);
        for (unsigned k = 0; k < depth; k++) {
            struct rank_row *row = row_get(&b, stack[k]->function);
            if (row->last_stack == i + 1)
                continue;
            row->last_stack = i + 1;
            row->roots |= root;
            metrics_add(&row->cum, &s->m);
            estimate_add(&row->cum_spread, &s->spread);
        }
    }
    struct group *g, *next;
    HASH_ITER(hh, b.groups, g, next)
    {
        HASH_DEL(b.groups, g);
        free(g);
    }
    free(b.row_of_function);
}

bool rank_is_entry(const struct rank *rank, const struct rank_row *row, enum metric metric)
{
    double started = 0;
    for (unsigned i = 0; i < rank->root_count; i++)
        if (row->roots & (uint64_t)1 << i)
            started += (double)rank->roots[i].v[metric];
    return started > 0 && (double)row->cum.v[metric] >= 0.99 * started &&
           (double)row->flat.v[metric] < 0.01 * started;
}

void rank_release(struct rank *rank)
{
    free(rank->rows);
    *rank = (struct rank){0};
}

struct order {
    enum metric metric;
    bool flat;
};

static int text_compare(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "");
}

static int rows_compare(const void *a, const void *b, void *context)
{
    const struct rank_row *x = a, *y = b;
    const struct order *o = context;
    int64_t v = o->flat ? x->flat.v[o->metric] : x->cum.v[o->metric];
    int64_t w = o->flat ? y->flat.v[o->metric] : y->cum.v[o->metric];
    if (v != w)
        return v < w ? 1 : -1;
    int by_name = text_compare(x->name, y->name);
    if (by_name == 0)
        by_name = text_compare(x->module, y->module);
    return by_name ? by_name : text_compare(x->file, y->file);
}

void rank_sort(struct rank *rank, enum metric metric, bool flat)
{
    struct order order = {metric, flat};
    if (rank->count)
        qsort_r(rank->rows, rank->count, sizeof *rank->rows, rows_compare, &order);
}
