#include "shim/block_site.h"

#include "shim/histograms.h"
#include "shim/marks.h"
#include "shim/recorder.h"
#include "shim/tag.h"
#include "shim/thread.h"

void site_freed(struct thread_state *ts, const struct block *mark, uint32_t node, uint32_t owner)
{
    if (mark)
        marks_lived(*mark);
    if ((owner & tag_serial_mask) != ts->serial)
        recorder_site_add(recorder_site(ts, node), PSHIM_SITE_CROSS_FREES, 1);
}

void site_grown(uint32_t node, uint64_t moved)
{
    if (!guard_enter())
        return;
    struct thread_state *ts = thread_self();
    if (likely(ts != NULL)) {
        struct pshim_account *a = recorder_site(ts, node);
        recorder_site_add(a, PSHIM_SITE_GROWN, 1);
        recorder_site_add(a, PSHIM_SITE_MOVED_BYTES, moved);
    }
    guard_leave(ts, node);
}

COLD void site_overrun(uint32_t node)
{
    struct thread_state *ts = thread_self();
    if (ts && node)
        recorder_site_add(recorder_site(ts, node), PSHIM_SITE_OVERRUNS, 1);
}

/*
 * A tag of which only the lowest bytes, the thread and the slack, were overwritten: the node and
 * the check are still there, and tell which of the few threads and slacks there can be it had. A
 * write of 8 bytes that reaches the tag passes over at most 7 bytes of slack, and over its first.
 * What never was a tag seems to be one with a chance of 2^-16 for each thread and slack tried,
 * times that of its three bytes being a site's number.
 */
static bool tag_mend(const void *p, size_t usable, struct tag *out)
{
    enum { threads_most = 64, slack_most = 7, lost_bits = 24 };
    uint64_t word = tag_load(p, usable);
    uint32_t drawn = __atomic_load_n(&shim.serials, __ATOMIC_RELAXED);
    tag_unpack(word, p, shim.tag_key, out);
    if (!histograms_have(out->node))
        return false;
    for (uint32_t i = 0; i < drawn && i < threads_most; i++) {
        out->owner = tag_serial(i, shim.tag_key);
        if (!tag_serial_is_drawn(out->owner))
            continue;
        for (out->slack = 0; out->slack <= slack_most; out->slack++) {
            if (out->slack + tag_bytes > usable)
                break;
            uint64_t was = tag_pack(*out, p, shim.tag_key);
            if ((was ^ word) >> lost_bits == 0 &&
                ((const uint8_t *)p)[usable - tag_bytes - out->slack] != (uint8_t)was)
                return true;
        }
    }
    return false;
}

/* As the table of marked blocks knows it. Whose it was is not known any more. */
static bool tag_from_mark(const void *p, size_t usable, uint32_t serial, struct tag *out)
{
    struct block mark;
    if (!marks_find(p, &mark))
        return false;
    size_t bytes = marks_bytes(mark), most = usable - tag_bytes;
    *out = (struct tag){mark.node, (uint32_t)(most - bytes), tag_marked | serial};
    return bytes <= most && most - bytes <= tag_slack_max; /* else of an earlier block here */
}

COLD bool site_retire_overwritten(const void *p, size_t usable, struct old_block *old)
{
    struct thread_state *ts = thread_self();
    struct tag tag;
    if (!ts || usable < tag_bytes || usable > tag_usable_max)
        return false;
    if (!tag_from_mark(p, usable, ts->serial, &tag) && !tag_mend(p, usable, &tag))
        return false;
    shim_lost(PSHIM_LOSS_tag_overwritten);
    site_overrun(tag.node);
    *old = (struct old_block){tag_load(p, usable), usable, usable - tag_bytes - tag.slack, tag.node,
                              tag.owner};
    return true;
}
