/*
 * Resident memory against what is live: how much of it the program has no use for. Pure, but for
 * resident_evidence_of(), which reads the model's file.
 *
 * Compared is the anonymous part (no files, no shared memory), at the end or now, with the most
 * that was live in the last fifth of the run: what a program gives back only as it ends says
 * nothing.
 */
#ifndef PERFSHIM_ANALYZER_RESIDENT_H
#define PERFSHIM_ANALYZER_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/model.h"

#define RESIDENT_RECENT     0.20                /* of the run: what counts as live */
#define RESIDENT_OVER_SHARE 0.50                /* of the anonymous memory is over: a finding */
#define RESIDENT_OVER_LEAST ((int64_t)16 << 20) /* bytes; below it is not worth a word */
#define RESIDENT_BLOCK      32         /* bytes that a block may take beside what was asked */
#define RESIDENT_THREAD     (64 << 10) /* of a thread: stack, allocator's caches */
#define RESIDENT_BASE       (4 << 20)  /* data of modules, main's stack, the profiler */

struct resident_evidence {
    bool known;             /* all of it, or nothing can be said */
    int64_t rss_bytes;      /* all, at the end or now */
    int64_t anon_bytes;     /* without files and shared memory */
    int64_t max_rss_bytes;  /* 0 = not known */
    int64_t live_bytes;     /* the most that was live lately */
    int64_t live_blocks;    /* at the end */
    int64_t mapped_bytes;   /* mappings of the program's own, at the end */
    int64_t reserved_bytes; /* address space it reserved, of which any part may be in use */
    int64_t threads;
};

/* What of the anonymous memory is live, or may be. */
int64_t resident_explained(const struct resident_evidence *e);
/* What is not; at least 0. */
int64_t resident_over(const struct resident_evidence *e);
/* Is that worth a finding? */
bool resident_judge(const struct resident_evidence *e);

void resident_evidence_of(struct resident_evidence *e, const struct model *m);

#endif
