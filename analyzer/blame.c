#include <stdlib.h>

#include "analyzer/blame.h"
#include "analyzer/lock.h"
#include "analyzer/memory.h"
#include "analyzer/rank.h"

/* The first of the blames that belong to this lock or a later one. */
static size_t first_of(const struct model *m, size_t lock)
{
    size_t first = 0, end = m->blame_count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (m->blames[middle].lock < lock)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static bool is_selected(struct frames *f, uint32_t node)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(f, node, stack);
    return rank_selected(f, frames_selection(f), stack, depth);
}

void blame_pairs_add(struct blame_pairs *p, const struct model *m, struct frames *f, size_t lock,
                     size_t group)
{
    size_t end = first_of(m, lock + 1);
    for (size_t i = first_of(m, lock); i < end; i++) {
        const struct model_blame *b = &m->blames[i];
        if (!is_selected(f, b->node) && !(b->waiter && is_selected(f, b->waiter)))
            continue;
        memory_grow((void **)&p->items, &p->room, p->count, sizeof *p->items);
        p->items[p->count++] = (struct blame_pair){
            .holder = b->node ? lock_place(b->node, f) : NULL,
            .waiter = b->waiter ? lock_place(b->waiter, f) : NULL,
            .group = group,
            .waits = b->waits,
            .wait_ns = b->wait_ns,
            .wait_max_ns = b->wait_max_ns,
        };
    }
}

static int frames_compare(const struct frame *x, const struct frame *y)
{
    if (x == y)
        return 0;
    if (!x || !y)
        return x ? 1 : -1;
    if (x->function != y->function)
        return x->function < y->function ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->line == 0 && x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return 0;
}

bool blame_same_place(const struct frame *a, const struct frame *b)
{
    return frames_compare(a, b) == 0;
}

static int pairs_compare(const void *a, const void *b)
{
    const struct blame_pair *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    int order = frames_compare(x->holder, y->holder);
    return order ? order : frames_compare(x->waiter, y->waiter);
}

static int most_first(const void *a, const void *b)
{
    const struct blame_pair *x = a, *y = b;
    if (x->wait_ns != y->wait_ns)
        return x->wait_ns < y->wait_ns ? 1 : -1;
    return pairs_compare(a, b);
}

void blame_pairs_join(struct blame_pairs *p)
{
    size_t kept = 0;
    if (p->count == 0)
        return;
    qsort(p->items, p->count, sizeof *p->items, pairs_compare);
    for (size_t i = 0; i < p->count; i++) {
        const struct blame_pair *from = &p->items[i];
        struct blame_pair *to = kept ? &p->items[kept - 1] : NULL;
        if (!to || pairs_compare(to, from) != 0) {
            p->items[kept++] = *from;
            continue;
        }
        to->waits = metric_sum(to->waits, from->waits);
        to->wait_ns = metric_sum(to->wait_ns, from->wait_ns);
        to->wait_max_ns = from->wait_max_ns > to->wait_max_ns ? from->wait_max_ns : to->wait_max_ns;
    }
    p->count = kept;
    qsort(p->items, p->count, sizeof *p->items, most_first);
}

void blame_pairs_by_holder(struct blame_pairs *p)
{
    for (size_t i = 0; i < p->count; i++)
        p->items[i].waiter = NULL;
    blame_pairs_join(p);
}

void blame_pairs_release(struct blame_pairs *p)
{
    free(p->items);
    *p = (struct blame_pairs){0};
}
