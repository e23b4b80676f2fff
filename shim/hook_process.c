/*
 * fork, exec and exit: no tick while a fork is under way; children made by exec start without us;
 * an exec in the profiled process itself stays profiled.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "profile/sys.h"
#include "shim/modules.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/tick.h"

extern char **environ;

enum { kept_max = 16 };
static const char *own_library;        /* path of libperfshim.so as LD_PRELOAD named it */
static const char *kept[kept_max + 1]; /* PERFSHIM_* strings of our environment */
static unsigned kept_count;

static const char preload_name[] = "LD_PRELOAD=";
static const char prefix[] = "PERFSHIM_";

static bool entry_is_ours(const char *entry, size_t n)
{
    static const char file[] = "libperfshim.so";
    size_t m = sizeof file - 1;
    return n >= m && memcmp(entry + n - m, file, m) == 0 && (n == m || entry[n - m - 1] == '/');
}

/* Removes our entry from a list separated by spaces or colons, in place; true if it was there. */
static bool list_remove_ours(char *list, const char **entry_at, char *saved, size_t saved_bytes)
{
    for (char *at = list; *at;) {
        size_t n = strcspn(at, ": ");
        if (!entry_is_ours(at, n)) {
            at += n + (at[n] != '\0');
            continue;
        }
        if (n < saved_bytes) {
            memcpy(saved, at, n);
            saved[n] = '\0';
            *entry_at = saved;
        }
        size_t skip = n + (at[n] != '\0');
        memmove(at, at + skip, strlen(at + skip) + 1);
        size_t left = strlen(list); /* no separator may dangle */
        if (left && (list[left - 1] == ':' || list[left - 1] == ' '))
            list[left - 1] = '\0';
        return true;
    }
    return false;
}

void process_take_environment(char **envp, const char *own_path)
{
    static char saved[4096];
    own_library = own_path;
    for (char **e = envp; *e;) {
        if (strncmp(*e, prefix, sizeof prefix - 1) == 0 && kept_count < kept_max)
            kept[kept_count++] = *e;
        char *list = *e + sizeof preload_name - 1;
        if (strncmp(*e, preload_name, sizeof preload_name - 1) == 0 &&
            list_remove_ours(list, &own_library, saved, sizeof saved) && *list == '\0') {
            for (char **to = e; (*to = to[1]); to++) /* the variable was ours alone */
                ;
            continue;
        }
        e++;
    }
}

/* An exec now replaces this very process, and not a child of it. */
static bool exec_is_own(void)
{
    return shim_control->on && own_library && (uint32_t)sys_call0(SYS_getpid) == shim.pid;
}

static bool environment_has(char *const *envp, const char *name_and_value)
{
    size_t n = (size_t)(strchr(name_and_value, '=') - name_and_value) + 1;
    for (; *envp; envp++)
        if (strncmp(*envp, name_and_value, n) == 0)
            return true;
    return false;
}

static size_t environment_count(char *const *envp)
{
    size_t n = 0;
    while (envp && envp[n])
        n++;
    return n;
}

/* Bytes for the new LD_PRELOAD string, and for the array that environment_build() fills. */
static size_t preload_bytes(char *const *envp)
{
    size_t n = sizeof preload_name + strlen(own_library) + 1;
    for (; envp && *envp; envp++)
        if (strncmp(*envp, preload_name, sizeof preload_name - 1) == 0)
            n += strlen(*envp);
    return n;
}

static void environment_build(char *const *envp, char **out, char *preload)
{
    char *const none[] = {NULL};
    size_t n = 0;
    char *to = stpcpy(stpcpy(preload, preload_name), own_library);
    if (!envp)
        envp = none;
    for (char *const *e = envp; *e; e++) {
        if (strncmp(*e, preload_name, sizeof preload_name - 1) != 0)
            out[n++] = *e;
        else if ((*e)[sizeof preload_name - 1])
            to = stpcpy(stpcpy(to, ":"), *e + sizeof preload_name - 1);
    }
    out[n++] = preload;
    for (unsigned i = 0; i < kept_count; i++)
        if (!environment_has(envp, kept[i]))
            out[n++] = (char *)kept[i];
    out[n] = NULL;
}

/*
 * Runs `call` with `env` naming the environment to pass: the host's, or, in the profiled process
 * itself, a copy on the stack that preloads us again (nothing here may allocate: a vfork child
 * comes through too). If the exec fails, the process runs on.
 */
#define WITH_ENVIRONMENT(envp, env, call)                                                          \
    do {                                                                                           \
        char *const *env = (envp);                                                                 \
        real_resolve();                                                                            \
        if (!exec_is_own())                                                                        \
            return (call);                                                                         \
        char **copy_ = alloca((environment_count(env) + kept_max + 2) * sizeof *copy_);            \
        char *preload_ = alloca(preload_bytes(env));                                               \
        environment_build(env, copy_, preload_);                                                   \
        env = copy_;                                                                               \
        process_note_end(PSHIM_END_EXEC, 0);                                                       \
        int result_ = (call);                                                                      \
        process_note_end(PSHIM_END_RUNNING, 0);                                                    \
        __atomic_store_n(&shim.profile.header->end_monotonic_ns, 0, __ATOMIC_RELEASE);             \
        return result_;                                                                            \
    } while (0)

EXPORT int execve(const char *path, char *const *argv, char *const *envp)
{
    WITH_ENVIRONMENT(envp, env, real.execve(path, argv, env));
}

EXPORT int execv(const char *path, char *const *argv)
{
    WITH_ENVIRONMENT(environ, env, real.execve(path, argv, env));
}

EXPORT int execvpe(const char *file, char *const *argv, char *const *envp)
{
    WITH_ENVIRONMENT(envp, env, real.execvpe(file, argv, env));
}

EXPORT int execvp(const char *file, char *const *argv)
{
    WITH_ENVIRONMENT(environ, env, real.execvpe(file, argv, env));
}

EXPORT int fexecve(int fd, char *const *argv, char *const *envp)
{
    WITH_ENVIRONMENT(envp, env, real.fexecve(fd, argv, env));
}

EXPORT int execveat(int dir, const char *path, char *const *argv, char *const *envp, int flags)
{
    WITH_ENVIRONMENT(envp, env, real.execveat(dir, path, argv, env, flags));
}

/* The list of execl, execlp, execle as an array on the stack; `ap` then stands behind the NULL. */
#define ARGUMENTS(first, argv, ap)                                                                 \
    va_list ap;                                                                                    \
    size_t argc_ = 1;                                                                              \
    va_start(ap, first);                                                                           \
    while (va_arg(ap, char *))                                                                     \
        argc_++;                                                                                   \
    va_end(ap);                                                                                    \
    char **argv = alloca((argc_ + 1) * sizeof *argv);                                              \
    argv[0] = (char *)(first);                                                                     \
    va_start(ap, first);                                                                           \
    for (size_t i_ = 1; i_ <= argc_; i_++)                                                         \
    argv[i_] = va_arg(ap, char *)

EXPORT int execl(const char *path, const char *first, ...)
{
    ARGUMENTS(first, argv, ap);
    va_end(ap);
    return execv(path, argv);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
    ARGUMENTS(first, argv, ap);
    va_end(ap);
    return execvp(file, argv);
}

EXPORT int execle(const char *path, const char *first, ...)
{
    ARGUMENTS(first, argv, ap);
    char *const *envp = va_arg(ap, char *const *);
    va_end(ap);
    return execve(path, argv, envp);
}

EXPORT pid_t fork(void)
{
    uint64_t mask;
    real_resolve();
    if (!shim_control->on)
        return real.fork();
    tick_block(&mask);
    pid_t pid = real.fork();
    tick_unblock(&mask);
    return pid;
}

EXPORT int dlclose(void *handle)
{
    real_resolve();
    modules_changed();
    return real.dlclose(handle);
}

#define EXIT_HOOK(name)                                                                            \
    EXPORT __attribute__((noreturn)) void name(int status)                                         \
    {                                                                                              \
        real_resolve();                                                                            \
        process_note_end(PSHIM_END_EXIT, status & 0xff);                                           \
        if (real.name)                                                                             \
            real.name(status);                                                                     \
        for (;;)                                                                                   \
            sys_call1(SYS_exit_group, status);                                                     \
    }
EXIT_HOOK(_exit)
EXIT_HOOK(_Exit)
