/*
 * Things that programs do and a profiler must not disturb; one a run. Prints one line that must be
 * the same without the profiler. usage: habits jump|altstack|aligned|atfork|own_signal|reload LIB…
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static __attribute__((noinline)) void burn(double seconds)
{
    double end = cpu_s() + seconds;
    while (cpu_s() < end)
        for (volatile int i = 0; i < 1000; i++)
            ;
}

static sigjmp_buf out_of_handler;

static void jump_out(int signo)
{
    (void)signo;
    siglongjmp(out_of_handler, 1);
}

static __attribute__((noinline)) void *allocate_deeper(int depth)
{
    void *p = depth ? allocate_deeper(depth - 1) : malloc(100);
    __asm__ volatile("" : "+r"(p));
    return p;
}

/* A handler leaves a loop that only computes; afterwards 10 000 allocations in deeper frames. */
static int habit_jump(void)
{
    struct itimerval every = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
    volatile int jumps = 0;
    signal(SIGALRM, jump_out);
    setitimer(ITIMER_REAL, &every, NULL);
    if (sigsetjmp(out_of_handler, 1))
        jumps++;
    if (jumps < 1000)
        burn(60);
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < 10000; i++)
        free(allocate_deeper(20));
    return printf("jumped %d times\n", jumps) < 0;
}

/* An alternate stack of the smallest size that the kernel takes, with watched bytes below it. */
static int habit_altstack(void)
{
    enum { below = 65536 };
    size_t bytes = getauxval(AT_MINSIGSTKSZ);
    unsigned char *memory =
        mmap(NULL, below + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = memory + below, .ss_size = bytes};
    int touched = 0;
    memset(memory, 0xa5, below);
    if (sigaltstack(&stack, NULL) != 0)
        return 1;
    burn(0.5);
    for (int i = 0; i < below; i++)
        touched += memory[i] != 0xa5;
    return printf("%d bytes below the stack touched\n", touched) < 0;
}

/* Page-aligned small blocks whose last bytes are the program's. */
static int habit_aligned(void)
{
    int changed = 0;
    for (uint64_t i = 0; i < 300000; i++) {
        void *p;
        if (posix_memalign(&p, 4096, 504) != 0)
            return 1;
        uint64_t word = i * 0x9e3779b97f4a7c15u;
        size_t usable = malloc_usable_size(p);
        memcpy((char *)p + 496, &word, 8);
        if (usable >= 512)
            memcpy((char *)p + usable - 8, &word, 8);
        changed += malloc_usable_size(p) != usable;
        free(p);
    }
    return printf("%d sizes changed\n", changed) < 0;
}

static void block_usr1(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int habit_atfork(void)
{
    sigset_t now;
    pthread_atfork(NULL, NULL, block_usr1);
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_BLOCK, NULL, &now);
        _exit(sigismember(&now, SIGUSR1));
    }
    int status;
    waitpid(pid, &status, 0);
    return printf("SIGUSR1 is blocked in the child: %d\n", WEXITSTATUS(status)) < 0;
}

/* Every real-time signal, blocked, sent and waited for, one of which is the tick's. */
static int habit_own_signal(void)
{
    int got = 0;
    for (int signo = SIGRTMIN; signo <= SIGRTMAX; signo++) {
        sigset_t set, now;
        struct timespec at_once = {0, 0};
        sigemptyset(&set);
        sigaddset(&set, signo);
        sigprocmask(SIG_BLOCK, &set, NULL);
        kill(getpid(), signo);
        sigprocmask(SIG_BLOCK, NULL, &now);
        got += sigismember(&now, signo) == 1 && sigtimedwait(&set, NULL, &at_once) == signo;
        sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    return printf("%d signals of %d\n", got, SIGRTMAX - SIGRTMIN + 1) < 0;
}

/* Libraries of one layout, loaded one after the other to where the one before was. */
static int habit_reload(int n, char **libraries)
{
    for (int i = 0; i < n; i++) {
        void *handle = dlopen(libraries[i], RTLD_NOW);
        void *(*work)(size_t) = handle ? (void *(*)(size_t))dlsym(handle, "work") : NULL;
        if (!work)
            return 1;
        for (int k = 0; k < 1000; k++)
            free(work(100));
        dlclose(handle);
    }
    return printf("%d libraries\n", n) < 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } habits[] = {{"jump", habit_jump},
                  {"altstack", habit_altstack},
                  {"aligned", habit_aligned},
                  {"atfork", habit_atfork},
                  {"own_signal", habit_own_signal}};
    if (argc > 2 && strcmp(argv[1], "reload") == 0)
        return habit_reload(argc - 2, argv + 2);
    for (unsigned i = 0; argc > 1 && i < sizeof habits / sizeof habits[0]; i++)
        if (strcmp(argv[1], habits[i].name) == 0)
            return habits[i].run();
    fprintf(stderr, "usage: habits jump|altstack|aligned|atfork|own_signal|reload LIB...\n");
    return 2;
}
