/*
 * C11's mutexes. glibc makes them of the pthread ones, without passing through the hooks of those;
 * their codes are other numbers.
 */
#include <threads.h>

#include "shim/hook_lock.h"

static int code_of(int result)
{
    switch (result) {
    case thrd_success:
        return 0;
    case thrd_busy:
        return EBUSY;
    case thrd_timedout:
        return ETIMEDOUT;
    default:
        return EINVAL;
    }
}

LOCK_MADE_HOOK(mtx_init, MUTEX, m, (mtx_t * m, int type), (m, type))
LOCK_GIVE_HOOK(mtx_unlock, MUTEX, m, (mtx_t * m), (m))
LOCK_TRY_HOOK(mtx_trylock, MTX_TRYLOCK, m, (mtx_t * m), (m))

EXPORT void mtx_destroy(mtx_t *m)
{
    REAL_LOCK(mtx_destroy)(m);
    if (likely(lock_mode() != PSHIM_OFF))
        lock_destroyed(m);
}

#define MTX_HOOK(name, call, params, arguments)                                                    \
    EXPORT int name params                                                                         \
    {                                                                                              \
        uint32_t mode = lock_mode();                                                               \
        if (unlikely(mode == PSHIM_OFF))                                                           \
            return REAL_LOCK(name) arguments;                                                      \
        struct lock_view view =                                                                    \
            likely(mode == PSHIM_ON) ? lock_look(m, PSHIM_CALL_##call) : LOCK_NO_VIEW;             \
        int result = real.mtx_trylock(m), code = code_of(result);                                  \
        if (unlikely(code != 0)) {                                                                 \
            LOCK_BY(m, PSHIM_CALL_##call, mode, code, code_of(result = real.name arguments),       \
                    code);                                                                         \
            return result;                                                                         \
        }                                                                                          \
        if (likely(mode == PSHIM_ON))                                                              \
            lock_taken(m, PSHIM_CALL_##call, view);                                                \
        return result;                                                                             \
    }

MTX_HOOK(mtx_lock, MTX_LOCK, (mtx_t * m), (m))
MTX_HOOK(mtx_timedlock, MTX_TIMEDLOCK, (mtx_t * m, const struct timespec *until), (m, until))
