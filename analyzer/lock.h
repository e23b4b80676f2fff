/*
 * Locks as a person knows them: their names, the places where they are taken, and the work that was
 * done while they were held. Not thread-safe; the model and the frames must outlive what is made
 * here.
 */
#ifndef PERFSHIM_ANALYZER_LOCK_H
#define PERFSHIM_ANALYZER_LOCK_H

#include "analyzer/frames.h"
#include "analyzer/model.h"

enum { LOCK_NAME_BYTES = 256 };

/*
 * A lock's name: its variable's ("cache_lock", "cache+0x28"); for one on a heap where it lies in
 * the block, and where that was allocated ("mutex +40 in 128 B from cache_new cache.c:31"); where
 * that is not known, and on a stack, the place that initialised it or first took it ("mutex of
 * cache_init cache.c:41"). Locks made at one place have one name.
 */
const char *lock_name(const struct model_lock *lock, struct frames *f,
                      char to[static LOCK_NAME_BYTES]);
/* Without the file and line of a place: for columns that are narrow. */
const char *lock_short_name(const struct model_lock *lock, struct frames *f,
                            char to[static LOCK_NAME_BYTES]);
/* Finds where the blocks of locks were allocated, past layers that all allocations go through
   (site.h). Without it that is the innermost frame. */
void lock_blocks_place(const struct model *m, struct frames *f);
/* There, of a lock with a block_node. */
const struct frame *lock_block_place(const struct model_lock *lock, struct frames *f);
/* The elements of an array in one block: "mutex in 8.0 KiB from table_new table.c:20". Both are
   only of a lock with in_block. */
const char *lock_array_name(const struct model_lock *lock, struct frames *f,
                            char to[static LOCK_NAME_BYTES], bool with_place);
/* Of a lock with in_block, in few characters: "mutex cache_new+40" or, of an array, "mutex
   table_new[]". */
const char *lock_brief_name(const struct model_lock *lock, struct frames *f,
                            char to[static LOCK_NAME_BYTES], bool array);
const char *lock_kind_name(uint32_t kind);

/* Does the function belong to the calls that take and give back mutexes? */
bool lock_is_call(const struct function *fn);

/*
 * The frame that a person would call the place of a lock call: the innermost one outside of the
 * C++ runtime. `node` is the call's.
 */
const struct frame *lock_place(uint32_t node, struct frames *f);
/* The call that took the lock there ("pthread_mutex_lock"), or NULL. */
const char *lock_call(uint32_t node, struct frames *f);
/* Does it take a read-write lock to read? */
bool lock_call_reads(uint32_t node, struct frames *f);

/*
 * CPU time with the lock held, by the work that the critical section called: the frame where the
 * stack of the tick leaves the stack that took the lock. Without a callee the section's own code.
 * Time in the calls that take and give back locks is left out: a hold ends where its unlock begins.
 */
struct lock_work {
    uint32_t section; /* function (index) that both stacks stand in last: the critical section */
    uint32_t callee;  /* function that it called; equal to section: its own code */
    const struct frame *frame; /* the callee's frame, or the section's, with the most time */
    int64_t most, cpu_ns;
};
struct lock_works {
    struct lock_work *items; /* sorted: most time first */
    size_t count, room;
};

/* Adds the works of m->locks[lock]; sort when all are there. Zeroed at first; free(works->items).
 */
void lock_works_add(struct lock_works *works, const struct model *m, struct frames *f, size_t lock);
void lock_works_sort(struct lock_works *works);

/* The first of m->lock_sites that belongs to m->locks[lock], and how many do. */
size_t lock_first_site(const struct model *m, size_t lock, size_t *count);

#endif
