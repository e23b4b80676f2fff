/*
 * The histograms in the file, by node: of sizes and lifetimes (marks.h), of waits and holds
 * (lock_times.h). Lock-free, async-signal-safe, any thread.
 */
#ifndef PERFSHIM_SHIM_HISTOGRAMS_H
#define PERFSHIM_SHIM_HISTOGRAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "profile/format.h"

/* Maps what finds a node's histogram, for the open profile; without memory there is none but
   record 0. */
void histograms_init(void);

/* The histogram of a node, added if it is new; record 0, and counted, when there is no room; NULL
   when there is none at all. */
struct pshim_histogram *histograms_get(uint32_t node);

/* Likewise, but NULL, and counted, without room; and a half of the table is left to the others. */
struct pshim_histogram *histograms_get_of_lock(uint32_t node);

/* Has the node one? */
bool histograms_have(uint32_t node);

/* Adds n to the bucket of a value; it ends at UINT32_MAX. */
void histograms_add(uint32_t buckets[PSHIM_BUCKETS], uint64_t value, uint32_t n);

#endif
