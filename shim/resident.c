#include "shim/resident.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "profile/profile.h"
#include "profile/sys.h"

enum { sigset_bytes = 8, text_bytes = 128 };

/* Digits at *at, and one blank after them. −1: there are none. */
static int64_t number_take(const char *text, size_t n, size_t *at)
{
    uint64_t value = 0;
    size_t from = *at;
    while (*at < n && text[*at] >= '0' && text[*at] <= '9' && value < UINT64_MAX / 100)
        value = value * 10 + (uint64_t)(text[(*at)++] - '0');
    if (*at == from || *at >= n || text[*at] != ' ')
        return -1;
    (*at)++;
    return (int64_t)value;
}

int resident_parse(const char *text, size_t n, struct resident *to)
{
    size_t at = 0;
    int64_t size = number_take(text, n, &at);
    int64_t resident = size < 0 ? -1 : number_take(text, n, &at);
    int64_t shared = resident < 0 ? -1 : number_take(text, n, &at);
    if (shared < 0)
        return -1;
    to->rss_bytes = (uint64_t)resident * PSHIM_PAGE_BYTES;
    to->anon_bytes = (uint64_t)(resident > shared ? resident - shared : 0) * PSHIM_PAGE_BYTES;
    return 0;
}

/* What the child does: opens `path`, reads into `text`, tells how many bytes. */
struct reading {
    const char *path; /* at 0 */
    char *text;       /* at 8 */
    long size;        /* at 16 */
    long got;         /* at 24 */
};

/*
 * Makes the child; returns its id once it has ended. All in one piece of assembly: the child runs
 * on this very stack, and a compiler that does not know would put its variables over ours.
 */
static long child_run(struct reading *reading)
{
    long child;
    __asm__ volatile("xor %%esi, %%esi\n\t"
                     "xor %%edx, %%edx\n\t"
                     "xor %%r10d, %%r10d\n\t"
                     "xor %%r8d, %%r8d\n\t"
                     "syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 2f\n\t"
                     "mov %[openat], %%eax\n\t"
                     "mov %[cwd], %%edi\n\t"
                     "mov (%%rbx), %%rsi\n\t"
                     "mov %[mode], %%edx\n\t"
                     "syscall\n\t"
                     "test %%eax, %%eax\n\t"
                     "js 1f\n\t"
                     "mov %%eax, %%edi\n\t"
                     "mov %[read], %%eax\n\t"
                     "mov 8(%%rbx), %%rsi\n\t"
                     "mov 16(%%rbx), %%rdx\n\t"
                     "syscall\n\t"
                     "mov %%rax, 24(%%rbx)\n"
                     "1:\n\t"
                     "mov %[exit], %%eax\n\t"
                     "xor %%edi, %%edi\n\t"
                     "syscall\n\t"
                     "ud2\n"
                     "2:"
                     : "=a"(child)
                     : "a"((long)SYS_clone), "D"((long)(CLONE_VM | CLONE_VFORK)),
                       "b"(reading), [openat] "i"(SYS_openat), [read] "i"(SYS_read),
                       [exit] "i"(SYS_exit), [cwd] "i"(AT_FDCWD), [mode] "i"(O_RDONLY | O_CLOEXEC)
                     : "rsi", "rdx", "r10", "r8", "rcx", "r11", "cc", "memory");
    return child;
}

int resident_read(struct resident *to)
{
    char text[text_bytes];
    uint64_t all = ~(uint64_t)0, old = 0;
    struct reading reading = {.path = "/proc/self/statm", .text = text, .size = sizeof text};
    if (sys_call1(SYS_prctl, PR_GET_SECCOMP) != 0) /* a filter may kill who makes a process */
        return -1;
    sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sigset_bytes);
    long child = child_run(&reading);
    if (child > 0)
        sys_call4(SYS_wait4, child, NULL, __WALL, NULL);
    sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sigset_bytes);
    return child > 0 && reading.got > 0 ? resident_parse(text, (size_t)reading.got, to) : -1;
}
