/* The host's own use of the tick's signal number. Async-signal-safe. */
#ifndef PERFSHIM_SHIM_HOOK_SIGNAL_H
#define PERFSHIM_SHIM_HOOK_SIGNAL_H

#include <signal.h>

/* Delivers to the host a signal of that number that no timer of ours sent. */
void signal_forward(int signo, siginfo_t *info, void *ucontext);

#endif
