/*
 * A program that waits for signals in every way there is: each signal that is sent must end one
 * wait, and the next is sent only then. Where the wait takes a mask the signal is let in by it
 * alone, so it may come before, during or after the call is made; where it takes none, the sender
 * looks in /proc whether the waiter is in its system call. A wait that ends by its time has lost
 * its signal. Prints one JSON object, {"poll": COUNT, …}: how many arrived. Exit 0, also if some
 * were lost.
 *
 * usage: signal_waits COUNT     of each way
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATIENCE_S = 20, WORK = 4000 };

static const struct timespec patience = {PATIENCE_S, 0};
static sigset_t inside, only; /* the mask of a wait that lets the signal in; the signal alone */
static int epoll_fd;

static volatile sig_atomic_t seen;

static void see(int number)
{
    (void)number;
    seen++;
}

/* Each returns whether a signal ended it. */
static bool ended(int result)
{
    return result < 0 && errno == EINTR;
}
static bool by_poll(void)
{
    return ended(poll(NULL, 0, PATIENCE_S * 1000));
}
static bool by_select(void)
{
    struct timeval t = {PATIENCE_S, 0};
    return ended(select(0, NULL, NULL, NULL, &t));
}
static bool by_epoll_wait(void)
{
    struct epoll_event event;
    return ended(epoll_wait(epoll_fd, &event, 1, PATIENCE_S * 1000));
}
static bool by_nanosleep(void)
{
    return ended(nanosleep(&patience, NULL));
}
static bool by_ppoll(void)
{
    return ended(ppoll(NULL, 0, &patience, &inside));
}
static bool by_pselect(void)
{
    return ended(pselect(0, NULL, NULL, NULL, &patience, &inside));
}
static bool by_epoll_pwait(void)
{
    struct epoll_event event;
    return ended(epoll_pwait(epoll_fd, &event, 1, PATIENCE_S * 1000, &inside));
}
static bool by_epoll_pwait2(void)
{
    struct epoll_event event;
    return ended(epoll_pwait2(epoll_fd, &event, 1, &patience, &inside));
}
static bool by_sigsuspend(void)
{
    return ended(sigsuspend(&inside));
}
static bool by_sigwait(void)
{
    int number = 0;
    bool came = sigwait(&only, &number) == 0 && number == SIGUSR1;
    seen += came;
    return came;
}
static bool by_sigwaitinfo(void)
{
    siginfo_t info;
    bool came = sigwaitinfo(&only, &info) == SIGUSR1 && info.si_pid == getpid();
    seen += came;
    return came;
}
static bool by_sigtimedwait(void)
{
    bool came = sigtimedwait(&only, NULL, &patience) == SIGUSR1;
    seen += came;
    return came;
}

static const struct {
    const char *name;
    bool (*wait)(void);
    bool open; /* the signal is not blocked: to be sent when the waiter is asleep */
} ways[] = {
    {"poll", by_poll, true},
    {"select", by_select, true},
    {"epoll_wait", by_epoll_wait, true},
    {"nanosleep", by_nanosleep, true},
    {"ppoll", by_ppoll, false},
    {"pselect", by_pselect, false},
    {"epoll_pwait", by_epoll_pwait, false},
    {"epoll_pwait2", by_epoll_pwait2, false},
    {"sigsuspend", by_sigsuspend, false},
    {"sigwait", by_sigwait, false},
    {"sigwaitinfo", by_sigwaitinfo, false},
    {"sigtimedwait", by_sigtimedwait, false},
};
enum { WAYS = sizeof ways / sizeof *ways };

static atomic_long turn; /* how many waits were begun: even, the sender's turn; odd, the waiter's */
static atomic_bool over;
static atomic_bool must_sleep;
static pthread_t waiter;
static int waiter_tid;

/* In a system call that waits without end or for long: /proc tells its number, or "running". */
static bool is_asleep(int fd)
{
    char text[16] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return false;
    switch (atoi(text)) {
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
        return true;
    default:
        return false; /* "running" is 0, which is read: nobody here waits in that */
    }
}

static void *send_signals(void *unused)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", waiter_tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (!atomic_load(&over)) {
        if (atomic_load(&turn) % 2 == 0 || (atomic_load(&must_sleep) && !is_asleep(fd))) {
            sched_yield();
            continue;
        }
        atomic_fetch_add(&turn, 1);
        pthread_kill(waiter, SIGUSR1);
    }
    return unused;
}

/* How many of `count` signals ended a wait; it stops at the first that did not. */
static long wait_for(int way, long count)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (ways[way].open)
        sigdelset(&mask, SIGUSR1);
    else
        sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    atomic_store(&must_sleep, ways[way].open);
    seen = 0;
    for (long i = 0; i < count; i++) {
        for (volatile int work = 0; work < WORK; work++)
            ;
        atomic_fetch_add(&turn, 1);
        if (!ways[way].wait() || seen != i + 1)
            return i;
    }
    return count;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 0;
    struct sigaction action = {.sa_handler = see, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&only);
    sigaddset(&only, SIGUSR1);
    sigemptyset(&inside);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    waiter = pthread_self();
    waiter_tid = (int)syscall(SYS_gettid);
    pthread_t sender;
    if (count <= 0 || epoll_fd < 0 || pthread_create(&sender, NULL, send_signals, NULL) != 0)
        return 2;
    printf("{");
    for (int way = 0; way < WAYS; way++) {
        printf("%s\"%s\": ", way ? ", " : "", ways[way].name);
        long arrived = wait_for(way, count);
        printf("%ld", arrived);
        if (arrived != count)
            break;
    }
    printf("}\n");
    fflush(stdout);
    atomic_store(&over, true);
    pthread_join(sender, NULL);
    return 0;
}
