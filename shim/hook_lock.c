/*
 * The mutex hooks. Taking a lock tries first: only EBUSY is contention, and only then is the real
 * call timed. Whatever else the try says, the real call is asked, whose answer counts: an
 * error-checking mutex says EBUSY to a try and EDEADLK to its owner. A try that says EOWNERDEAD has
 * taken the lock.
 *
 * The guard is never held across a real call.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "shim/lock_recorder.h"
#include "shim/real.h"
#include "shim/waits.h"

EXPORT int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attributes)
{
    int error = REAL_LOCK(pthread_mutex_init)(m, attributes);
    if (likely(error == 0 && lock_mode() != PSHIM_OFF)) {
        struct unwind_regs regs;
        unwind_capture(&regs);
        lock_made(m, PSHIM_LOCK_MUTEX, &regs);
    }
    return error;
}

EXPORT int pthread_mutex_destroy(pthread_mutex_t *m)
{
    int error = REAL_LOCK(pthread_mutex_destroy)(m);
    if (likely(error == 0 && lock_mode() != PSHIM_OFF))
        lock_destroyed(m);
    return error;
}

/* What a try gave: got the lock? (0, or its owner died) */
HOT_INLINE bool is_got(int error)
{
    return error == 0 || error == EOWNERDEAD;
}

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

/*
 * The rest of a call whose try said `error`, not 0: the real one. In an exported function, whose
 * registers are the site.
 */
#define LOCK_BY(m, call, mode, error, real_call)                                                   \
    do {                                                                                           \
        struct wait_span wait_;                                                                    \
        bool busy_ = (error) == EBUSY;                                                             \
        if (busy_)                                                                                 \
            wait_begin(&wait_, shim_tls.self, PSHIM_WAIT_LOCK);                                    \
        int error_ = (real_call);                                                                  \
        bool got_ = is_got(error_);                                                                \
        if (busy_)                                                                                 \
            wait_end(&wait_);                                                                      \
        if (busy_ && (got_ || error_ == ETIMEDOUT)) {                                              \
            struct unwind_regs regs_;                                                              \
            unwind_capture(&regs_);                                                                \
            lock_waited(m, call, &regs_, LOCK_CALLER(), &wait_, got_);                             \
        } else if (got_ && mode == PSHIM_ON) {                                                     \
            lock_taken(m, call);                                                                   \
        }                                                                                          \
        return error_;                                                                             \
    } while (0)

EXPORT int pthread_mutex_lock(pthread_mutex_t *m)
{
    uint32_t mode = lock_mode();
    if (unlikely(mode == PSHIM_OFF))
        return REAL_LOCK(pthread_mutex_lock)(m);
    int error = lock_try(m);
    if (unlikely(error != 0))
        LOCK_BY(m, PSHIM_CALL_MUTEX_LOCK, mode, error, real.pthread_mutex_lock(m));
    if (likely(mode == PSHIM_ON))
        lock_taken(m, PSHIM_CALL_MUTEX_LOCK);
    return 0;
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t *m)
{
    int error = REAL_LOCK(pthread_mutex_trylock)(m);
    if (is_got(error) && likely(lock_mode() == PSHIM_ON))
        lock_taken(m, PSHIM_CALL_MUTEX_TRYLOCK);
    return error;
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *until)
{
    uint32_t mode = lock_mode();
    if (unlikely(mode == PSHIM_OFF))
        return REAL_LOCK(pthread_mutex_timedlock)(m, until);
    int error = lock_try(m);
    if (unlikely(error != 0))
        LOCK_BY(m, PSHIM_CALL_MUTEX_TIMEDLOCK, mode, error, real.pthread_mutex_timedlock(m, until));
    if (likely(mode == PSHIM_ON))
        lock_taken(m, PSHIM_CALL_MUTEX_TIMEDLOCK);
    return 0;
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock,
                                   const struct timespec *until)
{
    uint32_t mode = lock_mode();
    if (unlikely(mode == PSHIM_OFF))
        return REAL_LOCK(pthread_mutex_clocklock)(m, clock, until);
    bool known = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
    int error = known ? lock_try(m) : ENOSYS; /* others are refused, though the mutex be free */
    if (unlikely(error != 0))
        LOCK_BY(m, PSHIM_CALL_MUTEX_CLOCKLOCK, mode, error,
                real.pthread_mutex_clocklock(m, clock, until));
    if (likely(mode == PSHIM_ON))
        lock_taken(m, PSHIM_CALL_MUTEX_CLOCKLOCK);
    return 0;
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t *m)
{
    if (unlikely(lock_mode() != PSHIM_ON))
        return REAL_LOCK(pthread_mutex_unlock)(m);
    struct thread_state *ts = shim_tls.self;
    if (likely(ts != NULL))
        ts->held.leaving = m; /* what a tick finds from now on is not the critical section */
    uint64_t now = lock_clock();
    int error = real.pthread_mutex_unlock(m);
    if (likely(error == 0))
        lock_given_back(m, now);
    if (likely(ts != NULL))
        ts->held.leaving = NULL;
    return error;
}
