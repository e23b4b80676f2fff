#include <stdlib.h>

#include "analyzer/memory.h"
#include "analyzer/path.h"
#include "analyzer/rank.h"

struct stack {
    const struct frame **frames;
    unsigned depth;
    int64_t value;
};

static struct stack *stacks_get(const struct model *m, struct frames *f, enum metric metric,
                                size_t *count)
{
    struct stack *stacks = memory_new(m->sample_count, sizeof *stacks);
    const struct frame *found[FRAMES_STACK_MAX];
    *count = 0;
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t value = m->samples[i].m.v[metric];
        if (value <= 0)
            continue;
        unsigned depth = frames_stack(f, m->samples[i].node, found);
        if (!rank_selected(f, frames_selection(f), found, depth))
            continue;
        struct stack *s = &stacks[(*count)++];
        unsigned kept = depth < PATH_MAX_FRAMES ? depth : PATH_MAX_FRAMES;
        s->frames = memory_new(kept, sizeof *s->frames);
        s->depth = depth;
        s->value = value;
        for (unsigned k = 0; k < kept; k++)
            s->frames[k] = found[depth - 1 - k];
    }
    return stacks;
}

/* Of the stacks that are left, the function at `depth` with the most; keeps only its stacks. */
static int64_t step(struct stack *stacks, size_t *count, unsigned depth, int64_t *value_of,
                    uint32_t *chosen)
{
    int64_t most = 0, ends_here = 0;
    for (size_t i = 0; i < *count; i++) {
        if (stacks[i].depth <= depth) {
            ends_here += stacks[i].value;
            continue;
        }
        uint32_t function = stacks[i].frames[depth]->function;
        value_of[function] += stacks[i].value;
        if (value_of[function] > most) {
            most = value_of[function];
            *chosen = function;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        struct stack s = stacks[i];
        if (s.depth <= depth)
            continue;
        uint32_t function = s.frames[depth]->function;
        value_of[function] = 0;
        if (function == *chosen) {
            stacks[i] = stacks[kept];
            stacks[kept++] = s;
        }
    }
    *count = kept;
    return most > ends_here ? most : 0;
}

void path_find(struct path *p, const struct model *m, struct frames *f, enum metric metric)
{
    size_t all, count;
    struct stack *stacks = stacks_get(m, f, metric, &all);
    int64_t *value_of = memory_new(frames_function_count(f), sizeof *value_of);
    p->depth = 0;
    count = all;
    while (count && p->depth < PATH_MAX_FRAMES) {
        uint32_t function = 0;
        int64_t value = step(stacks, &count, p->depth, value_of, &function);
        if (value == 0 || (p->depth && value < p->values[p->depth - 1] / 2))
            break;
        p->functions[p->depth] = function;
        p->values[p->depth++] = value;
    }
    for (size_t i = 0; i < all; i++)
        free(stacks[i].frames);
    free(stacks);
    free(value_of);
}
