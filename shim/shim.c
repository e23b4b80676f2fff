#include "shim/shim.h"

#include <signal.h>
#include <time.h>

#include "profile/sys.h"

static struct shim_control control_off;
struct shim_control *shim_control = &control_off;
struct shim_global shim;
__thread struct shim_tls shim_tls;

uint64_t shim_clock_ns(int clock)
{
    struct timespec t = {0, 0};
    sys_call2(SYS_clock_gettime, clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t shim_now_ns(void)
{
    return shim_clock_ns(CLOCK_MONOTONIC);
}

/* Is this a signal handler on an alternate stack that began while the guard was set elsewhere? */
static bool is_on_another_stack(uintptr_t sp)
{
    stack_t now = {.ss_flags = 0};
    sys_call2(SYS_sigaltstack, 0, &now);
    uintptr_t lo = (uintptr_t)now.ss_sp;
    return now.ss_flags & SS_ONSTACK && sp - lo < now.ss_size && shim_tls.guard - lo >= now.ss_size;
}

COLD bool guard_is_left(uintptr_t sp)
{
    const struct thread_state *ts = shim_tls.self;
    if (shim_tls.guard <= sp)
        return !is_on_another_stack(sp);
    if (!ts)
        return false;
    uintptr_t bytes = ts->stack.hi - ts->stack.lo;
    return sp - ts->stack.lo < bytes && shim_tls.guard - ts->stack.lo >= bytes;
}
