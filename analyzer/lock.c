#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/lock.h"
#include "analyzer/memory.h"
#include "analyzer/site.h"
#include "common/units.h"

const char *lock_kind_name(uint32_t kind)
{
    static const char *const names[] = {
#define X(id, number, name) [number] = #name,
        PSHIM_LOCK_KINDS(X)
#undef X
    };
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

bool lock_call_reads(uint32_t node, struct frames *f)
{
    const char *call = lock_call(node, f);
    return call && strstr(call, "rdlock");
}

void lock_blocks_place(const struct model *m, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    struct sites layers = {0};
    bool built = false;
    for (size_t i = 0; i < m->lock_count + m->idle_lock_count; i++) {
        uint32_t node = m->locks[i].block_node;
        if (!node || frames_site(f, node))
            continue;
        if (!built)
            sites_build_layers(&layers, m, f);
        built = true;
        unsigned depth = frames_stack(f, node, stack);
        frames_set_site(f, node, stack[sites_frame(&layers, f, stack, depth)]);
    }
    sites_release(&layers);
}

const struct frame *lock_block_place(const struct model_lock *lock, struct frames *f)
{
    const struct frame *told = frames_site(f, lock->block_node);
    return told ? told : lock_place(lock->block_node, f);
}

/* In a block; without an offset: an array there. */
static const char *block_name(const struct model_lock *lock, struct frames *f,
                              char to[static LOCK_NAME_BYTES], bool with_place, bool with_offset)
{
    char place[80] = "", size[UNITS_BUF], offset[32] = "";
    const struct frame *frame = lock_block_place(lock, f);
    if (with_place)
        frames_place(f, frame, place, sizeof place);
    if (with_offset)
        snprintf(offset, sizeof offset, "+%llu ", (unsigned long long)lock->block_offset);
    snprintf(to, LOCK_NAME_BYTES, "%s %sin %s from %.100s%s%s", lock_kind_name(lock->kind), offset,
             units_size(size, (double)lock->block_bytes), frames_function(f, frame->function)->name,
             *place ? " " : "", place);
    return to;
}

const char *lock_array_name(const struct model_lock *lock, struct frames *f,
                            char to[static LOCK_NAME_BYTES], bool with_place)
{
    return block_name(lock, f, to, with_place, false);
}

const char *lock_brief_name(const struct model_lock *lock, struct frames *f,
                            char to[static LOCK_NAME_BYTES], bool array)
{
    char offset[32] = "[]";
    const struct frame *frame = lock_block_place(lock, f);
    if (!array)
        snprintf(offset, sizeof offset, "+%llu", (unsigned long long)lock->block_offset);
    snprintf(to, LOCK_NAME_BYTES, "%s %.120s%s", lock_kind_name(lock->kind),
             frames_function(f, frame->function)->name, offset);
    return to;
}

static const char *name_make(const struct model_lock *lock, struct frames *f,
                             char to[static LOCK_NAME_BYTES], bool with_place)
{
    char place[80] = "";
    if (!lock->record || lock->record == MODEL_LOCK_OTHER_IDLE)
        return strcpy(to, lock->record ? "other conditions" : "other locks");
    if (frames_object(f, lock->address, to, LOCK_NAME_BYTES))
        return to;
    if (lock->in_block)
        return block_name(lock, f, to, with_place, true);
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

bool lock_is_call(const struct function *fn)
{
    if (!fn->module || strncmp(fn->module, "libc.so", 7) != 0)
        return false;
    const char *name = fn->name + strspn(fn->name, "_");
    /* Without a symbol: the body of pthread_mutex_unlock(), which is not public. */
    return strncmp(name, "pthread_mutex_", 14) == 0 || strncmp(name, "lll_", 4) == 0 ||
           strncmp(name, "libc.so", 7) == 0;
}

/* The first of things sorted by lock that is not below `wanted`. */
#define FIRST_OF(items, item_count, wanted, first)                                                 \
    do {                                                                                           \
        size_t end_ = (item_count);                                                                \
        (first) = 0;                                                                               \
        while ((first) < end_) {                                                                   \
            size_t middle_ = (first) + (end_ - (first)) / 2;                                       \
            if ((items)[middle_].lock < (wanted))                                                  \
                (first) = middle_ + 1;                                                             \
            else                                                                                   \
                end_ = middle_;                                                                    \
        }                                                                                          \
    } while (0)

size_t lock_first_site(const struct model *m, size_t lock, size_t *count)
{
    size_t first, end;
    size_t all = m->lock_site_count + m->idle_lock_site_count;
    FIRST_OF(m->lock_sites, all, lock, first);
    FIRST_OF(m->lock_sites, all, lock + 1, end);
    *count = end - first;
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

static struct lock_work *work_get(struct lock_works *works, uint32_t section, uint32_t callee)
{
    for (size_t i = 0; i < works->count; i++)
        if (works->items[i].section == section && works->items[i].callee == callee)
            return &works->items[i];
    memory_grow((void **)&works->items, &works->room, works->count, sizeof *works->items);
    works->items[works->count] = (struct lock_work){.section = section, .callee = callee};
    return &works->items[works->count++];
}

/* Is a tick in the section's call to take or give back a lock? Its stack below the section. */
static bool in_call(const struct frames *f, const struct frame *const *stack, unsigned below)
{
    while (below > 0 && frames_function(f, stack[below - 1]->function)->runtime)
        below--;
    return below > 0 && lock_is_call(frames_function(f, stack[below - 1]->function));
}

static void work_add(struct lock_works *works, struct frames *f, const struct model_held *held,
                     const struct chain *chains, size_t chain_count)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(f, held->node, stack), best = 0;
    for (size_t k = 0; k < chain_count; k++) {
        unsigned n = shared(&chains[k], stack, depth);
        best = n > best ? n : best;
    }
    if (best == 0 || in_call(f, stack, depth - best))
        return; /* taken on a stack that is not known */
    const struct frame *section = stack[depth - best];
    const struct frame *callee = best < depth ? stack[depth - best - 1] : section;
    struct lock_work *w = work_get(works, section->function, callee->function);
    w->cpu_ns = metric_sum(w->cpu_ns, held->cpu_ns);
    if (!w->frame || held->cpu_ns > w->most) {
        w->frame = callee;
        w->most = held->cpu_ns;
    }
}

void lock_works_add(struct lock_works *works, const struct model *m, struct frames *f, size_t lock)
{
    enum { sites_most = 64, works_most = 1024 }; /* the busiest: each tick is compared with all */
    struct chain chains[sites_most];
    size_t sites, first_site = lock_first_site(m, lock, &sites), first, end;
    FIRST_OF(m->held, m->held_count, lock, first);
    FIRST_OF(m->held, m->held_count, lock + 1, end);
    if (first == end)
        return;
    if (sites > sites_most)
        sites = sites_most;
    for (size_t i = 0; i < sites; i++)
        chains[i] = chain_new(f, m->lock_sites[first_site + i].node);
    for (size_t i = first; i < end && works->count < works_most; i++)
        work_add(works, f, &m->held[i], chains, sites);
    for (size_t i = 0; i < sites; i++)
        free(chains[i].functions);
}

static int works_compare(const void *a, const void *b)
{
    const struct lock_work *x = a, *y = b;
    if (x->cpu_ns != y->cpu_ns)
        return x->cpu_ns < y->cpu_ns ? 1 : -1;
    return (x->callee > y->callee) - (x->callee < y->callee);
}

void lock_works_sort(struct lock_works *works)
{
    if (works->count)
        qsort(works->items, works->count, sizeof *works->items, works_compare);
}
