#include "analyzer/call_site.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/lock.h"
#include "analyzer/memory.h"
#include "analyzer/model_waits.h"
#include "analyzer/rank.h"

static struct call_site *site_get(struct call_sites *sites, uint32_t call,
                                  const struct frame *place)
{
    for (size_t i = 0; i < sites->count; i++)
        if (sites->items[i].call == call && frames_same_place(sites->items[i].place, place))
            return &sites->items[i];
    memory_grow((void **)&sites->items, &sites->room, sites->count, sizeof *sites->items);
    sites->items[sites->count] = (struct call_site){.call = call, .place = place};
    return &sites->items[sites->count++];
}

/* A fortified call stands in a wrapper of its own name ("read", "open64") that the compiler has put
 * into the caller.
 */
static const struct frame *place_of(uint32_t node, uint32_t call, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX], *place = lock_place(node, f);
    unsigned depth = frames_stack(f, node, stack);
    const char *name = model_call_name(call);
    for (unsigned i = 1; place->inlined && i < depth; i++)
        if (stack[i - 1] == place &&
            strncmp(frames_function(f, place->function)->name, name, strlen(name)) == 0)
            place = stack[i];
    return place;
}

static bool is_selected(struct frames *f, uint32_t node)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(f, node, stack);
    return rank_selected(f, frames_selection(f), stack, depth);
}

static int sites_compare(const void *a, const void *b)
{
    const struct call_site *x = a, *y = b;
    if (x->counts.time_ns != y->counts.time_ns)
        return x->counts.time_ns < y->counts.time_ns ? 1 : -1;
    if (x->counts.calls != y->counts.calls)
        return x->counts.calls < y->counts.calls ? 1 : -1;
    if (x->call != y->call)
        return x->call < y->call ? -1 : 1;
    return (x->place->function > y->place->function) - (x->place->function < y->place->function);
}

void call_sites_sort(struct call_sites *sites)
{
    if (sites->count)
        qsort(sites->items, sites->count, sizeof *sites->items, sites_compare);
}

void call_sites_build(struct call_sites *to, const struct model *m, struct frames *f,
                      enum pshim_wait waits)
{
    for (size_t i = 0; i < m->wait_count; i++) {
        const struct model_wait *w = &m->waits[i];
        if (pshim_call_waits(w->call) == waits && is_selected(f, w->node))
            model_wait_counts_add(&site_get(to, w->call, place_of(w->node, w->call, f))->counts,
                                  &w->counts);
    }
    for (size_t i = 0; i < m->held_wait_count; i++) {
        const struct model_held_wait *w = &m->held_waits[i];
        if (pshim_call_waits(w->call) == waits && is_selected(f, w->node))
            model_wait_counts_add(&site_get(to, w->call, place_of(w->node, w->call, f))->held,
                                  &w->counts);
    }
    call_sites_sort(to);
}

void call_sites_of_lock(struct call_sites *to, const struct model *m, struct frames *f, size_t lock)
{
    for (size_t i = 0; i < m->held_wait_count; i++) {
        const struct model_held_wait *w = &m->held_waits[i];
        if (w->lock == lock && is_selected(f, w->node))
            model_wait_counts_add(&site_get(to, w->call, place_of(w->node, w->call, f))->counts,
                                  &w->counts);
    }
}

void call_sites_release(struct call_sites *sites)
{
    free(sites->items);
    *sites = (struct call_sites){0};
}
