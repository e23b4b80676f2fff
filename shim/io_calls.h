/*
 * The calls of I/O and of waiting for events that are wrapped: one list for the hooks, for real.h
 * and for the test that asks whether each of them is exported.
 *
 * X(return type, name, parameters, arguments, CALL, bytes): bytes says what of the result is
 * counted: NOTHING, MOVED (it is a number of bytes), MESSAGES (of them, in `v`).
 */
#ifndef PERFSHIM_SHIM_IO_CALLS_H
#define PERFSHIM_SHIM_IO_CALLS_H

/* I/O: the thread waits for a device, or a peer. */
#define FOREACH_IO(X)                                                                              \
    X(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), READ, MOVED)                         \
    X(ssize_t, __read_chk, (int fd, void *p, size_t n, size_t room), (fd, p, n, room), READ,       \
      MOVED)                                                                                       \
    X(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), WRITE, MOVED)                 \
    X(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at), PREAD, MOVED)         \
    X(ssize_t, pread64, (int fd, void *p, size_t n, off64_t at), (fd, p, n, at), PREAD, MOVED)     \
    X(ssize_t, __pread_chk, (int fd, void *p, size_t n, off_t at, size_t room),                    \
      (fd, p, n, at, room), PREAD, MOVED)                                                          \
    X(ssize_t, __pread64_chk, (int fd, void *p, size_t n, off64_t at, size_t room),                \
      (fd, p, n, at, room), PREAD, MOVED)                                                          \
    X(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), PWRITE, MOVED) \
    X(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at), PWRITE,    \
      MOVED)                                                                                       \
    X(ssize_t, readv, (int fd, const struct iovec *v, int n), (fd, v, n), READV, MOVED)            \
    X(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n), WRITEV, MOVED)          \
    X(ssize_t, preadv, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at), PREADV,   \
      MOVED)                                                                                       \
    X(ssize_t, preadv64, (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at),       \
      PREADV, MOVED)                                                                               \
    X(ssize_t, preadv2, (int fd, const struct iovec *v, int n, off_t at, int flags),               \
      (fd, v, n, at, flags), PREADV, MOVED)                                                        \
    X(ssize_t, preadv64v2, (int fd, const struct iovec *v, int n, off64_t at, int flags),          \
      (fd, v, n, at, flags), PREADV, MOVED)                                                        \
    X(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at), PWRITEV, \
      MOVED)                                                                                       \
    X(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at),      \
      PWRITEV, MOVED)                                                                              \
    X(ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t at, int flags),              \
      (fd, v, n, at, flags), PWRITEV, MOVED)                                                       \
    X(ssize_t, pwritev64v2, (int fd, const struct iovec *v, int n, off64_t at, int flags),         \
      (fd, v, n, at, flags), PWRITEV, MOVED)                                                       \
    X(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags), SEND, MOVED) \
    X(ssize_t, sendto,                                                                             \
      (int fd, const void *p, size_t n, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_bytes),   \
      (fd, p, n, flags, to, to_bytes), SENDTO, MOVED)                                              \
    X(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), SENDMSG,      \
      MOVED)                                                                                       \
    X(int, sendmmsg, (int fd, struct mmsghdr *v, unsigned n, int flags), (fd, v, n, flags),        \
      SENDMMSG, MESSAGES)                                                                          \
    X(ssize_t, sendfile, (int to, int from, off_t *at, size_t n), (to, from, at, n), SENDFILE,     \
      MOVED)                                                                                       \
    X(ssize_t, sendfile64, (int to, int from, off64_t *at, size_t n), (to, from, at, n), SENDFILE, \
      MOVED)                                                                                       \
    X(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags), RECV, MOVED)       \
    X(ssize_t, __recv_chk, (int fd, void *p, size_t n, size_t room, int flags),                    \
      (fd, p, n, room, flags), RECV, MOVED)                                                        \
    X(ssize_t, recvfrom,                                                                           \
      (int fd, void *p, size_t n, int flags, __SOCKADDR_ARG from, socklen_t *from_bytes),          \
      (fd, p, n, flags, from, from_bytes), RECVFROM, MOVED)                                        \
    X(ssize_t, __recvfrom_chk,                                                                     \
      (int fd, void *p, size_t n, size_t room, int flags, __SOCKADDR_ARG from,                     \
       socklen_t *from_bytes),                                                                     \
      (fd, p, n, room, flags, from, from_bytes), RECVFROM, MOVED)                                  \
    X(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), RECVMSG, MOVED)     \
    X(int, recvmmsg, (int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout), \
      (fd, v, n, flags, timeout), RECVMMSG, MESSAGES)                                              \
    X(int, fsync, (int fd), (fd), FSYNC, NOTHING)                                                  \
    X(int, fdatasync, (int fd), (fd), FDATASYNC, NOTHING)                                          \
    X(int, msync, (void *p, size_t n, int flags), (p, n, flags), MSYNC, NOTHING)                   \
    X(int, sync_file_range, (int fd, off64_t at, off64_t n, unsigned flags), (fd, at, n, flags),   \
      SYNC_FILE_RANGE, NOTHING)                                                                    \
    X(int, syncfs, (int fd), (fd), SYNCFS, NOTHING)                                                \
    X(int, creat, (const char *path, mode_t mode), (path, mode), CREAT, NOTHING)                   \
    X(int, creat64, (const char *path, mode_t mode), (path, mode), CREAT, NOTHING)                 \
    X(int, __open_2, (const char *path, int flags), (path, flags), OPEN, NOTHING)                  \
    X(int, __open64_2, (const char *path, int flags), (path, flags), OPEN, NOTHING)                \
    X(int, __openat_2, (int dir, const char *path, int flags), (dir, path, flags), OPENAT,         \
      NOTHING)                                                                                     \
    X(int, __openat64_2, (int dir, const char *path, int flags), (dir, path, flags), OPENAT,       \
      NOTHING)                                                                                     \
    X(int, close, (int fd), (fd), CLOSE, NOTHING)                                                  \
    X(int, connect, (int fd, __CONST_SOCKADDR_ARG to, socklen_t n), (fd, to, n), CONNECT, NOTHING) \
    X(int, accept, (int fd, __SOCKADDR_ARG from, socklen_t *n), (fd, from, n), ACCEPT, NOTHING)    \
    X(int, accept4, (int fd, __SOCKADDR_ARG from, socklen_t *n, int flags), (fd, from, n, flags),  \
      ACCEPT4, NOTHING)                                                                            \
    X(ssize_t, copy_file_range,                                                                    \
      (int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags),              \
      (from, from_at, to, to_at, n, flags), COPY_FILE_RANGE, MOVED)                                \
    X(ssize_t, splice,                                                                             \
      (int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags),              \
      (from, from_at, to, to_at, n, flags), SPLICE, MOVED)

/* … that take their mode as a variable argument: X(name, parameters, arguments, CALL). */
#define FOREACH_OPEN(X)                                                                            \
    X(open, (const char *path, int flags, ...), (path, flags, mode), OPEN)                         \
    X(open64, (const char *path, int flags, ...), (path, flags, mode), OPEN)                       \
    X(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), OPENAT)       \
    X(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), OPENAT)

/* Waiting for children: a signal with SA_RESTART does not end these. */
#define FOREACH_IDLE(X)                                                                            \
    X(pid_t, wait, (int *status), (status), WAIT, NOTHING)                                         \
    X(int, pthread_join, (pthread_t thread, void **result), (thread, result), JOIN, NOTHING)       \
    X(int, pthread_timedjoin_np, (pthread_t thread, void **result, const struct timespec *until),  \
      (thread, result, until), TIMEDJOIN, NOTHING)                                                 \
    X(int, pthread_clockjoin_np,                                                                   \
      (pthread_t thread, void **result, clockid_t clock, const struct timespec *until),            \
      (thread, result, clock, until), CLOCKJOIN, NOTHING)                                          \
    X(int, thrd_join, (thrd_t thread, int *result), (thread, result), THRD_JOIN, NOTHING)          \
    X(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags), WAITPID, NOTHING) \
    X(pid_t, wait3, (int *status, int flags, struct rusage *used), (status, flags, used), WAIT3,   \
      NOTHING)                                                                                     \
    X(pid_t, wait4, (pid_t pid, int *status, int flags, struct rusage *used),                      \
      (pid, status, flags, used), WAIT4, NOTHING)                                                  \
    X(int, waitid, (idtype_t type, id_t id, siginfo_t * info, int flags), (type, id, info, flags), \
      WAITID, NOTHING)

/* Sleep: any signal ends these, and they take no mask. */
#define FOREACH_SLEEP(X)                                                                           \
    X(int, nanosleep, (const struct timespec *t, struct timespec *left), (t, left), NANOSLEEP,     \
      NOTHING)                                                                                     \
    X(int, clock_nanosleep,                                                                        \
      (clockid_t clock, int flags, const struct timespec *t, struct timespec *left),               \
      (clock, flags, t, left), CLOCK_NANOSLEEP, NOTHING)                                           \
    X(int, usleep, (useconds_t us), (us), USLEEP, NOTHING)                                         \
    X(unsigned, sleep, (unsigned s), (s), SLEEP, NOTHING)                                          \
    X(int, pause, (void), (), PAUSE, NOTHING)

/* Waiting for events: each has a hook of its own. X(return type, name, parameters). */
#define FOREACH_EVENT(X)                                                                           \
    X(int, poll, (struct pollfd * fds, nfds_t n, int timeout))                                     \
    X(int, __poll_chk, (struct pollfd * fds, nfds_t n, int timeout, size_t room))                  \
    X(int, ppoll,                                                                                  \
      (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask))       \
    X(int, __ppoll_chk,                                                                            \
      (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,        \
       size_t room))                                                                               \
    X(int, select, (int n, fd_set *in, fd_set *out, fd_set *err, struct timeval *timeout))         \
    X(int, pselect,                                                                                \
      (int n, fd_set *in, fd_set *out, fd_set *err, const struct timespec *timeout,                \
       const sigset_t *mask))                                                                      \
    X(int, epoll_wait, (int epoll, struct epoll_event *events, int n, int timeout))                \
    X(int, epoll_pwait,                                                                            \
      (int epoll, struct epoll_event *events, int n, int timeout, const sigset_t *mask))           \
    X(int, epoll_pwait2,                                                                           \
      (int epoll, struct epoll_event *events, int n, const struct timespec *timeout,               \
       const sigset_t *mask))                                                                      \
    X(int, sigsuspend, (const sigset_t *mask))                                                     \
    X(int, sigwait, (const sigset_t *set, int *number))                                            \
    X(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info))                                    \
    X(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout))   \
    X(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t n))

#endif
