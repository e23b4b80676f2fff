#include "shim/tick.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <ucontext.h>

#include "profile/sys.h"
#include "shim/blame.h"
#include "shim/hook_signal.h"
#include "shim/lock_clock.h"
#include "shim/nodes.h"
#include "shim/real.h"
#include "shim/recorder.h"
#include "shim/thread.h"
#include "shim/timeline.h"
#include "shim/waits.h"

enum { sigset_bytes = 8, cookie = 0x70736869 };

static int signal_number;    /* 0 = none */
static uint64_t timer_count; /* atomic */
static uint64_t timer_max;   /* the host keeps half of what it may have in pending signals */

int tick_signal(void)
{
    return signal_number;
}

/* The kernel's own layout: glibc's struct sigevent hides the thread id. */
struct kernel_sigevent {
    union sigval value;
    int signo;
    int notify;
    int tid;
    int pad[12];
};

void tick_book_at(struct thread_state *ts, uint32_t node, uint64_t ticks)
{
    uint64_t now = shim_now_ns();
    ts->ticks += ticks;
    thread_note_ticks(ts, now);
    timeline_tell(ts, now, ticks, 0);
    recorder_cpu(ts, node, ticks, 0);
}

void tick_book_pending(struct thread_state *ts, uint32_t node)
{
    uint64_t ticks = ts->pending_ticks;
    ts->pending_ticks = 0;
    tick_book_at(ts, node_special(node, PSHIM_SPECIAL_PROFILER, &ts->spare_node), ticks);
}

bool tick_is_ours(const siginfo_t *info)
{
    return info->si_code == SI_TIMER && info->si_value.sival_int == cookie;
}

bool tick_ends_waits(void)
{
    enum { fixed_major = 5, fixed_minor = 9 };
    struct utsname name;
    char *end;
    if (!signal_number || sys_call1(SYS_uname, &name) != 0)
        return false;
    unsigned long major = strtoul(name.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major < fixed_major || (major == fixed_major && minor < fixed_minor);
}

/*
 * Stack that a tick may use below the kernel's signal frame. An alternate stack of the host's may
 * be as small as MINSIGSTKSZ, which the frame alone fills.
 */
enum { tick_stack_bytes = 3072 };

static bool stack_has_room(const struct thread_state *ts, const ucontext_t *uc)
{
    uintptr_t sp = shim_sp(), alt = (uintptr_t)uc->uc_stack.ss_sp;
    if (sp - alt < uc->uc_stack.ss_size)
        return sp - alt >= tick_stack_bytes;
    return sp - ts->stack.lo >= tick_stack_bytes; /* not on that stack: a large number */
}

/* Out of line, so that the handler itself needs next to no stack. */
static __attribute__((noinline)) void tick_book(struct thread_state *ts, const ucontext_t *uc,
                                                uint64_t weight)
{
    uintptr_t stale = shim_tls.guard; /* of a hook that was left by siglongjmp, or 0 */
    shim_tls.guard = UINTPTR_MAX;     /* whatever allocates now is nested */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    struct unwind_regs regs;
    unwind_from_ucontext(&regs, uc);
    struct unwind_range stacks[2] = {ts->stack, {0, 0}};
    stacks[1].lo = (uintptr_t)uc->uc_stack.ss_sp;
    stacks[1].hi = stacks[1].lo + uc->uc_stack.ss_size;
    uint32_t node = recorder_tick_stack(ts, &regs, stacks, stacks[1].lo ? 2 : 1);
    uint64_t now = shim_now_ns();
    ts->ticks += weight;
    wait_tick(ts, weight, (uintptr_t)uc->uc_mcontext.gregs[REG_RSP]);
    thread_note_ticks(ts, now);
    timeline_tell(ts, now, weight, 0);
    recorder_cpu(ts, node, weight, 0);
    blame_wait_check(ts, regs.reg[UNWIND_RSP]);
    const struct held_lock *held = held_last(&ts->held);
    if (held && held->account)
        recorder_held(ts, node, held->lock, weight);
    lock_clock_note();
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    shim_tls.guard = stale;
}

/*
 * A tick. It interrupts anything: the host's code, libc with its locks held, our own hooks. In a
 * hook it only adds to pending_ticks, which the hook books as "profiler" when it leaves.
 */
static void tick_handler(int signo, siginfo_t *info, void *ucontext)
{
    const ucontext_t *uc = ucontext;
    if (unlikely(!tick_is_ours(info))) {
        signal_forward(signo, info, ucontext);
        return;
    }
    if (!shim_control->on)
        return;
    uint64_t weight = 1 + (uint64_t)info->si_overrun;
    struct thread_state *ts = shim_tls.self;
    if (unlikely(!ts || ts->tid != (uint32_t)sys_call0(SYS_gettid))) {
        profile_lost(&shim.profile, PSHIM_LOSS_tick_no_thread, weight);
        return;
    }
    if (unlikely(!shim_control->recording)) {
        ts->paused_ticks += weight;
        return;
    }
    uintptr_t interrupted_sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
    if (unlikely(shim_tls.guard >= interrupted_sp)) {
        ts->pending_ticks += weight;
        return;
    }
    if (unlikely(!stack_has_room(ts, uc))) {
        profile_lost(&shim.profile, PSHIM_LOSS_tick_no_room, weight);
        return;
    }
    tick_book(ts, uc, weight);
}

int tick_init(void)
{
    struct rlimit pending = {0, 0};
    sys_call4(SYS_prlimit64, 0, RLIMIT_SIGPENDING, 0, &pending);
    timer_max = pending.rlim_cur / 2;
    for (int signo = SIGRTMAX - 1; signo > SIGRTMIN + 1; signo--) {
        struct sigaction now;
        if (real.sigaction(signo, NULL, &now) != 0 || now.sa_handler != SIG_DFL)
            continue;
        struct sigaction ours = {.sa_sigaction = tick_handler,
                                 .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
        /* No handler of the host's may run inside a tick: it could leave it by siglongjmp. */
        sigfillset(&ours.sa_mask);
        if (real.sigaction(signo, &ours, NULL) != 0)
            return -1;
        signal_number = signo;
        return 0;
    }
    return -1;
}

/* A number in [1, period], different for each thread and run. */
static uint64_t first_expiry_ns(const struct thread_state *ts, uint64_t period_ns)
{
    uint64_t x = shim.tag_key ^ (uint64_t)ts->tid * 0x9e3779b97f4a7c15u ^ shim_now_ns();
    x = (x ^ (x >> 32)) * 0xbf58476d1ce4e5b9u;
    x ^= x >> 29;
    return 1 + x % period_ns;
}

void tick_start(struct thread_state *ts)
{
    struct kernel_sigevent event = {.signo = signal_number, .notify = SIGEV_THREAD_ID};
    event.value.sival_int = cookie;
    event.tid = (int)ts->tid;
    ts->timer = -1;
    if (!signal_number)
        return;
    if (tick_unblock()) /* blocked by who started this program or thread: the host thinks it is */
        shim_tls.host_blocks_tick = 1;
    int id;
    if (__atomic_fetch_add(&timer_count, 1, __ATOMIC_RELAXED) >= timer_max ||
        sys_call3(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &id) != 0) {
        __atomic_fetch_sub(&timer_count, 1, __ATOMIC_RELAXED);
        shim_lost(PSHIM_LOSS_timer_failed);
        return;
    }
    uint64_t period = shim.tick_period_ns;
    uint64_t first = first_expiry_ns(ts, period);
    struct itimerspec when = {
        .it_interval = {(time_t)(period / 1000000000u), (long)(period % 1000000000u)},
        .it_value = {(time_t)(first / 1000000000u), (long)(first % 1000000000u)},
    };
    ts->timer = id;
    sys_call4(SYS_timer_settime, id, 0, &when, NULL);
}

void tick_stop(struct thread_state *ts)
{
    if (ts->timer >= 0) {
        sys_call1(SYS_timer_delete, ts->timer);
        __atomic_fetch_sub(&timer_count, 1, __ATOMIC_RELAXED);
    }
    ts->timer = -1;
}

static uint64_t tick_mask(void)
{
    return signal_number ? (uint64_t)1 << (signal_number - 1) : 0;
}

bool tick_block(void)
{
    uint64_t mask = tick_mask(), old = 0;
    sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, &mask, &old, sigset_bytes);
    return (old & mask) != 0;
}

bool tick_unblock(void)
{
    uint64_t mask = tick_mask(), old = 0;
    sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, &old, sigset_bytes);
    return (old & mask) != 0;
}
