/*
 * mmap, munmap, mremap of the program's own: anonymous mappings of map_least bytes or more are
 * counted at the stack that makes them, as a kind of their own (PSHIM_KIND_MAP).
 *
 * Not counted: what libc maps inside itself (its malloc, thread stacks, the loader), which does not
 * pass here; what the allocator's library maps (told by the return address), whose blocks are
 * counted already; and address space that is only reserved (PROT_NONE), which is summed up apart.
 *
 * Each hook is pass-through when off: before the constructor, in a forked child, without
 * allocations recorded. Until the real function is known it is the raw system call.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "profile/sys.h"
#include "shim/maps.h"
#include "shim/nodes.h"
#include "shim/real.h"
#include "shim/recorder.h"
#include "shim/thread.h"
#include "shim/unwind_stack.h"

enum { map_least = 64 * 1024 };

/* Written so that the hook itself needs no frame to pass through. */
#define APART __attribute__((noinline))

static size_t page_ceil(size_t n)
{
    return (n + PSHIM_PAGE_BYTES - 1) & -(size_t)PSHIM_PAGE_BYTES;
}

HOT_INLINE bool maps_on(void)
{
    return __atomic_load_n(&shim_control->maps, __ATOMIC_RELAXED);
}

static void *result_of(long r)
{
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        return MAP_FAILED;
    }
    return (void *)r;
}

static void *real_mmap(void *address, size_t n, int prot, int flags, int fd, off_t offset)
{
    if (likely(real.mmap != NULL))
        return real.mmap(address, n, prot, flags, fd, offset);
    return result_of(sys_call6(SYS_mmap, (long)address, (long)n, prot, flags, fd, offset));
}

/* A mapping [p, p + n) is there. regs: of the hook. */
static void map_book(void *p, size_t n, const struct unwind_regs *regs)
{
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return;
    }
    struct thread_state *ts = thread_self();
    uint32_t node = 0;
    if (likely(ts != NULL) && shim_control->recording) {
        node = recorder_stack(ts, regs);
        struct pshim_account *a = account_get(ts->recorder, PSHIM_KIND_MAP, node);
        if (maps_add((uintptr_t)p, n, a->node)) {
            counter_add(&a->counter[PSHIM_MAP_CALLS], 1, account_is_shared(a));
            counter_add(&a->counter[PSHIM_MAP_BYTES], page_ceil(n), account_is_shared(a));
        }
    }
    guard_leave(ts, node);
}

static void piece_gone(void *context, uint32_t node, uint64_t bytes, bool whole)
{
    struct thread_state *ts = context;
    if (unlikely(!ts))
        return;
    struct pshim_account *a = account_get(ts->recorder, PSHIM_KIND_MAP, node);
    counter_add(&a->counter[PSHIM_MAP_FREE_BYTES], bytes, account_is_shared(a));
    counter_add(&a->counter[PSHIM_MAP_FREE_CALLS], whole, account_is_shared(a));
}

static void unmap_book(const struct maps_taken *taken, bool done)
{
    if (!taken->count)
        return;
    bool entered = guard_enter();
    struct thread_state *ts = entered ? thread_self() : NULL;
    if (!entered)
        shim_lost(PSHIM_LOSS_recursion);
    maps_settle(taken, done, piece_gone, ts);
    if (entered)
        guard_leave(ts, 0);
}

static bool is_new(size_t n, int prot, int flags)
{
    return (flags & MAP_ANONYMOUS) && n >= map_least && prot != PROT_NONE;
}

static APART void *map_counted(void *address, size_t n, int prot, int flags, int fd, off_t offset,
                               const void *caller, const struct unwind_regs *regs)
{
    struct maps_taken taken = {.count = 0};
    if (real_is_allocators(caller))
        return real_mmap(address, n, prot, flags, fd, offset);
    if ((flags & MAP_FIXED) && !maps_empty())
        maps_take(&taken, (uintptr_t)address, n);
    void *p = real_mmap(address, n, prot, flags, fd, offset);
    unmap_book(&taken, p != MAP_FAILED);
    if (p == MAP_FAILED)
        return p;
    unwind_stacks_forget(); /* it may be the stack of a coroutine, where a longer one was */
    if (is_new(n, prot, flags))
        map_book(p, n, regs);
    else if ((flags & MAP_ANONYMOUS) && prot == PROT_NONE)
        __atomic_fetch_add(&shim.profile.header->reserved_bytes, n, __ATOMIC_RELAXED);
    return p;
}

#define MMAP_HOOK(name)                                                                            \
    EXPORT void *name(void *address, size_t n, int prot, int flags, int fd, off_t offset)          \
    {                                                                                              \
        if (likely(!maps_on() || !(flags & (MAP_ANONYMOUS | MAP_FIXED))))                          \
            return real_mmap(address, n, prot, flags, fd, offset);                                 \
        struct unwind_regs regs;                                                                   \
        unwind_capture(&regs);                                                                     \
        return map_counted(address, n, prot, flags, fd, offset, __builtin_return_address(0),       \
                           &regs);                                                                 \
    }
MMAP_HOOK(mmap)
MMAP_HOOK(mmap64)

static APART int real_munmap(void *address, size_t n)
{
    if (likely(real.munmap != NULL))
        return real.munmap(address, n);
    return result_of(sys_call2(SYS_munmap, address, n)) == MAP_FAILED ? -1 : 0;
}

static APART int unmap_counted(void *address, size_t n)
{
    struct maps_taken taken;
    maps_take(&taken, (uintptr_t)address, n);
    int result = real_munmap(address, n);
    unmap_book(&taken, result == 0);
    return result;
}

EXPORT int munmap(void *address, size_t n)
{
    if (likely(!maps_on() || maps_empty()))
        return real_munmap(address, n);
    return unmap_counted(address, n);
}

static void *real_mremap(void *old, size_t had, size_t n, int flags, void *to)
{
    if (likely(real.mremap != NULL))
        return real.mremap(old, had, n, flags, to);
    return result_of(sys_call6(SYS_mremap, (long)old, (long)had, (long)n, flags, (long)to, 0));
}

/*
 * A mapping that moves or grows is given back and made anew, here; one that shrinks in place loses
 * its end. Only what was counted, and from its beginning: mremap takes one mapping at a time.
 */
static APART void *remap_counted(void *old, size_t had, size_t n, int flags, void *to,
                                 const struct unwind_regs *regs)
{
    struct maps_taken taken, target = {.count = 0};
    bool shrinks = n < had && !(flags & MREMAP_FIXED);
    size_t kept = shrinks ? page_ceil(n) : 0; /* the kernel unmaps the end, and moves nothing */
    maps_take(&taken, (uintptr_t)old + kept, page_ceil(had) - kept);
    if (flags & MREMAP_FIXED)
        maps_take(&target, (uintptr_t)to, n);
    void *p = real_mremap(old, had, n, flags, to);
    bool stays = p != MAP_FAILED && p == old && n == had;
    bool counted = taken.count != 0 && !shrinks;
    unmap_book(&target, p != MAP_FAILED);
    unmap_book(&taken, p != MAP_FAILED && !stays && !(flags & MREMAP_DONTUNMAP));
    if (p != MAP_FAILED && counted && !stays && n >= map_least)
        map_book(p, n, regs);
    return p;
}

EXPORT void *mremap(void *old, size_t had, size_t n, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    void *to = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
    va_end(args);
    if (likely(!maps_on() || maps_empty()))
        return real_mremap(old, had, n, flags, to);
    struct unwind_regs regs;
    unwind_capture(&regs);
    return remap_counted(old, had, n, flags, to, &regs);
}
