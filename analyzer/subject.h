/*
 * The cost of a profile cut into subjects: what findings.h judges. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_SUBJECT_H
#define PERFSHIM_ANALYZER_SUBJECT_H

#include "analyzer/finding.h"
#include "analyzer/lock.h"
#include "analyzer/origin.h"

/* Where the selected CPU samples came from, one each; frame NULL = not selected or nobody's. */
struct subject_part {
    struct origin origin;
    int64_t cpu_ns, other_ns; /* other: I/O waits */
    size_t subject;           /* index + 1; 0 = of none */
};

/* Work that was done while a lock was held. */
struct subject_work {
    const struct frame *frame;
    int64_t cpu_ns;
};

struct subject {
    enum finding_subject kind;
    uint32_t function; /* function and memory: which one */
    bool own;
    int64_t cpu_ns;    /* sampled */
    int64_t waited_ns; /* timed */
    /* lock */
    char lock[LOCK_NAME_BYTES], lock_short[LOCK_NAME_BYTES];
    size_t locks; /* how many have that name (lock_groups.h) */
    struct model_lock_counts counts;
    int64_t held_cpu_ns;                 /* while held, as far as the critical section is known */
    int64_t spin_ns;                     /* of cpu_ns: in functions that spin */
    struct {                             /* the I/O of those that held it */
        int64_t ns;                      /* of all of it */
        uint32_t call;                   /* enum pshim_call: the one that took most */
        struct model_wait_counts counts; /* of that call */
    } held_io;
    struct subject_work work; /* what a critical section called and that took most of it */
    struct subject_work
        allocating;             /* CPU time under it in malloc and its kind; the frame with most */
    struct subject_work waking; /* … in signalling conditions and its kind; likewise */
    int64_t owner_changes;      /* −1 = not known */
    int64_t wait_ns, blamed_ns; /* of the locks, whatever is selected: what holders answer for */
    const struct frame *place;
};

struct subjects {
    const struct model *model;
    struct frames *frames;
    struct subject_part *parts; /* by sample of the model */
    struct subject *items;
    size_t count, room;
};

void subjects_build(struct subjects *s, const struct model *m, struct frames *f);
void subjects_release(struct subjects *s);

static inline int64_t subject_cost(const struct subject *s)
{
    return metric_sum(s->cpu_ns, s->waited_ns);
}

/* By what a subject's CPU time is gathered. */
enum subject_by {
    SUBJECT_BY_PLACE,    /* lines of the functions that answer for it (origin.h) */
    SUBJECT_BY_OWN_LINE, /* those, without what they called */
    SUBJECT_BY_CALLEE,   /* what they called */
};
/* The frame with most of it. NULL if there is none; *ns is what it has. */
const struct frame *subject_most(const struct subjects *s, size_t subject, enum subject_by by,
                                 int64_t *ns);

#endif
