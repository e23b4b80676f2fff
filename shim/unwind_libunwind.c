#include "shim/unwind_libunwind.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libunwind-x86_64.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "profile/sys.h"
#include "shim/shim.h"
#include "shim/unwind_rule.h"

static struct {
    unw_addr_space_t space;
    int (*init_remote)(unw_cursor_t *, unw_addr_space_t, void *);
    int (*step)(unw_cursor_t *);
    int (*get_reg)(unw_cursor_t *, int, unw_word_t *);
    int (*is_signal_frame)(unw_cursor_t *);
    void (*flush)(unw_addr_space_t, unw_word_t, unw_word_t);
    int (*search_table)(unw_addr_space_t, unw_word_t, unw_dyn_info_t *, unw_proc_info_t *, int,
                        void *);
} library;

/* What it is told of the process during one walk. */
struct walk {
    const struct unwind_regs *regs;
    const struct unwind_range *stacks;
    unsigned stack_count;
    struct unwind_range found;  /* a stack that none of these is */
    struct cfi_bytes tables;    /* of the module whose tables were read last */
    uintptr_t start_ip;         /* what it takes for the pc at the start */
    enum unwind_end refused_by; /* why it was last refused something; ROOT: it was not */
};

static bool is_in(const struct cfi_bytes *bytes, uintptr_t at)
{
    return at - (uintptr_t)bytes->lo < (uintptr_t)(bytes->hi - bytes->lo);
}

static bool is_on_stack(struct walk *w, uintptr_t at)
{
    for (unsigned i = 0; i < w->stack_count; i++)
        if (at >= w->stacks[i].lo && at < w->stacks[i].hi)
            return true;
    if (at >= w->found.lo && at < w->found.hi)
        return true;
    return unwind_find_stack && unwind_find_stack(at, &w->found) == 0 && at >= w->found.lo &&
           at < w->found.hi;
}

/* Tables and code: what the loader mapped readable. */
static bool is_in_module(struct walk *w, uintptr_t at)
{
    struct dl_find_object module;
    if (is_in(&w->tables, at))
        return true;
    if (_dl_find_object((void *)at, &module) != 0)
        return false;
    w->tables = unwind_segment_find(&module, at);
    return is_in(&w->tables, at);
}

/* An aligned word: a page that holds its first byte holds all of it. */
static int memory_read(unw_addr_space_t space, unw_word_t at, unw_word_t *value, int write,
                       void *context)
{
    struct walk *w = context;
    (void)space;
    if (write || at % sizeof *value || (!is_in_module(w, at) && !is_on_stack(w, at))) {
        w->refused_by = UNWIND_END_STACK;
        return -UNW_EINVAL;
    }
    memcpy(value, (const void *)at, sizeof *value);
    return 0;
}

static int register_read(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write,
                         void *context)
{
    struct walk *w = context;
    (void)space;
    if (write || number < 0 || number >= UNWIND_REGS || !(w->regs->known >> number & 1)) {
        w->refused_by = UNWIND_END_BAD_CFI;
        return -UNW_EBADREG;
    }
    *value = number == UNWIND_RIP ? w->start_ip : w->regs->reg[number];
    return 0;
}

static int float_read(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write,
                      void *context)
{
    (void)space, (void)number, (void)value, (void)write, (void)context;
    return -UNW_EBADREG;
}

/* The layout of .eh_frame_hdr that linkers write; LSB 5 core generic §10.6. */
struct header {
    uint8_t version, frame_encoding, count_encoding, table_encoding;
    int32_t frame;
    uint32_t count;
    struct {
        int32_t pc, entry; /* relative to the header */
    } table[];
};

static int rules_find(unw_addr_space_t space, unw_word_t pc, unw_proc_info_t *found, int whole,
                      void *context)
{
    enum { pcrel_sdata4 = 0x1b, udata4 = 0x03, datarel_sdata4 = 0x3b };
    struct walk *w = context;
    struct dl_find_object module;
    if (_dl_find_object((void *)pc, &module) != 0 || !module.dlfo_eh_frame)
        return -UNW_ENOINFO;
    const struct header *header = module.dlfo_eh_frame;
    struct cfi_bytes tables = unwind_segment_find(&module, (uintptr_t)header);
    if (!tables.lo || (size_t)(tables.hi - (const uint8_t *)header) < sizeof *header)
        return -UNW_ENOINFO;
    if (header->version != 1 || header->frame_encoding != pcrel_sdata4 ||
        header->count_encoding != udata4 || header->table_encoding != datarel_sdata4 ||
        header->count > (size_t)(tables.hi - (const uint8_t *)header->table) / 8)
        return -UNW_ENOINFO;
    w->tables = tables;
    unw_dyn_info_t table = {
        .format = UNW_INFO_FORMAT_REMOTE_TABLE,
        .start_ip = (uintptr_t)module.dlfo_map_start,
        .end_ip = (uintptr_t)module.dlfo_map_end,
        .u.rti = {.segbase = (uintptr_t)header,
                  .table_len = header->count * sizeof header->table[0] / sizeof(unw_word_t),
                  .table_data = (uintptr_t)header->table},
    };
    return library.search_table(space, pc, &table, found, whole, context);
}

/* What search_table() made is in the library's own pools, which it takes back by itself. */
static void rules_done(unw_addr_space_t space, unw_proc_info_t *found, void *context)
{
    (void)space, (void)found, (void)context;
}

static int no_list(unw_addr_space_t space, unw_word_t *at, void *context)
{
    (void)space, (void)at, (void)context;
    return -UNW_ENOINFO;
}

static int no_resume(unw_addr_space_t space, unw_cursor_t *cursor, void *context)
{
    (void)space, (void)cursor, (void)context;
    return -UNW_EINVAL;
}

static int no_name(unw_addr_space_t space, unw_word_t pc, char *name, size_t size,
                   unw_word_t *offset, void *context)
{
    (void)space, (void)pc, (void)name, (void)size, (void)offset, (void)context;
    return -UNW_ENOINFO;
}

/*
 * The library's first work opens a pipe to test memory with, which our space never does: it is
 * closed. The numbers it will get are those that a pipe gets now; nobody else runs yet.
 */
static int space_settle(int (*set_caching)(unw_addr_space_t, unw_caching_policy_t))
{
    int pipe[2] = {-1, -1};
    if (sys_call2(SYS_pipe2, pipe, O_CLOEXEC) != 0)
        return -1;
    sys_call1(SYS_close, pipe[0]);
    sys_call1(SYS_close, pipe[1]);
    int error = set_caching(library.space, UNW_CACHE_GLOBAL);
    sys_call1(SYS_close, pipe[0]); /* EBADF if it opens none */
    sys_call1(SYS_close, pipe[1]);
    return error;
}

int unwind_libunwind_init(char **envp)
{
    static unw_accessors_t accessors = {
        .find_proc_info = rules_find,
        .put_unwind_info = rules_done,
        .get_dyn_info_list_addr = no_list,
        .access_mem = memory_read,
        .access_reg = register_read,
        .access_fpreg = float_read,
        .resume = no_resume,
        .get_proc_name = no_name,
    };
    if (dlsym(RTLD_DEFAULT, "__sanitizer_print_stack_trace"))
        return -1; /* sanitizers end a program that opens a library so */
    if (!environ)
        environ = envp;
    void *handle = dlopen("libunwind-x86_64.so.8", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!handle)
        return -1;
    unw_addr_space_t (*create)(unw_accessors_t *, int);
    int (*set_caching)(unw_addr_space_t, unw_caching_policy_t);
    const struct {
        void *to;
        const char *name;
    } symbols[] = {
        {&create, "_Ux86_64_create_addr_space"},
        {&set_caching, "_Ux86_64_set_caching_policy"},
        {&library.init_remote, "_Ux86_64_init_remote"},
        {&library.step, "_Ux86_64_step"},
        {&library.get_reg, "_Ux86_64_get_reg"},
        {&library.is_signal_frame, "_Ux86_64_is_signal_frame"},
        {&library.flush, "_Ux86_64_flush_cache"},
        {&library.search_table, "_Ux86_64_dwarf_search_unwind_table"},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *function = dlsym(handle, symbols[i].name);
        if (!function)
            return -1;
        memcpy(symbols[i].to, &function, sizeof function);
    }
    library.space = create(&accessors, 0);
    return library.space ? space_settle(set_caching) : -1;
}

void unwind_libunwind_flush(void)
{
    if (library.space)
        library.flush(library.space, 0, 0);
}

/*
 * In libunwind 1.6 is_signal_frame() speaks, after a step, of the frame that was just left: its pc
 * then is where the handler returns to, and the current one is the interrupted instruction; neither
 * is a return address, to be moved into its call.
 */
static unsigned frames_walk(struct walk *w, uintptr_t *pcs, unsigned max, enum unwind_end *end)
{
    unw_cursor_t cursor;
    unw_word_t pc = 0, before = 0;
    unsigned count = 0;
    int step = library.init_remote(&cursor, library.space, w);
    *end = UNWIND_END_BAD_CFI;
    if (step != 0)
        return 0;
    for (step = 1;; step = library.step(&cursor)) {
        struct unwind_module module;
        if (step <= 0 || library.get_reg(&cursor, UNW_REG_IP, &pc) != 0)
            break;
        if (pc == 0) {
            step = 0;
            break;
        }
        bool is_exact = false;
        if (count > 0 && library.is_signal_frame(&cursor) > 0) {
            is_exact = true;
            pcs[count - 1] = before;
        }
        uintptr_t at = is_exact ? pc : pc - 1;
        if (count == 0)
            at = w->start_ip - 1;
        if (unwind_module_find(at, &module) != 0) {
            *end = count ? UNWIND_END_BAD_PC : UNWIND_END_NO_CFI;
            return count;
        }
        if (count == max) {
            *end = UNWIND_END_DEPTH;
            return count;
        }
        pcs[count++] = at;
        before = pc;
    }
    if (step == 0)
        *end = UNWIND_END_ROOT;
    else if (step == -UNW_ENOINFO)
        *end = UNWIND_END_NO_CFI;
    else if (w->refused_by != UNWIND_END_ROOT)
        *end = w->refused_by;
    return count;
}

unsigned unwind_libunwind_walk(const struct unwind_regs *start, int exact,
                               const struct unwind_range *stacks, unsigned stack_count,
                               uintptr_t *pcs, unsigned max, enum unwind_end *end)
{
    uintptr_t sp = shim_sp();
    for (unsigned i = 0; i < stack_count; i++)
        if (sp >= stacks[i].lo && sp < stacks[i].hi &&
            sp - stacks[i].lo < unwind_libunwind_stack_bytes)
            return unwind_walk(start, exact, stacks, stack_count, pcs, max, end);
    /* A remote walk begins as if its pc were a return address: the rules are those of the byte
       before. */
    struct walk w = {.regs = start,
                     .stacks = stacks,
                     .stack_count = stack_count,
                     .start_ip = start->reg[UNWIND_RIP] + (exact ? 1 : 0),
                     .refused_by = UNWIND_END_ROOT};
    return frames_walk(&w, pcs, max, end);
}
