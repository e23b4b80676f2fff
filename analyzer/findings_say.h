/*
 * What findings.c and its parts share: a subject on its way to a finding, and the words about it.
 * Not thread-safe; used by analyzer/findings*.c alone.
 */
#ifndef PERFSHIM_ANALYZER_FINDINGS_SAY_H
#define PERFSHIM_ANALYZER_FINDINGS_SAY_H

#include "analyzer/findings.h"
#include "analyzer/subject.h"

enum { FINDINGS_NAME_COLUMNS = 40, FINDINGS_FRAME_BYTES = 160 };

/* One subject on its way to a finding. */
struct making {
    const struct subjects *subjects;
    size_t index;
    const struct subject *subject;
    const struct model *model;
    struct frames *frames;
    struct finding *to;
};

/* One more piece of evidence; one too many is left out. */
void findings_evidence_add(struct finding *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "name file.c:12". Returns to. */
const char *findings_frame_text(const struct frames *f, const struct frame *frame,
                                char to[static FINDINGS_FRAME_BYTES]);

/* "1.20 us/op" of a cost of the whole run, or the cost itself without operations. Returns to. */
const char *findings_cost_text(const struct model *m, double ns, char to[static 32]);

/* findings_lock.c: lock, lock_short, where, work, title, evidence, advice and prediction. */
void findings_lock_say(struct making *g);
/* Fills what the rules want to know of a lock. */
void findings_lock_evidence(struct finding_evidence *e, const struct subject *s,
                            const struct model *m);

/* findings_io.c: a function that mostly waits for I/O; syncing. */
void findings_io_say(struct making *g, bool first);
void findings_sync_say(struct making *g);
void findings_sync_evidence(struct finding_evidence *e, const struct subjects *subjects);

/* findings_beside.c: findings of no subject, one each at most, with room for them at to->items. */
enum { FINDINGS_BESIDE_MOST = 3 };
void findings_overruns_make(struct findings *to, const struct model *m, struct frames *f);
void findings_resident_make(struct findings *to, const struct model *m);
void findings_threads_make(struct findings *to, const struct model *m);

/* Threads that used the CPU: each for 1 % of what all did, or more. */
unsigned findings_busy_threads(const struct model *m);

static inline double findings_ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

#endif
