/*
 * Screens: from the model to text. Each view prints one; what was not measured is left out, never
 * shown as zero. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_VIEW_H
#define PERFSHIM_ANALYZER_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "analyzer/frames.h"
#include "analyzer/model.h"
#include "analyzer/rank.h"
#include "analyzer/table.h"
#include "analyzer/text.h"

struct view {
    const struct model *model;
    struct frames *frames;
    FILE *out;
    enum rank_by by;
    enum metric sort; /* METRIC_COUNT = the view's own */
    bool sort_flat;
    size_t limit; /* rows */
    bool all;     /* every row, entry frames included */
};

/* id, what it shows; `report --view`. */
#define VIEWS(X)                                                                                   \
    X(summary, "where time and memory went, on one screen")                                        \
    X(cpu, "functions by CPU time")                                                                \
    X(alloc, "allocation sites, and functions by what they allocate")                              \
    X(peak, "what was live when the most memory was")                                              \
    X(leaks, "what was still live at the end")                                                     \
    X(temporary, "sites whose blocks are freed next")                                              \
    X(lifetime, "how long the blocks of each site live, and who frees them")                       \
    X(sizes, "sizes of blocks, and blocks that realloc grows")                                     \
    X(pool, "sites worth a pool, and what it would save")                                          \
    X(timeline, "live bytes, allocations and CPU time from the start to the end")                  \
    X(threads, "where the time of each thread went")                                               \
    X(ledger, "where the time of all threads went: CPU, waits, and what is not explained")         \
    X(locks, "locks by how long threads waited for them, and what their holders did")              \
    X(blame, "who makes whom wait for locks, and what the holders did meanwhile")                  \
    X(io, "calls of I/O by their time, and calls that waited for events")

#define X(id, text) void view_##id(const struct view *v);
VIEWS(X)
#undef X

/* Who, how long, what was measured, what was lost: the first lines of every view. */
void view_header(const struct view *v);
/* What to do about it: findings, each with its evidence and advice. */
void view_findings(const struct view *v);
/* Regions and pools that the program names; nothing if it has none. */
void view_named(const struct view *v);
/* Waits and holds in one line. */
void view_locks_line(const struct view *v, const struct model_lock_counts *totals);
/* What the holders of a group's locks did, by their ticks. */
struct lock_groups;
void view_lock_inside(const struct view *v, const struct lock_groups *groups, size_t group);
/* Threads gathered by name (`--by thread`). */
void view_thread_names(const struct view *v);
/* The table of both, and of the ledger. */
void view_threads_table(const struct view *v, bool gather);
/* A part of the ledger of all threads; CPU time without the profiler's. */
int64_t view_ledger_part(const struct model *m, enum ledger_part part);
/* The table of functions (files, modules) of `v`, ranked by `metric` unless v->sort says other. */
void view_functions(const struct view *v, enum metric metric);

/* How the program ended: "exit 0", "killed by SIGKILL", "still running". */
char *view_end(char to[static TEXT_BUF], const struct model *m);
/* Where a function is: "file.c:12", or its module. */
const char *view_place(const struct rank_row *row, char *buf, size_t size);

/* When the last counts were taken: "now", "at exit", "at the end". */
const char *view_end_words(const struct model *m);

/* How far an estimate may be off, " +-3.2%"; "" for what was counted. */
char *view_error(char to[static TEXT_BUF], const struct model *m, enum metric metric, int64_t value,
                 const struct estimate_spread *spread);

/* Columns of a figure that depends on whether operations are known: "allocs/op" or "allocs". */
const char *view_calls_title(const struct view *v);
char *view_calls(const struct view *v, char to[static TEXT_BUF], int64_t calls);

#endif
