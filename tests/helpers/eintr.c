/*
 * Waits in every way that a signal ends with EINTR even under SA_RESTART, with CPU work in between
 * so that ticks come, for a given time a kind. Without signals of its own every EINTR is the
 * profiler's. Prints one JSON object: {"waits": N, "eintr": {"poll": 0, …}}. Exit 0.
 *
 * usage: eintr [milliseconds a kind]
 */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd;
static sem_t never;
static const struct timespec short_time = {0, 20000};

static int wait_poll(void)
{
    return poll(NULL, 0, 1);
}
static int wait_ppoll(void)
{
    return ppoll(NULL, 0, &short_time, NULL);
}
static int wait_select(void)
{
    struct timeval t = {0, 20};
    return select(0, NULL, NULL, NULL, &t);
}
static int wait_pselect(void)
{
    sigset_t none;
    sigemptyset(&none);
    return pselect(0, NULL, NULL, NULL, &short_time, &none);
}
static int wait_epoll(void)
{
    struct epoll_event event;
    return epoll_wait(epoll_fd, &event, 1, 1);
}
static int wait_epoll_pwait(void)
{
    struct epoll_event event;
    return epoll_pwait(epoll_fd, &event, 1, 1, NULL);
}
static int wait_epoll_pwait2(void)
{
    struct epoll_event event;
    return epoll_pwait2(epoll_fd, &event, 1, &short_time, NULL);
}
static int wait_nanosleep(void)
{
    return nanosleep(&short_time, NULL);
}
static int wait_clock_nanosleep(void)
{
    int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &short_time, NULL);
    errno = error;
    return error ? -1 : 0;
}
static int wait_usleep(void)
{
    return usleep(20);
}
static int wait_sem(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += t.tv_nsec < 999970000 ? 20000 : 0;
    int r = sem_timedwait(&never, &t);
    return r && errno == ETIMEDOUT ? 0 : r;
}
static int wait_sigtimedwait(void)
{
    sigset_t all;
    sigfillset(&all);
    int r = sigtimedwait(&all, NULL, &short_time);
    return r < 0 && errno == EAGAIN ? 0 : r;
}

static const struct {
    const char *name;
    int (*wait)(void);
} kinds[] = {
    {"poll", wait_poll},
    {"ppoll", wait_ppoll},
    {"select", wait_select},
    {"pselect", wait_pselect},
    {"epoll_wait", wait_epoll},
    {"epoll_pwait", wait_epoll_pwait},
    {"epoll_pwait2", wait_epoll_pwait2},
    {"nanosleep", wait_nanosleep},
    {"clock_nanosleep", wait_clock_nanosleep},
    {"usleep", wait_usleep},
    {"sem_timedwait", wait_sem},
    {"sigtimedwait", wait_sigtimedwait},
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    uint64_t each_ns = (argc > 1 ? strtoull(argv[1], NULL, 10) : 100) * 1000000u;
    unsigned long waits = 0;
    epoll_fd = epoll_create1(0);
    sem_init(&never, 0, 0);
    printf("{\"eintr\": {");
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        unsigned long interrupted = 0, strange = 0;
        uint64_t end = now_ns() + each_ns;
        while (now_ns() < end) {
            for (volatile int spin = 0; spin < 1000; spin++)
                ;
            int r = kinds[i].wait();
            waits++;
            if (r < 0 && errno == EINTR)
                interrupted++;
            else if (r != 0)
                strange++;
        }
        printf("%s\"%s\": %lu", i ? ", " : "", kinds[i].name, interrupted + strange);
    }
    printf("}, \"waits\": %lu}\n", waits);
    return 0;
}
