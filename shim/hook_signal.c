/*
 * The tick's signal stays ours and looks untouched to the host: what it sets for that signal is
 * kept and given back, and its masks are applied without it (a thread that blocks "all" signals
 * would not be sampled).
 */
#include <errno.h>
#include <signal.h>

#include "profile/sys.h"
#include "shim/hook_signal.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/tick.h"

static struct sigaction host_action; /* what the host thinks is set; zero = SIG_DFL */

void signal_forward(int signo, siginfo_t *info, void *ucontext)
{
    struct sigaction action = host_action;
    if (action.sa_flags & SA_SIGINFO) {
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
 * AVX-512 a frame takes 3, and our walk 2): handlers that run there block the tick, which then
 * comes when they return, with its overruns.
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

/* `set` without our signal, in *copy when it has to be one. */
static const sigset_t *mask_without_ours(int how, const sigset_t *set, sigset_t *copy)
{
    int ours = tick_signal();
    if (!set || how == SIG_UNBLOCK || !ours || !shim_control->on || !sigismember(set, ours))
        return set;
    *copy = *set;
    sigdelset(copy, ours);
    return copy;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t copy;
    real_resolve();
    return real.pthread_sigmask(how, mask_without_ours(how, set, &copy), old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t copy;
    real_resolve();
    return real.sigprocmask(how, mask_without_ours(how, set, &copy), old);
}
