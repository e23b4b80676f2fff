/*
 * Settles threads whose CPU ticks say more than their clock.
 *
 * A tick stands for a whole period, so the ticks of a thread may be up to one period more than the
 * CPU time that the kernel counted. The shim books the difference at the thread's end under its
 * start routine, as "[unsampled]", and it may be negative: no function ran for less than nothing.
 * What is negative is taken from the ticks of the same start routine, each in proportion, so that
 * the sum below that routine stays what it was, exactly.
 *
 * Pure over the model; its stacks must have been checked. What cannot be settled (there are no
 * ticks to take it from) stays.
 */
#ifndef PERFSHIM_ANALYZER_SETTLE_H
#define PERFSHIM_ANALYZER_SETTLE_H

#include "analyzer/model.h"

void settle_cpu(struct model *m);

#endif
