/*
 * The functions that we wrap, and where the next definition of each one lives.
 *
 * One list drives the pointer table, the look-up and the export check. real_resolve() fills the
 * table by dlsym(RTLD_NEXT); until it has, allocation is served from a small bootstrap arena, since
 * dlsym itself may call calloc.
 *
 * Thread safety: real_resolve() may be entered by several threads or recursively; the first caller
 * wins, a nested one returns at once. Not async-signal-safe; everything else here is.
 */
#ifndef PERFSHIM_SHIM_REAL_H
#define PERFSHIM_SHIM_REAL_H

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>

#include "shim/io_calls.h"

#define EXPORT __attribute__((visibility("default"), used))

/* X(return type, name, parameters): needed, the shim stays off without them */
#define FOREACH_ALLOCATOR(X)                                                                       \
    X(void *, malloc, (size_t))                                                                    \
    X(void *, calloc, (size_t, size_t))                                                            \
    X(void *, realloc, (void *, size_t))                                                           \
    X(void, free, (void *))                                                                        \
    X(size_t, malloc_usable_size, (void *))                                                        \
    X(int, posix_memalign, (void **, size_t, size_t))                                              \
    X(void *, aligned_alloc, (size_t, size_t))                                                     \
    X(void *, memalign, (size_t, size_t))

/* may be absent: falls back to the ones above */
#define FOREACH_OPTIONAL(X)                                                                        \
    X(void *, reallocarray, (void *, size_t, size_t))                                              \
    X(void *, valloc, (size_t))                                                                    \
    X(void *, pvalloc, (size_t))

#define FOREACH_PROCESS(X)                                                                         \
    X(void *, mmap, (void *, size_t, int, int, int, off_t))                                        \
    X(int, munmap, (void *, size_t))                                                               \
    X(void *, mremap, (void *, size_t, size_t, int, ...))                                          \
    X(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))       \
    X(int, thrd_create, (thrd_t *, thrd_start_t, void *))                                          \
    X(int, pthread_setname_np, (pthread_t, const char *))                                          \
    X(int, pthread_sigmask, (int, const sigset_t *, sigset_t *))                                   \
    X(int, sigprocmask, (int, const sigset_t *, sigset_t *))                                       \
    X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                         \
    X(sighandler_t, signal, (int, sighandler_t))                                                   \
    X(int, prctl, (int, unsigned long, unsigned long, unsigned long, unsigned long))               \
    X(void, longjmp, (struct __jmp_buf_tag *, int))                                                \
    X(void, _longjmp, (struct __jmp_buf_tag *, int))                                               \
    X(void, siglongjmp, (struct __jmp_buf_tag *, int))                                             \
    X(void, __longjmp_chk, (struct __jmp_buf_tag *, int))                                          \
    X(pid_t, fork, (void))                                                                         \
    X(int, dlclose, (void *))                                                                      \
    X(int, execve, (const char *, char *const *, char *const *))                                   \
    X(int, execvpe, (const char *, char *const *, char *const *))                                  \
    X(int, fexecve, (int, char *const *, char *const *))                                           \
    X(int, execveat, (int, const char *, char *const *, char *const *, int))                       \
    X(void, _exit, (int))                                                                          \
    X(void, _Exit, (int))

#define FOREACH_LOCK(X)                                                                            \
    X(int, pthread_mutex_init, (pthread_mutex_t *, const pthread_mutexattr_t *))                   \
    X(int, pthread_mutex_destroy, (pthread_mutex_t *))                                             \
    X(int, pthread_mutex_lock, (pthread_mutex_t *))                                                \
    X(int, pthread_mutex_trylock, (pthread_mutex_t *))                                             \
    X(int, pthread_mutex_timedlock, (pthread_mutex_t *, const struct timespec *))                  \
    X(int, pthread_mutex_clocklock, (pthread_mutex_t *, clockid_t, const struct timespec *))       \
    X(int, pthread_mutex_unlock, (pthread_mutex_t *))                                              \
    X(int, pthread_cond_clockwait,                                                                 \
      (pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *))                   \
    X(int, pthread_rwlock_init, (pthread_rwlock_t *, const pthread_rwlockattr_t *))                \
    X(int, pthread_rwlock_destroy, (pthread_rwlock_t *))                                           \
    X(int, pthread_rwlock_rdlock, (pthread_rwlock_t *))                                            \
    X(int, pthread_rwlock_wrlock, (pthread_rwlock_t *))                                            \
    X(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t *))                                         \
    X(int, pthread_rwlock_trywrlock, (pthread_rwlock_t *))                                         \
    X(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t *, const struct timespec *))              \
    X(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t *, const struct timespec *))              \
    X(int, pthread_rwlock_clockrdlock, (pthread_rwlock_t *, clockid_t, const struct timespec *))   \
    X(int, pthread_rwlock_clockwrlock, (pthread_rwlock_t *, clockid_t, const struct timespec *))   \
    X(int, pthread_rwlock_unlock, (pthread_rwlock_t *))                                            \
    X(int, pthread_spin_init, (pthread_spinlock_t *, int))                                         \
    X(int, pthread_spin_destroy, (pthread_spinlock_t *))                                           \
    X(int, pthread_spin_lock, (pthread_spinlock_t *))                                              \
    X(int, pthread_spin_trylock, (pthread_spinlock_t *))                                           \
    X(int, pthread_spin_unlock, (pthread_spinlock_t *))                                            \
    X(int, sem_init, (sem_t *, int, unsigned))                                                     \
    X(int, sem_destroy, (sem_t *))                                                                 \
    X(int, sem_wait, (sem_t *))                                                                    \
    X(int, sem_trywait, (sem_t *))                                                                 \
    X(int, sem_timedwait, (sem_t *, const struct timespec *))                                      \
    X(int, sem_clockwait, (sem_t *, clockid_t, const struct timespec *))                           \
    X(int, pthread_barrier_init, (pthread_barrier_t *, const pthread_barrierattr_t *, unsigned))   \
    X(int, pthread_barrier_destroy, (pthread_barrier_t *))                                         \
    X(int, pthread_barrier_wait, (pthread_barrier_t *))                                            \
    X(int, pthread_once, (pthread_once_t *, void (*)(void)))                                       \
    X(void, call_once, (once_flag *, void (*)(void)))                                              \
    X(long, syscall, (long, ...))                                                                  \
    X(int, cnd_init, (cnd_t *))                                                                    \
    X(void, cnd_destroy, (cnd_t *))                                                                \
    X(int, cnd_wait, (cnd_t *, mtx_t *))                                                           \
    X(int, cnd_timedwait, (cnd_t *, mtx_t *, const struct timespec *))                             \
    X(int, mtx_init, (mtx_t *, int))                                                               \
    X(void, mtx_destroy, (mtx_t *))                                                                \
    X(int, mtx_lock, (mtx_t *))                                                                    \
    X(int, mtx_trylock, (mtx_t *))                                                                 \
    X(int, mtx_timedlock, (mtx_t *, const struct timespec *))                                      \
    X(int, mtx_unlock, (mtx_t *))

/*
 * Functions of which glibc has two that do not fit together: X(return type, name here, symbol,
 * version, parameters). exports.map makes the shim stand before each of them apart.
 */
#define FOREACH_VERSIONED(X)                                                                       \
    X(int, cond_wait, "pthread_cond_wait", "GLIBC_2.3.2", (pthread_cond_t *, pthread_mutex_t *))   \
    X(int, cond_wait_old, "pthread_cond_wait", "GLIBC_2.2.5",                                      \
      (pthread_cond_t *, pthread_mutex_t *))                                                       \
    X(int, cond_timedwait, "pthread_cond_timedwait", "GLIBC_2.3.2",                                \
      (pthread_cond_t *, pthread_mutex_t *, const struct timespec *))                              \
    X(int, cond_timedwait_old, "pthread_cond_timedwait", "GLIBC_2.2.5",                            \
      (pthread_cond_t *, pthread_mutex_t *, const struct timespec *))                              \
    X(int, cond_init, "pthread_cond_init", "GLIBC_2.3.2",                                          \
      (pthread_cond_t *, const pthread_condattr_t *))                                              \
    X(int, cond_init_old, "pthread_cond_init", "GLIBC_2.2.5",                                      \
      (pthread_cond_t *, const pthread_condattr_t *))                                              \
    X(int, cond_destroy, "pthread_cond_destroy", "GLIBC_2.3.2", (pthread_cond_t *))                \
    X(int, cond_destroy_old, "pthread_cond_destroy", "GLIBC_2.2.5", (pthread_cond_t *))

#define FOREACH_WRAPPED(X)                                                                         \
    FOREACH_ALLOCATOR(X)                                                                           \
    FOREACH_OPTIONAL(X)                                                                            \
    FOREACH_PROCESS(X)

struct real_table {
#define X(ret, name, params) ret(*name) params;
    FOREACH_WRAPPED(X)
    FOREACH_LOCK(X)
    FOREACH_EVENT(X)
#undef X
#define X(ret, name, symbol, version, params) ret(*name) params;
    FOREACH_VERSIONED(X)
#undef X
#define X(ret, name, params, arguments, call, bytes) ret(*name) params;
    FOREACH_IO(X)
    FOREACH_IDLE(X)
    FOREACH_SLEEP(X)
#undef X
#define X(name, params, arguments, call) int(*name) params;
    FOREACH_OPEN(X)
#undef X
};
extern struct real_table real __attribute__((visibility("hidden")));

/* Fills the table. 0, or −1 when an allocator function is missing. */
int real_resolve(void);

/*
 * Makes sure that the lock functions are known. They are found first, and looking up what is there
 * allocates nothing, so that a lock that is taken while the table is being filled has its own.
 */
void real_resolve_locks(void);
#define REAL_LOCK(name)                                                                            \
    (__builtin_expect(real.name != NULL, 1) ? real.name : (real_resolve_locks(), real.name))

/* Likewise for calls of I/O. False, with errno ENOSYS: this libc has no such function. */
bool real_resolve_io(void *const *slot);

/*
 * Do the allocator's functions come from more than one library (one that has a malloc of its own
 * but no malloc_usable_size, say) and do not fit together? Then no block may be tagged or asked
 * about. Optional functions from elsewhere are NULL in the table: their blocks would not be
 * malloc's.
 */
int real_is_mixed(void);

/* Is this code of the library whose malloc is called? After real_resolve(). */
int real_is_allocators(const void *function);

/* The bootstrap arena: zeroed memory that is never freed, before real_resolve() has finished. */
void *real_bootstrap_alloc(size_t align, size_t n);
size_t real_bootstrap_size(const void *p); /* bytes usable in a bootstrap block */
size_t real_bootstrap_count(void);

extern char real_bootstrap_arena[];
enum { real_bootstrap_bytes = 128 * 1024 };
static inline int real_is_bootstrap(const void *p)
{
    return (size_t)((const char *)p - real_bootstrap_arena) < real_bootstrap_bytes;
}

#endif
