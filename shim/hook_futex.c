/*
 * Futexes through libc's syscall(), as Rust's library, abseil and folly use them: who waited and
 * who woke. What the word stands for (a lock, a condition, a parked thread) is not known and not
 * guessed: waits are idle, and nobody holds a futex.
 *
 * syscall() is entered in assembly: any other call must find the registers, the stack and the
 * return address as its caller left them (vfork and clone return twice, and nothing knows how many
 * arguments there are).
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/hook_lock.h"
#include "shim/pass_recorder.h"
#include "shim/process.h"
#include "shim/tick.h"

_Static_assert(SYS_futex == 202, "the number in syscall()");

/* Their arguments stand where syscall() has its own. */
#define ARGUMENTS   long number, long word, long op, long value, long time, long word2, long value3
#define PASS_THEM   number, word, op, value, time, word2, value3
#define REAL_CALL() REAL_LOCK(syscall)(PASS_THEM)
long syscall_early(ARGUMENTS), syscall_futex(ARGUMENTS);

/* Before the constructor. */
__attribute__((used)) long syscall_early(ARGUMENTS)
{
    return REAL_CALL();
}

static bool is_wait(long command)
{
    return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI ||
           command == FUTEX_LOCK_PI2 || command == FUTEX_WAIT_REQUEUE_PI;
}

static bool is_wake(long command)
{
    return command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET || command == FUTEX_WAKE_OP ||
           command == FUTEX_REQUEUE || command == FUTEX_CMP_REQUEUE ||
           command == FUTEX_CMP_REQUEUE_PI;
}

/* A word that had changed already is no wait; a call that wakes nobody is no wake. */
__attribute__((used)) long syscall_futex(ARGUMENTS)
{
    static const struct lock_call waits = {PSHIM_LOCK_FUTEX, PSHIM_CALL_FUTEX},
                                  wakes = {PSHIM_LOCK_FUTEX, PSHIM_CALL_FUTEX_WAKE};
    const void *lock = (const void *)word; /* not looked at */
    long command = op & FUTEX_CMD_MASK;
    uint32_t mode = lock_mode();
    if (mode == PSHIM_OFF)
        return REAL_CALL();
    if (!is_wait(command)) {
        long woken = REAL_CALL();
        if (woken > 0 && is_wake(command) && mode == PSHIM_ON)
            PASS_DONE(lock, wakes, 0);
        return woken;
    }
    struct wait_span wait;
    wait_begin(&wait, shim_tls.self, PSHIM_WAIT_IDLE);
    bool unblock = time && !tick_block(); /* a tick may end a wait that has a limit */
    long result = REAL_CALL();
    if (unblock)
        tick_unblock();
    if (result == 0 || errno == ETIMEDOUT || errno == EINTR)
        PASS_WAITED(lock, waits, &wait, false);
    else
        wait_end(&wait);
    return result;
}

/* What libseccomp calls; without a filter it only asks whether there could be one. */
_Static_assert(SYS_seccomp == 317, "the number in syscall()");
long syscall_seccomp(ARGUMENTS);
__attribute__((used)) long syscall_seccomp(ARGUMENTS)
{
    if (word == SECCOMP_SET_MODE_STRICT || (word == SECCOMP_SET_MODE_FILTER && value))
        process_turn_off(PSHIM_OFF_SECCOMP);
    return REAL_CALL();
}

EXPORT __attribute__((naked, no_profile_instrument_function)) long
syscall(long number __attribute__((unused)), ...)
{
    __asm__("cmpq $202, %%rdi\n\t"
            "je syscall_futex\n\t"
            "cmpq $317, %%rdi\n\t"
            "je syscall_seccomp\n\t"
            "movq real+%c0(%%rip), %%rax\n\t"
            "testq %%rax, %%rax\n\t"
            "je syscall_early\n\t"
            "jmp *%%rax" ::"i"(offsetof(struct real_table, syscall)));
}
