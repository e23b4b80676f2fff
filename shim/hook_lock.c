/*
 * The mutex hooks. Taking a lock tries first: only EBUSY is contention, and only then is the real
 * call timed. Whatever else the try says, the real call is asked, whose answer counts: an
 * error-checking mutex says EBUSY to a try and EDEADLK to its owner. A try that says EOWNERDEAD has
 * taken the lock.
 *
 * The guard is never held across a real call.
 */
#include <pthread.h>

#include "shim/hook_lock.h"

LOCK_MADE_HOOK(pthread_mutex_init, MUTEX, m,
               (pthread_mutex_t * m, const pthread_mutexattr_t *attributes), (m, attributes))
LOCK_DESTROY_HOOK(pthread_mutex_destroy, m, (pthread_mutex_t * m), (m))
LOCK_GIVE_HOOK(pthread_mutex_unlock, MUTEX, m, (pthread_mutex_t * m), (m))
LOCK_TRY_HOOK(pthread_mutex_trylock, MUTEX_TRYLOCK, m, (pthread_mutex_t * m), (m))

enum { robust = 16, inherits_priority = 32, protects_priority = 64 }; /* bits of __kind */

/*
 * What a try says. Mutexes of these kinds are not tried, but looked at: EBUSY, or ENOSYS for "ask
 * the real call". A try leaves one that is not recoverable taken for ever (glibc 2.36), and changes
 * the thread's priority for another.
 */
static COLD int special_try(const pthread_mutex_t *m, int kind)
{
    enum { owner = 0x3fffffff, owner_died = 0x40000000, protected_state = 0x7ffff };
    int word = __atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED);
    if (kind & protects_priority)
        return word & protected_state ? EBUSY : ENOSYS;
    return (word & owner) && !(word & owner_died) ? EBUSY : ENOSYS;
}

HOT_INLINE int lock_try(pthread_mutex_t *m)
{
    int kind = __atomic_load_n(&m->__data.__kind, __ATOMIC_RELAXED);
    if (unlikely(kind & (robust | inherits_priority | protects_priority)))
        return special_try(m, kind);
    return real.pthread_mutex_trylock(m);
}

LOCK_HOOK(pthread_mutex_lock, MUTEX_LOCK, m, (pthread_mutex_t * m), (m), lock_try(m))
LOCK_HOOK(pthread_mutex_timedlock, MUTEX_TIMEDLOCK, m,
          (pthread_mutex_t * m, const struct timespec *until), (m, until), lock_try(m))

/* Others than these are refused, though the mutex be free. */
#define IS_CLOCK(clock) ((clock) == CLOCK_REALTIME || (clock) == CLOCK_MONOTONIC)

LOCK_HOOK(pthread_mutex_clocklock, MUTEX_CLOCKLOCK, m,
          (pthread_mutex_t * m, clockid_t clock, const struct timespec *until), (m, clock, until),
          IS_CLOCK(clock) ? lock_try(m) : ENOSYS)
