/*
 * Semaphores, barriers and initialisation that is done once: nobody holds these, they are only
 * waited for. A thread that waits for a semaphore is idle, as one that waits for a condition is:
 * what it waits for is mostly work.
 */
#include <pthread.h>
#include <semaphore.h>
#include <threads.h>

#include "shim/hook_lock.h"
#include "shim/pass_recorder.h"
#include "shim/tick.h"

EXPORT int sem_init(sem_t *s, int shared, unsigned value)
{
    int result = REAL_LOCK(sem_init)(s, shared, value);
    if (likely(result == 0))
        LOCK_MADE(s, PSHIM_LOCK_SEMAPHORE);
    return result;
}

EXPORT int sem_destroy(sem_t *s)
{
    int result = REAL_LOCK(sem_destroy)(s);
    if (likely(result == 0 && lock_mode() != PSHIM_OFF))
        lock_destroyed(s);
    return result;
}

EXPORT int sem_trywait(sem_t *s)
{
    int result = REAL_LOCK(sem_trywait)(s);
    if (result == 0 && likely(lock_mode() == PSHIM_ON))
        lock_taken_here(s, PSHIM_CALL_SEM_TRYWAIT);
    return result;
}

/*
 * The real calls look at their time first, then two of them for a cancellation, and then at the
 * semaphore. errno is left alone by a wait that ends well. A wait that a signal of the host's
 * ended was one in vain.
 *
 * A tick ends no wait without a time limit. Where it ends one with a limit, it is blocked
 * meanwhile.
 */
#define SEM_HOOK(name, call, params, arguments, valid, look, limited)                              \
    EXPORT int name params                                                                         \
    {                                                                                              \
        struct wait_span wait;                                                                     \
        uint32_t mode = lock_mode();                                                               \
        if (unlikely(mode == PSHIM_OFF || !(valid)))                                               \
            return REAL_LOCK(name) arguments;                                                      \
        int before = errno;                                                                        \
        look;                                                                                      \
        if (likely(real.sem_trywait(s) == 0)) {                                                    \
            if (likely(mode == PSHIM_ON))                                                          \
                lock_taken_here(s, PSHIM_CALL_##call);                                             \
            return 0;                                                                              \
        }                                                                                          \
        errno = before;                                                                            \
        wait_begin(&wait, shim_tls.self, PSHIM_WAIT_IDLE);                                         \
        bool unblock = (limited) && !tick_block();                                                 \
        int result = real.name arguments;                                                          \
        if (unblock)                                                                               \
            tick_unblock();                                                                        \
        PASS_WAITED(s, LOCK_CALL(PSHIM_CALL_##call), &wait, result == 0);                          \
        return result;                                                                             \
    }

SEM_HOOK(sem_wait, SEM_WAIT, (sem_t * s), (s), true, pthread_testcancel(), false)
SEM_HOOK(sem_timedwait, SEM_TIMEDWAIT, (sem_t * s, const struct timespec *until), (s, until),
         lock_time_is_valid(CLOCK_REALTIME, until), pthread_testcancel(), true)
SEM_HOOK(sem_clockwait, SEM_CLOCKWAIT, (sem_t * s, clockid_t clock, const struct timespec *until),
         (s, clock, until), lock_time_is_valid(clock, until), (void)0, true)

LOCK_MADE_HOOK(pthread_barrier_init, BARRIER, b,
               (pthread_barrier_t * b, const pthread_barrierattr_t *attributes, unsigned count),
               (b, attributes, count))
LOCK_DESTROY_HOOK(pthread_barrier_destroy, b, (pthread_barrier_t * b), (b))

/*
 * All have waited but the last one to come, to whom glibc gives the special code. When it has
 * returned another thread may have destroyed the barrier.
 */
EXPORT int pthread_barrier_wait(pthread_barrier_t *b)
{
    struct wait_span wait;
    if (unlikely(lock_mode() == PSHIM_OFF))
        return REAL_LOCK(pthread_barrier_wait)(b);
    wait_begin(&wait, shim_tls.self, PSHIM_WAIT_LOCK);
    int result = real.pthread_barrier_wait(b);
    if (likely(result == 0)) {
        PASS_WAITED(b, LOCK_CALL(PSHIM_CALL_BARRIER_WAIT), &wait, true);
        return 0;
    }
    wait_end(&wait);
    if (result == PTHREAD_BARRIER_SERIAL_THREAD && lock_mode() == PSHIM_ON)
        lock_taken_here(b, PSHIM_CALL_BARRIER_WAIT);
    return result;
}

/*
 * Initialisation that is done once. Whether a call did it or waited for who does only the routine
 * knows: it is run by one of ours, which finds the call by the thread. The routine may never return
 * (siglongjmp, exceptions, cancellation): then nothing is booked, and the next call puts its own
 * there.
 */
struct once_call {
    void (*routine)(void);
    struct wait_span wait;
    uint64_t began; /* 0 = it did not run */
    uint64_t ended;
};

static void once_run(void)
{
    struct once_call *call = shim_tls.self->once;
    wait_end(&call->wait);
    call->began = lock_clock();
    call->routine();
    call->ended = lock_clock();
}

static struct thread_state *thread_known(void)
{
    struct thread_state *ts = shim_tls.self;
    if (likely(ts != NULL))
        return ts;
    ts = lock_enter();
    if (ts)
        lock_leave(ts, NULL);
    return ts;
}

enum { once_done = 2 }; /* glibc: a bit of the word */

#define ONCE(control, routine_, call_, real_call)                                                  \
    do {                                                                                           \
        struct thread_state *ts_ = NULL;                                                           \
        if (likely(lock_mode() != PSHIM_OFF) &&                                                    \
            unlikely(!(__atomic_load_n((const int *)(control), __ATOMIC_RELAXED) & once_done)))    \
            ts_ = thread_known();                                                                  \
        if (likely(!ts_)) {                                                                        \
            real_call(control, routine_);                                                          \
            break;                                                                                 \
        }                                                                                          \
        struct once_call *outer_ = ts_->once, once_ = {.routine = (routine_)};                     \
        wait_begin(&once_.wait, ts_, PSHIM_WAIT_LOCK);                                             \
        ts_->once = &once_;                                                                        \
        real_call(control, once_run);                                                              \
        ts_->once = outer_;                                                                        \
        if (!once_.began)                                                                          \
            PASS_WAITED(control, LOCK_CALL(call_), &once_.wait, true);                             \
        else if (lock_mode() == PSHIM_ON)                                                          \
            PASS_DONE(control, LOCK_CALL(call_), lock_clock_since(once_.began, once_.ended));      \
    } while (0)

EXPORT int pthread_once(pthread_once_t *control, void (*routine)(void))
{
    int error = 0;
#define REAL_ONCE error = REAL_LOCK(pthread_once)
    ONCE(control, routine, PSHIM_CALL_ONCE, REAL_ONCE);
    return error;
}

EXPORT void call_once(once_flag *control, void (*routine)(void))
{
    ONCE(control, routine, PSHIM_CALL_CALL_ONCE, REAL_LOCK(call_once));
}
