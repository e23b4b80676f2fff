#include <string.h>

#include "analyzer/elf_image.h"

const void *elf_image_range(const struct elf_image *image, uint64_t offset, uint64_t bytes)
{
    if (offset > image->size || bytes > image->size - offset)
        return NULL;
    return image->bytes + offset;
}

/* A table of aligned records, or NULL. */
static const void *table(const struct elf_image *image, uint64_t offset, uint64_t count,
                         uint64_t record_bytes)
{
    if (offset % 8 != 0 || count > image->size / record_bytes)
        return NULL;
    return elf_image_range(image, offset, count * record_bytes);
}

int elf_image_init(struct elf_image *image, const void *bytes, size_t size)
{
    *image = (struct elf_image){.bytes = bytes, .size = size};
    const Elf64_Ehdr *h = bytes;
    if (size < EI_NIDENT || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return ELF_IMAGE_NOT_ELF;
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
        return ELF_IMAGE_FOREIGN;
    if (size < sizeof *h)
        return ELF_IMAGE_DAMAGED;
    if (h->e_machine != EM_X86_64)
        return ELF_IMAGE_FOREIGN;
    image->header = h;
    if (h->e_phnum && h->e_phentsize == sizeof(Elf64_Phdr)) {
        image->segments = table(image, h->e_phoff, h->e_phnum, sizeof(Elf64_Phdr));
        if (!image->segments)
            return ELF_IMAGE_DAMAGED;
        image->segment_count = h->e_phnum;
    }
    if (h->e_shnum && h->e_shentsize == sizeof(Elf64_Shdr)) {
        image->sections = table(image, h->e_shoff, h->e_shnum, sizeof(Elf64_Shdr));
        image->section_count = image->sections ? h->e_shnum : 0;
    }
    return ELF_IMAGE_OK;
}

const Elf64_Phdr *elf_image_segment(const struct elf_image *image, uint32_t type)
{
    for (unsigned i = 0; i < image->segment_count; i++)
        if (image->segments[i].p_type == type)
            return &image->segments[i];
    return NULL;
}

const Elf64_Shdr *elf_image_section(const struct elf_image *image, uint32_t type)
{
    for (unsigned i = 0; i < image->section_count; i++)
        if (image->sections[i].sh_type == type)
            return &image->sections[i];
    return NULL;
}

const void *elf_image_at(const struct elf_image *image, uint64_t address, uint64_t bytes)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const Elf64_Phdr *p = &image->segments[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz &&
            bytes <= p->p_filesz - (address - p->p_vaddr))
            return elf_image_range(image, p->p_offset + (address - p->p_vaddr), bytes);
    }
    return NULL;
}

const char *elf_image_string(const struct elf_image *image, uint32_t section, uint64_t offset)
{
    if (section >= image->section_count)
        return "";
    const Elf64_Shdr *s = &image->sections[section];
    const char *strings = elf_image_range(image, s->sh_offset, s->sh_size);
    if (s->sh_type != SHT_STRTAB || !strings || offset >= s->sh_size)
        return "";
    return memchr(strings + offset, '\0', s->sh_size - offset) ? strings + offset : "";
}

const Elf64_Sym *elf_image_symbols(const struct elf_image *image, uint32_t type, size_t *count,
                                   uint32_t *names)
{
    *count = 0;
    *names = 0;
    const Elf64_Shdr *s = elf_image_section(image, type);
    if (!s || s->sh_entsize != sizeof(Elf64_Sym))
        return NULL;
    const Elf64_Sym *symbols =
        table(image, s->sh_offset, s->sh_size / sizeof(Elf64_Sym), sizeof(Elf64_Sym));
    if (symbols) {
        *count = s->sh_size / sizeof(Elf64_Sym);
        *names = s->sh_link;
    }
    return symbols;
}

size_t elf_image_note_build_id(const void *note, size_t size, const uint8_t **id)
{
    const uint8_t *at = note;
    while (size >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr n;
        memcpy(&n, at, sizeof n);
        uint64_t name_bytes = ((uint64_t)n.n_namesz + 3) & ~(uint64_t)3;
        uint64_t id_bytes = ((uint64_t)n.n_descsz + 3) & ~(uint64_t)3;
        uint64_t bytes = sizeof n + name_bytes + id_bytes;
        if (bytes > size)
            break;
        if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 &&
            memcmp(at + sizeof n, "GNU", 4) == 0) {
            *id = at + sizeof n + name_bytes;
            return n.n_descsz;
        }
        at += bytes;
        size -= bytes;
    }
    return 0;
}

size_t elf_image_build_id(const struct elf_image *image, const uint8_t **id)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const Elf64_Phdr *p = &image->segments[i];
        const void *note = elf_image_range(image, p->p_offset, p->p_filesz);
        size_t n = 0;
        if (p->p_type == PT_NOTE && note)
            n = elf_image_note_build_id(note, p->p_filesz, id);
        if (n)
            return n;
    }
    return 0;
}

struct __attribute__((packed)) eh_header {
    uint8_t version, frame_encoding, count_encoding, table_encoding;
    int32_t frame;
    uint32_t count;
    struct __attribute__((packed)) {
        int32_t start, entry; /* relative to the header */
    } table[];
};

/*
 * The length that an FDE covers, or 0. An FDE is: length, CIE, start, length covered … The
 * encoding of `start` stands in the CIE; instead of reading that, the usual one (relative to
 * itself, 4 bytes) is tried: it must give the start that the table says.
 */
static uint64_t entry_covers(const struct elf_image *image, uint64_t entry, uint64_t start)
{
    struct __attribute__((packed)) {
        uint32_t bytes, cie;
        int32_t start;
        uint32_t covers;
    } fde;
    const void *at = elf_image_at(image, entry, sizeof fde);
    if (!at)
        return 0;
    memcpy(&fde, at, sizeof fde);
    return entry + 8 + (uint64_t)(int64_t)fde.start == start ? fde.covers : 0;
}

void elf_image_functions(const struct elf_image *image,
                         void (*found)(void *context, uint64_t start, uint64_t end), void *context)
{
    enum { udata4 = 0x03, sdata4_from_header = 0x3b };
    const Elf64_Phdr *p = elf_image_segment(image, PT_GNU_EH_FRAME);
    const struct eh_header *h = p ? elf_image_range(image, p->p_offset, p->p_filesz) : NULL;
    if (!h || p->p_filesz < sizeof *h || h->version != 1 || h->count_encoding != udata4 ||
        h->table_encoding != sdata4_from_header)
        return;
    uint64_t count = (p->p_filesz - sizeof *h) / sizeof h->table[0];
    if (count > h->count)
        count = h->count;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = p->p_vaddr + (uint64_t)(int64_t)h->table[i].start;
        uint64_t covers =
            entry_covers(image, p->p_vaddr + (uint64_t)(int64_t)h->table[i].entry, start);
        if (covers)
            found(context, start, start + covers);
    }
}
