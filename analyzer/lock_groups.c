#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/lock_groups.h"
#include "analyzer/memory.h"
#include "analyzer/model_locks.h"
#include "analyzer/rank.h"

/* A name on its way to a group; or a variable's part taken at one place, counted. */
struct entry {
    UT_hash_handle hh;
    size_t value; /* group, or how many locks */
    char name[];
};

static struct entry *entry_get(struct entry **all, const char *name, size_t value)
{
    struct entry *e;
    HASH_FIND_STR(*all, name, e);
    if (e)
        return e;
    size_t bytes = strlen(name) + 1;
    e = memory_new(1, sizeof *e + bytes);
    e->value = value;
    memcpy(e->name, name, bytes);
    HASH_ADD_KEYPTR(hh, *all, e->name, bytes - 1, e);
    return e;
}

static void entries_free(struct entry **all)
{
    struct entry *e, *next;
    HASH_ITER(hh, *all, e, next)
    {
        HASH_DEL(*all, e);
        free(e);
    }
}

/* The variable or the block that the lock is a part of, and where it was made or first taken; NULL
   = none. */
static const char *part_key(const struct model_lock *lock, struct frames *f,
                            char to[static LOCK_NAME_BYTES])
{
    uint64_t offset;
    const char *variable =
        lock->record && lock->site_node ? frames_variable(f, lock->address, &offset) : NULL;
    if (!variable && !(lock->in_block && lock->site_node))
        return NULL;
    const struct frame *place = lock_place(lock->site_node, f);
    if (!variable) {
        snprintf(to, LOCK_NAME_BYTES, "%u:%u:%u:@%llx", place->function, place->line,
                 lock->block_node, (unsigned long long)(lock->address - lock->block_offset));
        return to;
    }
    snprintf(to, LOCK_NAME_BYTES, "%u:%u:%.200s", place->function, place->line, variable);
    return to;
}

/* The name that a lock shares with others. */
static bool is_array(const struct model_lock *lock, struct frames *f, struct entry *parts)
{
    struct entry *e = NULL;
    char key[LOCK_NAME_BYTES];
    if (part_key(lock, f, key))
        HASH_FIND_STR(parts, key, e);
    return e && e->value >= LOCK_ARRAY_LEAST;
}

static const char *array_name(const struct model_lock *lock, struct frames *f,
                              char to[static LOCK_NAME_BYTES], bool with_place)
{
    uint64_t offset;
    const char *variable = frames_variable(f, lock->address, &offset);
    if (!variable)
        return lock_array_name(lock, f, to, with_place);
    snprintf(to, LOCK_NAME_BYTES, "%s", variable);
    return to;
}

static void group_name(struct lock_group *g, const struct model_lock *lock, struct frames *f,
                       const char *name, bool array)
{
    char text[LOCK_NAME_BYTES];
    g->name = memory_string(name);
    if (!array)
        lock_short_name(lock, f, text);
    else
        array_name(lock, f, text, false);
    g->short_name = memory_string(text);
    if (lock->in_block)
        lock_brief_name(lock, f, text, array);
    g->brief_name = memory_string(text);
    g->kind = lock->kind;
}

static void names_gather(struct lock_groups *groups, const struct model_lock *locks, size_t count,
                         struct frames *f)
{
    struct entry *parts = NULL, *names = NULL;
    char name[LOCK_NAME_BYTES];
    size_t room = 0;
    for (size_t i = 0; i < count; i++)
        if (part_key(&locks[i], f, name))
            entry_get(&parts, name, 0)->value++;
    for (size_t i = 0; i < count; i++) {
        const struct model_lock *lock = &locks[i];
        bool array = is_array(lock, f, parts);
        if (array)
            array_name(lock, f, name, true);
        else
            lock_name(lock, f, name);
        size_t group = entry_get(&names, name, groups->count)->value;
        if (group == groups->count) {
            memory_grow((void **)&groups->items, &room, groups->count, sizeof *groups->items);
            groups->items[groups->count++] = (struct lock_group){0};
            group_name(&groups->items[group], lock, f, name, array);
        }
        groups->items[group].locks += 1 + (size_t)lock->again;
        groups->of[i] = group;
    }
    entries_free(&parts);
    entries_free(&names);
}

static bool is_more(const struct model_lock_counts *a, const struct model_lock_counts *b)
{
    if (a->wait_ns != b->wait_ns)
        return a->wait_ns > b->wait_ns;
    if (a->contentions != b->contentions)
        return a->contentions > b->contentions;
    return a->hold_ns > b->hold_ns;
}

/* A place's share is that of all its stacks and locks; a line may take many. */
struct place {
    UT_hash_handle hh;
    struct place_key {
        size_t group;
        uint32_t function, line;
    } key;
    struct model_lock_counts counts;
};

static void site_count(struct lock_groups *groups, const struct model *m,
                       const struct model_lock_site *site, struct frames *f, struct place **places)
{
    struct place *p;
    struct place_key key;
    const struct frame *frame = lock_place(site->node, f);
    size_t group = groups->of[site->lock - groups->first];
    struct lock_group *g = &groups->items[group];
    memset(&key, 0, sizeof key); /* hashed with its padding */
    key.group = group;
    key.function = frame->function;
    key.line = frame->line;
    HASH_FIND(hh, *places, &key, sizeof key, p);
    if (!p) {
        p = memory_new(1, sizeof *p);
        p->key = key;
        HASH_ADD(hh, *places, key, sizeof key, p);
    }
    model_lock_counts_add(&p->counts, &site->counts);
    model_lock_counts_add(&g->counts, &site->counts);
    lock_times_add(&g->times, m, site);
    if (!g->place || is_more(&p->counts, &g->place_counts)) {
        g->place = frame;
        g->place_counts = p->counts;
    }
}

static void sites_count(struct lock_groups *groups, const struct model *m,
                        const struct model_lock_site *sites, size_t count, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    struct place *places = NULL, *p, *next;
    for (size_t i = 0; i < count; i++) {
        unsigned depth = frames_stack(f, sites[i].node, stack);
        if (rank_selected(f, frames_selection(f), stack, depth))
            site_count(groups, m, &sites[i], f, &places);
    }
    HASH_ITER(hh, places, p, next)
    {
        HASH_DEL(places, p);
        free(p);
    }
}

void lock_groups_build(struct lock_groups *groups, const struct model *m, struct frames *f)
{
    *groups = (struct lock_groups){.of = memory_new(m->lock_count, sizeof *groups->of)};
    names_gather(groups, m->locks, m->lock_count, f);
    sites_count(groups, m, m->lock_sites, m->lock_site_count, f);
}

void lock_groups_build_idle(struct lock_groups *groups, const struct model *m, struct frames *f)
{
    *groups = (struct lock_groups){.of = memory_new(m->idle_lock_count, sizeof *groups->of),
                                   .first = m->lock_count};
    if (!m->idle_lock_count)
        return;
    names_gather(groups, m->locks + m->lock_count, m->idle_lock_count, f);
    sites_count(groups, m, m->lock_sites + m->lock_site_count, m->idle_lock_site_count, f);
}

void lock_groups_release(struct lock_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        free(groups->items[i].name);
        free(groups->items[i].short_name);
        free(groups->items[i].brief_name);
    }
    free(groups->items);
    free(groups->of);
    *groups = (struct lock_groups){0};
}
