/*
 * System calls that a module's own code makes: what no hook of a library's function sees.
 *
 * Its code is read instruction by instruction, by the bounds of its functions if it has
 * call-frame information, else from the start of its executable segments. Reading goes on behind
 * bytes that are no known instruction, and is cut where a file is too large to be honest.
 */
#ifndef PERFSHIM_ANALYZER_ELF_SYSCALLS_H
#define PERFSHIM_ANALYZER_ELF_SYSCALLS_H

#include <stddef.h>

#include "analyzer/elf_image.h"

/* How many instructions `syscall` are in it. Pure. */
size_t elf_syscalls(const struct elf_image *image);

#endif
