/*
 * Names for the routines behind a library's indirect functions (STT_GNU_IFUNC): memcpy, strlen and
 * their kind have one body per processor, whose symbols are not exported, so that without debug
 * packages a tick in memcpy lies in nameless code.
 *
 * The way out: the analyzer itself runs on this machine with the same libc. Where a module with the
 * same build-id is loaded here, dlsym() gives each indirect function's chosen body. On another
 * processor, or with another libc, nothing is found and the code stays nameless.
 * memcpy and memmove share one body in glibc; it is called memcpy (name_better() in names.h).
 */
#ifndef PERFSHIM_ANALYZER_IFUNC_H
#define PERFSHIM_ANALYZER_IFUNC_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/elf_image.h"

/* Calls found() for each indirect function of `image` that could be resolved: ELF address of the
   chosen body, name (valid as long as the image). */
void ifunc_resolve(const struct elf_image *image,
                   void (*found)(void *context, uint64_t address, const char *name), void *context);

#endif
