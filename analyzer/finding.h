/*
 * The rules: from what was measured about one subject to what a person should do about it. Pure
 * functions of numbers; no name of a function or a lock is looked at.
 *
 * A subject is a part of the cost that can be changed in one place; findings.h cuts the cost into
 * subjects. All limits stand here. share is of the whole cost (CPU time and waits), 0 … 1.
 */
#ifndef PERFSHIM_ANALYZER_FINDING_H
#define PERFSHIM_ANALYZER_FINDING_H

#include <stdbool.h>
#include <stdint.h>

/* id, JSON word, what the title begins with, when */
#define FINDING_KINDS(X)                                                                           \
    X(OVERRUN, overrun, "fix first", "something is written past the end of a block")               \
    X(FOCUS_FIRST, focus_first, "focus first", "30% of the cost or more")                          \
    X(HELD_TOO_LONG, held_too_long, "held too long", "threads wait for a lock held during work")   \
    X(SYNC_UNDER_LOCK, sync_under_lock, "fsync under a lock", "threads wait while a holder syncs") \
    X(IO_UNDER_LOCK, io_under_lock, "I/O under a lock", "threads wait while a holder does I/O")    \
    X(CHECK_CONTENTION, check_contention, "check contention", "threads wait for a lock")           \
    X(REDUCE_ALLOCATIONS, reduce_allocations, "reduce allocations", "the allocator takes 2%")      \
    X(RSS_OVER_LIVE, rss_over_live, "memory", "16 MiB and half of it resident, but not in use")    \
    X(OPTIMISE, optimise, "optimise", "5% to 30%, in the program's own code")                      \
    X(NOT_WORTH_IT, not_worth_it, "not worth it", "little to gain")

enum finding_kind {
    FINDING_NONE, /* nothing to say */
#define X(id, word, title, when) FINDING_##id,
    FINDING_KINDS(X)
#undef X
};

#define FINDING_OVERRUNS_LEAST    1    /* of all stacks: what is wrong has no cost to weigh */
#define FINDING_FOCUS_SHARE       0.30 /* from here on: whatever it is, look at it first */
#define FINDING_OPTIMISE_SHARE    0.05 /* the program's own code; below it is not worth it */
#define FINDING_MEMORY_SHARE      0.15 /* libc's memory routines are well made: up to here let be */
#define FINDING_ALLOCATOR_SHARE   0.02 /* from here on: an allocation has a cheap cure */
#define FINDING_LOCK_SHARE        0.01 /* waiting (and spinning) from here on */
#define FINDING_HELD_WORK         0.50 /* of the CPU time under a lock, in one callee: movable work */
#define FINDING_HELD_IO           0.50 /* of the time a lock is held, inside calls of I/O */
#define FINDING_HELD_RUN          0.10 /* of the run a lock must be held to be held too long */
#define FINDING_TICKS_LEAST       20   /* what rests on fewer CPU ticks is no finding */
#define FINDING_ALLOCATOR_TICKS   5    /* fewer do for it, since allocations are counted */
#define FINDING_RUN_TICKS_LEAST   50   /* nor is anything of a run with fewer, unless it waited */
#define FINDING_TEMPORARY_SHARE   0.50 /* of a site's blocks: freed next by the same thread */
#define FINDING_KEPT_SHARE        0.50 /* of a site's blocks: never freed */
#define FINDING_MEMORY_DEVIATIONS 2.0  /* a memory routine is past its limit by more than chance */

enum finding_subject {
    SUBJECT_FUNCTION,  /* what a function does itself, with what it calls of the system's */
    SUBJECT_LOCK,      /* waiting and spinning for it, and the calls that take and give it back */
    SUBJECT_ALLOCATOR, /* malloc, free and their kind */
    SUBJECT_MEMORY,    /* memcpy and its kind in libc */
};

struct finding_evidence {
    enum finding_subject subject;
    double share;
    double deviation;    /* standard deviation of share, by the number of its ticks */
    double ticks;        /* CPU ticks in it */
    double waited_share; /* of the whole cost: the part of share that was timed, not sampled */
    double spin_share;   /* lock, of the whole cost: CPU time of functions that spin for it */
    bool own;            /* function: the program's own code */
    int64_t acquisitions, contentions; /* lock */
    double held_ticks;                 /* lock: CPU ticks while it was held */
    double held_work;                  /* lock: the share of them in the one callee that has most */
    double held_io;  /* lock: the share of the time it was held that its holders were in I/O */
    bool held_sync;  /* lock: the call that took most of that forces data to the disk */
    double held_run; /* lock: the share of the run that it was held (each, if there are several) */
};

enum finding_kind finding_judge(const struct finding_evidence *e);

/* By what factor the cost falls at most, were all of the share gone (Amdahl): 1/(1 − share).
   Infinity at 1. */
double finding_max_gain(double share);

/* The standard deviation of a share that `ticks` of `all` ticks tell. */
double finding_deviation(double ticks, double all);

/* Does a function that asked for locks like this spin? More attempts in vain than locks taken. */
bool finding_spins(int64_t acquisitions, int64_t contentions);

const char *finding_kind_word(enum finding_kind kind);

#endif
