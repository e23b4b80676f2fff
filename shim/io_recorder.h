/*
 * Calls that wait for I/O or for events: their hooks' two ends, and what goes into the file.
 *
 * A hook says io_begin(), calls the real function with no guard held, and IO_END(). A call whose
 * thread is cancelled, or that is left by siglongjmp, has no account, only its time in the thread's
 * row, and leaves nothing behind that the next hook does not put right (waits.h). errno is the real
 * call's.
 *
 * Accounts: (stack > CALL), and beside it (stack > CALL > LOCK) while the thread holds a lock. A
 * call that is made again at a stack finds them in two small tables of the thread (lock_book.h;
 * io_book). The time of a call within another one's (in a signal handler) is the outer one's.
 *
 * Ticks. Since Linux 5.9 one never ends a wait. Older kernels (and gVisor, which says it is one)
 * end with EINTR what SA_RESTART does not cover: there the tick is blocked meanwhile, by the mask
 * that a call takes, or around it. A wait is never tried again: that would lose a signal of the
 * host's own.
 *
 * Async-signal-safe.
 */
#ifndef PERFSHIM_SHIM_IO_RECORDER_H
#define PERFSHIM_SHIM_IO_RECORDER_H

#include "shim/lock_recorder.h"
#include "shim/tick.h"
#include "shim/waits.h"

/* Bits of shim_control->io. */
enum io_bit {
    IO_RECORDED = 1,
    IO_MASKS_WAITS = 2,   /* ticks end waits here: sleep, poll and the like are masked */
    IO_MASKS_SOCKETS = 4, /* … and the program gave a socket a time limit: so is all its I/O */
};

/* The first value of shim_control->io, by PERFSHIM_IO. */
uint32_t io_bits(uint32_t mode);

HOT_INLINE uint32_t io_mode(void)
{
    return __atomic_load_n(&shim_control->io, __ATOMIC_RELAXED);
}

/* A call that is under way, on the hook's stack. */
struct io_wait {
    struct wait_span span;
    bool recorded;
    bool unblock; /* the tick was blocked for it */
};

/* The calling thread; NULL if it has ended. */
struct thread_state *io_attach(void);

/* With one of the bits in `masks` set, the tick is blocked meanwhile. */
HOT_INLINE void io_begin(struct io_wait *w, uint32_t bits, uint32_t masks, enum pshim_wait what)
{
    w->unblock = unlikely(bits & masks) && !tick_block();
    w->recorded = bits & IO_RECORDED;
    if (likely(w->recorded)) {
        struct thread_state *ts = shim_tls.self;
        wait_begin(&w->span, likely(ts != NULL) ? ts : io_attach(), what);
    }
}

/* It has returned, to a hook with these registers that was called there. */
void io_end(struct io_wait *w, enum pshim_call call, const struct unwind_regs *regs, uint64_t bytes,
            bool failed);

/* In an exported function, whose registers are the site. */
#define IO_END(w, call, bytes, failed)                                                             \
    do {                                                                                           \
        struct unwind_regs regs_;                                                                  \
        unwind_capture(&regs_);                                                                    \
        io_end(w, call, &regs_, bytes, failed);                                                    \
    } while (0)

/* Is there a real function of this name? Else errno says so, and the hook fails. */
#define REAL_IO(name) (likely(real.name != NULL) || real_resolve_io((void *const *)&real.name))

/* A whole hook; `moved` makes of the result r what is counted. */
#define IO_HOOK(ret, name, params, arguments, call, moved, masks, what)                            \
    EXPORT ret name params                                                                         \
    {                                                                                              \
        uint32_t bits = io_mode();                                                                 \
        if (!REAL_IO(name))                                                                        \
            return (ret)-1;                                                                        \
        if (unlikely(!bits))                                                                       \
            return real.name arguments;                                                            \
        struct io_wait w_;                                                                         \
        io_begin(&w_, bits, masks, what);                                                          \
        ret r = real.name arguments;                                                               \
        IO_END(&w_, PSHIM_CALL_##call, moved, r == (ret)-1);                                       \
        return r;                                                                                  \
    }

#endif
