/*
 * operator new and delete in every form, and jemalloc's frees (dallocx, sdallocx).
 *
 * libstdc++'s operators come to malloc and free, whose hooks book them: they are passed through,
 * each form to the same form, since a program may replace some and the others call those. An
 * allocator that has operators of its own does not come to our malloc, or in some forms only; which
 * ones is found out by trying, and those are booked here.
 *
 * A sized free ends in the unsized one wherever the allocator does it itself: a block may be larger
 * than was asked for, by the tag, and an allocator that is told the wrong size puts the block where
 * it does not belong. That holds when nothing is recorded, too: a forked child has tagged blocks.
 *
 * Exceptions of the real operator new pass through our frames, so nothing may be held there.
 */
#include <malloc.h>
#include <stdlib.h>

#include "shim/hook_alloc.h"
#include "shim/symbols.h"

/*
 * C++'s operators by their mangled names, and jemalloc's frees. Each may be absent.
 *   FOREACH_NEW(X)     X(name, parameters, arguments, alignment)
 *   FOREACH_DELETE(X)  X(name, parameters, arguments)
 *   FOREACH_SIZED(X)   X(name, parameters, arguments, the unsized form, its arguments)
 */
#define FOREACH_NEW(X)                                                                             \
    X(_Znwm, (size_t n), (n), 1)                                                                   \
    X(_Znam, (size_t n), (n), 1)                                                                   \
    X(_ZnwmRKSt9nothrow_t, (size_t n, const void *t), (n, t), 1)                                   \
    X(_ZnamRKSt9nothrow_t, (size_t n, const void *t), (n, t), 1)                                   \
    X(_ZnwmSt11align_val_t, (size_t n, size_t align), (n, align), align)                           \
    X(_ZnamSt11align_val_t, (size_t n, size_t align), (n, align), align)                           \
    X(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *t), (n, align, t),  \
      align)                                                                                       \
    X(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *t), (n, align, t),  \
      align)
#define FOREACH_DELETE(X)                                                                          \
    X(_ZdlPv, (void *p), (p))                                                                      \
    X(_ZdaPv, (void *p), (p))                                                                      \
    X(_ZdlPvRKSt9nothrow_t, (void *p, const void *t), (p, t))                                      \
    X(_ZdaPvRKSt9nothrow_t, (void *p, const void *t), (p, t))                                      \
    X(_ZdlPvSt11align_val_t, (void *p, size_t align), (p, align))                                  \
    X(_ZdaPvSt11align_val_t, (void *p, size_t align), (p, align))                                  \
    X(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *t), (p, align, t))  \
    X(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *t), (p, align, t))  \
    X(dallocx, (void *p, int flags), (p, flags))
#define FOREACH_SIZED(X)                                                                           \
    X(_ZdlPvm, (void *p, size_t n), (p, n), _ZdlPv, (p))                                           \
    X(_ZdaPvm, (void *p, size_t n), (p, n), _ZdaPv, (p))                                           \
    X(_ZdlPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align),                    \
      _ZdlPvSt11align_val_t, (p, align))                                                           \
    X(_ZdaPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align),                    \
      _ZdaPvSt11align_val_t, (p, align))                                                           \
    X(sdallocx, (void *p, size_t n, int flags), (p, n, flags), dallocx, (p, flags))

struct forms {
#define X(name, params, ...) void *(*name)params;
    FOREACH_NEW(X)
#undef X
#define X(name, params, ...) void(*name) params;
    FOREACH_DELETE(X)
    FOREACH_SIZED(X)
#undef X
};

static struct forms next; /* the real ones; NULL: there is none */
/* Where each hook goes: there, or to its twin below; NULL: to what malloc.h has. */
static struct forms go;

/* ---- new ---- */

#define X(name, params, args, align)                                                               \
    static void *name##_booked params                                                              \
    {                                                                                              \
        if (unlikely(!tagging())) {                                                                \
            if (!sample_reached(n))                                                                \
                return next.name args;                                                             \
            SAMPLE(next.name args, n);                                                             \
        }                                                                                          \
        size_t asked = n;                                                                          \
        bool has_tag = aligned_has_tag(align, n);                                                  \
        n = has_tag ? n + tag_bytes : n;                                                           \
        uint64_t begun = timing_begin();                                                           \
        void *p = next.name args;                                                                  \
        if (likely(p != NULL)) {                                                                   \
            struct unwind_regs regs;                                                               \
            unwind_capture(&regs);                                                                 \
            block_new_since(begun, p, asked, has_tag, &regs);                                      \
        }                                                                                          \
        return p;                                                                                  \
    }
FOREACH_NEW(X)
#undef X

/* Nothing could throw or call a new_handler without a C++ runtime: what malloc says must do. */
static COLD void *new_without_runtime(size_t align, size_t n)
{
    return align > _Alignof(max_align_t) ? memalign(align, n) : malloc(n ? n : 1);
}

#define X(name, params, args, align)                                                               \
    EXPORT void *name params;                                                                      \
    EXPORT void *name params                                                                       \
    {                                                                                              \
        return likely(go.name != NULL) ? go.name args : new_without_runtime(align, n);             \
    }
FOREACH_NEW(X)
#undef X

/* ---- delete, dallocx, and the sized ones ---- */

static __attribute__((noinline)) void free_book(void *p)
{
    if (unlikely(!p))
        return;
    if (likely(tagging()))
        block_gone(p);
    else
        sample_gone(p);
}

#define X(name, params, args)                                                                      \
    static void name##_booked params                                                               \
    {                                                                                              \
        free_book(p);                                                                              \
        next.name args;                                                                            \
    }
FOREACH_DELETE(X)
#undef X

#define X(name, params, args, unsized, unsized_args)                                               \
    static void name##_unsized params                                                              \
    {                                                                                              \
        (void)n;                                                                                   \
        go.unsized unsized_args;                                                                   \
    }
FOREACH_SIZED(X)
#undef X

#define X(name, params, args, ...)                                                                 \
    EXPORT void name params;                                                                       \
    EXPORT void name params                                                                        \
    {                                                                                              \
        if (likely(go.name != NULL))                                                               \
            go.name args;                                                                          \
        else                                                                                       \
            free(p);                                                                               \
    }
FOREACH_DELETE(X)
FOREACH_SIZED(X)
#undef X

/* ---- set-up ---- */

/*
 * What has no real function must not be found here either: in a C program a plug-in's operator new
 * is the one that it brings, and one that looks for sdallocx must hear that there is no jemalloc.
 */
void hook_new_init(void)
{
#define X(name, ...)                                                                               \
    *(void **)&next.name = symbol_next(#name);                                                     \
    go.name = next.name;                                                                           \
    if (!next.name)                                                                                \
        symbol_hide(#name);
    FOREACH_NEW(X)
    FOREACH_DELETE(X)
    FOREACH_SIZED(X)
#undef X
    /* Somebody else's sized form is passed through as it is: libstdc++'s calls the unsized one. */
#define X(name, params, args, unsized, unsized_args)                                               \
    if (!next.name || real_is_allocators((void *)next.name))                                       \
        go.name = next.unsized ? name##_unsized : NULL;
    FOREACH_SIZED(X)
#undef X
}

/*
 * Each form of the allocator's is called once in sampled mode, with a sample that is never reached:
 * our malloc, whichever of its functions is called, counts the distance down; our free forgets
 * which block was sampled last. So neither the chance that a word looks like a tag nor a count is
 * in this.
 */
void hook_new_probe(void)
{
    static const char nothrow;
    const void *t = &nothrow;
    struct sampler *s = &shim_tls.sampler, kept = *s;
    size_t n = 40, align = 64;
    int flags = 0;
    void *p;
    p = real.malloc(n);
    if (p) /* the first of tcmalloc's allocates: not while we are at work */
        (void)real.malloc_usable_size(p);
    real.free(p);
    *s = (struct sampler){.left = INT64_MAX, .random = 1};
    __atomic_store_n(&shim_control->sampling, 1, __ATOMIC_RELEASE);
#define X(name, params, args, ...)                                                                 \
    if (next.name && real_is_allocators((void *)next.name)) {                                      \
        uint64_t left = s->left;                                                                   \
        p = next.name args;                                                                        \
        if (p && s->left == left)                                                                  \
            go.name = name##_booked;                                                               \
        real.free(p);                                                                              \
    }
    FOREACH_NEW(X)
#undef X
#define X(name, params, args)                                                                      \
    if (next.name && real_is_allocators((void *)next.name) &&                                      \
        (p = real.memalign(align, n)) != NULL) {                                                   \
        s->last = p;                                                                               \
        next.name args;                                                                            \
        if (s->last)                                                                               \
            go.name = name##_booked;                                                               \
    }
    FOREACH_DELETE(X)
#undef X
    __atomic_store_n(&shim_control->sampling, 0, __ATOMIC_RELEASE);
    *s = kept;
}
