/*
 * Makes a staged profile a plain file: what `record` does at the end, and `record --recover` for
 * one that was killed. Invariants: see stage.h. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_STAGE_SETTLE_H
#define PERFSHIM_ANALYZER_STAGE_SETTLE_H

#include <stdint.h>

#include "analyzer/stage.h"

enum stage_end {
    STAGE_SETTLED, /* F is the profile, nothing is left in the folder, which is gone */
    STAGE_EMPTY,   /* the program wrote no profile; link and folder are gone */
    STAGE_IN_USE,  /* a process still has it mapped: nothing was changed, F stays a link */
    STAGE_FAILED,  /* s->why; what could not be copied stays staged */
};

/*
 * s: open, its folder locked. profile: where the staged file `name` belongs; files of earlier
 * images go beside it, NAME.1 as F.1, or the next number that is free. *user gets the process that
 * has it mapped, 0 = one that cannot be seen from here. Profiles that were copied before are not
 * copied again.
 */
enum stage_end stage_settle(struct stage *s, const char *profile, const char *name, uint32_t *user);

#endif
