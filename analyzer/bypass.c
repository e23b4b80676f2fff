#include "analyzer/bypass.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/elf_file.h"
#include "analyzer/elf_syscalls.h"
#include "analyzer/json_write.h"
#include "analyzer/memory.h"

enum { modules_most = 4096 }; /* that are looked at: a file may name any number */

/* libc's own, old versions too: their calls are what the hooks are for. */
static bool is_libc(const char *path)
{
    static const char *const names[] = {"libc.so.", "libc-2.", "ld-linux", "ld-2.", "libpthread"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* CPU time by module, once for each stack that it stands in. */
static int64_t *times_gather(const struct model *m, struct frames *f, uint32_t modules)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    int64_t *cpu_ns = memory_new(modules, sizeof *cpu_ns);
    size_t *last = memory_new(modules, sizeof *last); /* sample + 1 that was added there */
    for (size_t i = 0; i < m->sample_count; i++) {
        int64_t ns = m->samples[i].m.v[METRIC_CPU_NS];
        unsigned depth = ns > 0 ? frames_stack(f, m->samples[i].node, stack) : 0;
        for (unsigned k = 0; k < depth; k++) {
            uint32_t module = stack[k]->module;
            if (module >= modules || last[module] == i + 1)
                continue;
            last[module] = i + 1;
            cpu_ns[module] = metric_sum(cpu_ns[module], ns);
        }
    }
    free(last);
    return cpu_ns;
}

/* Two threads may have recorded one module twice: the time of all goes to the first. */
static bool is_first(const struct model *m, uint32_t module, const char *path, int64_t *cpu_ns)
{
    for (uint32_t i = PSHIM_MODULE_ANON + 1; i < module; i++) {
        const struct pshim_module *other = reader_module(m->reader, i);
        if (!other || strcmp(profile_string(&m->reader->profile, other->path), path) != 0)
            continue;
        cpu_ns[i] = metric_sum(cpu_ns[i], cpu_ns[module]);
        return false;
    }
    return true;
}

static void module_look(struct bypass *b, const struct pshim_module *module, const char *path,
                        int64_t cpu_ns)
{
    struct elf_file file = {0};
    size_t id_bytes =
        module->build_id_bytes < PSHIM_BUILD_ID_MAX ? module->build_id_bytes : PSHIM_BUILD_ID_MAX;
    int fd = elf_file_open(path);
    bool good = fd >= 0 && !elf_file_map(&file, fd, module->build_id, id_bytes);
    size_t calls = good ? elf_syscalls(&file.image) : 0;
    b->unread += !good;
    elf_file_unmap(&file);
    if (fd >= 0)
        close(fd);
    if (!calls)
        return;
    memory_grow((void **)&b->items, &b->room, b->count, sizeof *b->items);
    b->items[b->count++] = (struct bypass_module){path, calls, cpu_ns};
}

static int modules_compare(const void *a, const void *b)
{
    const struct bypass_module *x = a, *y = b;
    if (x->cpu_ns != y->cpu_ns)
        return x->cpu_ns < y->cpu_ns ? 1 : -1;
    if (x->calls != y->calls)
        return x->calls < y->calls ? 1 : -1;
    return strcmp(x->path, y->path);
}

static double thread_share(const struct model_thread *t)
{
    return (double)t->ledger.v[LEDGER_UNEXPLAINED] / (double)t->ledger.wall_ns;
}

/* Has one thread, if not all together, more of it than may be? */
static bool threads_look(struct bypass *b, const struct model *m)
{
    bool more = b->share > BYPASS_SHARE;
    for (size_t i = 0; i < m->threads_kept; i++) {
        const struct model_thread *t = &m->threads[i];
        if (!ledger_has(&t->ledger, LEDGER_UNEXPLAINED) || t->ledger.v[LEDGER_UNEXPLAINED] <= 0 ||
            t->ledger.wall_ns <= 0)
            continue;
        more |= (double)t->ledger.wall_ns >= BYPASS_LIFE * (double)m->wall_ns &&
                thread_share(t) > BYPASS_SHARE;
        if (!b->thread || t->ledger.v[LEDGER_UNEXPLAINED] > b->thread->ledger.v[LEDGER_UNEXPLAINED])
            b->thread = t;
    }
    return more;
}

void bypass_build(struct bypass *b, const struct model *m, struct frames *f)
{
    const struct ledger *l = &m->ledger;
    *b = (struct bypass){.known = ledger_has(l, LEDGER_UNEXPLAINED) && l->wall_ns > 0};
    if (!b->known)
        return;
    b->share = (double)l->v[LEDGER_UNEXPLAINED] / (double)l->wall_ns;
    b->asked = threads_look(b, m);
    if (!b->asked)
        return;
    uint32_t modules = reader_count(m->reader, PSHIM_REGION_MODULE);
    int64_t *cpu_ns = times_gather(m, f, modules);
    modules = modules < modules_most ? modules : modules_most;
    b->made_code = modules > PSHIM_MODULE_ANON && cpu_ns[PSHIM_MODULE_ANON] > 0;
    for (uint32_t i = modules; i-- > PSHIM_MODULE_ANON + 1;) { /* the first one of a path last */
        const struct pshim_module *module = reader_module(m->reader, i);
        const char *path = module ? profile_string(&m->reader->profile, module->path) : "";
        if (*path && !is_libc(path) && !(module->flags & (PSHIM_MODULE_SHIM | PSHIM_MODULE_VDSO)) &&
            is_first(m, i, path, cpu_ns))
            module_look(b, module, path, cpu_ns[i]);
    }
    free(cpu_ns);
    if (b->count)
        qsort(b->items, b->count, sizeof *b->items, modules_compare);
}

void bypass_release(struct bypass *b)
{
    free(b->items);
    *b = (struct bypass){0};
}

void bypass_json(struct json *j, const struct model *m, struct frames *f)
{
    struct bypass b;
    bypass_build(&b, m, f);
    if (!b.known) {
        json_put_null(j, "bypass");
        return;
    }
    json_begin(j, "bypass", '{');
    json_put_real(j, "share", b.share);
    if (b.asked) {
        json_begin(j, "modules", '[');
        for (size_t i = 0; i < b.count; i++) {
            json_begin(j, NULL, '{');
            json_put_string(j, "module", b.items[i].path);
            json_put_int(j, "system_calls", (int64_t)b.items[i].calls);
            json_put_int(j, "cpu_ns", b.items[i].cpu_ns);
            json_end(j);
        }
        json_end(j);
    } else {
        json_put_null(j, "modules");
    }
    json_end(j);
    bypass_release(&b);
}
