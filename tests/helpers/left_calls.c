/*
 * Calls that wait, left before they return: by siglongjmp() out of a signal handler, by deferred
 * and by asynchronous cancellation; and calls of I/O in a child of vfork(), which has its parent's
 * memory. Prints a line a case, the same with and without the shim. What is done afterwards, by the
 * same thread, is known: READS reads and as many allocations in work_after(), and CPU time in
 * burn_after().
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SITE __attribute__((noipa, noinline))

enum { READS = 1000, VFORKS = 20, LEAVE_US = 2000, BURN_NS = 200000000 };

static int ends[2], pair[2], epoll_fd, null_fd;
static sem_t never;
static pthread_t sleeper;

static void in_read(void)
{
    char c;
    (void)!read(ends[0], &c, 1);
}
static void in_recv(void)
{
    char c;
    recv(pair[0], &c, 1, 0);
}
static void in_poll(void)
{
    struct pollfd fd = {ends[0], POLLIN, 0};
    poll(&fd, 1, -1);
}
static void in_ppoll(void)
{
    struct pollfd fd = {ends[0], POLLIN, 0};
    ppoll(&fd, 1, NULL, NULL);
}
static void in_select(void)
{
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    select(ends[0] + 1, &in, NULL, NULL, NULL);
}
static void in_epoll_wait(void)
{
    struct epoll_event event;
    epoll_wait(epoll_fd, &event, 1, -1);
}
static void in_nanosleep(void)
{
    struct timespec long_time = {100, 0};
    nanosleep(&long_time, NULL);
}
static void in_sleep(void)
{
    sleep(100);
}
static void in_pause(void)
{
    pause();
}
static void in_sigwait(void)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwait(&set, &number);
}
static void in_sem_wait(void)
{
    sem_wait(&never);
}
static void in_join(void)
{
    pthread_join(sleeper, NULL);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    {"read", in_read},           {"recv", in_recv},         {"poll", in_poll},
    {"ppoll", in_ppoll},         {"select", in_select},     {"epoll_wait", in_epoll_wait},
    {"nanosleep", in_nanosleep}, {"sleep", in_sleep},       {"pause", in_pause},
    {"sigwait", in_sigwait},     {"sem_wait", in_sem_wait}, {"pthread_join", in_join},
};
enum { CALLS = sizeof calls / sizeof *calls };

/* Two words of it: whether what the program blocks is what it blocked before. */
static bool same_mask(const sigset_t *before)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    for (int number = 1; number < SIGRTMIN; number++)
        if (sigismember(&now, number) != sigismember(before, number))
            return false;
    return true;
}

static sigjmp_buf out;

static void jump_out(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

static void leave_by_jump(int which)
{
    struct itimerval soon = {{0, 0}, {0, LEAVE_US}};
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (sigsetjmp(out, 1) == 0) {
        setitimer(ITIMER_REAL, &soon, NULL);
        calls[which].call();
        printf("%s: returned\n", calls[which].name);
    }
    printf("%s: left by siglongjmp, mask %s\n", calls[which].name,
           same_mask(&mask) ? "kept" : "changed");
}

static int cleaned;

/* With calls of its own, in the middle of the one that is left. */
static void clean_up(void *arg)
{
    void *p = calloc(100, 1);
    cleaned += arg && p && write(null_fd, p, 100) == 100;
    free(p);
}

struct leaver {
    int which, type;
    atomic_bool ready;
};

static void *wait_cancelled(void *arg)
{
    struct leaver *leaver = arg;
    pthread_setcanceltype(leaver->type, NULL);
    pthread_cleanup_push(clean_up, leaver);
    atomic_store(&leaver->ready, true);
    calls[leaver->which].call();
    pthread_cleanup_pop(0);
    return NULL;
}

static void leave_by_cancellation(int which, int type)
{
    struct leaver leaver = {which, type, false};
    struct timespec t = {0, LEAVE_US * 1000};
    pthread_t thread;
    void *result = NULL;
    cleaned = 0;
    if (pthread_create(&thread, NULL, wait_cancelled, &leaver) != 0)
        abort();
    while (!atomic_load(&leaver.ready))
        sched_yield();
    nanosleep(&t, NULL);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("%s: cancelled %s: %d, cleaned up %d\n", calls[which].name,
           type == PTHREAD_CANCEL_DEFERRED ? "when it waits" : "at any time",
           result == PTHREAD_CANCELED, cleaned);
}

static SITE void child_io(void)
{
    char text[8] = "abcdefg";
    struct timespec brief = {0, 100000};
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    bool good = read(fd, text, 4) == 4 && text[0] == 0;
    good = pread(fd, text, 4, 0) == 4 && write(null_fd, text, 4) == 4 && good;
    good = poll(NULL, 0, 1) == 0 && nanosleep(&brief, NULL) == 0 && good;
    good = close(fd) == 0 && good;
    _exit(good ? 7 : 8);
}

static SITE int vfork_status(void)
{
    int status = 0;
    pid_t pid = vfork();
    if (pid == 0)
        child_io();
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void use_vfork(void)
{
    int sum = 0;
    for (int i = 0; i < VFORKS; i++)
        sum += vfork_status();
    printf("vfork: I/O in %d children: %d\n", VFORKS, sum);
}

static SITE int work_after(void)
{
    char c;
    int good = 0, fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < READS; i++) {
        void *p = malloc(50);
        good += p && read(fd, &c, 1) == 1;
        free(p);
    }
    close(fd);
    return good;
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static SITE void burn_after(void)
{
    uint64_t end = cpu_ns() + BURN_NS;
    while (cpu_ns() < end)
        for (volatile int i = 0; i < 1000; i++)
            ;
}

static void *sleep_on(void *arg)
{
    for (;;)
        select(0, NULL, NULL, NULL, NULL);
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = jump_out, .sa_flags = SA_RESTART};
    sigset_t alarm_only;
    setvbuf(stdout, NULL, _IOLBF, 4096);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (pipe(ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || epoll_fd < 0 ||
        null_fd < 0 || sem_init(&never, 0, 0) != 0)
        return 2;
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, NULL); /* the jump is out of this thread */
    if (pthread_create(&sleeper, NULL, sleep_on, NULL) != 0)
        return 2;
    for (int i = 0; i < CALLS; i++) {
        leave_by_cancellation(i, PTHREAD_CANCEL_DEFERRED);
        leave_by_cancellation(i, PTHREAD_CANCEL_ASYNCHRONOUS);
    }
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    for (int i = 0; i < CALLS; i++)
        leave_by_jump(i);
    use_vfork();
    printf("afterwards: %d\n", work_after());
    burn_after();
    return 0;
}
