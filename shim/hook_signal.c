/*
 * The tick's signal stays ours and looks untouched to the host: what it sets for that signal is
 * kept and given back, and its masks are applied without it. A signal of that number that somebody
 * sends goes to the host's handler, or waits while the host has it blocked.
 */
#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "profile/sys.h"
#include "shim/hook_signal.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/tick.h"

static struct sigaction host_action; /* what the host thinks is set; zero = SIG_DFL */

/* The host has the signal blocked, as far as it knows: from here on it is, without ticks, and the
   signal waits as it would have without us. */
static void signal_put_back(int signo, siginfo_t *info, ucontext_t *uc)
{
    if (shim_tls.self)
        tick_stop(shim_tls.self);
    sigaddset(&uc->uc_sigmask, signo);
    sys_call4(SYS_rt_tgsigqueueinfo, sys_call0(SYS_getpid), sys_call0(SYS_gettid), signo, info);
}

void signal_forward(int signo, siginfo_t *info, void *ucontext)
{
    struct sigaction action = host_action;
    if (shim_tls.host_blocks_tick) {
        signal_put_back(signo, info, ucontext);
    } else if (action.sa_flags & SA_SIGINFO) {
        action.sa_sigaction(signo, info, ucontext);
    } else if (action.sa_handler == SIG_DFL) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        real.sigaction(signo, &standard, NULL);
        sys_call3(SYS_tgkill, sys_call0(SYS_getpid), sys_call0(SYS_gettid), signo);
    } else if (action.sa_handler != SIG_IGN) {
        action.sa_handler(signo);
    }
}

static bool is_ours(int signo)
{
    return signo != 0 && signo == tick_signal() && shim_control->on;
}

/*
 * On an alternate stack there may be no room for a second signal frame (8 KiB is usual; with
 * AVX-512 a frame takes 3): handlers that run there block the tick, which then comes when they
 * return, with its overruns.
 */
static int sigaction_of_host(int signo, const struct sigaction *action, struct sigaction *old)
{
    struct sigaction copy;
    int ours = shim_control->on ? tick_signal() : 0;
    if (ours && action && (action->sa_flags & SA_ONSTACK)) {
        copy = *action;
        sigaddset(&copy.sa_mask, ours);
        action = &copy;
    }
    int result = real.sigaction(signo, action, old);
    if (ours && result == 0 && old && (old->sa_flags & SA_ONSTACK))
        sigdelset(&old->sa_mask, ours);
    return result;
}

EXPORT int sigaction(int signo, const struct sigaction *action, struct sigaction *old)
{
    real_resolve();
    if (likely(!is_ours(signo)))
        return sigaction_of_host(signo, action, old);
    struct sigaction before = host_action;
    if (action)
        host_action = *action;
    if (old)
        *old = before;
    return 0;
}

EXPORT sighandler_t signal(int signo, sighandler_t handler)
{
    real_resolve();
    if (likely(!is_ours(signo)))
        return real.signal(signo, handler);
    sighandler_t before = host_action.sa_handler;
    host_action = (struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART};
    return before;
}

/*
 * The mask of this thread as the host sees it: our bit is kept apart and is never in the real one,
 * so that a thread that blocks "all" signals is sampled.
 */
static int mask_change(int (*real_mask)(int, const sigset_t *, sigset_t *), int how,
                       const sigset_t *set, sigset_t *old)
{
    sigset_t copy;
    int ours = shim_control->on ? tick_signal() : 0;
    uint16_t before = shim_tls.host_blocks_tick;
    if (!ours)
        return real_mask(how, set, old);
    bool named = set && sigismember(set, ours) == 1;
    if (named && how != SIG_UNBLOCK) {
        copy = *set;
        sigdelset(&copy, ours);
    }
    int result = real_mask(how, named && how != SIG_UNBLOCK ? &copy : set, old);
    if (result != 0)
        return result;
    if (set && (named || how == SIG_SETMASK))
        shim_tls.host_blocks_tick = named && how != SIG_UNBLOCK;
    if (old && before)
        sigaddset(old, ours);
    return result;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    real_resolve();
    return mask_change(real.pthread_sigmask, how, set, old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    real_resolve();
    return mask_change(real.sigprocmask, how, set, old);
}
