#include "analyzer/lock_waiters.h"

#include <stdio.h>

#include "common/units.h"

const char *lock_waiters_note(const struct model *m, char to[static LOCK_WAITERS_NOTE_BYTES])
{
    char each[UNITS_BUF];
    double threads = (double)m->lock_waiters;
    double mean = threads > 0 ? (double)m->lock_waiters_ns / threads : 0;
    if (!(mean > 0) || mean < LOCK_WAITERS_RUN * (double)m->wall_ns)
        return NULL;
    snprintf(to, LOCK_WAITERS_NOTE_BYTES,
             "at the end %llu thread%s waited for a lock, for %s%s: in the ledger and the threads' "
             "times, in no cost and at no lock",
             (unsigned long long)m->lock_waiters, m->lock_waiters == 1 ? "" : "s",
             units_duration(each, mean), m->lock_waiters == 1 ? "" : " each");
    return to;
}
