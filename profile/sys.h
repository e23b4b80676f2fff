/*
 * Raw x86-64 Linux system calls for code inside a stranger's process: no errno, no cancellation
 * point, no libc wrapper that another preload may have replaced. Async-signal-safe. Each returns
 * the kernel's value: negative = −errno. docs/architecture.md lists where each one is made.
 */
#ifndef PERFSHIM_PROFILE_SYS_H
#define PERFSHIM_PROFILE_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

static inline long sys_call6(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

#define sys_call0(n)             sys_call6((n), 0, 0, 0, 0, 0, 0)
#define sys_call1(n, a)          sys_call6((n), (long)(a), 0, 0, 0, 0, 0)
#define sys_call2(n, a, b)       sys_call6((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define sys_call3(n, a, b, c)    sys_call6((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys_call4(n, a, b, c, d) sys_call6((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

/* Anonymous private memory, or NULL. NORESERVE: untouched pages cost nothing. */
static inline void *sys_map_anon(size_t bytes)
{
    enum { prot_rw = 3, map_private_anon_noreserve = 0x2 | 0x20 | 0x4000 };
    long r = sys_call6(SYS_mmap, 0, (long)bytes, prot_rw, map_private_anon_noreserve, -1, 0);
    return r < 0 && r > -4096 ? NULL : (void *)r;
}

#endif
