#include <stdlib.h>

#include "analyzer/codemap.h"
#include "analyzer/memory.h"
#include "analyzer/names.h"

void codemap_add(struct codemap *map, uint64_t start, uint64_t end, const char *name)
{
    memory_grow((void **)&map->entries, &map->room, map->count, sizeof *map->entries);
    map->entries[map->count++] = (struct codemap_entry){start, end > start ? end : 0, name};
}

static int compare_starts(const void *a, const void *b)
{
    const struct codemap_entry *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

void codemap_sort(struct codemap *map)
{
    if (map->count == 0)
        return;
    qsort(map->entries, map->count, sizeof *map->entries, compare_starts);
    size_t kept = 0;
    for (size_t i = 1; i < map->count; i++) {
        struct codemap_entry *to = &map->entries[kept], *e = &map->entries[i];
        if (e->start != to->start) {
            map->entries[++kept] = *e;
            continue;
        }
        if (e->name && (!to->name || name_better(e->name, to->name)))
            to->name = e->name;
        if (e->end > to->end)
            to->end = e->end;
    }
    map->count = kept + 1;
    for (size_t i = 0; i < map->count; i++) {
        struct codemap_entry *e = &map->entries[i];
        if (!e->end)
            e->end = i + 1 < map->count ? map->entries[i + 1].start : e->start + 1;
    }
}

/* Index of the first entry that starts after address. */
static size_t after(const struct codemap *map, uint64_t address)
{
    size_t lo = 0, hi = map->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (map->entries[mid].start <= address)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct codemap_entry *codemap_find(const struct codemap *map, uint64_t address)
{
    enum { nested_most = 16 }; /* assembly labels inside one function */
    size_t i = after(map, address);
    for (unsigned tries = 0; i > 0 && tries < nested_most; tries++)
        if (address < map->entries[--i].end)
            return &map->entries[i];
    return NULL;
}

const struct codemap_entry *codemap_start(const struct codemap *map, uint64_t address)
{
    size_t i = after(map, address);
    return i > 0 && map->entries[i - 1].start == address ? &map->entries[i - 1] : NULL;
}

void codemap_release(struct codemap *map)
{
    free(map->entries);
    *map = (struct codemap){0};
}
