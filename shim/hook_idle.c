/*
 * Calls that wait for events, for time, for children, for signals: the thread is idle meanwhile.
 *
 * Where ticks end waits (io_recorder.h), those that take a mask get the caller's and the tick;
 * poll, select and epoll_wait are called as ppoll, pselect and epoll_pwait with the mask that the
 * thread has; around the rest the tick is blocked. Elsewhere the calls pass as they are.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "profile/sys.h"
#include "shim/io_recorder.h"
#include "shim/real.h"

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                size_t room);

#define NOTHING 0
#define X(ret, name, params, arguments, call, bytes)                                               \
    IO_HOOK(ret, name, params, arguments, call, bytes, 0, PSHIM_WAIT_IDLE)
FOREACH_IDLE(X)
#undef X

/* clock_nanosleep returns its error; sleep returns what is left of it, which is no failure. */
#define X(ret, name, params, arguments, call, bytes)                                               \
    IO_HOOK(ret, name, params, arguments, call, bytes, IO_MASKS_WAITS, PSHIM_WAIT_IDLE)
FOREACH_SLEEP(X)
#undef X

/* The mask of a call, NULL = the thread's own, with the tick added. */
static const sigset_t *mask_with_tick(const sigset_t *mask, sigset_t *to)
{
    enum { kernel_bytes = 8 };
    if (mask) {
        *to = *mask;
    } else {
        sigemptyset(to);
        sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, NULL, to, kernel_bytes);
    }
    sigaddset(to, tick_signal());
    return to;
}

/*
 * A hook whose real call is `masked` where ticks end waits, else `plain`; both see `set`, room for
 * a mask.
 */
#define EVENT_HOOK(name, params, call, plain, masked, result_failed)                               \
    EXPORT int name params                                                                         \
    {                                                                                              \
        uint32_t bits = io_mode();                                                                 \
        if (!REAL_IO(name))                                                                        \
            return -1;                                                                             \
        if (unlikely(!bits))                                                                       \
            return plain;                                                                          \
        struct io_wait w;                                                                          \
        sigset_t set;                                                                              \
        io_begin(&w, bits, 0, PSHIM_WAIT_IDLE);                                                    \
        int r = likely(!(bits & IO_MASKS_WAITS)) ? plain : masked;                                 \
        IO_END(&w, PSHIM_CALL_##call, 0, result_failed);                                           \
        return r;                                                                                  \
    }

static int poll_masked(struct pollfd *fds, nfds_t n, int timeout, const sigset_t *mask)
{
    struct timespec t = {timeout / 1000, timeout % 1000 * 1000000L};
    return real.ppoll(fds, n, timeout < 0 ? NULL : &t, mask);
}

/*
 * As pselect, but the time that is left is told, as Linux does: what the caller gave is not longer
 * than before, and not negative.
 */
static int select_masked(int n, fd_set *in, fd_set *out, fd_set *err, struct timeval *timeout,
                         const sigset_t *mask)
{
    enum { us_per_s = 1000000, ns_per_us = 1000 };
    if (!timeout)
        return real.pselect(n, in, out, err, NULL, mask);
    time_t more = timeout->tv_usec / us_per_s;
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0 ||
        __builtin_add_overflow(timeout->tv_sec, more, &more))
        return real.select(n, in, out, err, timeout); /* refused, or as good as for ever */
    struct timespec t = {more, timeout->tv_usec % us_per_s * ns_per_us};
    uint64_t before = shim_now_ns();
    int r = real.pselect(n, in, out, err, &t, mask);
    uint64_t gone = shim_now_ns() - before;
    time_t gone_s = (time_t)(gone / 1000000000u);
    long left_ns = t.tv_nsec - (long)(gone % 1000000000u);
    time_t left_s = t.tv_sec - gone_s - (left_ns < 0);
    left_ns += left_ns < 0 ? 1000000000 : 0;
    if (left_s < 0)
        left_s = left_ns = 0;
    timeout->tv_sec = left_s;
    timeout->tv_usec = left_ns / ns_per_us;
    return r;
}

EVENT_HOOK(poll, (struct pollfd * fds, nfds_t n, int timeout), POLL, real.poll(fds, n, timeout),
           poll_masked(fds, n, timeout, mask_with_tick(NULL, &set)), r == -1)
EVENT_HOOK(__poll_chk, (struct pollfd * fds, nfds_t n, int timeout, size_t room), POLL,
           real.__poll_chk(fds, n, timeout, room),
           n > room / sizeof *fds ? real.__poll_chk(fds, n, timeout, room)
                                  : poll_masked(fds, n, timeout, mask_with_tick(NULL, &set)),
           r == -1)
EVENT_HOOK(ppoll,
           (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
           PPOLL, real.ppoll(fds, n, timeout, mask),
           real.ppoll(fds, n, timeout, mask_with_tick(mask, &set)), r == -1)
EVENT_HOOK(__ppoll_chk,
           (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
            size_t room),
           PPOLL, real.__ppoll_chk(fds, n, timeout, mask, room),
           real.__ppoll_chk(fds, n, timeout, mask_with_tick(mask, &set), room), r == -1)
EVENT_HOOK(select, (int n, fd_set *in, fd_set *out, fd_set *err, struct timeval *timeout), SELECT,
           real.select(n, in, out, err, timeout),
           select_masked(n, in, out, err, timeout, mask_with_tick(NULL, &set)), r == -1)
EVENT_HOOK(pselect,
           (int n, fd_set *in, fd_set *out, fd_set *err, const struct timespec *timeout,
            const sigset_t *mask),
           PSELECT, real.pselect(n, in, out, err, timeout, mask),
           real.pselect(n, in, out, err, timeout, mask_with_tick(mask, &set)), r == -1)
EVENT_HOOK(epoll_wait, (int epoll, struct epoll_event *events, int n, int timeout), EPOLL_WAIT,
           real.epoll_wait(epoll, events, n, timeout),
           real.epoll_pwait(epoll, events, n, timeout, mask_with_tick(NULL, &set)), r == -1)
EVENT_HOOK(epoll_pwait,
           (int epoll, struct epoll_event *events, int n, int timeout, const sigset_t *mask),
           EPOLL_PWAIT, real.epoll_pwait(epoll, events, n, timeout, mask),
           real.epoll_pwait(epoll, events, n, timeout, mask_with_tick(mask, &set)), r == -1)
EVENT_HOOK(epoll_pwait2,
           (int epoll, struct epoll_event *events, int n, const struct timespec *timeout,
            const sigset_t *mask),
           EPOLL_PWAIT2, real.epoll_pwait2(epoll, events, n, timeout, mask),
           real.epoll_pwait2(epoll, events, n, timeout, mask_with_tick(mask, &set)), r == -1)
EVENT_HOOK(sigsuspend, (const sigset_t *mask), SIGSUSPEND, real.sigsuspend(mask),
           real.sigsuspend(mask_with_tick(mask, &set)), r == -1)

static uint64_t until_ns(const struct timespec *timeout)
{
    return shim_now_ns() + (uint64_t)timeout->tv_sec * 1000000000u + (uint64_t)timeout->tv_nsec;
}

/*
 * sigtimedwait with the tick blocked. A set that has the tick's signal may give a tick of ours: it
 * is booked, and the rest of the time is waited for; no other signal was taken.
 */
static int wait_masked(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    siginfo_t mine;
    struct timespec rest;
    siginfo_t *to = info ? info : &mine;
    bool valid =
        timeout && timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_sec < INT32_MAX;
    uint64_t end_ns = valid ? until_ns(timeout) : 0;
    for (;;) {
        int r = real.sigtimedwait(set, to, timeout);
        if (r != tick_signal() || !tick_is_ours(to))
            return r;
        struct thread_state *ts = shim_tls.self;
        if (ts)
            ts->pending_ticks += 1 + (uint64_t)to->si_overrun;
        if (!valid)
            continue;
        uint64_t now = shim_now_ns(), left = end_ns > now ? end_ns - now : 0;
        rest = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        timeout = &rest;
    }
}

static int sigwait_masked(const sigset_t *set, int *number)
{
    int r, before = errno;
    do
        r = wait_masked(set, NULL, NULL);
    while (r == -1 && errno == EINTR); /* as sigwait does: no signal is taken then */
    int error = r == -1 ? errno : 0;
    errno = before;
    if (!error)
        *number = r;
    return error;
}

#define SIGNAL_HOOK(name, params, call, plain, masked, result_failed)                              \
    EXPORT int name params                                                                         \
    {                                                                                              \
        uint32_t bits = io_mode();                                                                 \
        if (!REAL_IO(name))                                                                        \
            return -1;                                                                             \
        if (unlikely(!bits))                                                                       \
            return plain;                                                                          \
        struct io_wait w;                                                                          \
        io_begin(&w, bits, IO_MASKS_WAITS, PSHIM_WAIT_IDLE);                                       \
        int r = likely(!(bits & IO_MASKS_WAITS)) ? plain : masked;                                 \
        IO_END(&w, PSHIM_CALL_##call, 0, result_failed);                                           \
        return r;                                                                                  \
    }
SIGNAL_HOOK(sigwait, (const sigset_t *set, int *number), SIGWAIT, real.sigwait(set, number),
            sigwait_masked(set, number), r == -1)
SIGNAL_HOOK(sigwaitinfo, (const sigset_t *set, siginfo_t *info), SIGWAITINFO,
            real.sigwaitinfo(set, info), wait_masked(set, info, NULL), r == -1)
SIGNAL_HOOK(sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout),
            SIGTIMEDWAIT, real.sigtimedwait(set, info, timeout), wait_masked(set, info, timeout),
            r == -1)
