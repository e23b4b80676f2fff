/*
 * A malloc that runs out on command: `scarce_left = n` lets n more calls of this thread succeed.
 *
 * Include it in the one source file of a test program: it defines malloc and its kin. SCARCE is 0
 * under sanitizers, which bring their own; tests skip then. scarce_live counts this process's
 * blocks.
 */
#ifndef PERFSHIM_TESTS_SCARCE_H
#define PERFSHIM_TESTS_SCARCE_H

#include <errno.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCARCE 0
#else
#define SCARCE 1
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);
#endif

static __thread long scarce_left = -1; /* -1 = no limit */
static long scarce_live __attribute__((unused));

#if SCARCE
static void *scarce_count(void *p)
{
    if (p)
        __atomic_add_fetch(&scarce_live, 1, __ATOMIC_RELAXED);
    return p;
}

static int scarce_out(void)
{
    if (scarce_left < 0 || scarce_left-- > 0)
        return 0;
    scarce_left = 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return scarce_out() ? NULL : scarce_count(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return scarce_out() ? NULL : scarce_count(__libc_calloc(n, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return scarce_out() ? NULL : scarce_count(__libc_memalign(alignment, size));
}

void *realloc(void *p, size_t size)
{
    if (scarce_out())
        return NULL;
    void *q = __libc_realloc(p, size);
    return p ? q : scarce_count(q);
}

void free(void *p)
{
    if (p)
        __atomic_sub_fetch(&scarce_live, 1, __ATOMIC_RELAXED);
    __libc_free(p);
}
#endif

#endif
