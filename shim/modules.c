#include "shim/modules.h"

#include <elf.h>
#include <string.h>

#include "shim/shim.h"
#include "shim/unwind_libunwind.h"

enum {
    known_max = 8192,
    path_max = 4096,
};

/* What the loader said of a module, in memory of our own; written before it is published. */
struct known {
    uintptr_t start, end, bias;
    uint32_t id;
    uint32_t generation; /* atomic: last one in which this was seen to be true */
};
static struct known known[known_max];
static uint32_t known_used; /* atomic: slots handed out */

uint32_t modules_generation_now = 1;

struct build_id {
    uint32_t bytes;
    uint8_t id[PSHIM_BUILD_ID_MAX];
};

void modules_changed(void)
{
    __atomic_fetch_add(&modules_generation_now, 1, __ATOMIC_ACQ_REL);
    unwind_flush();
    unwind_libunwind_flush();
}

/* Reads the GNU build id from the mapped ELF header; bytes = 0 if there is none. */
static void build_id_read(const struct unwind_module *m, struct build_id *out)
{
    const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)m->start;
    out->bytes = 0;
    if (memcmp(ehdr->e_ident, ELFMAG, SELFMAG) != 0 || ehdr->e_phentsize != sizeof(Elf64_Phdr) ||
        ehdr->e_phoff + (uint64_t)ehdr->e_phnum * sizeof(Elf64_Phdr) > PSHIM_PAGE_BYTES)
        return;
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)(m->start + ehdr->e_phoff);
    for (unsigned i = 0; i < ehdr->e_phnum; i++) {
        if (phdr[i].p_type != PT_NOTE)
            continue;
        uintptr_t at = m->bias + phdr[i].p_vaddr;
        uintptr_t end = at + phdr[i].p_memsz;
        if (at < m->start || end > m->end)
            continue;
        while (at + sizeof(Elf64_Nhdr) <= end) {
            const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;
            uintptr_t name = at + sizeof *note;
            uintptr_t desc = name + ((note->n_namesz + 3u) & ~3u);
            uintptr_t next = desc + ((note->n_descsz + 3u) & ~3u);
            if (next > end || next < at)
                break;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
                memcmp((const void *)name, "GNU", 4) == 0 && note->n_descsz <= sizeof out->id) {
                out->bytes = note->n_descsz;
                memcpy(out->id, (const void *)desc, note->n_descsz);
                return;
            }
            at = next;
        }
    }
}

static bool module_is(const struct known *k, const struct unwind_module *m)
{
    return k->start == m->start && k->end == m->end && k->bias == m->bias;
}

/* After dlclose another module may stand in the same place: the same only with the same build id.
 */
static bool module_still(const struct known *k, const struct unwind_module *m)
{
    const struct pshim_module *rec = profile_record(&shim.profile, PSHIM_REGION_MODULE, k->id);
    struct build_id now;
    build_id_read(m, &now);
    if (now.bytes || rec->build_id_bytes)
        return now.bytes == rec->build_id_bytes && memcmp(now.id, rec->build_id, now.bytes) == 0;
    return strcmp(m->name, profile_string(&shim.profile, rec->path)) == 0;
}

static uint32_t module_record(const struct unwind_module *m)
{
    struct profile *p = &shim.profile;
    uint32_t id;
    if (profile_allot(p, PSHIM_REGION_MODULE, 1, &id) != PROFILE_OK) {
        shim_lost(PSHIM_LOSS_module_table_full);
        return PSHIM_MODULE_ANON;
    }
    struct pshim_module *rec = profile_record(p, PSHIM_REGION_MODULE, id);
    struct build_id build_id;
    build_id_read(m, &build_id);
    rec->start = m->start;
    rec->end = m->end;
    rec->bias = m->bias;
    if (m->name[0] == '\0') {
        rec->path = p->header->exe;
        rec->flags = PSHIM_MODULE_EXE;
    } else {
        rec->path = profile_string_add(p, m->name, path_max);
        if (strncmp(m->name, "linux-vdso", 10) == 0)
            rec->flags = PSHIM_MODULE_VDSO;
    }
    if ((uintptr_t)modules_locate >= m->start && (uintptr_t)modules_locate < m->end)
        rec->flags |= PSHIM_MODULE_SHIM;
    rec->build_id_bytes = build_id.bytes;
    memcpy(rec->build_id, build_id.id, build_id.bytes);
    __atomic_store_n(&rec->published, 1, __ATOMIC_RELEASE);
    return id;
}

/*
 * Two threads that meet a new module at the same moment may both record it: two ids for one file,
 * which the reader merges. That is cheaper than making one wait for the other.
 */
static uint32_t module_id(const struct unwind_module *m)
{
    uint32_t now = modules_generation();
    uint32_t used = __atomic_load_n(&known_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = used < known_max ? used : known_max; i-- > 0;) {
        struct known *k = &known[i];
        if (__atomic_load_n(&k->id, __ATOMIC_ACQUIRE) == 0 || !module_is(k, m))
            continue;
        if (__atomic_load_n(&k->generation, __ATOMIC_RELAXED) != now) {
            if (!module_still(k, m))
                continue;
            __atomic_store_n(&k->generation, now, __ATOMIC_RELAXED);
        }
        return k->id;
    }
    uint32_t id = module_record(m);
    uint32_t at = __atomic_fetch_add(&known_used, 1, __ATOMIC_ACQ_REL);
    if (at < known_max) {
        struct known *k = &known[at];
        k->start = m->start;
        k->end = m->end;
        k->bias = m->bias;
        k->generation = now;
        __atomic_store_n(&k->id, id, __ATOMIC_RELEASE);
    }
    return id;
}

uint32_t modules_locate(uintptr_t pc, uint64_t *offset)
{
    struct unwind_module m;
    *offset = pc;
    if (unwind_module_find(pc, &m) != 0)
        return PSHIM_MODULE_ANON;
    uint32_t id = module_id(&m);
    if (id != PSHIM_MODULE_ANON)
        *offset = pc - m.bias;
    return id;
}
