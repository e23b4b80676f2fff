#include <math.h>
#include <stddef.h>

#include "analyzer/finding.h"

/* Rests on a chance few ticks, and what was timed alone would be no finding. */
static bool is_chance(const struct finding_evidence *e, double limit)
{
    double least = e->subject == SUBJECT_ALLOCATOR ? FINDING_ALLOCATOR_TICKS : FINDING_TICKS_LEAST;
    return e->ticks < least && e->waited_share < limit;
}

static enum finding_kind function_judge(const struct finding_evidence *e)
{
    if (is_chance(e, e->own ? FINDING_OPTIMISE_SHARE : FINDING_FOCUS_SHARE))
        return FINDING_NONE;
    if (e->share >= FINDING_FOCUS_SHARE)
        return FINDING_FOCUS_FIRST;
    if (!e->own)
        return FINDING_NONE;
    return e->share >= FINDING_OPTIMISE_SHARE ? FINDING_OPTIMISE : FINDING_NOT_WORTH_IT;
}

/* Its waits are for others to wake up: it is free meanwhile. What is NaN is not so. */
static bool is_convoy(const struct finding_evidence *e)
{
    return e->contentions >= FINDING_WAITS_LEAST && e->waited_share >= e->share / 2 &&
           e->handoff >= FINDING_HANDOFF && e->wait_holds >= FINDING_CONVOY_HOLDS &&
           e->owner_changes >= FINDING_CONVOY_CHANGES && e->held_run < FINDING_CONVOY_RUN;
}

/* What holders do meanwhile, where that is most of why others wait. */
static enum finding_kind held_judge(const struct finding_evidence *e)
{
    if (e->held_io >= FINDING_HELD_IO)
        return e->held_sync ? FINDING_SYNC_UNDER_LOCK : FINDING_IO_UNDER_LOCK;
    if (is_convoy(e))
        return FINDING_CONVOY; /* with shorter holds they would wait as long */
    if (e->held_run < FINDING_HELD_RUN || e->held_ticks < FINDING_TICKS_LEAST)
        return FINDING_NONE;
    bool work = e->held_work >= FINDING_HELD_WORK || e->held_waking >= FINDING_HELD_WAKING;
    bool allocates =
        e->held_allocs >= FINDING_HELD_ALLOCS && e->held_allocator >= FINDING_HELD_ALLOCATOR;
    if (allocates && (!work || e->held_allocator >= FINDING_HELD_WORK))
        return FINDING_ALLOC_UNDER_LOCK; /* of the work that could move it is the most */
    return work ? FINDING_HELD_TOO_LONG : FINDING_NONE;
}

static bool is_taken_too_often(const struct finding_evidence *e)
{
    return e->calls_share >= FINDING_OPTIMISE_SHARE && e->calls_share > e->share / 2 &&
           e->hold_ns <= FINDING_BRIEF_HOLD_NS && e->ticks >= FINDING_TICKS_LEAST &&
           !finding_spins(e->acquisitions, e->contentions);
}

static enum finding_kind lock_judge(const struct finding_evidence *e)
{
    if (is_chance(e, FINDING_LOCK_SHARE) || e->share < FINDING_LOCK_SHARE)
        return FINDING_NONE;
    bool contended = e->contentions > 0 && e->waited_share + e->spin_share >= FINDING_LOCK_SHARE;
    enum finding_kind held = contended ? held_judge(e) : FINDING_NONE;
    if (held != FINDING_NONE)
        return held; /* more to the point than how much it is */
    if (is_taken_too_often(e))
        return FINDING_TAKEN_TOO_OFTEN;
    if (e->share >= FINDING_FOCUS_SHARE)
        return FINDING_FOCUS_FIRST;
    if (contended)
        return FINDING_CHECK_CONTENTION;
    return e->share >= FINDING_OPTIMISE_SHARE ? FINDING_OPTIMISE : FINDING_NONE;
}

static enum finding_kind allocator_judge(const struct finding_evidence *e)
{
    if (is_chance(e, FINDING_ALLOCATOR_SHARE))
        return FINDING_NONE;
    if (e->share >= FINDING_FOCUS_SHARE)
        return FINDING_FOCUS_FIRST;
    return e->share >= FINDING_ALLOCATOR_SHARE ? FINDING_REDUCE_ALLOCATIONS : FINDING_NOT_WORTH_IT;
}

static enum finding_kind memory_judge(const struct finding_evidence *e)
{
    if (is_chance(e, FINDING_MEMORY_SHARE))
        return FINDING_NONE;
    if (e->share - FINDING_MEMORY_DEVIATIONS * e->deviation <= FINDING_MEMORY_SHARE)
        return FINDING_NOT_WORTH_IT;
    return e->share >= FINDING_FOCUS_SHARE ? FINDING_FOCUS_FIRST : FINDING_OPTIMISE;
}

static enum finding_kind sync_judge(const struct finding_evidence *e)
{
    bool room = e->sync_bytes > 0 && e->sync_bytes < FINDING_SYNC_BYTES;
    if (e->share >= FINDING_SYNC_SHARE && room)
        return FINDING_SYNC_OFTEN;
    if (e->share >= FINDING_FOCUS_SHARE)
        return FINDING_FOCUS_FIRST;
    return e->share >= FINDING_OPTIMISE_SHARE ? FINDING_OPTIMISE : FINDING_NONE;
}

enum finding_kind finding_judge(const struct finding_evidence *e)
{
    switch (e->subject) {
    case SUBJECT_FUNCTION:
        return function_judge(e);
    case SUBJECT_LOCK:
        return lock_judge(e);
    case SUBJECT_ALLOCATOR:
        return allocator_judge(e);
    case SUBJECT_MEMORY:
        return memory_judge(e);
    case SUBJECT_SYNC:
        return sync_judge(e);
    }
    return FINDING_NONE;
}

double finding_max_gain(double share)
{
    return share < 1 ? 1 / (1 - (share > 0 ? share : 0)) : INFINITY;
}

/* How long each thread waits for a lock that `threads` of them share: mean value analysis. */
static double queue_wait_ns(double hold_ns, double outside_ns, unsigned threads)
{
    double queue = 0, response = hold_ns; /* others that an arriving one finds; with its own hold */
    for (unsigned n = 1; n <= threads; n++) {
        response = hold_ns * (1 + queue);
        queue = (double)n * response / (response + outside_ns);
    }
    return response - hold_ns;
}

double finding_wait_left(double hold_ns, double moved_ns, double outside_ns, unsigned threads)
{
    enum { most = 1000 }; /* threads: further ones change nothing that could be measured */
    threads = threads < most ? threads : most;
    outside_ns = outside_ns > 0 ? outside_ns : 0;
    moved_ns = moved_ns < 0 ? 0 : moved_ns < hold_ns ? moved_ns : hold_ns;
    if (!(hold_ns > 0))
        return 1;
    double before = queue_wait_ns(hold_ns, outside_ns, threads);
    double after =
        moved_ns < hold_ns ? queue_wait_ns(hold_ns - moved_ns, outside_ns + moved_ns, threads) : 0;
    return before > 0 ? after / before : 1;
}

unsigned finding_sync_group(double share)
{
    double left = FINDING_SYNC_LEFT / (1 - FINDING_SYNC_LEFT); /* beside the other cost */
    if (share >= 1)
        return FINDING_SYNC_GROUP_MOST;
    double group = ceil(share / (1 - share) / left - 1e-9);
    return group <= 1                        ? 1
           : group < FINDING_SYNC_GROUP_MOST ? (unsigned)group
                                             : FINDING_SYNC_GROUP_MOST;
}

double finding_sync_waiting(int64_t sync_ns, int64_t locked_out_ns, int64_t wall_ns)
{
    /* Under a lock one thread at a time syncs, and the others count while it does. */
    double least = (double)(sync_ns < wall_ns ? sync_ns : wall_ns);
    return least > 0 ? ((double)sync_ns + (double)locked_out_ns) / least : 0;
}

unsigned finding_threads_judge(const struct finding_threads *t)
{
    double cpu = (double)t->cpu_ns, all = (double)t->wall_ns * t->cpus;
    if (t->ready_ns < 0 || !(cpu > 0) || t->cpus == 0 || cpu < FINDING_BUSY_CPUS * all ||
        (double)t->ready_ns < FINDING_READY * cpu)
        return 0;
    double waits = t->io_ns > 0 ? (double)t->io_ns / cpu : 0;
    double enough = ceil(t->cpus * (1 + waits) - 1e-9);
    return enough < t->threads ? (unsigned)enough : 0;
}

double finding_deviation(double ticks, double all)
{
    if (all <= 0)
        return 0;
    double p = ticks / all;
    return p > 0 && p < 1 ? sqrt(p * (1 - p) / all) : 0;
}

bool finding_spins(int64_t acquisitions, int64_t contentions)
{
    return contentions > acquisitions;
}

const char *finding_kind_word(enum finding_kind kind)
{
    static const char *const words[] = {[FINDING_NONE] = NULL,
#define X(id, word, title, when) [FINDING_##id] = #word,
                                        FINDING_KINDS(X)
#undef X
    };
    return words[kind];
}
