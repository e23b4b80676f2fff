#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/launch.h"
#include "analyzer/memory.h"
#include "analyzer/process.h"

static int refuse(struct launch *l, const char *what, int error)
{
    snprintf(l->why, sizeof l->why, "%s: %s", what, strerror(error));
    return -1;
}

int launch_find_library(char to[static PATH_MAX])
{
    static const char *const places[] = {"%s/libperfshim.so", "%s/../lib/perfshim/libperfshim.so"};
    char self[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, i == 0 ? places[0] : places[1], self);
        if (realpath(path, to))
            return 0;
    }
    snprintf(to, PATH_MAX, "%s", self);
    return -1;
}

/* ---- the library's path in LD_PRELOAD, where blanks and colons separate ---- */

struct alias {
    char dir[PATH_MAX]; /* "" = none was needed */
    char link[PATH_MAX + 32];
};

static bool separates(const char *path)
{
    return strpbrk(path, " :\t\n") != NULL;
}

/* In TMPDIR, unless that separates as well, or means another place once the program changes its
 * directory: then in /tmp. */
static int alias_make(struct launch *l, struct alias *a)
{
    *a = (struct alias){0};
    if (!separates(l->library))
        return 0;
    const char *parent = getenv("TMPDIR");
    if (!parent || *parent != '/' || separates(parent))
        parent = "/tmp";
    int n = snprintf(a->dir, sizeof a->dir, "%s/perfshim-XXXXXX", parent);
    if (n >= (int)sizeof a->dir || !mkdtemp(a->dir)) {
        *a->dir = '\0';
        return refuse(l, parent, n >= (int)sizeof a->dir ? ENAMETOOLONG : errno);
    }
    snprintf(a->link, sizeof a->link, "%s/libperfshim.so", a->dir);
    if (symlink(l->library, a->link) != 0) {
        int error = errno;
        rmdir(a->dir);
        return refuse(l, a->link, error);
    }
    return 0;
}

static void alias_remove(const struct alias *a)
{
    if (!*a->dir)
        return;
    unlink(a->link);
    rmdir(a->dir);
}

/* ---- signals while the program runs ---- */

static volatile pid_t program;

static void pass_on(int number, siginfo_t *info, void *context)
{
    (void)context;
    bool from_a_process =
        info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
    if (program && from_a_process) /* the kernel's own, a hang-up, went to the whole group */
        kill(program, number);
}

static const int kept_signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGCHLD};
enum { kept_count = sizeof kept_signals / sizeof *kept_signals };

struct signals {
    sigset_t mask;
    struct sigaction before[kept_count];
};

/* Holds the signals back until both sides are set up. */
static void signals_hold(struct signals *s)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < kept_count; i++) {
        sigaddset(&set, kept_signals[i]);
        sigaction(kept_signals[i], NULL, &s->before[i]);
    }
    sigprocmask(SIG_BLOCK, &set, &s->mask);
    /* With SIGCHLD ignored there would be no child to wait for. */
    signal(SIGCHLD, SIG_DFL);
}

static void signals_watch(const struct signals *s)
{
    struct sigaction forward = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&forward.sa_mask);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    for (int i = 0; i < kept_count; i++)
        if ((kept_signals[i] == SIGTERM || kept_signals[i] == SIGHUP) &&
            s->before[i].sa_handler != SIG_IGN)
            sigaction(kept_signals[i], &forward, NULL);
    sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

static void signals_restore(const struct signals *s)
{
    for (int i = 0; i < kept_count; i++)
        sigaction(kept_signals[i], &s->before[i], NULL);
    sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* ---- parent and child ---- */

/* What the child tells through a pipe that its exec closes. */
struct message {
    int exec_error; /* −1: no name for the profile */
    char profile[PATH_MAX], live[PATH_MAX];
    char why[PATH_MAX + 200];
};

static void child(struct launch *l, const char *library, const struct signals *s, int pipe_fd)
{
    static struct message m;
    signals_restore(s);
    const char *others = getenv("LD_PRELOAD");
    size_t room = strlen(library) + (others ? strlen(others) : 0) + 2;
    char *preload = memory_new(room, 1);
    snprintf(preload, room, "%s%s%s", library, others && *others ? ":" : "", others ? others : "");
    if (output_path(l->output, getpid(), l->profile) != 0) {
        m.exec_error = -1;
        memcpy(m.why, l->output->why, sizeof m.why);
    } else if (stage_link(l->stage, l->profile, l->live) != 0) {
        m.exec_error = -1;
        memcpy(m.profile, l->profile, sizeof m.profile);
        memcpy(m.why, l->stage->why, sizeof m.why);
    } else {
        memcpy(m.profile, l->profile, sizeof m.profile);
        memcpy(m.live, l->live, sizeof m.live);
        if (write(pipe_fd, &m, sizeof m) != (ssize_t)sizeof m)
            _exit(125);
        setenv("PERFSHIM_OUT", l->live, 1);
        setenv("LD_PRELOAD", preload, 1);
        execvp(l->path, l->argv);
        m.exec_error = errno;
    }
    ssize_t n = write(pipe_fd, &m, sizeof m);
    _exit(n < 0 ? 125 : 126);
}

static void listen_to_child(struct launch *l, int pipe_fd)
{
    static struct message m;
    /* PIPE_BUF is less than a message, so a read may get a part of one. */
    for (size_t got = 0;;) {
        ssize_t n = read(pipe_fd, (char *)&m + got, sizeof m - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        got += (size_t)n;
        if (got < sizeof m)
            continue;
        got = 0;
        l->exec_error = m.exec_error;
        memcpy(l->profile, m.profile, sizeof l->profile);
        memcpy(l->live, m.live, sizeof l->live);
        memcpy(l->why, m.why, sizeof l->why);
    }
}

static void wait_for_child(struct launch *l)
{
    struct timespec now;
    while (wait4(l->pid, &l->status, 0, &l->usage) < 0 && errno == EINTR)
        ;
    program = 0; /* its pid may be another's from now on */
    clock_gettime(CLOCK_MONOTONIC, &now);
    l->end_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int start_and_wait(struct launch *l, const char *library)
{
    int pipe_fds[2];
    struct signals s;
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return refuse(l, "pipe", errno);
    signals_hold(&s);
    l->pid = fork();
    if (l->pid == 0)
        child(l, library, &s, pipe_fds[1]);
    int error = errno;
    close(pipe_fds[1]);
    if (l->pid < 0) {
        close(pipe_fds[0]);
        signals_restore(&s);
        return refuse(l, "fork", error);
    }
    program = l->pid;
    signals_watch(&s);
    process_start_ticks((uint32_t)l->pid, &l->start_ticks);
    listen_to_child(l, pipe_fds[0]);
    close(pipe_fds[0]);
    wait_for_child(l);
    signals_restore(&s);
    if (l->exec_error > 0)
        return refuse(l, l->path, l->exec_error);
    return l->exec_error;
}

int launch_run(struct launch *l)
{
    struct alias alias;
    if (alias_make(l, &alias) != 0) {
        stage_discard(l->stage, l->profile);
        return -1;
    }
    int error = start_and_wait(l, *alias.dir ? alias.link : l->library);
    alias_remove(&alias);
    if (error || strcmp(l->live, l->profile) == 0)
        stage_discard(l->stage, l->profile);
    return error;
}
