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

/*
 * CPU time within waits: LOCK_CPU_NS and IO_CPU_NS from the ticks there, which are CPU time and lie
 * in the time of the wait too. A tick stands for a whole period, a wait may be shorter: what the
 * ticks of one stack say beyond its waits belongs to the waits of other stacks that no tick met,
 * each in proportion. So none is more than its wait, and the sum is that of the ticks.
 * IO_WAIT_NS and IDLE_NS are then without it.
 */
void settle_waits(struct model *m);

#endif
