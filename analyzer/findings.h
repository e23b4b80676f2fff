/*
 * What to do about a profile: its cost cut into subjects, each judged by the rules of finding.h.
 *
 * Every part of the cost belongs to one subject, so that shares add up to at most 100 %:
 *  - waiting for a lock: the lock (all of one name together), with the CPU time spent in the calls
 *    that take it, and that of a function that spins for it;
 *  - waiting for the disk to sync: all calls together;
 *  - CPU time in the allocator: allocations, all sites together;
 *  - CPU time in a memory routine of libc that own code called: that routine;
 *  - the rest: the innermost function of the program's own code (origin.h), with what it calls of
 *    the system. Not the functions above it: they can change nothing but the call.
 *
 * What is wrong whatever it costs, a write past the end of a block, comes before all of them, also
 * where there is no CPU time to tell a cost from.
 * Beside them, without a cost in time: resident memory that nothing live accounts for (resident.h),
 * and more threads than CPUs.
 *
 * Only the selected stacks count; shares are of the whole cost. Not thread-safe; the model and the
 * frames must outlive the findings.
 */
#ifndef PERFSHIM_ANALYZER_FINDINGS_H
#define PERFSHIM_ANALYZER_FINDINGS_H

#include "analyzer/finding.h"
#include "analyzer/lock.h"

enum { FINDING_EVIDENCE_MOST = 3, FINDING_TEXT_BYTES = 320 };

struct finding {
    enum finding_kind kind;
    unsigned rank;      /* from 1 */
    const char *title;  /* says no name */
    int64_t cost_ns;    /* an overrun has none: 0, share 0, gain 1 */
    int64_t over_bytes; /* rss_over_live: what is resident without use; else 0 */
    double peak_share;  /* … of the highest resident memory */
    double share, max_gain;
    char lock[LOCK_NAME_BYTES]; /* name, "" = it is about no lock */
    char lock_short[LOCK_NAME_BYTES];
    const struct frame *where; /* NULL = not known */
    const struct frame *work;  /* what was done while it was held; else NULL */
    double predicted_ns;       /* how the cost changes if the advice is followed; NaN = not known */
    int64_t ready_ns;   /* oversubscription: of all threads, ready to run without a CPU; else 0 */
    double ready_share; /* … of their time */
    unsigned enough_threads; /* … how many would do */
    char evidence[FINDING_EVIDENCE_MOST][FINDING_TEXT_BYTES];
    unsigned evidence_count;
    const char *advice;                  /* says no name */
    char prediction[FINDING_TEXT_BYTES]; /* what following it comes to, "" = not known */
};

enum findings_state { FINDINGS_MADE, FINDINGS_NO_TIME, FINDINGS_FEW_TICKS };

struct findings {
    enum findings_state state;
    struct finding *items; /* what is wrong, then by cost, what is not worth it last */
    size_t count;
    size_t worth;   /* how many come before what is not worth it */
    double ticks;   /* of the CPU time that the shares rest on */
    double scatter; /* by how much a share may be off: two standard deviations of the largest */
};

void findings_build(struct findings *to, const struct model *m, struct frames *f);
void findings_release(struct findings *findings);

/* Where, for a screen: "cache_lock in cache_get get.c:47"; "" if it is not known. Returns to. */
enum { FINDINGS_WHERE_BYTES = 256 };
char *findings_where(const struct finding *item, struct frames *f,
                     char to[static FINDINGS_WHERE_BYTES]);

/* The advice, with its prediction if there is one. Returns to. */
enum { FINDINGS_ADVICE_BYTES = 400 };
char *findings_advice(const struct finding *item, char to[static FINDINGS_ADVICE_BYTES]);

struct json;
void findings_json(struct json *j, const struct model *m, struct frames *f);

#endif
