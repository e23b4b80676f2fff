#include <math.h>

#include "analyzer/pooling.h"

static bool is_rare(const struct pooling_evidence *e)
{
    return e->calls < POOLING_PER_SECOND * e->seconds ||
           (e->ops > 0 && e->calls < POOLING_PER_OP * e->ops);
}

static bool is_mixed(const struct pooling_evidence *e)
{
    return e->size_count > POOLING_SIZES && e->size_high > POOLING_SIZE_FACTOR * e->size_low;
}

/* Blocks live at a time, at most. What was never freed was live at the end, if not at the peak. */
static double blocks_held(const struct pooling_evidence *e)
{
    double at_peak = e->bytes > 0 ? e->peak_bytes / e->bytes * e->calls : 0;
    return fmax(1, fmax(at_peak, e->live_calls));
}

static enum pooling_verdict verdict_of(const struct pooling_evidence *e, double reuse)
{
    if (is_rare(e))
        return POOLING_RARE;
    if (e->grown >= POOLING_GROWN_SHARE * e->calls)
        return POOLING_GROWN;
    if (reuse < POOLING_REUSE)
        return POOLING_KEPT;
    if (e->temporary >= POOLING_BUFFER_SHARE * e->calls)
        return POOLING_BUFFER; /* of whatever size */
    if (is_mixed(e))
        return POOLING_MIXED;
    if (e->size_high > POOLING_BLOCK_MOST)
        return POOLING_LARGE;
    double frees = e->calls - e->live_calls;
    return e->cross_frees >= POOLING_CROSS_SHARE * frees && e->cross_frees > 0 ? POOLING_SHARED
                                                                               : POOLING_THREAD;
}

/* The share of the calls that the pool's sizes are for. */
static double share_fit(const struct pooling_evidence *e, enum pooling_verdict verdict)
{
    bool all = verdict == POOLING_BUFFER || e->size_count <= POOLING_SIZES ||
               e->size_max <= POOLING_SIZE_FACTOR * e->size_least;
    return all ? 1 : POOLING_SIZE_SHARE;
}

static double pool_ns(enum pooling_verdict verdict)
{
    return verdict == POOLING_BUFFER   ? 0
           : verdict == POOLING_THREAD ? POOLING_THREAD_NS
                                       : POOLING_SHARED_NS;
}

struct pooling pooling_judge(const struct pooling_evidence *e)
{
    struct pooling p = {.reuse = e->calls / blocks_held(e)};
    p.verdict = verdict_of(e, p.reuse);
    p.worth = p.verdict <= POOLING_SHARED;
    if (!p.worth)
        return p;
    double slabs = ceil(fmax(e->peak_bytes, 1) / POOLING_SLAB_BYTES);
    p.saved_calls = fmax(0, share_fit(e, p.verdict) * e->calls - slabs);
    p.saved_ns = NAN;
    if (e->timed >= POOLING_TIMED_LEAST)
        p.saved_ns = p.saved_calls * (e->allocator_ns / e->calls - pool_ns(p.verdict));
    return p;
}

const char *pooling_word(enum pooling_verdict verdict)
{
    static const char *const words[] = {
#define X(id, word, text) #word,
        POOLING_VERDICTS(X)
#undef X
    };
    return words[verdict];
}

const char *pooling_text(enum pooling_verdict verdict)
{
    static const char *const texts[] = {
#define X(id, word, text) text,
        POOLING_VERDICTS(X)
#undef X
    };
    return texts[verdict];
}
