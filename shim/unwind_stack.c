/* Stacks found by looking: see unwind_stack.h. */
#include "shim/unwind_stack.h"

#include <errno.h>
#include <sys/uio.h>

#include "profile/sys.h"

enum {
    page_bits = 12,
    page_bytes = 1 << page_bits,
    pages_max = 32,
    red_zone_bytes = 128, /* below sp, which may lie at the start of its page */
    probes = 8,           /* in one call */
    slot_bits = 14,
    slots = 1 << slot_bits,
    reach_bits = 8,
    below = 1 << 7,
    generation_bits = 20,
};

/*
 * What is known of a page: its number 36 | generation 20 | the page below can be read 1 | pages
 * from it on that can 7. A slot is overwritten by the next page that falls into it.
 */
static uint64_t known[slots];
static uint64_t generation; /* atomic */
static int denied;          /* atomic: this process may not ask */

static uint64_t key_of(uintptr_t page, uint64_t now)
{
    return page << (generation_bits + reach_bits) | (now & ((1u << generation_bits) - 1))
                                                        << reach_bits;
}

/* How many of `pages` pages at `at` can be read, up to the first that cannot. */
static unsigned pages_readable(uintptr_t at, unsigned pages)
{
    struct iovec remote[pages_max];
    char bytes[pages_max];
    struct iovec local = {bytes, sizeof bytes};
    for (unsigned i = 0; i < pages; i++)
        remote[i] = (struct iovec){(void *)(at + (uintptr_t)i * page_bytes), 1};
    long got = sys_call6(SYS_process_vm_readv, sys_call0(SYS_getpid), (long)&local, 1, (long)remote,
                         pages, 0);
    if (got == -ENOSYS || got == -EPERM)
        __atomic_store_n(&denied, 1, __ATOMIC_RELAXED);
    return got > 0 ? (unsigned)got : 0;
}

static __attribute__((noinline)) unsigned reach_find(uintptr_t start)
{
    unsigned reach = pages_readable(start, pages_max);
    return reach && pages_readable(start - page_bytes, 1) ? reach | below : reach;
}

int unwind_stack_find(uintptr_t sp, struct unwind_range *out)
{
    uintptr_t page = sp >> page_bits, start = page << page_bits;
    uint64_t now = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
    uint64_t key = key_of(page, now);
    uint64_t *slot = &known[page * UINT64_C(0x9e3779b97f4a7c15) >> (64 - slot_bits)];
    uint64_t word = __atomic_load_n(slot, __ATOMIC_RELAXED);
    unsigned reach = word & ((1u << reach_bits) - 1);

    if (sp % 8 || !page || sp >> 47) /* no user's stack is there */
        return -1;
    if (word >> reach_bits != key >> reach_bits) {
        if (__atomic_load_n(&denied, __ATOMIC_RELAXED) || (reach = reach_find(start)) == 0)
            return -1;
        __atomic_store_n(slot, key | reach, __ATOMIC_RELAXED);
    }
    *out = (struct unwind_range){reach & below ? start - red_zone_bytes : start,
                                 start + (uintptr_t)(reach & ~(unsigned)below) * page_bytes};
    return 0;
}

void unwind_stacks_forget(void)
{
    __atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
}
