/*
 * Waits and holds into the histogram of their lock's site, the node of its account (format.h).
 *
 * Every wait. Of the holds those that marks_next() tells of an account's acquisitions, as it does
 * of a site's allocations: the first 64, then one in each 64, which counts 64. A book of the
 * thread's counts down to it; where no book is at hand, after a wait, the account's count is
 * asked. The choice is made when the lock is taken, so that how long it is held has no part in it.
 *
 * Async-signal-safe. With the guard held.
 */
#ifndef PERFSHIM_SHIM_LOCK_TIMES_H
#define PERFSHIM_SHIM_LOCK_TIMES_H

#include "shim/lock_book.h"
#include "shim/shim.h"

/* A wait, a hold, in units of the lock clock. Nothing is kept of an account that stands for other
   sites too. */
void lock_times_waited(const struct pshim_account *a, uint64_t took);
void lock_times_held(const struct pshim_account *a, uint64_t took, uint32_t weight);

/* How many of an account's acquisitions, from number `calls` on, come before the one whose hold is
   to be kept. At most 126. */
int8_t lock_times_until(uint64_t calls, uint32_t node);

/* The book's countdown has passed: draws the next. The hold that begins, which the account has
   counted, goes into the histogram. Returns its weight. */
uint32_t lock_times_reached(struct lock_book *b);

/* Likewise, without a book. 0: it does not go there. */
uint32_t lock_times_weight(const struct pshim_account *a);

#endif
