/*
 * Locks that a person would call by one name: those made at one place (the shards of a table), and
 * the elements of one array. Not thread-safe; the model and the frames must outlive the groups.
 */
#ifndef PERFSHIM_ANALYZER_LOCK_GROUPS_H
#define PERFSHIM_ANALYZER_LOCK_GROUPS_H

#include "analyzer/lock.h"
#include "analyzer/lock_times.h"

/* Locks of an array: so many parts of one variable, or of one block, first taken (or made) at one
   place. */
enum { LOCK_ARRAY_LEAST = 4 };

struct lock_group {
    /* lock_name(), lock_short_name(), lock_brief_name() or the second again; an array's: its
       variable's or block's. */
    char *name, *short_name, *brief_name;
    uint32_t kind;
    size_t locks; /* how many */
    /* Of the selected stacks: */
    struct model_lock_counts counts;
    struct lock_times times;
    const struct frame *place; /* that waited most, else had it longest; NULL = not known */
    struct model_lock_counts place_counts;
};

struct lock_groups {
    struct lock_group *items; /* in the order of their first lock in the model */
    size_t count;
    size_t first; /* of the model's locks */
    size_t *of;   /* group of each of them: of[lock − first] */
};

void lock_groups_build(struct lock_groups *groups, const struct model *m, struct frames *f);
/* Those that idle threads wait for. */
void lock_groups_build_idle(struct lock_groups *groups, const struct model *m, struct frames *f);
void lock_groups_release(struct lock_groups *groups);

#endif
