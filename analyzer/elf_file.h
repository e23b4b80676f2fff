/*
 * A module's file in memory, if it is the one that ran. Not thread-safe (strerror).
 */
#ifndef PERFSHIM_ANALYZER_ELF_FILE_H
#define PERFSHIM_ANALYZER_ELF_FILE_H

#include "analyzer/elf_image.h"

struct elf_file {
    struct elf_image image;
    void *bytes; /* mapped, read-only; NULL = it is not */
};

/* Opens a module's file, whatever stands there now. A descriptor, or −1 with errno. */
int elf_file_open(const char *path);

/*
 * Maps it and checks that it is the one that ran: an x86-64 ELF file, of that build-id if the id is
 * not empty. NULL, or what is wrong. The descriptor stays the caller's; elf_file_unmap() either
 * way.
 */
const char *elf_file_map(struct elf_file *to, int fd, const uint8_t *id, size_t id_bytes);
void elf_file_unmap(struct elf_file *file);

#endif
