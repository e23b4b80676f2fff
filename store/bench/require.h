/*
 * --require: which numbers of a run can be demanded, in which units, and whether they were met.
 * Pure functions on results; thread-safe.
 */
#ifndef PERFSHIM_STORE_BENCH_REQUIRE_H
#define PERFSHIM_STORE_BENCH_REQUIRE_H

#include <stddef.h>

#include "common/budget.h"
#include "common/units.h"
#include "store/bench/result.h"

enum { REQUIRE_NAMES = 13 };
const char *require_name(size_t i);

/*
 * Checks the budget's name and unit, and fits its value to what require_measured returns: a
 * duration without unit is in seconds; errors and cpu_percent may be in %, errors then as a share
 * of ops. 0, or -1 with what is wrong in why.
 */
int require_resolve(struct budget *budget, char why[static 160]);

/* The measured value in the budget's base unit; NaN if the run has none (e.g. no operation ended).
 */
double require_measured(const struct budget *budget, const struct bench_result *result);

/* The same for people. Returns buf. */
char *require_text(char buf[static UNITS_BUF], const struct budget *budget, double measured);

#endif
