#include "shim/lock_clock.h"

#include <cpuid.h>
#include <sys/prctl.h>

#include "profile/sys.h"

bool lock_clock_is_tsc;

/* At one rate in all states of the processor, and not forbidden to this process. */
static bool tsc_is_usable(void)
{
    enum { leaf = 0x80000007, invariant = 1 << 8 };
    unsigned a, b, c, d;
    int mode = PR_TSC_SIGSEGV;
    if (!__get_cpuid(leaf, &a, &b, &c, &d) || !(d & invariant))
        return false;
    return sys_call2(SYS_prctl, PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE;
}

/* Both clocks at one moment: units are read before and after. */
static void clock_pair(uint64_t *units, uint64_t *ns)
{
    uint64_t before = lock_clock();
    uint64_t now = shim_now_ns();
    uint64_t after = lock_clock();
    __atomic_store_n(units, before + lock_clock_since(before, after) / 2, __ATOMIC_RELAXED);
    __atomic_store_n(ns, now, __ATOMIC_RELAXED);
}

void lock_clock_init(void)
{
    struct pshim_header *h = shim.profile.header;
    lock_clock_is_tsc = tsc_is_usable();
    clock_pair(&h->clock_first_units, &h->clock_first_ns);
}

void lock_clock_note(void)
{
    struct pshim_header *h = shim.profile.header;
    if (h->locks_mode != PSHIM_OFF)
        clock_pair(&h->clock_last_units, &h->clock_last_ns);
}
