#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "analyzer/codemap.h"
#include "analyzer/elf_file.h"
#include "analyzer/ifunc.h"
#include "analyzer/memory.h"
#include "analyzer/names.h"
#include "analyzer/plt.h"
#include "analyzer/symbols.h"

enum {
    dies_most =
        8 << 20,      /* debugging entries looked at in one unit: hostile ones may go in circles */
    depth_most = 128, /* nesting of scopes */
};

/* Code of one function in a compilation unit. */
struct function {
    Dwarf_Addr lo, hi;
    Dwarf_Die die;
};

struct unit {
    Dwarf_Die die;
    bool walked;
    struct function *functions; /* by lo; may nest */
    size_t count, room;
    Dwarf_Addr widest; /* longest of them: how far back a look-up must search */
    unsigned dies_left;
};

/* A range of addresses of a unit. */
struct range {
    Dwarf_Addr lo, hi;
    size_t unit;
};

struct symbols_module {
    struct symbols_module *next;
    struct symbols *all;
    char problem[96];
    struct elf_file file;
    Dwfl *dwfl;
    Dwfl_Module *module;
    struct codemap map;
    struct codemap objects; /* variables */
    bool objects_known;
    Dwarf_Addr dwarf_bias;
    struct unit *units;
    size_t unit_count, unit_room;
    struct range *ranges; /* by lo */
    size_t range_count, range_room;
};

struct symbols {
    struct intern *names;
    struct symbols_module *modules;
};

struct symbols *symbols_new(struct intern *names)
{
    struct symbols *s = memory_new(1, sizeof *s);
    s->names = names;
    /* elfutils would ask a server for debug files; a profile is read without the network. */
    unsetenv("DEBUGINFOD_URLS");
    return s;
}

void symbols_free(struct symbols *s)
{
    for (struct symbols_module *m = s->modules, *next; m; m = next) {
        next = m->next;
        for (size_t i = 0; i < m->unit_count; i++)
            free(m->units[i].functions);
        free(m->units);
        free(m->ranges);
        codemap_release(&m->map);
        codemap_release(&m->objects);
        if (m->dwfl)
            dwfl_end(m->dwfl);
        elf_file_unmap(&m->file);
        free(m);
    }
    free(s);
}

const char *symbols_problem(const struct symbols_module *m)
{
    return m->problem;
}

static void problem(struct symbols_module *m, const char *text)
{
    snprintf(m->problem, sizeof m->problem, "%s", text);
}

/* ---- the module's file ---- */

static void dwfl_open(struct symbols_module *m, const char *path, int fd)
{
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .section_address = dwfl_offline_section_address,
    };
    m->dwfl = dwfl_begin(&callbacks);
    if (!m->dwfl) {
        close(fd);
        return;
    }
    dwfl_report_begin(m->dwfl);
    m->module = dwfl_report_elf(m->dwfl, path, path, fd, 0, true);
    if (!m->module)
        close(fd); /* it is the library's only on success */
    dwfl_report_end(m->dwfl, NULL, NULL);
}

static void function_found(void *context, uint64_t start, uint64_t end)
{
    struct symbols_module *m = context;
    codemap_add(&m->map, start, end, NULL);
}

static void ifunc_found(void *context, uint64_t address, const char *name)
{
    struct symbols_module *m = context;
    codemap_add(&m->map, address, 0, intern_get(m->all->names, name));
}

static void stub_found(void *context, uint64_t start, uint64_t end, const char *symbol)
{
    struct symbols_module *m = context;
    char name[512];
    snprintf(name, sizeof name, "%s@plt", symbol);
    codemap_add(&m->map, start, end, intern_get(m->all->names, name));
}

/* A symbol table's name without its version. */
static const char *symbol_name(struct symbols_module *m, const char *name)
{
    const char *at = strchr(name, '@');
    if (!at || at == name)
        return intern_get(m->all->names, name);
    char *copy = memory_string(name);
    copy[at - name] = '\0';
    const char *kept = intern_get(m->all->names, copy);
    free(copy);
    return kept;
}

static bool is_code(const struct elf_image *image, uint64_t address)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const Elf64_Phdr *p = &image->segments[i];
        if (p->p_type == PT_LOAD && p->p_flags & PF_X && address - p->p_vaddr < p->p_memsz)
            return true;
    }
    return false;
}

/* Adds the symbols of a type to a map; labels only where nothing has a name yet. */
static void symbols_add(struct symbols_module *m, struct codemap *map, unsigned wanted)
{
    int count = m->module ? dwfl_module_getsymtab(m->module) : 0;
    size_t sorted = map->count;
    for (int i = 1; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        GElf_Word section;
        const char *name =
            dwfl_module_getsym_info(m->module, i, &symbol, &address, &section, NULL, NULL);
        if (!name || !*name || section == SHN_UNDEF || section == SHN_ABS ||
            GELF_ST_TYPE(symbol.st_info) != wanted)
            continue;
        if (wanted == STT_NOTYPE) {
            struct codemap known = {map->entries, sorted, 0};
            const struct codemap_entry *e = codemap_find(&known, address);
            if (GELF_ST_BIND(symbol.st_info) == STB_LOCAL || (e && e->name) ||
                !is_code(&m->file.image, address))
                continue;
        }
        codemap_add(map, address, address + symbol.st_size, symbol_name(m, name));
    }
}

static void map_fill(struct symbols_module *m)
{
    elf_image_functions(&m->file.image, function_found, m);
    ifunc_resolve(&m->file.image, ifunc_found, m);
    plt_stubs(&m->file.image, stub_found, m);
    symbols_add(m, &m->map,
                STT_FUNC); /* an indirect function's symbol names its resolver, not its body */
    codemap_sort(&m->map);
    symbols_add(m, &m->map, STT_NOTYPE); /* labels of assembly code, where no function is known */
    codemap_sort(&m->map);
}

/* ---- DWARF ---- */

static void units_fill(struct symbols_module *m)
{
    Dwarf *dwarf = m->module ? dwfl_module_getdwarf(m->module, &m->dwarf_bias) : NULL;
    if (!dwarf)
        return;
    Dwarf_CU *cu = NULL;
    Dwarf_Die die, sub;
    uint8_t type;
    while (dwarf_get_units(dwarf, cu, &cu, NULL, &type, &die, &sub) == 0) {
        if (type == DW_UT_skeleton && dwarf_tag(&sub) != DW_TAG_invalid)
            die = sub;
        Dwarf_Addr base, lo, hi;
        size_t before = m->range_count;
        for (ptrdiff_t at = 0; (at = dwarf_ranges(&die, at, &base, &lo, &hi)) > 0;) {
            if (lo >= hi)
                continue;
            memory_grow((void **)&m->ranges, &m->range_room, m->range_count, sizeof *m->ranges);
            m->ranges[m->range_count++] = (struct range){lo, hi, m->unit_count};
        }
        if (m->range_count == before)
            continue;
        memory_grow((void **)&m->units, &m->unit_room, m->unit_count, sizeof *m->units);
        m->units[m->unit_count++] = (struct unit){.die = die, .dies_left = dies_most};
    }
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static int compare_functions(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Adds the ranges of all functions with code below `parent`. */
static void functions_collect(struct unit *u, Dwarf_Die *parent, unsigned depth)
{
    Dwarf_Die die;
    if (depth > depth_most || dwarf_child(parent, &die) != 0)
        return;
    do {
        if (u->dies_left == 0)
            return;
        u->dies_left--;
        int tag = dwarf_tag(&die);
        if (tag == DW_TAG_subprogram) {
            Dwarf_Addr base, lo, hi;
            for (ptrdiff_t at = 0; (at = dwarf_ranges(&die, at, &base, &lo, &hi)) > 0;) {
                if (lo >= hi)
                    continue;
                memory_grow((void **)&u->functions, &u->room, u->count, sizeof *u->functions);
                u->functions[u->count++] = (struct function){lo, hi, die};
                if (hi - lo > u->widest)
                    u->widest = hi - lo;
            }
        }
        if (tag == DW_TAG_subprogram || tag == DW_TAG_namespace || tag == DW_TAG_module ||
            tag == DW_TAG_class_type || tag == DW_TAG_structure_type || tag == DW_TAG_lexical_block)
            functions_collect(u, &die, depth + 1);
    } while (dwarf_siblingof(&die, &die) == 0);
}

static struct unit *unit_find(struct symbols_module *m, Dwarf_Addr pc)
{
    size_t lo = 0, hi = m->range_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->ranges[mid].lo <= pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0 || pc >= m->ranges[lo - 1].hi)
        return NULL;
    struct unit *u = &m->units[m->ranges[lo - 1].unit];
    if (!u->walked) {
        u->walked = true;
        functions_collect(u, &u->die, 0);
        if (u->count)
            qsort(u->functions, u->count, sizeof *u->functions, compare_functions);
    }
    return u;
}

/* The smallest function range that holds pc. */
static struct function *function_find(struct unit *u, Dwarf_Addr pc)
{
    size_t lo = 0, hi = u->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (u->functions[mid].lo <= pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    while (lo > 0 && pc - u->functions[lo - 1].lo < u->widest) {
        struct function *f = &u->functions[--lo];
        if (pc < f->hi)
            return f;
    }
    return NULL;
}

/* Appends the inlined subroutines that hold pc below scopes[*count - 1], outermost first. */
static void inlines_find(struct unit *u, Dwarf_Die *parent, Dwarf_Addr pc, Dwarf_Die *scopes,
                         unsigned *count, unsigned depth)
{
    Dwarf_Die die;
    if (depth > depth_most || *count == SYMBOLS_INLINE_MAX || dwarf_child(parent, &die) != 0)
        return;
    unsigned left = dies_most;
    do {
        int tag = dwarf_tag(&die);
        if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
            dwarf_haspc(&die, pc) == 1) {
            if (tag == DW_TAG_inlined_subroutine)
                scopes[(*count)++] = die;
            inlines_find(u, &die, pc, scopes, count, depth + 1);
            return;
        }
    } while (--left && dwarf_siblingof(&die, &die) == 0);
}

static const char *linkage_name(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) ||
        dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute))
        return dwarf_formstring(&attribute);
    return NULL;
}

/* A function's name as people write it. `start`: of its code, or 0 if it is inlined. */
static const char *die_name(struct symbols_module *m, Dwarf_Die *die, uint64_t start)
{
    const char *linkage = linkage_name(die);
    char *demangled = linkage ? name_demangle(linkage) : NULL;
    if (demangled) {
        const char *kept = intern_get(m->all->names, demangled);
        free(demangled);
        return kept;
    }
    const char *name = dwarf_diename(die);
    /* A library's own name for what it exports (__libc_malloc) yields to the exported one. */
    const struct codemap_entry *e = start ? codemap_start(&m->map, start) : NULL;
    bool inner = !name || *name == '_';
    if (inner && e && e->name && (!name || name_better(e->name, name)) &&
        strncmp(e->name, "_Z", 2) != 0)
        return e->name;
    return intern_get(m->all->names, name);
}

/* A source file's name, relative to where it was compiled if it lies below: the same source gives
   the same name wherever it was built. */
static const char *file_name(struct symbols_module *m, Dwarf_Die *unit, const char *path)
{
    Dwarf_Attribute attribute;
    const char *dir = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
    size_t n = dir ? strlen(dir) : 0;
    if (path && n && strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1])
        path += n + 1;
    return intern_get(m->all->names, path);
}

static const char *source_file(struct symbols_module *m, Dwarf_Die *unit, Dwarf_Die *die,
                               unsigned attribute_name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word index;
    Dwarf_Files *files;
    size_t count;
    if (dwarf_formudata(dwarf_attr(die, attribute_name, &attribute), &index) != 0 ||
        dwarf_getsrcfiles(unit, &files, &count) != 0 || index >= count)
        return NULL;
    return file_name(m, unit, dwarf_filesrc(files, index, NULL, NULL));
}

static uint32_t number(Dwarf_Die *die, unsigned attribute_name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    if (dwarf_formudata(dwarf_attr(die, attribute_name, &attribute), &value) != 0 ||
        value > INT32_MAX)
        return 0;
    return (uint32_t)value;
}

static void code_line(struct symbols_module *m, struct unit *u, Dwarf_Addr pc, struct symbol *out)
{
    Dwarf_Line *line = dwarf_getsrc_die(&u->die, pc);
    int number_of_line;
    if (!line || dwarf_lineno(line, &number_of_line) != 0 || number_of_line <= 0)
        return;
    out->code_file = file_name(m, &u->die, dwarf_linesrc(line, NULL, NULL));
    out->code_line = (uint32_t)number_of_line;
}

/* Functions at pc from DWARF; 0 = it knows none. out[0] has the line in any case. */
static unsigned dwarf_find(struct symbols_module *m, uint64_t address, struct symbol *out)
{
    Dwarf_Addr pc = address - m->dwarf_bias;
    struct unit *u = unit_find(m, pc);
    if (!u)
        return 0;
    code_line(m, u, pc, &out[0]);
    struct function *f = function_find(u, pc);
    if (!f)
        return 0;
    Dwarf_Die scopes[SYMBOLS_INLINE_MAX];
    unsigned count = 1;
    scopes[0] = f->die;
    inlines_find(u, &f->die, pc, scopes, &count, 0);
    Dwarf_Addr entry;
    for (unsigned i = 0; i < count; i++) {
        Dwarf_Die *die = &scopes[count - 1 - i];
        struct symbol *to = &out[i];
        int line;
        to->inlined = i + 1 < count;
        to->start = to->inlined || dwarf_lowpc(&f->die, &entry) != 0 ? 0 : entry + m->dwarf_bias;
        to->name = die_name(m, die, to->start);
        to->file = file_name(m, &u->die, dwarf_decl_file(die));
        to->line = dwarf_decl_line(die, &line) == 0 && line > 0 ? (uint32_t)line : 0;
        if (to->inlined) {
            out[i + 1] = (struct symbol){
                .code_file = source_file(m, &u->die, die, DW_AT_call_file),
                .code_line = number(die, DW_AT_call_line),
            };
        }
    }
    return count;
}

/* ---- look-up ---- */

static const char *map_name(struct symbols_module *m, const struct codemap_entry *e)
{
    char *demangled = e->name ? name_demangle(e->name) : NULL;
    if (!demangled)
        return e->name;
    const char *kept = intern_get(m->all->names, demangled);
    free(demangled);
    return kept;
}

unsigned symbols_find(struct symbols_module *m, uint64_t address,
                      struct symbol out[static SYMBOLS_INLINE_MAX])
{
    out[0] = (struct symbol){0};
    unsigned count = dwarf_find(m, address, out);
    if (count && out[count - 1].name)
        return count;
    struct symbol *outer = &out[count ? count - 1 : 0];
    const struct codemap_entry *e = codemap_find(&m->map, address);
    outer->inlined = false;
    outer->start = e ? e->start : 0;
    outer->name = e ? map_name(m, e) : NULL;
    return count ? count : 1;
}

/* Compilers number the static variables of functions: "cache.3" is the cache of the source. */
static const char *static_name(struct symbols_module *m, const char *name)
{
    size_t n = strlen(name), digits = 0;
    while (digits < n && name[n - 1 - digits] >= '0' && name[n - 1 - digits] <= '9')
        digits++;
    if (digits == 0 || n < digits + 2 || name[n - 1 - digits] != '.')
        return name;
    char *copy = memory_string(name);
    copy[n - 1 - digits] = '\0';
    const char *kept = intern_get(m->all->names, copy);
    free(copy);
    return kept;
}

const char *symbols_object(struct symbols_module *m, uint64_t address, uint64_t *offset)
{
    if (!m->objects_known) {
        symbols_add(m, &m->objects, STT_OBJECT);
        codemap_sort(&m->objects);
        m->objects_known = true;
    }
    const struct codemap_entry *e = codemap_find(&m->objects, address);
    if (!e)
        return NULL;
    *offset = address - e->start;
    return e->name ? static_name(m, map_name(m, e)) : NULL;
}

static struct symbols_module *module_new(struct symbols *s)
{
    struct symbols_module *m = memory_new(1, sizeof *m);
    m->all = s;
    m->next = s->modules;
    s->modules = m;
    return m;
}

struct symbols_module *symbols_open_vdso(struct symbols *s, const uint8_t *id, size_t id_bytes)
{
    struct symbols_module *m = module_new(s);
    const Elf64_Ehdr *here = (const void *)getauxval(AT_SYSINFO_EHDR);
    const uint8_t *now = NULL;
    if (!here)
        return m;
    size_t size = here->e_shoff + (size_t)here->e_shnum * here->e_shentsize;
    if (elf_image_init(&m->file.image, here, size) != ELF_IMAGE_OK ||
        elf_image_build_id(&m->file.image, &now) != id_bytes || memcmp(now, id, id_bytes) != 0)
        return m; /* another kernel's */
    size_t count;
    uint32_t names;
    const Elf64_Sym *symbols = elf_image_symbols(&m->file.image, SHT_DYNSYM, &count, &names);
    elf_image_functions(&m->file.image, function_found, m);
    for (size_t i = 0; i < count; i++) {
        const char *name = elf_image_string(&m->file.image, names, symbols[i].st_name);
        if (strncmp(name, "__vdso_", 7) == 0) /* not its alias, which is libc's name too */
            codemap_add(&m->map, symbols[i].st_value, symbols[i].st_value + symbols[i].st_size,
                        intern_get(s->names, name));
    }
    codemap_sort(&m->map);
    return m;
}

struct symbols_module *symbols_open(struct symbols *s, const char *path, const uint8_t *id,
                                    size_t id_bytes)
{
    struct symbols_module *m = module_new(s);
    int fd = elf_file_open(path);
    if (fd < 0) {
        problem(m, strerror(errno));
        return m;
    }
    const char *wrong = elf_file_map(&m->file, fd, id, id_bytes);
    if (wrong) {
        problem(m, wrong);
        close(fd);
        return m;
    }
    dwfl_open(m, path, fd);
    map_fill(m);
    units_fill(m);
    if (m->range_count)
        qsort(m->ranges, m->range_count, sizeof *m->ranges, compare_ranges);
    return m;
}
