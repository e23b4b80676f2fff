/* build: -shared -fPIC */
/*
 * A library that also wraps the allocator, as many preloaded tools do: it looks the next functions
 * up by dlsym when it is first called, serves calloc from a small arena meanwhile, and passes on.
 * Preloaded after the profiler it is the profiler's "real" allocator; before it, its client.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char arena[65536];
static size_t arena_used;
static int looking;

static void *arena_alloc(size_t n)
{
    size_t at = __atomic_fetch_add(&arena_used, (n + 15) & ~(size_t)15, __ATOMIC_RELAXED);
    return at + n <= sizeof arena ? arena + at : NULL;
}

static int in_arena(const void *p)
{
    return (const char *)p >= arena && (const char *)p < arena + sizeof arena;
}

static void *next(const char *name)
{
    looking++;
    void *found = dlsym(RTLD_NEXT, name);
    looking--;
    return found;
}

void *malloc(size_t n)
{
    static void *(*real)(size_t);
    if (!real) {
        if (looking)
            return arena_alloc(n);
        real = (void *(*)(size_t))next("malloc");
    }
    return real(n);
}

void *calloc(size_t n, size_t each)
{
    static void *(*real)(size_t, size_t);
    if (!real) {
        if (looking)
            return arena_alloc(n * each);
        real = (void *(*)(size_t, size_t))next("calloc");
    }
    return real(n, each);
}

void *realloc(void *p, size_t n)
{
    static void *(*real)(void *, size_t);
    if (!real)
        real = (void *(*)(void *, size_t))next("realloc");
    if (!in_arena(p))
        return real(p, n);
    void *moved = malloc(n);
    if (moved)
        memcpy(moved, p,
               n < (size_t)(arena + sizeof arena - (char *)p)
                   ? n
                   : (size_t)(arena + sizeof arena - (char *)p));
    return moved;
}

void free(void *p)
{
    static void (*real)(void *);
    if (in_arena(p))
        return;
    if (!real)
        real = (void (*)(void *))next("free");
    real(p);
}
