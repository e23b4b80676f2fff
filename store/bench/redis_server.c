#include "store/bench/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_STEPS = 6000, STEP_US = 5000 }; /* 30 s */

int redis_server_find(const char *program, char path[static 4096], struct engine_trouble *trouble)
{
    const char *at = getenv("PATH");
    if (strchr(program, '/')) {
        snprintf(path, 4096, "%s", program);
        if (access(path, X_OK) == 0)
            return 0;
        snprintf(trouble->text, sizeof trouble->text, "%s: %s", program, strerror(errno));
        return -1;
    }
    for (; at && *at; at += strcspn(at, ":"), at += *at == ':') {
        int n = (int)strcspn(at, ":");
        snprintf(path, 4096, "%.*s/%s", n, at, program);
        if (n && access(path, X_OK) == 0)
            return 0;
    }
    snprintf(trouble->text, sizeof trouble->text,
             "no %s in PATH (Debian's package is redis-server)", program);
    return -1;
}

static int trouble_errno(struct engine_trouble *trouble, const char *what)
{
    trouble->disk = 1;
    int class = errno == ENOSPC ? ENGINE_NO_SPACE : ENGINE_IO;
    snprintf(trouble->text, sizeof trouble->text, "%s: %s", what, strerror(errno));
    return class;
}

/* Somebody else's server in this directory would lose its log to ours. */
static int socket_taken(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int taken = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return taken;
}

/* In the child: the server, or the reason why not into the pipe. */
static void become(char *const argv[], pid_t parent, int why)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    signal(SIGTERM, SIG_DFL);
    setpgid(0, 0); /* an interrupt from the terminal is for us: it has to wait for our last calls */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        execv(argv[0], argv);
    int error = errno;
    if (write(why, &error, sizeof error) != sizeof error)
        _exit(126);
    _exit(127);
}

static int start(struct redis_server *server, char *const argv[], struct engine_trouble *trouble)
{
    int why[2], error = 0;
    pid_t parent = getpid();
    if (pipe2(why, O_CLOEXEC) != 0)
        return trouble_errno(trouble, "pipe");
    server->pid = fork();
    if (server->pid == 0)
        become(argv, parent, why[1]);
    close(why[1]);
    if (server->pid < 0) {
        close(why[0]);
        server->pid = 0;
        return trouble_errno(trouble, "fork");
    }
    ssize_t n = read(why[0], &error, sizeof error);
    close(why[0]);
    if (n != sizeof error)
        return ENGINE_OK;
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
    snprintf(trouble->text, sizeof trouble->text, "%s: %s", argv[0], strerror(error));
    return ENGINE_OTHER;
}

int redis_server_start(struct redis_server *server, const struct redis_server_setup *setup,
                       struct engine_trouble *trouble)
{
    char program[4096], directory[PATH_MAX], maximum[24];
    *server = (struct redis_server){0};
    if (redis_server_find(setup->program, program, trouble) != 0)
        return ENGINE_OTHER;
    if ((mkdir(setup->directory, 0700) != 0 && errno != EEXIST) ||
        !realpath(setup->directory, directory))
        return trouble_errno(trouble, setup->directory);
    if (snprintf(server->socket, sizeof server->socket, "%s/redis.sock", directory) >=
        (int)sizeof server->socket) {
        errno = ENAMETOOLONG;
        return trouble_errno(trouble, directory);
    }
    if (snprintf(server->log, sizeof server->log, "%s/redis.log", directory) < 0 ||
        socket_taken(server->socket)) {
        errno = EBUSY;
        return trouble_errno(trouble, server->socket);
    }
    snprintf(maximum, sizeof maximum, "%" PRIu64, setup->maximum_bytes);
    const char *log = setup->sync_every == ENGINE_NO_LOG ? "no" : "yes";
    const char *sync = setup->sync_every == 1 ? "always" : "no";
    const char *const argv[] = {program,
                                "--port",
                                "0",
                                "--unixsocket",
                                server->socket,
                                "--unixsocketperm",
                                "700",
                                "--dir",
                                directory,
                                "--daemonize",
                                "no",
                                "--logfile",
                                server->log,
                                "--save",
                                "",
                                "--appendonly",
                                log,
                                "--appendfsync",
                                sync,
                                "--maxmemory",
                                maximum,
                                "--maxclients",
                                "10100",
                                "--maxmemory-policy",
                                "noeviction",
                                NULL};
    return start(server, (char *const *)argv, trouble);
}

/* The last line of its log that says something. */
static void log_last(const struct redis_server *server, char *text, size_t size)
{
    char line[512];
    FILE *f = fopen(server->log, "re");
    snprintf(text, size, "its log is empty: is there room for it?");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0])
            snprintf(text, size, "%s", line);
    }
    if (f)
        fclose(f);
}

static void trouble_ended(const struct redis_server *server, int status,
                          struct engine_trouble *trouble)
{
    char last[512];
    log_last(server, last, sizeof last);
    snprintf(trouble->text, sizeof trouble->text, "redis-server ended with %s %d: %s",
             WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), last);
    trouble->disk = 1;
}

int redis_server_alive(struct redis_server *server, struct engine_trouble *trouble)
{
    int status;
    if (waitpid(server->pid, &status, WNOHANG) == 0)
        return 1;
    server->pid = 0;
    trouble_ended(server, status, trouble);
    return 0;
}

int redis_server_stop(struct redis_server *server, struct engine_trouble *trouble)
{
    int status = 0;
    if (!server->pid)
        return 0;
    kill(server->pid, SIGTERM);
    for (int i = 0; waitpid(server->pid, &status, WNOHANG) == 0; i++) {
        if (i == STOP_STEPS) {
            kill(server->pid, SIGKILL);
            waitpid(server->pid, &status, 0);
            break;
        }
        usleep(STEP_US);
    }
    server->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    trouble_ended(server, status, trouble);
    return -1;
}
