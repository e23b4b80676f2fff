/*
 * The calls that wait, as the profile numbers them: part of its format (format.h).
 */
#ifndef PERFSHIM_PROFILE_CALLS_H
#define PERFSHIM_PROFILE_CALLS_H

#include <stdint.h>

/* What a thread does that is in none of the hooks' waits (RUN), or what it waits for. */
enum pshim_wait { PSHIM_WAIT_RUN, PSHIM_WAIT_LOCK, PSHIM_WAIT_IO, PSHIM_WAIT_IDLE, PSHIM_WAITS };

/* Calls that wait, by which their leaf is named: id, name, what it waits for. New ones at the end.
 */
#define PSHIM_CALLS(X)                                                                             \
    X(MUTEX_LOCK, pthread_mutex_lock, LOCK)                                                        \
    X(MUTEX_TRYLOCK, pthread_mutex_trylock, LOCK)                                                  \
    X(MUTEX_TIMEDLOCK, pthread_mutex_timedlock, LOCK)                                              \
    X(MUTEX_CLOCKLOCK, pthread_mutex_clocklock, LOCK)                                              \
    X(COND_WAIT, pthread_cond_wait, IDLE)                                                          \
    X(COND_TIMEDWAIT, pthread_cond_timedwait, IDLE)                                                \
    X(COND_CLOCKWAIT, pthread_cond_clockwait, IDLE)                                                \
    X(RWLOCK_RDLOCK, pthread_rwlock_rdlock, LOCK)                                                  \
    X(RWLOCK_WRLOCK, pthread_rwlock_wrlock, LOCK)                                                  \
    X(RWLOCK_TRYRDLOCK, pthread_rwlock_tryrdlock, LOCK)                                            \
    X(RWLOCK_TRYWRLOCK, pthread_rwlock_trywrlock, LOCK)                                            \
    X(RWLOCK_TIMEDRDLOCK, pthread_rwlock_timedrdlock, LOCK)                                        \
    X(RWLOCK_TIMEDWRLOCK, pthread_rwlock_timedwrlock, LOCK)                                        \
    X(RWLOCK_CLOCKRDLOCK, pthread_rwlock_clockrdlock, LOCK)                                        \
    X(RWLOCK_CLOCKWRLOCK, pthread_rwlock_clockwrlock, LOCK)                                        \
    X(SPIN_LOCK, pthread_spin_lock, LOCK)                                                          \
    X(SPIN_TRYLOCK, pthread_spin_trylock, LOCK)                                                    \
    X(SEM_WAIT, sem_wait, IDLE)                                                                    \
    X(SEM_TRYWAIT, sem_trywait, IDLE)                                                              \
    X(SEM_TIMEDWAIT, sem_timedwait, IDLE)                                                          \
    X(SEM_CLOCKWAIT, sem_clockwait, IDLE)                                                          \
    X(BARRIER_WAIT, pthread_barrier_wait, LOCK)                                                    \
    X(ONCE, pthread_once, LOCK)                                                                    \
    X(CALL_ONCE, call_once, LOCK)                                                                  \
    X(MTX_LOCK, mtx_lock, LOCK)                                                                    \
    X(MTX_TRYLOCK, mtx_trylock, LOCK)                                                              \
    X(MTX_TIMEDLOCK, mtx_timedlock, LOCK)                                                          \
    X(CND_WAIT, cnd_wait, IDLE)                                                                    \
    X(CND_TIMEDWAIT, cnd_timedwait, IDLE)                                                          \
    X(JOIN, pthread_join, IDLE)                                                                    \
    X(TIMEDJOIN, pthread_timedjoin_np, IDLE)                                                       \
    X(CLOCKJOIN, pthread_clockjoin_np, IDLE)                                                       \
    X(THRD_JOIN, thrd_join, IDLE)                                                                  \
    X(FUTEX, futex, IDLE)                                                                          \
    X(READ, read, IO)                                                                              \
    X(WRITE, write, IO)                                                                            \
    X(PREAD, pread, IO)                                                                            \
    X(PWRITE, pwrite, IO)                                                                          \
    X(READV, readv, IO)                                                                            \
    X(WRITEV, writev, IO)                                                                          \
    X(PREADV, preadv, IO)                                                                          \
    X(PWRITEV, pwritev, IO)                                                                        \
    X(SEND, send, IO)                                                                              \
    X(SENDTO, sendto, IO)                                                                          \
    X(SENDMSG, sendmsg, IO)                                                                        \
    X(SENDMMSG, sendmmsg, IO)                                                                      \
    X(SENDFILE, sendfile, IO)                                                                      \
    X(RECV, recv, IO)                                                                              \
    X(RECVFROM, recvfrom, IO)                                                                      \
    X(RECVMSG, recvmsg, IO)                                                                        \
    X(RECVMMSG, recvmmsg, IO)                                                                      \
    X(FSYNC, fsync, IO)                                                                            \
    X(FDATASYNC, fdatasync, IO)                                                                    \
    X(MSYNC, msync, IO)                                                                            \
    X(SYNC_FILE_RANGE, sync_file_range, IO)                                                        \
    X(SYNCFS, syncfs, IO)                                                                          \
    X(OPEN, open, IO)                                                                              \
    X(OPENAT, openat, IO)                                                                          \
    X(CREAT, creat, IO)                                                                            \
    X(CLOSE, close, IO)                                                                            \
    X(CONNECT, connect, IO)                                                                        \
    X(ACCEPT, accept, IO)                                                                          \
    X(ACCEPT4, accept4, IO)                                                                        \
    X(COPY_FILE_RANGE, copy_file_range, IO)                                                        \
    X(SPLICE, splice, IO)                                                                          \
    X(POLL, poll, IDLE)                                                                            \
    X(PPOLL, ppoll, IDLE)                                                                          \
    X(SELECT, select, IDLE)                                                                        \
    X(PSELECT, pselect, IDLE)                                                                      \
    X(EPOLL_WAIT, epoll_wait, IDLE)                                                                \
    X(EPOLL_PWAIT, epoll_pwait, IDLE)                                                              \
    X(EPOLL_PWAIT2, epoll_pwait2, IDLE)                                                            \
    X(NANOSLEEP, nanosleep, IDLE)                                                                  \
    X(CLOCK_NANOSLEEP, clock_nanosleep, IDLE)                                                      \
    X(USLEEP, usleep, IDLE)                                                                        \
    X(SLEEP, sleep, IDLE)                                                                          \
    X(PAUSE, pause, IDLE)                                                                          \
    X(SIGSUSPEND, sigsuspend, IDLE)                                                                \
    X(SIGWAIT, sigwait, IDLE)                                                                      \
    X(SIGWAITINFO, sigwaitinfo, IDLE)                                                              \
    X(SIGTIMEDWAIT, sigtimedwait, IDLE)                                                            \
    X(WAITPID, waitpid, IDLE)                                                                      \
    X(WAIT, wait, IDLE)                                                                            \
    X(WAIT3, wait3, IDLE)                                                                          \
    X(WAIT4, wait4, IDLE)                                                                          \
    X(WAITID, waitid, IDLE)                                                                        \
    X(FUTEX_WAKE, futex_wake, IDLE) /* the other side of futex: it does not wait */
enum pshim_call {
#define X(id, name, wait) PSHIM_CALL_##id,
    PSHIM_CALLS(X)
#undef X
        PSHIM_CALL_COUNT
};

/* What a call waits for; RUN of a number that is no call. */
static inline enum pshim_wait pshim_call_waits(uint32_t call)
{
    static const uint8_t waits[] = {
#define X(id, name, wait) PSHIM_WAIT_##wait,
        PSHIM_CALLS(X)
#undef X
    };
    return call < PSHIM_CALL_COUNT ? (enum pshim_wait)waits[call] : PSHIM_WAIT_RUN;
}

#endif
