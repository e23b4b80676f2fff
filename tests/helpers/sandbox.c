/*
 * sandbox [syscall] — works, asks for seccomp with a list of allowed system calls (any other one
 * kills), and works on: allocates, takes locks, computes for several ticks in two threads, reads,
 * waits for events and for time. Prints "done" with status 7.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t asked;

__attribute__((noinline)) static void work(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&mutex);
        char *volatile p = malloc(100 + (size_t)i % 5000);
        p = realloc(p, 9000);
        memset(p, i, 9000);
        free(p);
        pthread_mutex_unlock(&mutex);
    }
}

/* By no other calls than these. */
static int io(const int *ends)
{
    struct timespec brief = {0, 10000};
    int good = 0;
    char c;
    for (int i = 0; i < 20; i++) {
        struct pollfd fd = {ends[0], POLLIN, 0};
        good += poll(&fd, 1, 1) == 0 && write(ends[1], "x", 1) == 1 && read(ends[0], &c, 1) == 1;
        nanosleep(&brief, NULL);
    }
    return good;
}

static void *thread(void *unused)
{
    work(1000);
    pthread_barrier_wait(&asked);
    pthread_barrier_wait(&asked);
    work(200000);
    return unused;
}

#define ALLOW(name)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char **argv)
{
    bool by_number = argc > 1 && argv[1][0] == 's'; /* as libseccomp asks for it */
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(write),
        ALLOW(read),
        ALLOW(poll),
        ALLOW(clock_nanosleep),
        ALLOW(exit_group),
        ALLOW(exit),
        ALLOW(futex),
        ALLOW(mmap),
        ALLOW(munmap),
        ALLOW(mprotect),
        ALLOW(brk),
        ALLOW(madvise),
        ALLOW(rt_sigreturn),
        ALLOW(rt_sigprocmask),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    pthread_t other;
    int ends[2];
    if (pipe(ends) != 0 || io(ends) != 20)
        return 1;
    pthread_barrier_init(&asked, NULL, 2);
    if (pthread_create(&other, NULL, thread, NULL) != 0)
        return 1;
    work(1000);
    pthread_barrier_wait(&asked);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        (by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)
                   : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) != 0)
        return 2;
    pthread_barrier_wait(&asked);
    work(200000);
    pthread_join(other, NULL);
    if (io(ends) != 20)
        return 4;
    if (write(1, "done\n", 5) != 5)
        return 3;
    _exit(7);
}
