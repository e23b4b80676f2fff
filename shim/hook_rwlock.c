/*
 * Read-write locks and spin locks. As with mutexes a try goes first: only EBUSY is contention, and
 * what a try refuses otherwise the real call is asked. glibc judges a time before it looks at a
 * read-write lock: with a bad one there is no try.
 */
#include <pthread.h>

#include "shim/hook_lock.h"

LOCK_MADE_HOOK(pthread_rwlock_init, RWLOCK, l,
               (pthread_rwlock_t * l, const pthread_rwlockattr_t *attributes), (l, attributes))
LOCK_DESTROY_HOOK(pthread_rwlock_destroy, l, (pthread_rwlock_t * l), (l))
LOCK_GIVE_HOOK(pthread_rwlock_unlock, RWLOCK, l, (pthread_rwlock_t * l), (l))

LOCK_TRY_HOOK(pthread_rwlock_tryrdlock, RWLOCK_TRYRDLOCK, l, (pthread_rwlock_t * l), (l))
LOCK_TRY_HOOK(pthread_rwlock_trywrlock, RWLOCK_TRYWRLOCK, l, (pthread_rwlock_t * l), (l))

#define TRY_READ              real.pthread_rwlock_tryrdlock(l)
#define TRY_WRITE             real.pthread_rwlock_trywrlock(l)
#define IN_TIME(clock, tries) (lock_time_is_valid(clock, until) ? (tries) : ENOSYS)

LOCK_HOOK(pthread_rwlock_rdlock, RWLOCK_RDLOCK, l, (pthread_rwlock_t * l), (l), TRY_READ)
LOCK_HOOK(pthread_rwlock_wrlock, RWLOCK_WRLOCK, l, (pthread_rwlock_t * l), (l), TRY_WRITE)
LOCK_HOOK(pthread_rwlock_timedrdlock, RWLOCK_TIMEDRDLOCK, l,
          (pthread_rwlock_t * l, const struct timespec *until), (l, until),
          IN_TIME(CLOCK_REALTIME, TRY_READ))
LOCK_HOOK(pthread_rwlock_timedwrlock, RWLOCK_TIMEDWRLOCK, l,
          (pthread_rwlock_t * l, const struct timespec *until), (l, until),
          IN_TIME(CLOCK_REALTIME, TRY_WRITE))
LOCK_HOOK(pthread_rwlock_clockrdlock, RWLOCK_CLOCKRDLOCK, l,
          (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until), (l, clock, until),
          IN_TIME(clock, TRY_READ))
LOCK_HOOK(pthread_rwlock_clockwrlock, RWLOCK_CLOCKWRLOCK, l,
          (pthread_rwlock_t * l, clockid_t clock, const struct timespec *until), (l, clock, until),
          IN_TIME(clock, TRY_WRITE))

LOCK_MADE_HOOK(pthread_spin_init, SPIN, l, (pthread_spinlock_t * l, int shared), (l, shared))
LOCK_DESTROY_HOOK(pthread_spin_destroy, l, (pthread_spinlock_t * l), (l))
LOCK_GIVE_HOOK(pthread_spin_unlock, SPIN, l, (pthread_spinlock_t * l), (l))
LOCK_TRY_HOOK(pthread_spin_trylock, SPIN_TRYLOCK, l, (pthread_spinlock_t * l), (l))
LOCK_HOOK(pthread_spin_lock, SPIN_LOCK, l, (pthread_spinlock_t * l), (l),
          real.pthread_spin_trylock(l))
