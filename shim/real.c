#include "shim/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "shim/unwind.h"

struct real_table real;

/* Each block is preceded by its size. 128 KiB is far past what a loader or dlsym asks for; when it
   is used up the allocation fails as it would without memory. */
char real_bootstrap_arena[real_bootstrap_bytes] __attribute__((aligned(64)));
static size_t bootstrap_used;
static size_t bootstrap_blocks;

void *real_bootstrap_alloc(size_t align, size_t n)
{
    enum { header = 16 };
    if (align < header)
        align = header;
    if (n > real_bootstrap_bytes || align > real_bootstrap_bytes / 2)
        return NULL;
    size_t used = __atomic_load_n(&bootstrap_used, __ATOMIC_RELAXED);
    size_t at, end;
    do {
        at = (used + header + align - 1) & ~(align - 1);
        end = at + ((n + header - 1) & ~(size_t)(header - 1));
        if (end > real_bootstrap_bytes)
            return NULL;
    } while (!__atomic_compare_exchange_n(&bootstrap_used, &used, end, 0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    __atomic_fetch_add(&bootstrap_blocks, 1, __ATOMIC_RELAXED);
    memcpy(real_bootstrap_arena + at - sizeof n, &n, sizeof n);
    return real_bootstrap_arena + at;
}

size_t real_bootstrap_size(const void *p)
{
    size_t n;
    memcpy(&n, (const char *)p - sizeof n, sizeof n);
    return n;
}

size_t real_bootstrap_count(void)
{
    return __atomic_load_n(&bootstrap_blocks, __ATOMIC_RELAXED);
}

static struct unwind_module home; /* the library whose malloc is called */
static int foreign;               /* 1: the allocator's functions come from more than one library */

static int is_in(const struct unwind_module *m, uintptr_t address)
{
    return address >= m->start && address < m->end;
}

int real_is_allocators(const void *function)
{
    return is_in(&home, (uintptr_t)function);
}

/*
 * Is a block of this malloc one of glibc's own, whose malloc_usable_size may be asked about it? The
 * word before such a block is its chunk's size with three flags (malloc.c, "Chunks"). Only read
 * where it lies on the block's own page.
 */
static int block_is_glibcs(size_t n)
{
    enum { page = 4096, header = 8, align = 16, flags = 7 };
    int match = 0;
    char *p = real.malloc(n);
    if (p && (uintptr_t)p % page >= header) {
        size_t word;
        memcpy(&word, p - header, sizeof word);
        match = (word & ~(size_t)flags) == ((n + header + align - 1) & ~(size_t)(align - 1));
    }
    real.free(p);
    return match;
}

int real_is_mixed(void)
{
    struct unwind_module libc;
    if (!foreign)
        return 0;
    /* A library that only wraps malloc hands out the blocks of glibc. */
    if (unwind_module_find((uintptr_t)dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &libc) != 0 ||
        !is_in(&libc, (uintptr_t)real.malloc_usable_size))
        return 1;
    return !(block_is_glibcs(40) && block_is_glibcs(200) && block_is_glibcs(1000));
}

static void locks_resolve(void)
{
#define X(ret, name, params) real.name = (ret(*) params)dlsym(RTLD_NEXT, #name);
    FOREACH_LOCK(X)
#undef X
#define X(ret, name, symbol, version, params)                                                      \
    real.name = (ret(*) params)dlvsym(RTLD_NEXT, symbol, version);
    FOREACH_VERSIONED(X)
#undef X
}

static void io_resolve(void)
{
#define X(ret, name, params) real.name = (ret(*) params)dlsym(RTLD_NEXT, #name);
    FOREACH_EVENT(X)
#undef X
#define X(ret, name, params, arguments, call, bytes)                                               \
    real.name = (ret(*) params)dlsym(RTLD_NEXT, #name);
    FOREACH_IO(X)
    FOREACH_IDLE(X)
    FOREACH_SLEEP(X)
#undef X
#define X(name, params, arguments, call) real.name = (int(*) params)dlsym(RTLD_NEXT, #name);
    FOREACH_OPEN(X)
#undef X
}

bool real_resolve_io(void *const *slot)
{
    real_resolve();
    if (!__atomic_load_n(slot, __ATOMIC_RELAXED)) /* at work, further out: as for the locks */
        io_resolve();
    if (*slot)
        return true;
    errno = ENOSYS;
    return false;
}

void real_resolve_locks(void)
{
    if (real_resolve() != 0) /* at work: by another thread, or by ourselves further out */
        locks_resolve();
}

int real_resolve(void)
{
    static int state; /* 0 = not begun, 1 = at work, 2 = done, 3 = failed */
    int expected = 0;
    if (!__atomic_compare_exchange_n(&state, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
        return expected == 2 ? 0 : -1;
    int missing = 0;
    locks_resolve();
    io_resolve();
    /* malloc last: the hooks take a non-NULL real.malloc as "the table is complete" */
#define X(ret, name, params)                                                                       \
    if ((void *)&real.name != (void *)&real.malloc)                                                \
        real.name = (ret(*) params)dlsym(RTLD_NEXT, #name);
    FOREACH_WRAPPED(X)
#undef X
    void *(*next_malloc)(size_t) = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    missing = !next_malloc || unwind_module_find((uintptr_t)next_malloc, &home) != 0;
    if (missing)
        home = (struct unwind_module){0};
#define X(ret, name, params)                                                                       \
    if ((void *)&real.name != (void *)&real.malloc)                                                \
        missing += !real.name, foreign |= !is_in(&home, (uintptr_t)real.name);
    FOREACH_ALLOCATOR(X)
#undef X
#define X(ret, name, params)                                                                       \
    if (!is_in(&home, (uintptr_t)real.name))                                                       \
        real.name = NULL;
    FOREACH_OPTIONAL(X)
#undef X
    __atomic_store_n(&real.malloc, next_malloc, __ATOMIC_RELEASE);
    __atomic_store_n(&state, missing ? 3 : 2, __ATOMIC_RELEASE);
    return missing ? -1 : 0;
}
