/* What the loader knows about a pc: see unwind.h and unwind_rule.h. */
#include "shim/unwind.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "shim/unwind_rule.h"

/* How far behind the entry point its code may reach: ld.so's is 80 bytes with its tail. */
#define ENTRY_BYTES 128

/*
 * The ELF header at the start of the module's mapping, if it is one whose program headers lie in
 * the same page (true unless a tool has moved them); else NULL.
 */
static const Elf64_Ehdr *header_find(const struct dl_find_object *module)
{
    const Elf64_Ehdr *header = module->dlfo_map_start;
    uintptr_t room = (uintptr_t)module->dlfo_map_end - (uintptr_t)header;

    if (room > 4096)
        room = 4096;
    if (room < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return NULL;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr) ||
        header->e_phoff % _Alignof(Elf64_Phdr) || header->e_phoff > room ||
        header->e_phnum > (room - header->e_phoff) / sizeof(Elf64_Phdr))
        return NULL;
    return header;
}

struct cfi_bytes unwind_segment_find(const struct dl_find_object *module, uintptr_t addr)
{
    uintptr_t start = (uintptr_t)module->dlfo_map_start, end = (uintptr_t)module->dlfo_map_end;
    const Elf64_Ehdr *header = header_find(module);
    const Elf64_Phdr *segment;

    if (!header)
        return (struct cfi_bytes){(const uint8_t *)start, (const uint8_t *)end};
    segment = (const Elf64_Phdr *)(start + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++, segment++) {
        uintptr_t lo = module->dlfo_link_map->l_addr + segment->p_vaddr;
        uintptr_t hi = lo + segment->p_filesz;
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_R) || addr < lo || addr >= hi)
            continue;
        if (lo < start || hi > end)
            break;
        return (struct cfi_bytes){(const uint8_t *)lo, (const uint8_t *)hi};
    }
    return (struct cfi_bytes){NULL, NULL};
}

int unwind_pc_is_entry(const struct dl_find_object *module, uintptr_t pc)
{
    const Elf64_Ehdr *header = header_find(module);
    return header && header->e_entry &&
           pc - (module->dlfo_link_map->l_addr + header->e_entry) < ENTRY_BYTES;
}

int unwind_module_find(uintptr_t pc, struct unwind_module *out)
{
    struct dl_find_object module;

    if (_dl_find_object((void *)pc, &module) != 0)
        return -1;
    out->start = (uintptr_t)module.dlfo_map_start;
    out->end = (uintptr_t)module.dlfo_map_end;
    out->bias = module.dlfo_link_map->l_addr;
    out->name = module.dlfo_link_map->l_name ? module.dlfo_link_map->l_name : "";
    return 0;
}
