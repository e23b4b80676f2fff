#include "shim/symbols.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "profile/format.h"
#include "profile/sys.h"

/* What is read of a module: Elf64 gABI, and the GNU hash table's layout as linkers write it. */
struct table {
    Elf64_Sym *symbols;
    const char *strings;
    const uint16_t *versions; /* NULL: none */
    const uint32_t *gnu_hash; /* buckets, first symbol, Bloom words, shift, … */
    const uint32_t *hash;     /* buckets, symbols, …: of old linkers */
};

enum { version_hidden = 0x8000 }; /* not the default version of its name */

static struct table table_of(const struct link_map *module)
{
    struct table t = {0};
    for (const Elf64_Dyn *d = module->l_ld; d && d->d_tag != DT_NULL; d++) {
        /* The loader has made these addresses, except where that part of memory is read-only. */
        uintptr_t at =
            d->d_un.d_ptr < module->l_addr ? d->d_un.d_ptr + module->l_addr : d->d_un.d_ptr;
        switch (d->d_tag) {
        case DT_SYMTAB:
            t.symbols = (Elf64_Sym *)at;
            break;
        case DT_STRTAB:
            t.strings = (const char *)at;
            break;
        case DT_VERSYM:
            t.versions = (const uint16_t *)at;
            break;
        case DT_GNU_HASH:
            t.gnu_hash = (const uint32_t *)at;
            break;
        case DT_HASH:
            t.hash = (const uint32_t *)at;
            break;
        }
    }
    return t;
}

static int is_definition(const struct table *t, uint32_t i, const char *name)
{
    const Elf64_Sym *s = &t->symbols[i];
    return s->st_value != 0 && s->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(s->st_info) != STT_TLS &&
           !(t->versions && t->versions[i] & version_hidden) &&
           strcmp(t->strings + s->st_name, name) == 0;
}

static Elf64_Sym *find_by_gnu_hash(const struct table *t, const char *name)
{
    uint32_t buckets = t->gnu_hash[0], first = t->gnu_hash[1], bloom_words = t->gnu_hash[2];
    const uint32_t *bucket = t->gnu_hash + 4 + 2 * (size_t)bloom_words, *chain = bucket + buckets;
    uint32_t hash = 5381;
    for (const char *c = name; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    uint32_t i = buckets ? bucket[hash % buckets] : 0;
    for (; i >= first && i != 0; i++) { /* a chain's last word is odd */
        uint32_t word = chain[i - first];
        if ((word | 1) == (hash | 1) && is_definition(t, i, name))
            return &t->symbols[i];
        if (word & 1)
            break;
    }
    return NULL;
}

static Elf64_Sym *find(const struct link_map *module, const char *name)
{
    struct table t = table_of(module);
    if (!t.symbols || !t.strings)
        return NULL;
    if (t.gnu_hash)
        return find_by_gnu_hash(&t, name);
    for (uint32_t i = 1; t.hash && i < t.hash[1]; i++)
        if (is_definition(&t, i, name))
            return &t.symbols[i];
    return NULL;
}

static const struct link_map *our_module(void)
{
    static const char here;
    struct dl_find_object found;
    return _dl_find_object((void *)&here, &found) == 0 ? found.dlfo_link_map : NULL;
}

void *symbol_next(const char *name)
{
    const struct link_map *module = our_module();
    while (module && (module = module->l_next) != NULL) {
        const Elf64_Sym *s = find(module, name);
        if (!s)
            continue;
        void *function = (void *)(module->l_addr + s->st_value);
        if (ELF64_ST_TYPE(s->st_info) == STT_GNU_IFUNC)
            function = ((void *(*)(void))function)(); /* chooses one */
        return function;
    }
    return NULL;
}

/* The page holds no code (-z separate-code). */
void symbol_hide(const char *name)
{
    const struct link_map *module = our_module();
    Elf64_Sym *s = module ? find(module, name) : NULL;
    if (!s)
        return;
    uintptr_t page = (uintptr_t)s & ~(uintptr_t)(PSHIM_PAGE_BYTES - 1);
    uintptr_t end = (uintptr_t)(s + 1);
    if (sys_call3(SYS_mprotect, page, end - page, PROT_READ | PROT_WRITE) != 0)
        return;
    s->st_value = 0;
    sys_call3(SYS_mprotect, page, end - page, PROT_READ);
}
