/*
 * Stack walking by call-frame information (.eh_frame), inside the profiled process.
 *
 * Async-signal-safe and thread-safe: no lock, no allocation, no loader call except
 * _dl_find_object (glibc documents it as async-signal-safe), no errno. Memory is read
 * only inside the stack ranges that the caller passes or unwind_find_stack() tells, in the
 * read-only unwind tables of mapped modules, and in code. No system call but where a stack or a
 * return address is in no known place, once for each (unwind_stack.h, unwind_bare.h).
 *
 * Rules found for a pc are kept in a process-wide cache of atomic 64-bit words (unwind_rule.h): no
 * reader ever waits. unwind_flush() forgets them (called on entry to dlopen and dlclose).
 * Measured: 5 ns a frame cached (4 with frame pointers), 150 ns not cached.
 *
 * What is understood: every CFA rule and register rule that gcc and clang emit, DWARF expressions
 * (PLT entries, signal frames, realigned frames) included. Anything else ends the stack with a
 * reason. Code without tables, such as a JIT makes, is left by frame pointers if it keeps them
 * (unwind_bare.h). Known to be cut short: such code without; libc's __mpn_* assembly, whose tables
 * leave out that it pushes registers. Source: DWARF 5 §6.4, LSB .eh_frame_hdr, x86-64 psABI §3.7
 * (register numbers).
 */
#ifndef PERFSHIM_SHIM_UNWIND_H
#define PERFSHIM_SHIM_UNWIND_H

#include <stddef.h>
#include <stdint.h>

/* x86-64 DWARF register numbers; 16 is the return address column. */
enum {
    UNWIND_RAX,
    UNWIND_RDX,
    UNWIND_RCX,
    UNWIND_RBX,
    UNWIND_RSI,
    UNWIND_RDI,
    UNWIND_RBP,
    UNWIND_RSP,
    UNWIND_R8,
    UNWIND_R9,
    UNWIND_R10,
    UNWIND_R11,
    UNWIND_R12,
    UNWIND_R13,
    UNWIND_R14,
    UNWIND_R15,
    UNWIND_RIP,
    UNWIND_REGS
};

/* Register values of one frame. A bit of `known` is set where the value is valid. `frame`: where
 * that frame keeps its caller's rbp, with the return address behind it; NULL if not known. */
struct unwind_regs {
    uintptr_t reg[UNWIND_REGS];
    const uintptr_t *frame;
    uint32_t known;
};

/* A stack: readable memory [lo, hi), both multiples of 8. The part below the red zone under rsp is
 * never read, so lo may be the lowest address that the stack may grow to. */
struct unwind_range {
    uintptr_t lo, hi;
};

enum unwind_end {
    UNWIND_END_ROOT = 0, /* the outermost frame was reached (undefined return address, or pc 0) */
    UNWIND_END_DEPTH,    /* `max` frames were written */
    UNWIND_END_NO_CFI,   /* code without call-frame information; executing outside any module */
    UNWIND_END_BAD_CFI,  /* a rule that is not understood, or needs a register that is not known */
    UNWIND_END_STACK,    /* the stack pointer or CFA is on no known stack, or does not move up */
    UNWIND_END_BAD_PC,   /* a return address in no mapped code */
};

/*
 * Asked for the stack around an sp that none of the ranges holds, at a walk's start and where a
 * signal arrived. 0 and *out, or −1. NULL, as it is at first: only the ranges are read.
 */
extern int (*unwind_find_stack)(uintptr_t sp, struct unwind_range *out)
    __attribute__((visibility("hidden")));

/*
 * Walks from *start (the frame whose pc is reg[UNWIND_RIP]; that pc is exact when `exact`, else a
 * return address) outwards. Writes at most `max` pcs, innermost first, to pcs[]: each one lies
 * inside the executing or calling instruction (return address − 1, except for an exact start, after
 * a signal frame, and for the signal frame itself, where a handler returns to), so two walks
 * through the same call sites give equal values. A frame without signal must lie above the one
 * before; into another of the ranges a walk moves by signal frames, or a few times by rules that
 * say so.
 * `*end` says why the walk ended. Returns the number of pcs written.
 * Uses 570 bytes of stack when cached, 1 720 when not (gcc 12 -O2; a test keeps it below 1 and 2
 * KiB).
 */
unsigned unwind_walk(const struct unwind_regs *start, int exact, const struct unwind_range *stacks,
                     unsigned stack_count, uintptr_t *pcs, unsigned max, enum unwind_end *end);

/*
 * The same by frame pointers (rbp chain): code without CFI, or PERFSHIM_UNWIND=fp. Only an exact
 * start is left by its CFI if it has any, since it may use rbp for something else at this moment.
 * Nothing tells here whether a pc is code; UNWIND_END_ROOT also means rbp 0.
 */
unsigned unwind_walk_fp(const struct unwind_regs *start, int exact,
                        const struct unwind_range *stacks, unsigned stack_count, uintptr_t *pcs,
                        unsigned max, enum unwind_end *end);

/* Registers of the calling function at this point, callee-saved ones, rsp and rip known. It gets a
 * frame pointer by that. */
static inline __attribute__((always_inline)) void unwind_capture(struct unwind_regs *regs)
{
    __asm__ volatile("leaq 0(%%rip), %%rax\n\t"
                     "movq %%rax, 128(%0)\n\t"
                     "movq %%rsp, 56(%0)\n\t"
                     "movq %%rbp, 48(%0)\n\t"
                     "movq %%rbx, 24(%0)\n\t"
                     "movq %%r12, 96(%0)\n\t"
                     "movq %%r13, 104(%0)\n\t"
                     "movq %%r14, 112(%0)\n\t"
                     "movq %%r15, 120(%0)\n\t"
                     :
                     : "r"(regs)
                     : "rax", "memory");
    regs->frame = __builtin_frame_address(0);
    regs->known = 1u << UNWIND_RIP | 1u << UNWIND_RSP | 1u << UNWIND_RBP | 1u << UNWIND_RBX |
                  1u << UNWIND_R12 | 1u << UNWIND_R13 | 1u << UNWIND_R14 | 1u << UNWIND_R15;
}

/* All registers of an interrupted context (ucontext_t *), all known. */
void unwind_from_ucontext(struct unwind_regs *regs, const void *ucontext);

/* Forget all cached rules: modules are about to change. */
void unwind_flush(void);

/* The mapped module that holds pc. */
struct unwind_module {
    uintptr_t start, end; /* mapped range */
    uintptr_t bias;       /* load address − ELF virtual address */
    const char *name;     /* the loader's name, valid while the module stays loaded; "" = main */
};
/* 0 if found, −1 if pc is in no module. */
int unwind_module_find(uintptr_t pc, struct unwind_module *out);

#endif
