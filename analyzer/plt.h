/*
 * Names of procedure linkage stubs: "puts@plt" for the few instructions in .plt that jump to puts.
 * No symbol table has them. A stub is a jump through a slot of the global offset table, and the
 * slot's relocation names the symbol.
 * Source: x86-64 psABI §5.2; endbr64 and bnd prefixes as ld writes them.
 */
#ifndef PERFSHIM_ANALYZER_PLT_H
#define PERFSHIM_ANALYZER_PLT_H

#include <stdint.h>

#include "analyzer/elf_image.h"

/* Calls found() for each stub: its ELF addresses [start, end), the symbol's name (in the image). */
void plt_stubs(const struct elf_image *image,
               void (*found)(void *context, uint64_t start, uint64_t end, const char *symbol),
               void *context);

#endif
