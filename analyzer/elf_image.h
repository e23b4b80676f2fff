/*
 * A view of a 64-bit little-endian x86 ELF file that lies in memory. Every offset is checked
 * before it is followed; the bytes may be anybody's. Pure functions, no allocation; what is
 * returned points into the caller's bytes.
 * Source: System V ABI, chapters 4 and 5; LSB 5.0 §10.6.2 (.eh_frame_hdr).
 */
#ifndef PERFSHIM_ANALYZER_ELF_IMAGE_H
#define PERFSHIM_ANALYZER_ELF_IMAGE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

enum elf_image_error {
    ELF_IMAGE_OK = 0,
    ELF_IMAGE_NOT_ELF = -1,
    ELF_IMAGE_FOREIGN = -2, /* another class, byte order or machine */
    ELF_IMAGE_DAMAGED = -3, /* a table lies outside of the file */
};

struct elf_image {
    const uint8_t *bytes; /* at least 8-byte aligned */
    size_t size;
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;
    unsigned segment_count;
    const Elf64_Shdr *sections; /* none in a file that was stripped of them */
    unsigned section_count;
};

int elf_image_init(struct elf_image *image, const void *bytes, size_t size);

/* The first segment or section of a type, or NULL. */
const Elf64_Phdr *elf_image_segment(const struct elf_image *image, uint32_t type);
const Elf64_Shdr *elf_image_section(const struct elf_image *image, uint32_t type);

/* `bytes` bytes of the file at an offset or at a virtual address; NULL if they are not all there.
 */
const void *elf_image_range(const struct elf_image *image, uint64_t offset, uint64_t bytes);
const void *elf_image_at(const struct elf_image *image, uint64_t address, uint64_t bytes);

/* The string at `offset` of a string section, or "" if it is not in there whole. */
const char *elf_image_string(const struct elf_image *image, uint32_t section, uint64_t offset);

/* A symbol section's entries (SHT_DYNSYM or SHT_SYMTAB). Names: elf_image_string(…, *names, …). */
const Elf64_Sym *elf_image_symbols(const struct elf_image *image, uint32_t type, size_t *count,
                                   uint32_t *names);

/* The GNU build-id in a note segment of `size` bytes; its length, or 0. */
size_t elf_image_note_build_id(const void *note, size_t size, const uint8_t **id);
/* The build-id of the file; its length, or 0. */
size_t elf_image_build_id(const struct elf_image *image, const uint8_t **id);

/*
 * Bounds of functions that have call-frame information, from .eh_frame_hdr, also where all symbols
 * were stripped: calls found() with ELF addresses [start, end), in ascending order.
 */
void elf_image_functions(const struct elf_image *image,
                         void (*found)(void *context, uint64_t start, uint64_t end), void *context);

#endif
