/* What the loader knows about a pc: see unwind.h and unwind_rule.h. */
#include "shim/unwind.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#include "shim/unwind_rule.h"

#define PAGE 4096

/* How far behind the entry point its code may reach: ld.so's is 80 bytes with its tail. */
#define ENTRY_BYTES 128

/* A module's program headers as the loader saw them. */
struct image {
    const Elf64_Phdr *segments;
    unsigned count;
    uintptr_t entry; /* 0: none */
};

/* Reads the ELF header at `start` of `room` mapped bytes, if there is one whose program headers lie
 * in the same page (true unless a tool has moved them). 0, or −1. */
static int header_read(uintptr_t start, uintptr_t room, uintptr_t bias, struct image *out)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)start;

    if (room > PAGE)
        room = PAGE;
    if (start % PAGE || room < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return -1;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr) ||
        header->e_phoff % _Alignof(Elf64_Phdr) || header->e_phoff > room ||
        header->e_phnum > (room - header->e_phoff) / sizeof(Elf64_Phdr))
        return -1;
    out->segments = (const Elf64_Phdr *)(start + header->e_phoff);
    out->count = header->e_phnum;
    out->entry = header->e_entry ? bias + header->e_entry : 0;
    return 0;
}

/*
 * Usually the loader's range of a module begins with its ELF header. Of a program with gaps between
 * its segments the loader tells only the segment around the pc: then the kernel's word is taken for
 * the main program, and the header at the load address for a library. 0, or −1.
 */
static int image_find(const struct dl_find_object *module, struct image *out)
{
    uintptr_t start = (uintptr_t)module->dlfo_map_start, end = (uintptr_t)module->dlfo_map_end;
    uintptr_t bias = module->dlfo_link_map->l_addr;
    struct dl_find_object first;

    if (header_read(start, end - start, bias, out) == 0)
        return 0;
    if (bias == 0) { /* only the main program can be at a fixed address */
        out->segments = (const Elf64_Phdr *)getauxval(AT_PHDR);
        out->count = (unsigned)getauxval(AT_PHNUM);
        out->entry = getauxval(AT_ENTRY);
        return out->segments ? 0 : -1;
    }
    if (_dl_find_object((void *)bias, &first) != 0 || first.dlfo_link_map != module->dlfo_link_map)
        return -1;
    start = (uintptr_t)first.dlfo_map_start;
    return header_read(start, (uintptr_t)first.dlfo_map_end - start, bias, out);
}

struct cfi_bytes unwind_segment_find(const struct dl_find_object *module, uintptr_t addr)
{
    struct dl_find_object around;
    struct image image;

    if (image_find(module, &image) == 0) {
        for (unsigned i = 0; i < image.count; i++) {
            const Elf64_Phdr *segment = &image.segments[i];
            uintptr_t lo = module->dlfo_link_map->l_addr + segment->p_vaddr;
            if (segment->p_type == PT_LOAD && segment->p_flags & PF_R && addr >= lo &&
                addr - lo < segment->p_filesz)
                return (struct cfi_bytes){(const uint8_t *)lo,
                                          (const uint8_t *)(lo + segment->p_filesz)};
        }
    } else if (_dl_find_object((void *)addr, &around) == 0 &&
               around.dlfo_link_map == module->dlfo_link_map) {
        return (struct cfi_bytes){around.dlfo_map_start, around.dlfo_map_end};
    }
    return (struct cfi_bytes){NULL, NULL};
}

int unwind_pc_is_entry(const struct dl_find_object *module, uintptr_t pc)
{
    struct image image;
    return image_find(module, &image) == 0 && image.entry && pc - image.entry < ENTRY_BYTES;
}

/* Of a main program with gaps the loader tells the segment only; [lo, hi) of all, found once. */
static uintptr_t main_lo, main_hi;

static __attribute__((noinline)) void main_range_find(const struct dl_find_object *module)
{
    struct image image;
    uintptr_t lo = (uintptr_t)module->dlfo_map_start, hi = (uintptr_t)module->dlfo_map_end;

    if (image_find(module, &image) == 0) {
        for (unsigned i = 0; i < image.count; i++) {
            uintptr_t at = module->dlfo_link_map->l_addr + image.segments[i].p_vaddr;
            if (image.segments[i].p_type != PT_LOAD)
                continue;
            lo = at < lo ? at : lo;
            hi = at + image.segments[i].p_memsz > hi ? at + image.segments[i].p_memsz : hi;
        }
    }
    __atomic_store_n(&main_lo, lo, __ATOMIC_RELAXED);
    __atomic_store_n(&main_hi, hi, __ATOMIC_RELEASE);
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
    if (!module.dlfo_link_map->l_prev && out->name[0] == '\0') {
        if (__atomic_load_n(&main_hi, __ATOMIC_ACQUIRE) == 0)
            main_range_find(&module);
        out->start = __atomic_load_n(&main_lo, __ATOMIC_RELAXED);
        out->end = __atomic_load_n(&main_hi, __ATOMIC_RELAXED);
    }
    return 0;
}
