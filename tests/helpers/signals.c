/*
 * signals CASE — a program with its own ideas about signals, while a profiler's ticks arrive.
 *
 *   sigprof      its own profiling timer and handler
 *   blocked      every signal blocked in every thread
 *   reset        sets every signal to its default, again and again
 *   ignore       … to be ignored
 *   queue        handles every real-time signal and sends each to itself: all arrive, with values
 *   wait         waits for every signal by sigwait: only its own arrive
 *   wait_each    blocks each real-time signal, sends it to itself and fetches it
 *   many         350 threads, and 100 signals of its own pending at a time
 *   small_stack  handlers and long work on an alternate stack of 8 KiB, with a guard below
 *   small_thread threads with the smallest stack there is
 *   nested       a handler that allocates, fired into code that allocates
 *   masks        what it sets as its mask is what it reads back
 *
 * One signal cannot be blocked under the profiler, and no program in sight uses it: SIGRTMAX − 1,
 * the tick's own; `wait_each` and `masks` leave it out. Prints what it saw, the same in every run;
 * burns CPU for 0.1 to 0.6 s.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "samples/truth.h"

#define BURN_NS 150000000ull

static SITE uint64_t burn(uint64_t ns)
{
    uint64_t until = truth_cpu_ns() + ns, random = 1;
    while (truth_cpu_ns() < until)
        for (unsigned i = 0; i < 5000; i++)
            truth_random(&random);
    return random;
}

static SITE void *signal_alloc(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

static void *burning(void *unused)
{
    uint64_t random = burn(BURN_NS);
    KEEP(random);
    return unused;
}

static void thread_run(void *(*start)(void *), const pthread_attr_t *attr)
{
    pthread_t thread;
    if (pthread_create(&thread, attr, start, NULL))
        truth_fail("no thread");
    pthread_join(thread, NULL);
}

/* --- cases ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t seen[_NSIG];

static void count_signal(int number)
{
    seen[number]++;
}

static void handle(int number, int flags)
{
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags};
    if (sigaction(number, &action, NULL))
        truth_fail("sigaction");
}

/* The clock of ITIMER_PROF: it samples whom the kernel's tick finds running, so on a busy machine
 * it runs up to some tens of percent faster or slower than CLOCK_PROCESS_CPUTIME_ID. */
#define PROFILING_CLOCK ((clockid_t)(~0u << 3))

static void case_sigprof(void)
{
    struct itimerval every = {{0, 10000}, {0, 10000}}, none = {{0, 0}, {0, 0}};
    handle(SIGPROF, SA_RESTART);
    uint64_t begin_ns = truth_clock_ns(PROFILING_CLOCK);
    if (setitimer(ITIMER_PROF, &every, NULL))
        truth_fail("setitimer");
    do
        burn(BURN_NS);
    while (truth_clock_ns(PROFILING_CLOCK) - begin_ns < 2 * BURN_NS);
    setitimer(ITIMER_PROF, &none, NULL);
    uint64_t due = (truth_clock_ns(PROFILING_CLOCK) - begin_ns) / 10000000;
    if ((uint64_t)seen[SIGPROF] < due * 4 / 5 || (uint64_t)seen[SIGPROF] > due + 2) {
        fprintf(stderr, "%d ticks of 10 ms, %llu were due\n", (int)seen[SIGPROF],
                (unsigned long long)due);
        truth_fail("the program's own profiling timer did not tick as it should");
    }
}

static void case_blocked(void)
{
    sigset_t all, pending;
    sigfillset(&all);
    if (pthread_sigmask(SIG_BLOCK, &all, NULL))
        truth_fail("pthread_sigmask");
    burn(BURN_NS);
    thread_run(burning, NULL); /* inherits the mask */
    if (sigprocmask(SIG_SETMASK, &all, NULL))
        truth_fail("sigprocmask");
    burn(BURN_NS);
    sigpending(&pending);
    for (int s = 1; s < _NSIG; s++)
        if (sigismember(&pending, s) == 1)
            truth_fail("a signal is pending that the program never sent");
}

static void set_all(__sighandler_t to)
{
    for (int round = 0; round < 300; round++) {
        for (int s = 1; s < _NSIG; s++) {
            struct sigaction action = {.sa_handler = to};
            if (round & 1)
                sigaction(s, &action, NULL);
            else
                signal(s, to);
        }
        burn(BURN_NS / 300);
    }
}

static void case_reset(void)
{
    set_all(SIG_DFL);
}

static void case_ignore(void)
{
    set_all(SIG_IGN);
    set_all(SIG_DFL);
}

static volatile sig_atomic_t queued_sum[_NSIG];

static void count_queued(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code == SI_QUEUE)
        queued_sum[number] += info->si_value.sival_int;
}

static void case_queue(void)
{
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++) {
        struct sigaction action = {.sa_sigaction = count_queued,
                                   .sa_flags = SA_SIGINFO | SA_RESTART};
        if (sigaction(s, &action, NULL))
            truth_fail("sigaction");
    }
    for (int i = 1; i <= 20; i++) {
        for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
            if (sigqueue(getpid(), s, (union sigval){.sival_int = i}))
                truth_fail("sigqueue");
        burn(BURN_NS / 20);
    }
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        truth_put("%d:%d ", s - SIGRTMIN, (int)queued_sum[s]);
}

static void *sending(void *to)
{
    pthread_t main_thread = *(pthread_t *)to;
    for (int i = 0; i < 20; i++) {
        burn(BURN_NS / 40);
        pthread_kill(main_thread, SIGRTMIN + 3 + i % 2);
    }
    return NULL;
}

static void case_wait(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_t self = pthread_self(), thread;
    if (pthread_create(&thread, NULL, sending, &self))
        truth_fail("no thread");
    int counts[2] = {0, 0};
    for (int i = 0; i < 20; i++) {
        int number = 0;
        burn(BURN_NS / 60); /* ticks of our own come while we are not waiting */
        if (i % 3 == 0) {
            if (sigwait(&all, &number))
                truth_fail("sigwait");
        } else {
            siginfo_t info;
            struct timespec second = {5, 0};
            number = i % 3 == 1 ? sigwaitinfo(&all, &info) : sigtimedwait(&all, &info, &second);
        }
        if (number != SIGRTMIN + 3 && number != SIGRTMIN + 4)
            truth_fail("sigwait gave a signal that the program never sent");
        counts[number - SIGRTMIN - 3]++;
    }
    pthread_join(thread, NULL);
    truth_put("%d %d ", counts[0], counts[1]);
}

static void case_wait_each(void)
{
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++) {
        if (s == SIGRTMAX - 1)
            continue;
        sigset_t one;
        siginfo_t info;
        struct timespec second = {2, 0};
        sigemptyset(&one);
        sigaddset(&one, s);
        pthread_sigmask(SIG_SETMASK, &one, NULL);
        sigqueue(getpid(), s, (union sigval){.sival_int = s});
        burn(BURN_NS / 30);
        if (sigtimedwait(&one, &info, &second) != s || info.si_value.sival_int != s)
            truth_fail("a signal that was blocked and sent cannot be fetched");
    }
}

static pthread_barrier_t together;

static void *standing(void *unused)
{
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    return unused;
}

/* Pending signals and timers share a limit of the user's: the host must keep its part of it. */
static void case_many(void)
{
    enum { threads = 350, queued = 100 };
    static pthread_t thread[threads];
    pthread_attr_t attr;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    pthread_barrier_init(&together, NULL, threads + 1);
    for (unsigned t = 0; t < threads; t++)
        if (pthread_create(&thread[t], &attr, standing, NULL))
            truth_fail("no thread");
    pthread_barrier_wait(&together);
    for (unsigned i = 0; i < queued; i++)
        if (sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}))
            truth_fail("a signal cannot be queued");
    pthread_barrier_wait(&together);
    for (unsigned t = 0; t < threads; t++)
        pthread_join(thread[t], NULL);
    struct timespec second = {2, 0};
    for (unsigned i = 0; i < queued; i++)
        if (sigtimedwait(&one, NULL, &second) != SIGRTMIN)
            truth_fail("a queued signal is lost");
}

static void burn_there(int number)
{
    volatile char used[3000]; /* with the signal's own frame, most of 8 KiB */
    for (unsigned i = 0; i < sizeof used; i += 100)
        used[i] = 1;
    count_signal(number);
    uint64_t random = burn(BURN_NS);
    KEEP(random);
}

static void *on_small_stack(void *unused)
{
    size_t page = 4096, bytes = 8192;
    char *guard = mmap(NULL, page + bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard == MAP_FAILED || mprotect(guard + page, bytes, PROT_READ | PROT_WRITE))
        truth_fail("no stack");
    stack_t stack = {.ss_sp = guard + page, .ss_size = bytes};
    struct sigaction action = {.sa_handler = burn_there, .sa_flags = SA_ONSTACK};
    if (sigaltstack(&stack, NULL) || sigaction(SIGUSR1, &action, NULL))
        truth_fail("sigaltstack");
    burn(BURN_NS / 3); /* ticks may come on the alternate stack too */
    pthread_kill(pthread_self(), SIGUSR1);
    stack_t now;
    if (sigaltstack(NULL, &now) || now.ss_sp != stack.ss_sp || now.ss_size != bytes)
        truth_fail("the alternate stack is another one");
    return unused;
}

static void case_small_stack(void)
{
    on_small_stack(NULL);
    thread_run(on_small_stack, NULL);
    truth_put("%d ", (int)seen[SIGUSR1]);
}

static void *small_work(void *unused)
{
    for (unsigned i = 0; i < 20000; i++)
        free(signal_alloc(i % 3000));
    return burning(unused);
}

static void case_small_thread(void)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN))
        truth_fail("no such stack size");
    thread_run(small_work, &attr);
}

static uint64_t nested_calls;

static void allocating_handler(int number)
{
    count_signal(number);
    free(signal_alloc(200)); /* not allowed by POSIX, and done all the same: see `nested` */
    nested_calls++;
}

/*
 * The handler may allocate because the interrupted code holds no lock of libc's then: a signal that
 * the thread sends to itself arrives in pthread_kill.
 */
static void case_nested(void)
{
    struct sigaction action = {.sa_handler = allocating_handler, .sa_flags = SA_RESTART};
    if (sigaction(SIGUSR2, &action, NULL))
        truth_fail("sigaction");
    for (unsigned i = 0; i < 20000; i++) {
        void *p = signal_alloc(100);
        pthread_kill(pthread_self(), SIGUSR2);
        free(p);
    }
    burn(BURN_NS);
    truth_put("%llu ", (unsigned long long)nested_calls);
}

static void case_masks(void)
{
    for (int s = 1; s < _NSIG; s++) {
        sigset_t set, got;
        if (s == SIGKILL || s == SIGSTOP || (s >= 32 && s < SIGRTMIN) || s == SIGRTMAX - 1)
            continue;
        sigemptyset(&set);
        sigaddset(&set, s);
        if (s % 2 ? pthread_sigmask(SIG_SETMASK, &set, NULL) : sigprocmask(SIG_SETMASK, &set, NULL))
            truth_fail("cannot set a mask");
        pthread_sigmask(SIG_SETMASK, NULL, &got);
        for (int t = 1; t < _NSIG; t++)
            if (sigismember(&got, t) != sigismember(&set, t))
                truth_put("signal %d blocked alone: %d reads %d\n", s, t, sigismember(&got, t));
        burn(BURN_NS / 60);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < _NSIG; s++) { /* nobody else's handler shows */
        struct sigaction old;
        if (sigaction(s, NULL, &old) == 0 && old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
            truth_put("signal %d has a handler\n", s);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"sigprof", case_sigprof},
    {"blocked", case_blocked},
    {"reset", case_reset},
    {"ignore", case_ignore},
    {"queue", case_queue},
    {"wait", case_wait},
    {"wait_each", case_wait_each},
    {"many", case_many},
    {"small_stack", case_small_stack},
    {"small_thread", case_small_thread},
    {"nested", case_nested},
    {"masks", case_masks},
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(argv[1], cases[i].name)) {
            cases[i].run();
            truth_put("done\n");
            truth_flush();
            return 0;
        }
    fprintf(stderr, "usage: signals CASE\n");
    return 2;
}
