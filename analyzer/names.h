/*
 * Names of functions: which of several for one piece of code, and in which form people know it.
 * Pure, except that the demangler is looked up once. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_NAMES_H
#define PERFSHIM_ANALYZER_NAMES_H

#include <stdbool.h>

/*
 * Is `a` the better of two names for the same code? The one that people write: without leading
 * underscores, not one that POSIX calls obsolete (bcmp, index), without a compiler's suffix, short,
 * then by the alphabet (memcpy before memmove, which share a body).
 */
bool name_better(const char *a, const char *b);

/*
 * The C++ form of a mangled name, by libstdc++'s __cxa_demangle, or NULL: not mangled, or no
 * libstdc++ on this machine (it is opened at the first need; nothing links to it).
 * The caller frees it.
 */
char *name_demangle(const char *mangled);

#endif
