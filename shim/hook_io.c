/*
 * Calls of I/O: each is timed from its call to its return (io_recorder.h), whether it waits or not.
 * Calls that libc makes inside itself (fread, getline) do not pass here.
 */
#include "shim/real.h"
#include "shim/io_recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* These are not declared: fortified programs alone call them. */
#define X(ret, name, params, arguments, call, bytes) ret name params;
FOREACH_IO(X)
#undef X

static uint64_t messages_bytes(const struct mmsghdr *v, int n)
{
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += v[i].msg_len;
    return bytes;
}

#define NOTHING  0
#define MOVED    (r > 0 ? (uint64_t)r : 0)
#define MESSAGES messages_bytes(v, r)

#define X(ret, name, params, arguments, call, bytes)                                               \
    IO_HOOK(ret, name, params, arguments, call, bytes, IO_MASKS_SOCKETS, PSHIM_WAIT_IO)
FOREACH_IO(X)
#undef X

/* The mode stands among the arguments only if the flags ask for one. */
static bool has_mode(int flags)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

#define X(name, params, arguments, call)                                                           \
    EXPORT int name params                                                                         \
    {                                                                                              \
        uint32_t bits = io_mode();                                                                 \
        mode_t mode = 0;                                                                           \
        if (has_mode(flags)) {                                                                     \
            va_list more;                                                                          \
            va_start(more, flags);                                                                 \
            mode = va_arg(more, mode_t);                                                           \
            va_end(more);                                                                          \
        }                                                                                          \
        if (!REAL_IO(name))                                                                        \
            return -1;                                                                             \
        if (unlikely(!bits))                                                                       \
            return real.name arguments;                                                            \
        struct io_wait w;                                                                          \
        io_begin(&w, bits, IO_MASKS_SOCKETS, PSHIM_WAIT_IO);                                       \
        int r = real.name arguments;                                                               \
        IO_END(&w, PSHIM_CALL_##call, 0, r == -1);                                                 \
        return r;                                                                                  \
    }
FOREACH_OPEN(X)
#undef X

/* I/O on a socket with a time limit is ended by any signal, SA_RESTART or not. */
EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    if (!REAL_IO(setsockopt))
        return -1;
    if (unlikely(level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) &&
        (io_mode() & IO_MASKS_WAITS))
        __atomic_fetch_or(&shim_control->io, IO_MASKS_SOCKETS, __ATOMIC_RELAXED);
    return real.setsockopt(fd, level, name, value, n);
}
