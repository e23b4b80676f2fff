/* build: -O2 -pthread
 *
 * Threads whose time is known, for the ledger: one that sleeps 30 % of its time in system calls
 * made by inline assembly, where no hook is; two that spin for a lock that the other one holds; one
 * that only computes; one whose reads are left by siglongjmp(), and one that is cancelled in a
 * read; one that waits for a condition that never comes, also when the process ends. Prints what
 * each measured itself, as JSON: wall and CPU time and, of the first, for how long it was blocked
 * (without the time it could have run again).
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long raw_call(long n, long a, long b, long c, long d)
{
    long ret;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return ret;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct truth {
    const char *name;
    void (*body)(struct truth *);
    uint64_t run_ns; /* how long it is to live */
    uint64_t wall_ns, cpu_ns, blocked_ns;
};

static pthread_mutex_t done_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done_changed = PTHREAD_COND_INITIALIZER, never = PTHREAD_COND_INITIALIZER;
static int running;

/* Until this much CPU time of the thread has gone by, or the moment has come. */
static void compute_for(uint64_t cpu_ns, uint64_t until_ns)
{
    uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + cpu_ns;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end && clock_ns(CLOCK_MONOTONIC) < until_ns)
        for (volatile int i = 0; i < 2000; i++)
            ;
}

/* For how long the thread could run and had no CPU, until now. */
static uint64_t delay_ns(int fd)
{
    char text[80];
    char *end;
    long n = raw_call(SYS_pread64, fd, (long)text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    strtoull(text, &end, 10);
    return strtoull(end, NULL, 10);
}

static void block_unseen(struct truth *t)
{
    enum { round_ns = 10000000, asleep_ns = 3000000 };
    char path[64];
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + t->run_ns;
    snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", gettid());
    int fd = open(path, O_RDONLY);
    while (clock_ns(CLOCK_MONOTONIC) < end) {
        const struct timespec nap = {0, asleep_ns};
        compute_for(round_ns - asleep_ns, end);
        uint64_t delay = delay_ns(fd), from = clock_ns(CLOCK_MONOTONIC);
        raw_call(SYS_nanosleep, (long)&nap, 0, 0, 0);
        uint64_t gone = clock_ns(CLOCK_MONOTONIC) - from;
        t->blocked_ns += gone - (delay_ns(fd) - delay);
    }
    close(fd);
}

static __thread sigjmp_buf way_out;

static void jump_out(int signo)
{
    (void)signo;
    siglongjmp(way_out, 1);
}

/* Reads what never comes for 20 ms each time, then computes for 5. */
static void left_body(struct truth *t)
{
    enum { wait_ns = 20000000, compute_ns = 5000000 };
    static uint64_t from; /* not changed by the way out */
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    const struct itimerspec soon = {.it_value = {0, wait_ns}};
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + t->run_ns;
    timer_t timer;
    int fds[2];
    char byte;
    event._sigev_un._tid = gettid();
    signal(SIGUSR1, jump_out);
    if (pipe(fds) != 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return;
    while (clock_ns(CLOCK_MONOTONIC) < end) {
        if (sigsetjmp(way_out, 1) == 0) {
            from = clock_ns(CLOCK_MONOTONIC);
            timer_settime(timer, 0, &soon, NULL);
            if (read(fds[0], &byte, 1) >= 0)
                return;
        }
        t->blocked_ns += clock_ns(CLOCK_MONOTONIC) - from;
        compute_for(compute_ns, end);
    }
}

/* It is cancelled once the others have ended, after which the main thread says how long it read. */
static int never_filled[2];
static pthread_t cancelled_id;
static uint64_t cancelled_from;
static void cancelled_body(struct truth *t)
{
    char byte;
    (void)t;
    cancelled_from = clock_ns(CLOCK_MONOTONIC);
    if (read(never_filled[0], &byte, 1) >= 0)
        abort();
}

static pthread_mutex_t spun_for;

static void spin_body(struct truth *t)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + t->run_ns;
    while (clock_ns(CLOCK_MONOTONIC) < end) {
        pthread_mutex_lock(&spun_for);
        for (volatile int i = 0; i < 300; i++)
            ;
        pthread_mutex_unlock(&spun_for);
    }
}

static void busy_body(struct truth *t)
{
    compute_for(UINT64_MAX / 2, clock_ns(CLOCK_MONOTONIC) + t->run_ns);
}

static void wait_for_ever(struct truth *t)
{
    (void)t;
    pthread_mutex_lock(&done_mutex);
    for (;;)
        pthread_cond_wait(&never, &done_mutex);
}

static void *truth_thread(void *arg)
{
    struct truth *t = arg;
    uint64_t from = clock_ns(CLOCK_MONOTONIC);
    pthread_setname_np(pthread_self(), t->name);
    t->body(t);
    t->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    t->wall_ns = clock_ns(CLOCK_MONOTONIC) - from;
    pthread_mutex_lock(&done_mutex);
    running--;
    pthread_cond_signal(&done_changed);
    pthread_mutex_unlock(&done_mutex);
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t run_ns = (uint64_t)(1e9 * (argc > 1 ? atof(argv[1]) : 1.2));
    struct truth threads[] = {
        {"unseen", block_unseen, run_ns, 0, 0, 0}, {"spin-1", spin_body, run_ns, 0, 0, 0},
        {"spin-2", spin_body, run_ns, 0, 0, 0},    {"busy", busy_body, run_ns, 0, 0, 0},
        {"left", left_body, run_ns, 0, 0, 0},      {"cancelled", cancelled_body, run_ns, 0, 0, 0},
        {"waits", wait_for_ever, run_ns, 0, 0, 0}};
    enum { count = sizeof threads / sizeof *threads, ending = count - 2 };
    pthread_mutexattr_t adaptive;
    pthread_mutexattr_init(&adaptive);
    pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&spun_for, &adaptive);
    running = ending;
    if (pipe(never_filled) != 0)
        return 1;
    for (int i = 0; i < count; i++) {
        pthread_t id;
        if (pthread_create(&id, NULL, truth_thread, &threads[i]) != 0)
            return 1;
        if (threads[i].body == cancelled_body)
            cancelled_id = id;
        else
            pthread_detach(id);
    }
    pthread_mutex_lock(&done_mutex);
    while (running)
        pthread_cond_wait(&done_changed, &done_mutex);
    pthread_mutex_unlock(&done_mutex);
    pthread_cancel(cancelled_id);
    pthread_join(cancelled_id, NULL);
    threads[ending].blocked_ns = clock_ns(CLOCK_MONOTONIC) - cancelled_from;
    printf("{");
    for (int i = 0; i <= ending; i++)
        printf("%s\"%s\": {\"wall_ns\": %llu, \"cpu_ns\": %llu, \"blocked_ns\": %llu}",
               i ? ", " : "", threads[i].name, (unsigned long long)threads[i].wall_ns,
               (unsigned long long)threads[i].cpu_ns, (unsigned long long)threads[i].blocked_ns);
    printf("}\n");
    return 0;
}
