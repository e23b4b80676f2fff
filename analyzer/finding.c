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

static enum finding_kind lock_judge(const struct finding_evidence *e)
{
    if (is_chance(e, FINDING_LOCK_SHARE) || e->share < FINDING_LOCK_SHARE)
        return FINDING_NONE;
    bool contended = e->contentions > 0 && e->waited_share + e->spin_share >= FINDING_LOCK_SHARE;
    if (contended && e->held_io >= FINDING_HELD_IO)
        return e->held_sync ? FINDING_SYNC_UNDER_LOCK : FINDING_IO_UNDER_LOCK;
    if (contended && e->held_work >= FINDING_HELD_WORK && e->held_run >= FINDING_HELD_RUN &&
        e->held_ticks >= FINDING_TICKS_LEAST)
        return FINDING_HELD_TOO_LONG; /* more to the point than how much it is */
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
    }
    return FINDING_NONE;
}

double finding_max_gain(double share)
{
    return share < 1 ? 1 / (1 - (share > 0 ? share : 0)) : INFINITY;
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
