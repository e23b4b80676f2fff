#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/frames.h"
#include "analyzer/intern.h"
#include "analyzer/memory.h"
#include "analyzer/symbols.h"

struct function_key {
    const char *name, *file, *module; /* interned: compared as pointers */
};
struct function_entry {
    struct function_key key;
    uint32_t index;
    UT_hash_handle hh;
};

/* A place in the code, with its frames, innermost first. */
struct location_key {
    uint64_t offset;
    uint64_t module;
};
struct location {
    struct location_key key;
    UT_hash_handle hh;
    bool shim; /* the profiler's own code */
    unsigned count;
    struct frame frames[];
};

struct module {
    bool known;
    const char *path, *name;
    uint32_t flags;
    struct symbols_module *symbols;
};

/* What a person would call the place of a stack, where that is not its leaf. */
struct site_entry {
    uint32_t node;
    const struct frame *frame;
    UT_hash_handle hh;
};

struct frames {
    struct reader *reader;
    const struct selection *selection;
    struct intern names;
    struct symbols *symbols;
    struct module *modules;
    uint32_t module_count;
    struct location **of_node; /* by node id */
    uint32_t node_count;
    struct location *locations;
    uint64_t locations_left; /* a hostile file must not make us hold millions of names */
    struct location *profiler, *empty, *crowd;
    struct function_entry *function_index;
    struct function *functions;
    size_t function_count, function_room;
    struct site_entry *sites;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* …/include/c++/12/mutex, …/include/x86_64-linux-gnu/c++/12/bits/gthr-default.h, …/c++/v1/mutex */
static bool is_runtime_header(const char *file)
{
    const char *include = strstr(file, "/include/");
    return (include && strstr(include, "/c++/")) || strstr(file, "/c++/v1/");
}

static bool is_runtime(const struct function *fn)
{
    return starts_with(fn->name, "operator new") ||
           (fn->module &&
            (starts_with(fn->module, "libstdc++.so") || starts_with(fn->module, "libc++.so") ||
             starts_with(fn->module, "libc++abi.so"))) ||
           (fn->file && is_runtime_header(fn->file));
}

static uint32_t function_get(struct frames *f, const char *name, const char *file,
                             const char *module, uint32_t line)
{
    struct function_key key = {intern_get(&f->names, name), intern_get(&f->names, file),
                               intern_get(&f->names, module)};
    struct function_entry *e;
    HASH_FIND(hh, f->function_index, &key, sizeof key, e);
    if (e)
        return e->index;
    e = memory_new(1, sizeof *e);
    e->key = key;
    e->index = (uint32_t)f->function_count;
    HASH_ADD(hh, f->function_index, key, sizeof key, e);
    memory_grow((void **)&f->functions, &f->function_room, f->function_count, sizeof *f->functions);
    struct function *fn = &f->functions[f->function_count++];
    *fn = (struct function){.name = key.name, .file = key.file, .module = key.module, .line = line};
    fn->runtime = is_runtime(fn);
    if (f->selection)
        fn->selected = selection_match(f->selection, key.name, key.file, key.module);
    return e->index;
}

static struct location *location_new(unsigned count)
{
    struct location *l = memory_new(1, sizeof *l + count * sizeof l->frames[0]);
    l->count = count;
    return l;
}

static struct location *location_named(struct frames *f, const char *name, const char *module,
                                       uint64_t offset)
{
    struct location *l = location_new(1);
    l->frames[0] =
        (struct frame){.function = function_get(f, name, NULL, module, 0), .offset = offset};
    return l;
}

static struct location *location_special(struct frames *f, uint64_t what)
{
    static const char *const texts[] = {
        [PSHIM_SPECIAL_NONE] = "[unknown]",
        [PSHIM_SPECIAL_TRUNCATED] = "[stack cut: depth limit]",
        [PSHIM_SPECIAL_NO_CFI] = "[stack cut: code without call-frame information]",
        [PSHIM_SPECIAL_BAD_CFI] = "[stack cut: call-frame information not understood]",
        [PSHIM_SPECIAL_UNKNOWN_STACK] = "[stack cut: unknown stack]",
        [PSHIM_SPECIAL_BAD_PC] = "[stack cut: return address in no code]",
        [PSHIM_SPECIAL_TABLE_FULL] = "[no room for the stack]",
        [PSHIM_SPECIAL_PROFILER] = "[profiler]",
        [PSHIM_SPECIAL_UNSAMPLED] = "[unsampled]",
    };
    static const char *const calls[] = {
#define X(id, name, wait) #name,
        PSHIM_CALLS(X)
#undef X
    };
    const char *text = what < sizeof texts / sizeof *texts ? texts[what] : "[unknown]";
    if (what >= PSHIM_SPECIAL_CALL && what - PSHIM_SPECIAL_CALL < PSHIM_CALL_COUNT)
        text = calls[what - PSHIM_SPECIAL_CALL];
    return location_named(f, text, NULL, 0);
}

/* The profile of a running program grows: the array `*items` then has the records of `now`. */
static void growth_follow(struct frames *f, void **items, uint32_t *count,
                          enum pshim_region_id region, size_t bytes)
{
    uint32_t now = reader_count(f->reader, region);
    if (now <= *count)
        return;
    *items = memory_resize(*items, now, bytes);
    memset((char *)*items + *count * bytes, 0, (now - *count) * bytes);
    *count = now;
}

static struct module *module_get(struct frames *f, uint32_t id)
{
    if (id >= f->module_count)
        growth_follow(f, (void **)&f->modules, &f->module_count, PSHIM_REGION_MODULE,
                      sizeof *f->modules);
    struct module *m = &f->modules[id];
    if (m->known)
        return m;
    const struct pshim_module *record = reader_module(f->reader, id);
    if (!record)
        return m;
    m->known = true;
    m->flags = record->flags;
    m->path = profile_string(&f->reader->profile, record->path);
    m->name = base_name(m->path);
    uint32_t bytes = record->build_id_bytes;
    if (bytes > PSHIM_BUILD_ID_MAX)
        bytes = 0;
    if (m->flags & PSHIM_MODULE_VDSO) {
        m->name = "[vdso]";
        m->symbols = symbols_open_vdso(f->symbols, record->build_id, bytes);
    } else if (!(m->flags & PSHIM_MODULE_SHIM)) {
        m->symbols = symbols_open(f->symbols, m->path, record->build_id, bytes);
    }
    return m;
}

static struct location *location_code(struct frames *f, const struct module *m, uint64_t offset)
{
    struct symbol symbols[SYMBOLS_INLINE_MAX];
    unsigned count = symbols_find(m->symbols, offset, symbols);
    struct location *l = location_new(count);
    for (unsigned i = 0; i < count; i++) {
        const struct symbol *s = &symbols[i];
        char nameless[300];
        if (!s->name)
            snprintf(nameless, sizeof nameless, "%s+0x%llx", m->name,
                     (unsigned long long)(s->start ? s->start : offset));
        l->frames[i] = (struct frame){
            .function = function_get(f, s->name ? s->name : nameless, s->file, m->name, s->line),
            .line = s->code_line,
            .file = s->code_file,
            .offset = offset,
            .module = (uint32_t)(m - f->modules),
            .inlined = s->inlined,
        };
        f->functions[l->frames[i].function].executable = m->flags & PSHIM_MODULE_EXE;
    }
    return l;
}

static struct location *location_make(struct frames *f, uint32_t module, uint64_t offset)
{
    if (module == PSHIM_MODULE_SPECIAL)
        return location_special(f, offset);
    if (module == PSHIM_MODULE_ANON)
        return location_named(f, "[code in no module]", NULL, offset);
    struct module *m = module_get(f, module);
    if (!m->known)
        return location_named(f, "[unknown module]", NULL, offset);
    if (m->flags & PSHIM_MODULE_SHIM) {
        struct location *l = location_named(f, "[profiler]", NULL, offset);
        l->shim = true;
        return l;
    }
    return location_code(f, m, offset);
}

static struct location *location_get(struct frames *f, uint32_t node)
{
    if (node >= f->node_count)
        growth_follow(f, (void **)&f->of_node, &f->node_count, PSHIM_REGION_NODE,
                      sizeof *f->of_node);
    if (f->of_node[node])
        return f->of_node[node];
    const struct pshim_node *n = reader_node(f->reader, node);
    struct location_key key = {n->offset, n->module};
    if (n->module == PSHIM_MODULE_ANON)
        key.offset = 0; /* one name for all of it */
    struct location *l;
    HASH_FIND(hh, f->locations, &key, sizeof key, l);
    if (!l && f->locations_left == 0)
        l = f->crowd;
    if (!l) {
        f->locations_left--;
        l = location_make(f, n->module, key.offset);
        l->key = key;
        HASH_ADD(hh, f->locations, key, sizeof key, l);
    }
    f->of_node[node] = l;
    return l;
}

struct frames *frames_new(struct reader *r, const struct selection *selection)
{
    struct frames *f = memory_new(1, sizeof *f);
    f->reader = r;
    f->selection = selection;
    f->symbols = symbols_new(&f->names);
    f->module_count = reader_count(r, PSHIM_REGION_MODULE);
    f->modules = memory_new(f->module_count, sizeof *f->modules);
    f->node_count = reader_count(r, PSHIM_REGION_NODE);
    f->of_node = memory_new(f->node_count, sizeof *f->of_node);
    f->locations_left = 65536 + r->profile.bytes / 256;
    f->profiler = location_named(f, "[profiler]", NULL, 0);
    f->empty = location_named(f, "[no stack]", NULL, 0);
    f->crowd = location_named(f, "[more code than is named]", NULL, 0);
    return f;
}

void frames_free(struct frames *f)
{
    struct location *l, *next;
    HASH_ITER(hh, f->locations, l, next)
    {
        HASH_DEL(f->locations, l);
        free(l);
    }
    struct function_entry *e, *e_next;
    HASH_ITER(hh, f->function_index, e, e_next)
    {
        HASH_DEL(f->function_index, e);
        free(e);
    }
    struct site_entry *s, *s_next;
    HASH_ITER(hh, f->sites, s, s_next)
    {
        HASH_DEL(f->sites, s);
        free(s);
    }
    free(f->profiler);
    free(f->empty);
    free(f->crowd);
    free(f->functions);
    free(f->of_node);
    free(f->modules);
    symbols_free(f->symbols);
    intern_release(&f->names);
    free(f);
}

void frames_set_site(struct frames *f, uint32_t node, const struct frame *frame)
{
    struct site_entry *s;
    HASH_FIND(hh, f->sites, &node, sizeof node, s);
    if (!s) {
        s = memory_new(1, sizeof *s);
        s->node = node;
        HASH_ADD(hh, f->sites, node, sizeof s->node, s);
    }
    s->frame = frame;
}

const struct frame *frames_site(const struct frames *f, uint32_t node)
{
    struct site_entry *s;
    HASH_FIND(hh, f->sites, &node, sizeof node, s);
    return s ? s->frame : NULL;
}

const struct selection *frames_selection(const struct frames *f)
{
    return f->selection;
}

static unsigned frames_append(const struct frames *f, const struct location *l,
                              const struct frame **out, unsigned count)
{
    for (unsigned i = 0; i < l->count && count < FRAMES_STACK_MAX; i++)
        if (!(f->functions[l->frames[i].function].selected & 1u << SELECT_HIDE))
            out[count++] = &l->frames[i];
    return count;
}

unsigned frames_stack(struct frames *f, uint32_t node,
                      const struct frame *out[static FRAMES_STACK_MAX])
{
    unsigned count = 0;
    for (uint32_t at = node; at; at = reader_node(f->reader, at)->parent) {
        const struct location *l = location_get(f, at);
        if (!l->shim)
            count = frames_append(f, l, out, count);
        else if (at == node) /* the profiler was at work here: its time is shown, not its code */
            count = frames_append(f, f->profiler, out, count);
    }
    if (count == 0)
        out[count++] = &f->empty->frames[0];
    return count;
}

const struct function *frames_function(const struct frames *f, uint32_t index)
{
    return &f->functions[index];
}

uint32_t frames_function_count(const struct frames *f)
{
    return (uint32_t)f->function_count;
}

bool frames_same_place(const struct frame *a, const struct frame *b)
{
    return a->function == b->function && a->file == b->file && a->line == b->line &&
           (a->line || a->offset == b->offset);
}

bool frames_problem(const struct frames *f, unsigned i, const char **path, const char **why)
{
    for (uint32_t k = 0; k < f->module_count; k++) {
        const struct module *m = &f->modules[k];
        const char *text = m->symbols ? symbols_problem(m->symbols) : "";
        if (*text && i-- == 0) {
            *path = m->path;
            *why = text;
            return true;
        }
    }
    return false;
}

/* The module mapped at an address, the last one if several were; 0 = none. */
static uint32_t module_at(struct frames *f, uint64_t address, uint64_t *at)
{
    for (uint32_t i = reader_count(f->reader, PSHIM_REGION_MODULE); i-- > 1;) {
        const struct pshim_module *record = reader_module(f->reader, i);
        if (record && address >= record->start && address < record->end) {
            *at = address - record->bias;
            return i;
        }
    }
    return 0;
}

const char *frames_variable(struct frames *f, uint64_t address, uint64_t *offset)
{
    uint64_t at;
    uint32_t index = module_at(f, address, &at);
    struct module *m = index ? module_get(f, index) : NULL;
    return m && m->symbols ? symbols_object(m->symbols, at, offset) : NULL;
}

const char *frames_object(struct frames *f, uint64_t address, char *buffer, size_t size)
{
    uint64_t at, offset;
    uint32_t index = module_at(f, address, &at);
    if (!index)
        return NULL;
    const char *name = frames_variable(f, address, &offset);
    if (!name)
        snprintf(buffer, size, "%s+0x%llx", module_get(f, index)->name, (unsigned long long)at);
    else if (offset)
        snprintf(buffer, size, "%s+0x%llx", name, (unsigned long long)offset);
    else
        snprintf(buffer, size, "%s", name);
    return buffer;
}

const char *frames_module(const char *name, const char *module)
{
    size_t n = module ? strlen(module) : 0;
    return n && !(strncmp(name, module, n) == 0 && name[n] == '+') ? module : "";
}

const char *frames_place(const struct frames *f, const struct frame *frame, char *buffer,
                         size_t size)
{
    const struct function *fn = &f->functions[frame->function];
    if (frame->line)
        snprintf(buffer, size, "%s:%u", base_name(frame->file ? frame->file : "?"), frame->line);
    else
        snprintf(buffer, size, "%s", frames_module(fn->name, fn->module));
    return buffer;
}
