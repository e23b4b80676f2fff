/*
 * Can this program be profiled? What `perfshim record` checks before anything is started.
 *
 * A preloaded library needs the dynamic loader: a static program has none, and the loader ignores
 * LD_PRELOAD in programs with raised rights. A sanitizer's runtime wants to be the first library
 * itself. A script is judged by its interpreter.
 */
#ifndef PERFSHIM_ANALYZER_TARGET_H
#define PERFSHIM_ANALYZER_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum target_verdict {
    TARGET_FINE = 0,
    TARGET_NOT_FOUND,
    TARGET_NOT_EXECUTABLE,
    TARGET_STATIC,
    TARGET_RAISED, /* setuid, setgid or file capabilities */
    TARGET_SANITIZED,
    TARGET_FOREIGN,
};

struct target {
    char path[PATH_MAX];      /* of the command; what to execute */
    bool own_malloc;          /* the executable defines malloc itself: the library is never asked */
    char why[PATH_MAX + 200]; /* "FILE: what is wrong" unless fine */
};

/* Looks the command up in PATH as a shell does, and judges it. */
enum target_verdict target_check(const char *command, struct target *t);

/* Judges the bytes of an ELF file. Pure. */
enum target_verdict target_judge(const void *bytes, size_t size, bool *own_malloc);

/* The interpreter of a script's first bytes into `to`: false if it has none. Pure. */
bool target_interpreter(const char *bytes, size_t size, char to[static PATH_MAX]);

#endif
