/*
 * Jumps out of functions. One out of a signal handler may leave a wait, whose hook never hears of
 * it: the moment is noted, for when the thread is found elsewhere (waits.h). Whether this jump does
 * is not asked; of a wait that goes on nobody asks for the moment.
 */
#include <setjmp.h>

#include "shim/lock_clock.h"
#include "shim/real.h"

void __longjmp_chk(struct __jmp_buf_tag to[1], int value) __attribute__((noreturn));

#define JUMP_HOOK(name)                                                                            \
    EXPORT void name(struct __jmp_buf_tag to[1], int value)                                        \
    {                                                                                              \
        struct thread_state *ts = shim_tls.self;                                                   \
        if (unlikely(ts && ts->waiting.what != PSHIM_WAIT_RUN))                                    \
            ts->waiting.left = lock_clock();                                                       \
        if (unlikely(!real.name))                                                                  \
            real_resolve();                                                                        \
        real.name(to, value);                                                                      \
        __builtin_unreachable();                                                                   \
    }

JUMP_HOOK(longjmp)
JUMP_HOOK(_longjmp)
JUMP_HOOK(siglongjmp)
JUMP_HOOK(__longjmp_chk)
