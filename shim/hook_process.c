/*
 * fork, exec and exit: no tick while a fork is under way; children made by exec start without us;
 * an exec in the profiled process itself stays profiled.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "profile/sys.h"
#include "shim/environment.h"
#include "shim/modules.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/tick.h"

extern char **environ;

/* Else ld.so would complain. */
static bool library_is_there(void)
{
    const char *library = environment_library();
    return library && sys_call4(SYS_faccessat, AT_FDCWD, library, R_OK, 0) == 0;
}

/* An exec now replaces this very process, and not a child of it. */
static bool exec_is_own(void)
{
    return shim_control->on && (uint32_t)sys_call0(SYS_getpid) == shim.pid && library_is_there();
}

/* In a child: what it becomes is profiled too, whatever environment it is given. */
static bool exec_is_followed(void)
{
    return environment_follows() && !shim.turned_off && library_is_there();
}

/*
 * Runs `call` with `env` naming the environment to pass: the host's, or, in the profiled process
 * itself and in followed children, a copy on the stack that preloads us again (nothing here may
 * allocate: a vfork child comes through too). If the exec fails, the process runs on.
 */
#define WITH_ENVIRONMENT(envp, env, call)                                                          \
    do {                                                                                           \
        char *const *env = (envp);                                                                 \
        real_resolve();                                                                            \
        bool own_ = exec_is_own();                                                                 \
        if (!own_ && !exec_is_followed())                                                          \
            return (call);                                                                         \
        char **copy_ = alloca((environment_slots(env)) * sizeof *copy_);                           \
        char *preload_ = alloca(environment_preload_bytes(env));                                   \
        environment_build(env, copy_, preload_);                                                   \
        env = copy_;                                                                               \
        if (!own_)                                                                                 \
            return (call);                                                                         \
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
    real_resolve();
    if (!shim_control->on)
        return real.fork();
    bool was_blocked = tick_block();
    pid_t pid = real.fork();
    if (!was_blocked) /* this one signal: the host's fork handlers may have set others */
        tick_unblock();
    return pid;
}

EXPORT int dlclose(void *handle)
{
    real_resolve();
    /* Before, and after: the library's destructors run inside and are looked up once more. */
    modules_changed();
    int result = real.dlclose(handle);
    modules_changed();
    return result;
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
