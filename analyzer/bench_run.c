#include "analyzer/bench_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000u

static volatile sig_atomic_t group; /* of the running command; 0 = none */

static const int FATAL[] = {SIGINT, SIGTERM, SIGHUP};
#define FATAL_COUNT (sizeof FATAL / sizeof *FATAL)

static void on_fatal(int sig)
{
    if (group)
        kill(-group, sig);
    signal(sig, SIG_DFL);
    raise(sig);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static uint64_t timeval_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_usec * 1000;
}

/* In the child: never returns. */
static void command_exec(const char *command, int out_fd, int err_fd, const sigset_t *mask)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setpgid(0, 0);
    dup2(null, 0);
    dup2(out_fd >= 0 ? out_fd : null, 1);
    dup2(err_fd >= 0 ? err_fd : null, 2);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* Reaps pid; SIGCHLD is blocked, so that its arrival between test and sleep is not missed. */
static void command_wait(pid_t pid, uint64_t deadline_ns, struct bench_run *run,
                         struct rusage *usage)
{
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    while (wait4(pid, &run->status, deadline_ns ? WNOHANG : 0, usage) != pid) {
        uint64_t now = now_ns();
        uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        struct timespec t = {(time_t)(left / SECOND_NS), (long)(left % SECOND_NS)};

        if (left) {
            sigtimedwait(&child, NULL, &t);
        } else if (deadline_ns) {
            run->timed_out = true;
            kill(-pid, SIGKILL);
            deadline_ns = 0;
        }
    }
}

int bench_run(const char *command, int out_fd, int err_fd, uint64_t timeout_ns,
              struct bench_run *run)
{
    struct sigaction forward = {.sa_handler = on_fatal}, old[FATAL_COUNT], old_child;
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t child, fatal, mask;
    struct rusage usage = {0};
    uint64_t start;
    pid_t pid;

    memset(run, 0, sizeof *run);
    /* an inherited SIG_IGN would reap the child before we could read its usage */
    sigaction(SIGCHLD, &by_default, &old_child);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &mask);
    sigemptyset(&fatal);
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        sigaction(FATAL[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN) { /* nohup stays nohup */
            sigaction(FATAL[i], &forward, NULL);
            sigaddset(&fatal, FATAL[i]);
        }
    }
    sigprocmask(SIG_BLOCK, &fatal, NULL); /* until there is a group to pass them on to */

    start = now_ns();
    pid = fork();
    if (pid == 0)
        command_exec(command, out_fd, err_fd, &mask);
    if (pid > 0) {
        group = pid;
        setpgid(pid, pid); /* as the child does: whoever is first */
        sigprocmask(SIG_UNBLOCK, &fatal, NULL);
        command_wait(pid, timeout_ns ? start + timeout_ns : 0, run, &usage);
        run->wall_ns = now_ns() - start;
        group = 0;
    }

    int failed_with = errno;
    for (size_t i = 0; i < FATAL_COUNT; i++)
        sigaction(FATAL[i], &old[i], NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGCHLD, &old_child, NULL);
    run->user_ns = timeval_ns(usage.ru_utime);
    run->sys_ns = timeval_ns(usage.ru_stime);
    run->max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    errno = failed_with;
    return pid > 0 ? 0 : -1;
}

char *bench_status_text(int status, char buf[static 64])
{
    if (WIFSIGNALED(status))
        snprintf(buf, 64, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(buf, 64, "exit status %d", WEXITSTATUS(status));
    return buf;
}
