/* Which profile a running process writes. Reads /proc and the working directory. */
#ifndef PERFSHIM_ANALYZER_TOP_FIND_H
#define PERFSHIM_ANALYZER_TOP_FIND_H

#include <stdint.h>

/*
 * The path of the profile that process `pid` has mapped, else of a *.pshim in the working directory
 * that says it is of that process (its maps may be closed to us, or it has ended). NULL with why:
 * no such process, or one that is not profiled. The caller frees the path.
 */
char *top_find(uint32_t pid, char why[static 512]);

#endif
