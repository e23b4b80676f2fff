#include "shim/lock_clock.h"

#include <cpuid.h>
#include <sys/prctl.h>

#include "profile/sys.h"

bool lock_clock_is_tsc;
uint64_t lock_clock_reading;

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

/*
 * Both clocks at one moment: units are read before and after. Whoever is interrupted between them
 * reads two moments; of a few tries the closest counts.
 */
static void clock_pair(uint64_t *units, uint64_t *ns)
{
    enum { tries = 3, close_units = 2000 };
    uint64_t best_units = 0, best_ns = 0, closest = UINT64_MAX;
    for (int i = 0; i < tries && closest > close_units; i++) {
        uint64_t before = lock_clock();
        uint64_t now = shim_now_ns();
        uint64_t apart = lock_clock_since(before, lock_clock());
        if (apart >= closest)
            continue;
        closest = apart;
        best_units = before + apart / 2;
        best_ns = now;
    }
    __atomic_store_n(units, best_units, __ATOMIC_RELAXED);
    __atomic_store_n(ns, best_ns, __ATOMIC_RELAXED);
}

static uint64_t reading_measure(void)
{
    enum { tries = 64 };
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < tries; i++) {
        uint64_t before = lock_clock_in_order();
        uint64_t apart = lock_clock_since(before, lock_clock_in_order());
        least = apart < least ? apart : least;
    }
    return least;
}

uint64_t lock_clock_units(uint64_t ns)
{
    const struct pshim_header *h = shim.profile.header;
    uint64_t span_ns = lock_clock_since(h->clock_first_ns, pshim_load(&h->clock_last_ns));
    uint64_t span = lock_clock_since(h->clock_first_units, pshim_load(&h->clock_last_units));
    return span_ns ? (uint64_t)((unsigned __int128)ns * span / span_ns) : 0;
}

void lock_clock_init(void)
{
    struct pshim_header *h = shim.profile.header;
    lock_clock_is_tsc = tsc_is_usable();
    lock_clock_reading = reading_measure();
    clock_pair(&h->clock_first_units, &h->clock_first_ns);
}

void lock_clock_note(void)
{
    struct pshim_header *h = shim.profile.header;
    if (h->locks_mode != PSHIM_OFF || h->io_mode == PSHIM_ON || h->alloc_mode == PSHIM_ALLOC_EXACT)
        clock_pair(&h->clock_last_units, &h->clock_last_ns);
}
