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
#include <threads.h>

#include "shim/hook_lock.h"
#include "shim/pass_recorder.h"

struct cond_wait {
    struct wait_span span;
    struct lock_pause pause;
    struct unwind_regs regs;
    struct lock_caller caller;
    const void *cond;
    enum pshim_call call;
};

/* The wait has ended with this code of the pthread functions. */
static void cond_wait_end(struct cond_wait *w, int error)
{
    uint64_t took = wait_end(&w->span);
    if (error == 0 || error == ETIMEDOUT || error == EOWNERDEAD)
        pass_waited(w->cond, (struct lock_call){PSHIM_LOCK_COND, w->call}, &w->regs, took,
                    w->span.ticks, error != ETIMEDOUT);
    lock_pause_end(&w->pause, error);
}

static void cancelled(void *wait)
{
    cond_wait_end(wait, 0);
}

/* `code_of` makes the pthread functions' codes of the real call's. */
#define COND_HOOK(name, real_name, call_, params, arguments, code_of)                              \
    int name params;                                                                               \
    EXPORT int name params                                                                         \
    {                                                                                              \
        struct cond_wait wait = {.cond = c, .call = call_, .caller = LOCK_CALLER()};               \
        volatile int error;                                                                        \
        uint32_t mode = lock_mode();                                                               \
        if (mode == PSHIM_OFF)                                                                     \
            return REAL_LOCK(real_name) arguments;                                                 \
        uint64_t now = lock_clock();                                                               \
        unwind_capture(&wait.regs);                                                                \
        if (mode == PSHIM_ON)                                                                      \
            lock_pause_begin(&wait.pause, (pthread_mutex_t *)m, call_, &wait.regs, wait.caller,    \
                             now);                                                                 \
        wait_begin(&wait.span, shim_tls.self, PSHIM_WAIT_IDLE);                                    \
        pthread_cleanup_push(cancelled, &wait);                                                    \
        error = real.real_name arguments;                                                          \
        pthread_cleanup_pop(0);                                                                    \
        cond_wait_end(&wait, code_of(error));                                                      \
        return error;                                                                              \
    }
#define SAME(code)            (code)
#define VERSION(name, symbol) __asm__(".symver " #name ", " symbol);

COND_HOOK(cond_wait_hook, cond_wait, PSHIM_CALL_COND_WAIT, (pthread_cond_t * c, pthread_mutex_t *m),
          (c, m), SAME)
COND_HOOK(cond_wait_old_hook, cond_wait_old, PSHIM_CALL_COND_WAIT,
          (pthread_cond_t * c, pthread_mutex_t *m), (c, m), SAME)
COND_HOOK(cond_timedwait_hook, cond_timedwait, PSHIM_CALL_COND_TIMEDWAIT,
          (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *until), (c, m, until),
          SAME)
COND_HOOK(cond_timedwait_old_hook, cond_timedwait_old, PSHIM_CALL_COND_TIMEDWAIT,
          (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *until), (c, m, until),
          SAME)
COND_HOOK(pthread_cond_clockwait, pthread_cond_clockwait, PSHIM_CALL_COND_CLOCKWAIT,
          (pthread_cond_t * c, pthread_mutex_t *m, clockid_t clock, const struct timespec *until),
          (c, m, clock, until), SAME)

VERSION(cond_wait_hook, "pthread_cond_wait@@GLIBC_2.3.2")
VERSION(cond_wait_old_hook, "pthread_cond_wait@GLIBC_2.2.5")
VERSION(cond_timedwait_hook, "pthread_cond_timedwait@@GLIBC_2.3.2")
VERSION(cond_timedwait_old_hook, "pthread_cond_timedwait@GLIBC_2.2.5")

/* C11's: glibc makes them of the new ones. */
static int c11_code(int result)
{
    return result == thrd_success ? 0 : result == thrd_timedout ? ETIMEDOUT : EINVAL;
}

COND_HOOK(cnd_wait, cnd_wait, PSHIM_CALL_CND_WAIT, (cnd_t * c, mtx_t *m), (c, m), c11_code)
COND_HOOK(cnd_timedwait, cnd_timedwait, PSHIM_CALL_CND_TIMEDWAIT,
          (cnd_t * c, mtx_t *m, const struct timespec *until), (c, m, until), c11_code)

/* What is made and destroyed. */
#define COND_MADE_HOOK(name, params, arguments)                                                    \
    int name##_hook params;                                                                        \
    EXPORT int name##_hook params                                                                  \
    {                                                                                              \
        int error = REAL_LOCK(name) arguments;                                                     \
        if (likely(error == 0))                                                                    \
            LOCK_MADE(c, PSHIM_LOCK_COND);                                                         \
        return error;                                                                              \
    }
#define COND_DESTROY_HOOK(name, params, arguments)                                                 \
    int name##_hook params;                                                                        \
    EXPORT int name##_hook params                                                                  \
    {                                                                                              \
        int error = REAL_LOCK(name) arguments;                                                     \
        if (likely(error == 0 && lock_mode() != PSHIM_OFF))                                        \
            lock_destroyed(c);                                                                     \
        return error;                                                                              \
    }

COND_MADE_HOOK(cond_init, (pthread_cond_t * c, const pthread_condattr_t *a), (c, a))
COND_MADE_HOOK(cond_init_old, (pthread_cond_t * c, const pthread_condattr_t *a), (c, a))
COND_DESTROY_HOOK(cond_destroy, (pthread_cond_t * c), (c))
COND_DESTROY_HOOK(cond_destroy_old, (pthread_cond_t * c), (c))

VERSION(cond_init_hook, "pthread_cond_init@@GLIBC_2.3.2")
VERSION(cond_init_old_hook, "pthread_cond_init@GLIBC_2.2.5")
VERSION(cond_destroy_hook, "pthread_cond_destroy@@GLIBC_2.3.2")
VERSION(cond_destroy_old_hook, "pthread_cond_destroy@GLIBC_2.2.5")

LOCK_MADE_HOOK(cnd_init, COND, c, (cnd_t * c), (c))

EXPORT void cnd_destroy(cnd_t *c)
{
    REAL_LOCK(cnd_destroy)(c);
    if (likely(lock_mode() != PSHIM_OFF))
        lock_destroyed(c);
}
