/*
 * Waits on condition variables: the mutex is given back inside, and taken again before they return.
 * The time between is no wait for a lock and no hold.
 *
 * glibc has two condition variables that do not fit together; each version of a hook calls its own
 * (exports.map). A thread that is cancelled in a wait has the mutex again before its clean-up
 * handlers run, ours first. This file is compiled without exceptions, so that such a handler needs
 * no unwinder library, which the host may not have.
 */
#include <errno.h>
#include <pthread.h>

#include "shim/lock_recorder.h"
#include "shim/real.h"
#include "shim/waits.h"

struct cond_wait {
    struct wait_span span;
    struct lock_pause pause;
};

static void cancelled(void *wait)
{
    struct cond_wait *w = wait;
    wait_end(&w->span);
    lock_pause_end(&w->pause, 0);
}

#define COND_HOOK(name, real_name, call, params, arguments)                                        \
    int name params;                                                                               \
    EXPORT int name params                                                                         \
    {                                                                                              \
        struct unwind_regs regs;                                                                   \
        struct cond_wait wait;                                                                     \
        volatile int error;                                                                        \
        uint32_t mode = lock_mode();                                                               \
        if (mode == PSHIM_OFF)                                                                     \
            return REAL_LOCK(real_name) arguments;                                                 \
        uint64_t now = lock_clock();                                                               \
        unwind_capture(&regs);                                                                     \
        if (mode == PSHIM_ON)                                                                      \
            lock_pause_begin(&wait.pause, m, call, &regs, LOCK_CALLER(), now);                     \
        else                                                                                       \
            wait.pause.active = false;                                                             \
        wait_begin(&wait.span, shim_tls.self, PSHIM_WAIT_IDLE);                                    \
        pthread_cleanup_push(cancelled, &wait);                                                    \
        error = real.real_name arguments;                                                          \
        pthread_cleanup_pop(0);                                                                    \
        wait_end(&wait.span);                                                                      \
        lock_pause_end(&wait.pause, error);                                                        \
        return error;                                                                              \
    }
#define VERSION(name, symbol) __asm__(".symver " #name ", " symbol);

COND_HOOK(cond_wait_hook, cond_wait, PSHIM_CALL_COND_WAIT, (pthread_cond_t * c, pthread_mutex_t *m),
          (c, m))
COND_HOOK(cond_wait_old_hook, cond_wait_old, PSHIM_CALL_COND_WAIT,
          (pthread_cond_t * c, pthread_mutex_t *m), (c, m))
COND_HOOK(cond_timedwait_hook, cond_timedwait, PSHIM_CALL_COND_TIMEDWAIT,
          (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *until), (c, m, until))
COND_HOOK(cond_timedwait_old_hook, cond_timedwait_old, PSHIM_CALL_COND_TIMEDWAIT,
          (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *until), (c, m, until))
COND_HOOK(pthread_cond_clockwait, pthread_cond_clockwait, PSHIM_CALL_COND_CLOCKWAIT,
          (pthread_cond_t * c, pthread_mutex_t *m, clockid_t clock, const struct timespec *until),
          (c, m, clock, until))

VERSION(cond_wait_hook, "pthread_cond_wait@@GLIBC_2.3.2")
VERSION(cond_wait_old_hook, "pthread_cond_wait@GLIBC_2.2.5")
VERSION(cond_timedwait_hook, "pthread_cond_timedwait@@GLIBC_2.3.2")
VERSION(cond_timedwait_old_hook, "pthread_cond_timedwait@GLIBC_2.2.5")
