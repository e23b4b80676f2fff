#include "shim/shim.h"

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

COLD bool guard_is_left(uintptr_t sp)
{
    const struct thread_state *ts = shim_tls.self;
    if (!ts)
        return false;
    uintptr_t bytes = ts->stack.hi - ts->stack.lo;
    return sp - ts->stack.lo < bytes && shim_tls.guard - ts->stack.lo >= bytes;
}
