/*
 * The environment that children and later images of this process get. Pure functions over arrays of
 * "NAME=value" strings; nothing is allocated, so that a vfork child may come through.
 */
#ifndef PERFSHIM_SHIM_ENVIRONMENT_H
#define PERFSHIM_SHIM_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Takes our own entry (a path ending in libperfshim.so) out of LD_PRELOAD in envp, in place, so
 * that children start without us, and keeps what an exec in this same process needs to stay
 * profiled: own_path (absolute: the directory may change) and every PERFSHIM_* string. The strings
 * must live as long as the process. Once, in the constructor.
 *
 * `follow`: children start with us. Our entry stays, and PERFSHIM_FOLLOW becomes 2, so that they
 * know whose children they are.
 */
void environment_take(char **envp, const char *own_path, bool follow);

/* Are children profiled too? */
bool environment_follows(void);

/* The library's path as it was given, NULL before. */
const char *environment_library(void);

/* Room that environment_build() needs for envp (may be NULL): pointers in the array, bytes. */
size_t environment_slots(char *const *envp);
size_t environment_preload_bytes(char *const *envp);

/* Fills out[] with envp, our entry first in LD_PRELOAD (written to `preload`) unless it is there,
   and the kept strings that envp does not have. */
void environment_build(char *const *envp, char **out, char *preload);

#endif
