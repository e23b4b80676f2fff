#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/lock.h"
#include "analyzer/memory.h"

const char *lock_kind_name(uint32_t kind)
{
    static const char *const names[] = {[PSHIM_LOCK_NONE] = "lock", [PSHIM_LOCK_MUTEX] = "mutex"};
    return kind < sizeof names / sizeof *names ? names[kind] : "lock";
}

static bool is_call(const struct frames *f, const struct frame *frame)
{
    return frame->module == 0 && frames_function(f, frame->function)->name[0] != '[';
}

/* The first frame that is neither the waiting call itself nor the C++ runtime's. */
static unsigned place_index(const struct frames *f, const struct frame *const *stack,
                            unsigned depth)
{
    unsigned i = 0;
    while (i + 1 < depth &&
           (is_call(f, stack[i]) || frames_function(f, stack[i]->function)->runtime))
        i++;
    return i;
}

const struct frame *lock_place(uint32_t node, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(f, node, stack);
    return stack[place_index(f, stack, depth)];
}

const char *lock_call(uint32_t node, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    frames_stack(f, node, stack);
    return is_call(f, stack[0]) ? frames_function(f, stack[0]->function)->name : NULL;
}

static const char *name_make(const struct model_lock *lock, struct frames *f,
                             char to[static LOCK_NAME_BYTES], bool with_place)
{
    char place[80] = "";
    if (lock->record == 0)
        return strcpy(to, "other locks");
    if (frames_object(f, lock->address, to, LOCK_NAME_BYTES))
        return to;
    const char *kind = lock_kind_name(lock->kind);
    if (!lock->site_node) {
        snprintf(to, LOCK_NAME_BYTES, "%s at 0x%llx", kind, (unsigned long long)lock->address);
        return to;
    }
    const struct frame *frame = lock_place(lock->site_node, f);
    if (with_place)
        frames_place(f, frame, place, sizeof place);
    snprintf(to, LOCK_NAME_BYTES, "%s %s %.120s%s%s", kind,
             lock->initialised ? "of" : "first taken in", frames_function(f, frame->function)->name,
             *place ? " " : "", place);
    return to;
}

const char *lock_name(const struct model_lock *lock, struct frames *f,
                      char to[static LOCK_NAME_BYTES])
{
    return name_make(lock, f, to, true);
}

const char *lock_short_name(const struct model_lock *lock, struct frames *f,
                            char to[static LOCK_NAME_BYTES])
{
    return name_make(lock, f, to, false);
}

/* The first of m->lock_sites, which are sorted, with a lock not below this one. */
static size_t site_from(const struct model *m, size_t lock)
{
    size_t low = 0, high = m->lock_site_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->lock_sites[middle].lock < lock)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t lock_first_site(const struct model *m, size_t lock, size_t *count)
{
    size_t first = site_from(m, lock);
    *count = site_from(m, lock + 1) - first;
    return first;
}

/* A stack's functions, outermost first, without the call and the C++ runtime below the place. */
struct chain {
    unsigned depth;
    uint32_t *functions;
};

static struct chain chain_new(struct frames *f, uint32_t node)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(f, node, stack), from = place_index(f, stack, depth);
    struct chain c = {.depth = depth - from, .functions = memory_new(depth, sizeof *c.functions)};
    for (unsigned i = 0; i < c.depth; i++)
        c.functions[i] = stack[depth - 1 - i]->function;
    return c;
}

/* How many outermost frames two stacks share. */
static unsigned shared(const struct chain *c, const struct frame *const *stack, unsigned depth)
{
    unsigned most = c->depth < depth ? c->depth : depth, n = 0;
    while (n < most && c->functions[n] == stack[depth - 1 - n]->function)
        n++;
    return n;
}

static struct lock_work *work_get(struct lock_work **works, size_t *count, size_t *room,
                                  uint32_t section, uint32_t callee)
{
    for (size_t i = 0; i < *count; i++)
        if ((*works)[i].section == section && (*works)[i].callee == callee)
            return &(*works)[i];
    memory_grow((void **)works, room, *count, sizeof **works);
    (*works)[*count] = (struct lock_work){.section = section, .callee = callee};
    return &(*works)[(*count)++];
}

static int works_compare(const void *a, const void *b)
{
    const struct lock_work *x = a, *y = b;
    if (x->cpu_ns != y->cpu_ns)
        return x->cpu_ns < y->cpu_ns ? 1 : -1;
    return (x->callee > y->callee) - (x->callee < y->callee);
}

size_t lock_works(const struct model *m, struct frames *f, size_t lock, struct lock_work **works)
{
    enum { sites_most = 64, works_most = 1024 }; /* the busiest: each tick is compared with all */
    const struct frame *stack[FRAMES_STACK_MAX];
    struct chain chains[sites_most];
    size_t sites, first = lock_first_site(m, lock, &sites), count = 0, room = 0;
    if (sites > sites_most)
        sites = sites_most;
    for (size_t i = 0; i < sites; i++)
        chains[i] = chain_new(f, m->lock_sites[first + i].node);
    *works = NULL;
    for (size_t i = 0; i < m->held_count && count < works_most; i++) {
        if (m->held[i].lock != lock)
            continue;
        unsigned depth = frames_stack(f, m->held[i].node, stack), best = 0;
        for (size_t k = 0; k < sites; k++) {
            unsigned n = shared(&chains[k], stack, depth);
            best = n > best ? n : best;
        }
        if (best == 0)
            continue; /* taken on a stack that is not known */
        const struct frame *section = stack[depth - best];
        const struct frame *callee = best < depth ? stack[depth - best - 1] : section;
        struct lock_work *w = work_get(works, &count, &room, section->function, callee->function);
        w->cpu_ns = metric_sum(w->cpu_ns, m->held[i].cpu_ns);
        if (!w->frame || m->held[i].cpu_ns > w->most) {
            w->frame = callee;
            w->most = m->held[i].cpu_ns;
        }
    }
    for (size_t i = 0; i < sites; i++)
        free(chains[i].functions);
    if (count)
        qsort(*works, count, sizeof **works, works_compare);
    return count;
}
