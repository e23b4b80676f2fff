#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "analyzer/ifunc.h"

struct search {
    const uint8_t *id;
    size_t id_bytes;
    uintptr_t bias;
    const char *name; /* NULL = not found */
};

static int module_compare(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct search *s = context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        const uint8_t *id;
        if (p->p_type == PT_NOTE &&
            elf_image_note_build_id((const void *)(info->dlpi_addr + p->p_vaddr), p->p_memsz,
                                    &id) == s->id_bytes &&
            memcmp(id, s->id, s->id_bytes) == 0) {
            s->bias = info->dlpi_addr;
            s->name = info->dlpi_name;
            return 1;
        }
    }
    return 0;
}

void ifunc_resolve(const struct elf_image *image,
                   void (*found)(void *context, uint64_t address, const char *name), void *context)
{
    struct search s = {0};
    s.id_bytes = elf_image_build_id(image, &s.id);
    if (!s.id_bytes)
        return;
    dl_iterate_phdr(module_compare, &s);
    if (!s.name || !*s.name)
        return;
    void *handle = dlopen(s.name, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle)
        return;
    size_t count;
    uint32_t names;
    const Elf64_Sym *symbols = elf_image_symbols(image, SHT_DYNSYM, &count, &names);
    for (size_t i = 0; i < count; i++) {
        if (ELF64_ST_TYPE(symbols[i].st_info) != STT_GNU_IFUNC || symbols[i].st_shndx == SHN_UNDEF)
            continue;
        const char *name = elf_image_string(image, names, symbols[i].st_name);
        uintptr_t at = (uintptr_t)dlsym(handle, name);
        if (at > s.bias)
            found(context, at - s.bias, name);
    }
    dlclose(handle);
}
