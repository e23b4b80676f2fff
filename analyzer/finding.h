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
    X(ALLOC_UNDER_LOCK, alloc_under_lock, "allocations under a lock", "threads wait for malloc")   \
    X(CONVOY, convoy, "convoy", "threads wait for each other to wake up, not for work")            \
    X(CHECK_CONTENTION, check_contention, "check contention", "threads wait for a lock")           \
    X(TAKEN_TOO_OFTEN, taken_too_often, "taken too often", "taking a lock costs 5%, not holding")  \
    X(SYNC_OFTEN, sync_often, "fsync too often", "10% waits for the disk, with few bytes each")    \
    X(REDUCE_ALLOCATIONS, reduce_allocations, "reduce allocations", "the allocator takes 2%")      \
    X(RSS_OVER_LIVE, rss_over_live, "memory", "16 MiB and half of it resident, but not in use")    \
    X(OVERSUBSCRIPTION, oversubscription, "too many threads", "more want to run than have a CPU")  \
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
#define FINDING_HELD_WAKING       0.50 /* … in calls that wake others, which needs no lock */
#define FINDING_HELD_IO           0.50 /* of the time a lock is held, inside calls of I/O */
#define FINDING_HELD_RUN          0.10 /* of the run a lock must be held to be held too long */
#define FINDING_HELD_ALLOCS       1.0  /* allocations each time it is held: many */
#define FINDING_HELD_ALLOCATOR    0.25 /* of the CPU time under a lock, in malloc and its kind */
#define FINDING_HANDOFF           0.50 /* of the waits for a lock: nobody had it meanwhile */
#define FINDING_CONVOY_HOLDS      10.0 /* a wait in a convoy lasts so many holds or more */
#define FINDING_CONVOY_CHANGES    0.01 /* … the lock goes to another thread so often */
#define FINDING_CONVOY_RUN        0.50 /* … and it is held for less of the run */
#define FINDING_BRIEF_HOLD_NS     1000 /* up to here a hold is not what a lock costs */
#define FINDING_WAITS_LEAST       20   /* what rests on fewer waits is no convoy */
#define FINDING_SYNC_SHARE        0.10 /* syncing from here on: with group commit … */
#define FINDING_SYNC_LEFT         0.05 /* … it would be this share */
#define FINDING_SYNC_BYTES        (256 << 10) /* more for each sync: it is the disk's rate */
#define FINDING_SYNC_GROUP_MOST   1000
#define FINDING_BUSY_CPUS         0.80 /* of the CPUs: the program uses them all */
#define FINDING_READY             0.25 /* of the CPU time: ready to run without a CPU */
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
    SUBJECT_SYNC,      /* waiting for the disk: fsync and its kind, all calls together */
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
    double held_allocs;    /* lock: allocations each time it was held, 0 = none or not counted */
    double held_allocator; /* lock: the share of the CPU time under it in malloc and its kind */
    double held_waking;    /* lock: … in calls that wake those who wait for a condition */
    double calls_share;    /* lock, of the whole cost: CPU time in the calls that take it */
    double hold_ns;        /* lock: the mean hold; NaN = not measured, as the next three */
    double handoff;        /* lock: the share of its waits in which nobody had it */
    double wait_holds;     /* lock: the mean wait, in mean holds */
    double owner_changes;  /* lock: for each acquisition */
    double sync_bytes;     /* sync: written before each; 0 = nothing that was seen */
};

enum finding_kind finding_judge(const struct finding_evidence *e);

/* By what factor the cost falls at most, were all of the share gone (Amdahl): 1/(1 − share).
   Infinity at 1. */
double finding_max_gain(double share);

/*
 * Of the waits for a lock, what is left once `moved_ns` of each hold is done outside of it: 0 … 1.
 * A closed queue (mean value analysis): each of `threads` holds the lock for hold_ns and then does
 * other things for outside_ns, over and over.
 */
double finding_wait_left(double hold_ns, double moved_ns, double outside_ns, unsigned threads);

/* So many times what is written for a sync now makes syncing FINDING_SYNC_LEFT of the cost, if its
   share is this: 1 … FINDING_SYNC_GROUP_MOST. */
unsigned finding_sync_group(double share);

/* How many threads at a time sync, or wait for a lock while another one does. */
double finding_sync_waiting(int64_t sync_ns, int64_t locked_out_ns, int64_t wall_ns);

/* Threads that want to run, against CPUs. Times in ns, of the whole process; < 0 = not known. */
struct finding_threads {
    int64_t wall_ns, cpu_ns, ready_ns, io_ns; /* ready: to run, without a CPU */
    unsigned cpus, threads;                   /* threads: those that computed */
};
/* How many threads would do, by the part of their time in which they wait for I/O; 0 = there are
   not too many. */
unsigned finding_threads_judge(const struct finding_threads *t);

/* The standard deviation of a share that `ticks` of `all` ticks tell. */
double finding_deviation(double ticks, double all);

/* Does a function that asked for locks like this spin? More attempts in vain than locks taken. */
bool finding_spins(int64_t acquisitions, int64_t contentions);

const char *finding_kind_word(enum finding_kind kind);

#endif
