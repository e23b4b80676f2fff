/*
 * forks CASE — processes that make processes, each of which allocates in a function of its own.
 *
 * The parent allocates PARENT_CALLS blocks and frees every third in parent_alloc, half before and
 * half after its children. What a child does stands in child_alloc: nothing of it may appear in the
 * parent's profile. Prints {"calls", "bytes", "frees"} of the parent and what the children saw of
 * LD_PRELOAD (programs that were executed say so themselves: `forks child`).
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "samples/truth.h"

extern char **environ;

enum { PARENT_CALLS = 30000, CHILD_CALLS = 20000, KEPT = 512 };

static uint64_t calls, bytes, frees;
static const char *self;

static SITE void *parent_alloc(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

static SITE void *child_alloc(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

static void *kept[KEPT];

static void parent_work(void)
{
    for (unsigned i = 0; i < PARENT_CALLS / 2; i++) {
        size_t n = 1 + i % 700;
        void *p = parent_alloc(n);
        calls++;
        bytes += n;
        if (i % 3 == 0) {
            free(p);
            frees++;
        } else if (i < KEPT) {
            kept[i] = p; /* a forked child frees some of these: its copies, not ours */
        }
    }
}

static void child_allocs(void)
{
    for (unsigned i = 0; i < CHILD_CALLS; i++) {
        void *p = child_alloc(1 + i % 900);
        if (i % 2)
            free(p);
    }
}

/* A child's own work; it also frees and resizes what it inherited. */
static void child_work(void)
{
    child_allocs();
    for (unsigned i = 0; i < KEPT; i += 2) {
        free(kept[i]);
        kept[i] = NULL;
    }
    for (unsigned i = 1; i < KEPT; i += 2)
        kept[i] = kept[i] ? realloc(kept[i], 5000) : NULL;
}

static void wait_for(pid_t pid)
{
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        truth_fail("a child did not end as it should");
}

static void *thread_work(void *unused)
{
    child_allocs();
    return unused;
}

/* --- cases ---------------------------------------------------------------------------------- */

static void case_fork(void)
{
    for (unsigned i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (!pid) {
            child_work();
            if (i % 2)
                _exit(0);
            exit(0); /* through our atexit handlers and destructors */
        }
        wait_for(pid);
    }
}

/* A child with threads of its own, which fork again. */
static void case_fork_threads(void)
{
    for (unsigned i = 0; i < 5; i++) {
        pid_t pid = fork();
        if (!pid) {
            pthread_t thread[3];
            for (unsigned t = 0; t < 3; t++)
                if (pthread_create(&thread[t], NULL, thread_work, NULL))
                    _exit(4);
            for (unsigned t = 0; t < 3; t++)
                pthread_join(thread[t], NULL);
            pid_t grandchild = fork();
            if (!grandchild) {
                child_work();
                _exit(0);
            }
            wait_for(grandchild);
            exit(0);
        }
        wait_for(pid);
    }
}

static volatile int stop;

static void *busy(void *arg)
{
    uint64_t *done = arg;
    while (!stop) {
        size_t n = 10 + *done % 3000;
        void *p = parent_alloc(n);
        __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&bytes, n, __ATOMIC_RELAXED);
        free(p);
        __atomic_fetch_add(&frees, 1, __ATOMIC_RELAXED);
        ++*done;
    }
    return NULL;
}

/* Forks while other threads are in malloc: the child must find the profiler usable, or off. */
static void case_threads(void)
{
    pthread_t thread[3];
    static uint64_t done[3];
    for (unsigned t = 0; t < 3; t++)
        if (pthread_create(&thread[t], NULL, busy, &done[t]))
            truth_fail("no thread");
    for (unsigned i = 0; i < 150; i++) {
        pid_t pid = fork();
        if (!pid) {
            for (unsigned k = 0; k < 200; k++)
                free(child_alloc(k * 40));
            _exit(0);
        }
        wait_for(pid);
    }
    stop = 1;
    for (unsigned t = 0; t < 3; t++)
        pthread_join(thread[t], NULL);
}

static char *child_argv(char **argv)
{
    argv[0] = (char *)self;
    argv[1] = "child";
    argv[2] = NULL;
    return argv[0];
}

static void case_fork_exec(void)
{
    char *argv[3];
    child_argv(argv);
    for (unsigned i = 0; i < 6; i++) {
        pid_t pid = fork();
        if (!pid) {
            child_work();
            switch (i) {
            case 0:
                execv(argv[0], argv);
                break;
            case 1:
                execve(argv[0], argv, environ);
                break;
            case 2:
                execl(argv[0], argv[0], "child", (char *)NULL);
                break;
            case 3:
                execvp(argv[0], argv);
                break;
            case 4:
                execle(argv[0], argv[0], "child", (char *)NULL, environ);
                break;
            default:
                syscall(SYS_execve, argv[0], argv, environ);
            }
            _exit(5);
        }
        wait_for(pid);
    }
}

static pid_t vfork_exec(char **argv)
{
    pid_t pid = vfork();
    if (!pid) {
        execve(argv[0], argv, environ);
        _exit(5);
    }
    return pid;
}

static void case_vfork_exec(void)
{
    char *argv[3];
    child_argv(argv);
    for (unsigned i = 0; i < 10; i++)
        wait_for(vfork_exec(argv));
}

static void case_spawn(void)
{
    char *argv[3];
    child_argv(argv);
    for (unsigned i = 0; i < 10; i++) {
        pid_t pid = -1;
        if (i % 2 ? posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ)
                  : posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
            truth_fail("posix_spawn");
        wait_for(pid);
    }
}

static void case_system(void)
{
    char command[4096];
    snprintf(command, sizeof command, "'%s' child", self);
    if (system(command))
        truth_fail("system");
    FILE *pipe = popen(command, "r");
    char line[256];
    while (pipe && fgets(line, sizeof line, pipe)) {
        fputs(line, stdout);
        fflush(stdout);
    }
    if (!pipe || pclose(pipe))
        truth_fail("popen");
}

/* A process that no library function made: no handler of ours runs in it. */
static void case_clone(void)
{
    for (unsigned i = 0; i < 10; i++) {
        pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        if (!pid) {
            child_work();
            syscall(SYS_exit_group, 0);
        }
        wait_for(pid);
    }
    for (unsigned i = 0; i < 10; i++) {
        pid_t pid = _Fork();
        if (!pid) {
            child_work();
            _exit(0);
        }
        wait_for(pid);
    }
}

/* As daemons are made: the parent goes on, the grandchild lives in a session of its own. */
static void case_daemon(void)
{
    int done[2];
    if (pipe(done))
        truth_fail("pipe");
    pid_t pid = fork();
    if (!pid) {
        setsid();
        if (!fork()) {
            child_work();
            char word = 'x';
            _exit(write(done[1], &word, 1) != 1);
        }
        _exit(0);
    }
    wait_for(pid);
    char word = 0;
    if (read(done[0], &word, 1) != 1 || word != 'x')
        truth_fail("the grandchild did not work");
    close(done[0]);
    close(done[1]);
}

/* Many children that end at once, in no order. */
static void case_many(void)
{
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 30; i++) {
            pid_t pid = fork();
            if (pid < 0)
                truth_fail("fork");
            if (!pid) {
                for (unsigned k = 0; k < 50; k++)
                    free(child_alloc(k));
                _exit(0);
            }
        }
        int status;
        while (waitpid(-1, &status, 0) > 0)
            if (status)
                truth_fail("a child did not end as it should");
    }
}

static void case_child(void)
{
    const char *preload = getenv("LD_PRELOAD");
    child_work();
    truth_put("child: LD_PRELOAD=%s\n", preload ? preload : "");
    truth_flush();
    exit(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"fork", case_fork},
    {"fork_threads", case_fork_threads},
    {"threads", case_threads},
    {"fork_exec", case_fork_exec},
    {"vfork_exec", case_vfork_exec},
    {"spawn", case_spawn},
    {"system", case_system},
    {"clone", case_clone},
    {"daemon", case_daemon},
    {"many", case_many},
    {"child", case_child},
};

int main(int argc, char **argv)
{
    self = argv[0];
    for (unsigned i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(argv[1], cases[i].name))
            continue;
        if (cases[i].run == case_child)
            case_child();
        parent_work();
        cases[i].run();
        parent_work();
        truth_put("{\"calls\":%llu,\"bytes\":%llu,\"frees\":%llu}\n", (unsigned long long)calls,
                  (unsigned long long)bytes, (unsigned long long)frees);
        truth_flush();
        return 0;
    }
    fprintf(stderr, "usage: forks CASE\n");
    return 2;
}
