#include <string.h>

#include "analyzer/codemap.h"
#include "analyzer/plt.h"

/* Which symbol each slot of the global offset table is for. */
static void slots_fill(const struct elf_image *image, struct codemap *slots)
{
    size_t count;
    uint32_t names;
    const Elf64_Sym *symbols = elf_image_symbols(image, SHT_DYNSYM, &count, &names);
    for (unsigned i = 0; symbols && i < image->section_count; i++) {
        const Elf64_Shdr *s = &image->sections[i];
        if (s->sh_type != SHT_RELA || s->sh_offset % 8 != 0)
            continue;
        const Elf64_Rela *relocations = elf_image_range(image, s->sh_offset, s->sh_size);
        for (size_t k = 0; relocations && k < s->sh_size / sizeof *relocations; k++) {
            uint32_t type = ELF64_R_TYPE(relocations[k].r_info);
            uint64_t symbol = ELF64_R_SYM(relocations[k].r_info);
            if ((type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT) && symbol < count)
                codemap_add(slots, relocations[k].r_offset, 0,
                            elf_image_string(image, names, symbols[symbol].st_name));
        }
    }
    codemap_sort(slots);
}

/* The slot that a stub at `address` jumps through, or 0 if it is no stub. */
static uint64_t stub_slot(const uint8_t *code, size_t size, uint64_t address)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa}, jump[] = {0xff, 0x25};
    size_t at = 0;
    int32_t distance;
    if (size >= sizeof endbr64 && memcmp(code, endbr64, sizeof endbr64) == 0)
        at = sizeof endbr64;
    if (at < size && code[at] == 0xf2) /* bnd */
        at++;
    if (at + sizeof jump + sizeof distance > size || memcmp(code + at, jump, sizeof jump) != 0)
        return 0;
    memcpy(&distance, code + at + sizeof jump, sizeof distance);
    return address + at + sizeof jump + sizeof distance + (uint64_t)(int64_t)distance;
}

void plt_stubs(const struct elf_image *image,
               void (*found)(void *context, uint64_t start, uint64_t end, const char *symbol),
               void *context)
{
    struct codemap slots = {0};
    slots_fill(image, &slots);
    uint32_t section_names = image->header ? image->header->e_shstrndx : 0;
    for (unsigned i = 0; slots.count && i < image->section_count; i++) {
        const Elf64_Shdr *s = &image->sections[i];
        uint64_t step = s->sh_entsize == 8 ? 8 : 16;
        const uint8_t *code = elf_image_range(image, s->sh_offset, s->sh_size);
        if (s->sh_type != SHT_PROGBITS || !code ||
            strncmp(elf_image_string(image, section_names, s->sh_name), ".plt", 4) != 0)
            continue;
        for (uint64_t at = 0; at + step <= s->sh_size; at += step) {
            uint64_t slot = stub_slot(code + at, step, s->sh_addr + at);
            const struct codemap_entry *e = slot ? codemap_start(&slots, slot) : NULL;
            if (e && *e->name)
                found(context, s->sh_addr + at, s->sh_addr + at + step, e->name);
        }
    }
    codemap_release(&slots);
}
