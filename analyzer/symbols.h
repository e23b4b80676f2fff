/*
 * Names, lines and inlined frames of code: ELF symbols and DWARF through elfutils, in this process
 * only and from local files only (nothing is downloaded). The only user of elfutils.
 *
 * A module is read at the first look-up in it and stays open until symbols_free(). A file that is
 * gone or has another build-id than the one recorded names nothing: what it says now is not what
 * ran. Strings returned belong to the `names` set given to symbols_new(). Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_SYMBOLS_H
#define PERFSHIM_ANALYZER_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/intern.h"

#define SYMBOLS_INLINE_MAX 32u /* frames of one address; deeper inlining is cut on the outside */

struct symbols;
struct symbols_module;

/* One function at an address. */
struct symbol {
    const char *name;      /* NULL = not known */
    const char *file;      /* where it is declared, NULL = not known */
    uint32_t line;         /* … 0 = not known */
    const char *code_file; /* where in the source the address (or the inlined call) is */
    uint32_t code_line;
    bool inlined;   /* its code is part of the next symbol's */
    uint64_t start; /* first address of its code, 0 = not known */
};

struct symbols *symbols_new(struct intern *names);
void symbols_free(struct symbols *s);

/* id may be empty: then the file is taken as it is. Never NULL. */
struct symbols_module *symbols_open(struct symbols *s, const char *path, const uint8_t *id,
                                    size_t id_bytes);

/* The kernel's shared object, if this machine's is the same one; else a module without names. */
struct symbols_module *symbols_open_vdso(struct symbols *s, const uint8_t *id, size_t id_bytes);

/* What is wrong with the module's file: "" if nothing. */
const char *symbols_problem(const struct symbols_module *m);

/* The functions at an ELF address, innermost first; at least one, if only with name NULL. */
unsigned symbols_find(struct symbols_module *m, uint64_t address,
                      struct symbol out[static SYMBOLS_INLINE_MAX]);

/* The variable at an ELF address, and how far in it lies; NULL = not known. */
const char *symbols_object(struct symbols_module *m, uint64_t address, uint64_t *offset);

#endif
