#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/export.h"
#include "analyzer/memory.h"

/* A call path by functions: stacks that differ only in lines are one. */
struct path_key {
    const struct call_path *caller; /* NULL = none */
    uint64_t function;
};
struct call_path {
    struct path_key key;
    int64_t value;  /* of stacks that end here */
    uint64_t order; /* by first appearance */
    UT_hash_handle hh;
};

static struct call_path *path_get(struct call_path **paths, const struct call_path *caller,
                                  uint32_t function)
{
    struct path_key key = {caller, function};
    struct call_path *p;
    HASH_FIND(hh, *paths, &key, sizeof key, p);
    if (!p) {
        p = memory_new(1, sizeof *p);
        p->key = key;
        p->order = HASH_COUNT(*paths);
        HASH_ADD(hh, *paths, key, sizeof key, p);
    }
    return p;
}

static void name_put(FILE *out, const char *name)
{
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (c == ';' || c < ' ' || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
}

static void line_put(FILE *out, const struct export *e, const struct call_path *leaf)
{
    const struct call_path *frames[FRAMES_STACK_MAX];
    unsigned depth = 0;
    for (const struct call_path *p = leaf; p; p = p->key.caller)
        frames[depth++] = p;
    while (depth--) {
        name_put(out, frames_function(e->frames, (uint32_t)frames[depth]->key.function)->name);
        putc(depth ? ';' : ' ', out);
    }
    fprintf(out, "%lld\n", (long long)leaf->value);
}

static int paths_compare(const struct call_path *a, const struct call_path *b)
{
    if (a->value != b->value)
        return a->value < b->value ? 1 : -1;
    return (a->order > b->order) - (a->order < b->order);
}

void export_collapsed(FILE *out, const struct export *e)
{
    struct call_path *paths = NULL, *p, *next;
    const struct frame *stack[FRAMES_STACK_MAX];
    int64_t values[EXPORT_COLUMNS_MAX];
    for (size_t i = 0; i < e->model->sample_count; i++) {
        unsigned depth = export_sample(e, &e->model->samples[i], stack, values);
        if (!depth || !values[e->kind->main])
            continue;
        struct call_path *at = NULL;
        while (depth--)
            at = path_get(&paths, at, stack[depth]->function);
        at->value = metric_sum(at->value, values[e->kind->main]);
    }
    HASH_SORT(paths, paths_compare);
    for (p = paths; p; p = p->hh.next)
        if (p->value)
            line_put(out, e, p);
    HASH_ITER(hh, paths, p, next)
    {
        HASH_DEL(paths, p);
        free(p);
    }
}
