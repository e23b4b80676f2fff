/*
 * A map of a module's code: which function covers an address. Filled from several sources (symbols,
 * call-frame information, resolved indirect functions) that know a name, the bounds, or both;
 * entries with the same start become one, with the best name and the longest bounds.
 *
 * Use: add all, codemap_sort(), then find. Names belong to the caller. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_CODEMAP_H
#define PERFSHIM_ANALYZER_CODEMAP_H

#include <stddef.h>
#include <stdint.h>

struct codemap_entry {
    uint64_t start, end; /* end 0 = up to the next entry */
    const char *name;    /* NULL = only the bounds are known */
};

struct codemap {
    struct codemap_entry *entries;
    size_t count, room;
};

void codemap_add(struct codemap *map, uint64_t start, uint64_t end, const char *name);
void codemap_sort(struct codemap *map);

/* The innermost function that holds address, or NULL. */
const struct codemap_entry *codemap_find(const struct codemap *map, uint64_t address);
/* The function that starts at address, or NULL. */
const struct codemap_entry *codemap_start(const struct codemap *map, uint64_t address);
void codemap_release(struct codemap *map);

#endif
