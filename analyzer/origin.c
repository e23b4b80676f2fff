#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/model_waits.h"
#include "analyzer/origin.h"

struct origins {
    uint32_t count;
    bool own[]; /* by module record: the program's own code */
};

/* The standards' names, and those of the functions that libc's lead to. */
static const char *const allocator_names[] = {
    "malloc",       "free",           "calloc",          "realloc",
    "reallocarray", "aligned_alloc",  "posix_memalign",  "memalign",
    "valloc",       "pvalloc",        "cfree",           "free_sized",
    "operator new", "operator new[]", "operator delete", "operator delete[]",
};
static const char *const memory_names[] = {
    "memcpy",    "memmove", "mempcpy", "memset", "memcmp", "memchr",         "memrchr",
    "rawmemchr", "memmem",  "bcopy",   "bzero",  "bcmp",   "explicit_bzero",
};
static const char *const unlock_names[] = {
    "pthread_mutex_unlock",
    "pthread_rwlock_unlock",
    "pthread_spin_unlock",
    "mtx_unlock",
};
static const char *const wake_names[] = {
    "pthread_cond_signal", "pthread_cond_broadcast", "cnd_signal", "cnd_broadcast", "sem_post",
};

static bool is_among(const char *name, const char *const *names, size_t count)
{
    size_t n = strcspn(name, "("); /* of a C++ name */
    for (size_t i = 0; i < count; i++)
        if (strncmp(name, names[i], n) == 0 && names[i][n] == '\0')
            return true;
    return false;
}
#define IS_AMONG(name, names) is_among(name, names, sizeof names / sizeof *names)

/* Waiting on a condition gives the lock back and takes it again. */
static bool takes_lock(uint32_t call)
{
    switch (call) {
    case PSHIM_CALL_COND_WAIT:
    case PSHIM_CALL_COND_TIMEDWAIT:
    case PSHIM_CALL_COND_CLOCKWAIT:
    case PSHIM_CALL_CND_WAIT:
    case PSHIM_CALL_CND_TIMEDWAIT:
        return true;
    default:
        return pshim_call_waits(call) == PSHIM_WAIT_LOCK;
    }
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Where libc has its symbols: the functions that those calls jump to. */
static bool does_lock(const char *name)
{
    static const char *const begin[] = {"pthread_mutex_lock", "pthread_mutex_unlock",
                                        "pthread_rwlock_unlock", "lll_"};
    const char *bare = name + strspn(name, "_");
    for (size_t i = 0; bare != name && i < sizeof begin / sizeof *begin; i++)
        if (starts_with(bare, begin[i]))
            return true;
    return false;
}

static bool is_lock_call(const char *name)
{
    for (uint32_t call = 0; call < PSHIM_CALL_COUNT; call++)
        if (takes_lock(call) && strcmp(name, model_call_name(call)) == 0)
            return true;
    return IS_AMONG(name, unlock_names) || does_lock(name);
}

static bool is_system_library(const char *path)
{
    return starts_with(path, "/lib") || starts_with(path, "/usr/lib");
}

struct origins *origins_new(struct reader *r)
{
    uint32_t count = reader_count(r, PSHIM_REGION_MODULE);
    struct origins *o = memory_new(1, sizeof *o + count * sizeof o->own[0]);
    o->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_module *m = reader_module(r, i);
        o->own[i] = m && !(m->flags & (PSHIM_MODULE_VDSO | PSHIM_MODULE_SHIM)) &&
                    (m->flags & PSHIM_MODULE_EXE ||
                     !is_system_library(profile_string(&r->profile, m->path)));
    }
    return o;
}

void origins_free(struct origins *o)
{
    free(o);
}

static bool is_libc(const char *module)
{
    return module && (starts_with(module, "libc.so") || starts_with(module, "ld-linux"));
}

static bool is_own(const struct origins *o, const struct frames *f, const struct frame *frame)
{
    const struct function *fn = frames_function(f, frame->function);
    return fn->module && frame->module < o->count && o->own[frame->module] && !fn->runtime;
}

/* Index of the frame that answers; depth if only libc and the C++ runtime are there. */
static unsigned answer_find(const struct origins *o, const struct frames *f,
                            const struct frame *const *stack, unsigned depth, bool *own)
{
    unsigned other = depth;
    for (unsigned i = 0; i < depth; i++) {
        const struct function *fn = frames_function(f, stack[i]->function);
        *own = is_own(o, f, stack[i]);
        if (*own)
            return i;
        if (other == depth && fn->module && !fn->runtime && !is_libc(fn->module) &&
            fn->module[0] != '[')
            other = i;
    }
    return other;
}

/* The frames inside of the one that answers: [0, count), leaf first. */
static enum origin_service service_find(const struct frames *f, const struct frame *const *stack,
                                        unsigned count)
{
    bool memory = count > 0;
    for (unsigned i = count; i-- > 0;) {
        const struct function *fn = frames_function(f, stack[i]->function);
        if (IS_AMONG(fn->name, allocator_names))
            return ORIGIN_ALLOCATOR;
        if (is_libc(fn->module) && is_lock_call(fn->name))
            return ORIGIN_LOCK;
        if (is_libc(fn->module) && IS_AMONG(fn->name, wake_names))
            return ORIGIN_WAKE;
        memory =
            memory && (fn->runtime || (is_libc(fn->module) && IS_AMONG(fn->name, memory_names)));
    }
    /* The runtime's own copying has no frame of libc's below it. */
    return memory && is_libc(frames_function(f, stack[0]->function)->module) ? ORIGIN_MEMORY
                                                                             : ORIGIN_ITSELF;
}

struct origin origin_find(const struct origins *o, const struct frames *f,
                          const struct frame *const *stack, unsigned depth)
{
    struct origin found = {.leaf = stack[0], .frame = stack[0]};
    const struct function *leaf = frames_function(f, stack[0]->function);
    if (!leaf->module && leaf->name[0] == '[') {
        found.service = ORIGIN_NOBODY;
        return found;
    }
    unsigned at = answer_find(o, f, stack, depth, &found.own);
    found.service = service_find(f, stack, at);
    if (at < depth) {
        found.frame = stack[at];
        found.callee = at ? stack[at - 1] : NULL;
    }
    return found;
}
