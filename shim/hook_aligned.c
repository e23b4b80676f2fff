/*
 * Hooks of the calls that allocate aligned blocks.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "shim/hook_alloc.h"
#include "shim/unwind.h"

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    if (unlikely(!tagging())) {
        if (resolved()) {
            if (!sample_reached(n))
                return real.posix_memalign(out, align, n);
            struct unwind_regs regs;
            int status = real.posix_memalign(out, align, n);
            unwind_capture(&regs);
            samples_new(status == 0 ? *out : NULL, n, &regs);
            return status;
        }
        *out = real_bootstrap_alloc(align, n);
        return *out ? 0 : ENOMEM;
    }
    bool has_tag = aligned_has_tag(align, n);
    uint64_t begun = timing_begin();
    int error = real.posix_memalign(out, align, has_tag ? n + tag_bytes : n);
    if (likely(error == 0 && *out != NULL)) {
        struct unwind_regs regs;
        unwind_capture(&regs);
        block_new_since(begun, *out, n, has_tag, &regs);
    }
    return error;
}

#define ALIGNED_HOOK(name)                                                                         \
    EXPORT void *name(size_t align, size_t n)                                                      \
    {                                                                                              \
        if (unlikely(!tagging())) {                                                                \
            if (!resolved())                                                                       \
                return real_bootstrap_alloc(align, n);                                             \
            if (!sample_reached(n))                                                                \
                return real.name(align, n);                                                        \
            SAMPLE(real.name(align, n), n);                                                        \
        }                                                                                          \
        bool has_tag = aligned_has_tag(align, n);                                                  \
        uint64_t begun = timing_begin();                                                           \
        void *p = real.name(align, has_tag ? n + tag_bytes : n);                                   \
        if (likely(p != NULL)) {                                                                   \
            struct unwind_regs regs;                                                               \
            unwind_capture(&regs);                                                                 \
            block_new_since(begun, p, n, has_tag, &regs);                                          \
        }                                                                                          \
        return p;                                                                                  \
    }
ALIGNED_HOOK(memalign)
ALIGNED_HOOK(aligned_alloc)

/* The allocator has no such function, and the C library's would be of another allocator. */
static COLD void *pages_alloc(size_t n, size_t rounded)
{
    void *p = rounded < n ? NULL : real.memalign(PSHIM_PAGE_BYTES, rounded);
    if (!p)
        errno = ENOMEM; /* which not every memalign says */
    return p;
}

/* valloc(n) = memalign(page, n); pvalloc also rounds n up to a page. */
#define PAGE_HOOK(name, round)                                                                     \
    EXPORT void *name(size_t n)                                                                    \
    {                                                                                              \
        if (unlikely(!resolved()))                                                                 \
            return real_bootstrap_alloc(PSHIM_PAGE_BYTES, n);                                      \
        void *p = real.name ? real.name(n) : pages_alloc(n, round);                                \
        if (likely(p != NULL && tagging())) {                                                      \
            struct unwind_regs regs;                                                               \
            unwind_capture(&regs);                                                                 \
            block_new(p, n, false, &regs);                                                         \
        } else if (p && sample_reached(n)) {                                                       \
            SAMPLE(p, n);                                                                          \
        }                                                                                          \
        return p;                                                                                  \
    }
PAGE_HOOK(valloc, n)
PAGE_HOOK(pvalloc, (n + PSHIM_PAGE_BYTES - 1) & ~(size_t)(PSHIM_PAGE_BYTES - 1))
