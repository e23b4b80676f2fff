/* build: -shared -fPIC -ftls-model=initial-exec -fno-builtin-malloc */
/*
 * A preload library that walks stacks with the shim's unwinder and with libunwind, side by side in
 * somebody else's program, and counts where they agree.
 *
 *   UNWIND_DIFF_OUT=FILE    where the JSON summary goes when the program exits
 *   UNWIND_DIFF_EVERY=N     every Nth allocation of a thread compares (default 1); the walk that
 *                           joins the last stack is made at each
 *   UNWIND_DIFF_TICK_US=N   and a SIGPROF handler does, every N µs of CPU time (default 0: none)
 *   UNWIND_DIFF_STEPS=N     and after each of the N instructions that follow every other tick or
 *                           some compared allocations (the CPU traps after each), up to the next
 *                           system call or allocation
 *   UNWIND_DIFF_BURST=N     those are every Nth (default 8)
 *
 * libunwind is opened RTLD_LOCAL, so that the program's own exceptions do not go through it. A
 * thread's ticks count only after its first allocation was compared: libunwind allocates at its
 * first walk in a thread, which a signal handler must not. Each thread asks for its stack before
 * its start routine runs, since pthread_getattr_np allocates while it holds a lock of the thread.
 * libunwind changes the signal mask twice a frame, which is half of its time: during a comparison,
 * in which our own handlers do nothing, it is left alone.
 */
#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <errno.h>
#include <libunwind.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include "shim/unwind_memo.h"
#include "shim/unwind_rule.h"
#include "shim/unwind_stack.h"

#define DEPTH 256
#define KINDS 512

#define TEXT2(x)    #x
#define TEXT(x)     TEXT2(x)
#define count_up(x) __atomic_fetch_add(&(x), 1, __ATOMIC_RELAXED)

/* The program's own allocator, which need not be libc's. dlsym allocates nothing if it succeeds. */
#define NEXT(name) ((__typeof__(&name))next(&name##_next, #name))
static void *malloc_next, *calloc_next, *realloc_next, *pthread_create_next;

static void *next(void **known, const char *name)
{
    void *at = __atomic_load_n(known, __ATOMIC_RELAXED);
    if (!at) {
        at = dlsym(RTLD_NEXT, name);
        __atomic_store_n(known, at, __ATOMIC_RELAXED);
    }
    return at;
}

/* KEPT: at allocations too, by the walk that joins the thread's last stack. */
enum place { SYNC, TICK, KEPT, PLACES };
static const char *const place_name[PLACES] = {"sync", "tick", "kept"};
static const char *const end_name[] = {"root", "depth", "no_cfi", "bad_cfi", "stack", "bad_pc"};

static struct {
    int (*getcontext)(unw_context_t *);
    int (*init)(unw_cursor_t *, unw_context_t *, int);
    int (*step)(unw_cursor_t *);
    int (*get_reg)(unw_cursor_t *, int, unw_word_t *);
    int (*is_signal)(unw_cursor_t *);
} oracle;

/*
 * Some are counted apart. ASTRAY: both came to the same word, in which no code can be; ours ends
 * there, libunwind takes it for a frame. GUESS: both came to a frame of which no table says
 * anything; one ends there, the other goes on by rbp. REALIGNED: the innermost
 * frame is at the end of a function that had realigned its stack; its rules look where rbp was
 * saved, by rbp, which has its caller's value again.
 */
enum relation { DIFFER, OURS_ENDS, LIBUNWIND_ENDS, ASTRAY, GUESS, REALIGNED };
static const char *const relation_name[] = {"differ", "ours_ends", "libunwind_ends",
                                            "astray", "guess",     "realigned"};

/* One kind of difference: after the last common frame `pc` the two went on differently. The walk
 * began at `leaf` and had `depth` common frames when it was first seen. */
struct kind {
    uint64_t count;
    uintptr_t pc, ours_next, theirs_next, leaf;
    unsigned depth;
    enum place place;
    enum relation relation;
    enum unwind_end end;
};

static uint64_t equal[PLACES], different[PLACES], astray[PLACES], guess[PLACES], realigned[PLACES],
    frames[PLACES], ends[PLACES][6];
static struct kind kinds[KINDS];
static unsigned kind_count;
static volatile int kind_lock;
static int ready;
static unsigned every = 1;
static char out_path[4096]; /* a copy: redis-server writes its title over the environment */

static unsigned steps, burst;

static __thread int busy, warm;
static __thread unsigned turn, steps_left;
static __thread int stepped; /* the last tick switched steps on */
static __thread struct unwind_range stack;
static __thread struct unwind_kept *kept;
static __thread struct unwind_memos *memos;
static uint64_t shared_frames, memo_known, memo_wrong;

static void kind_count_up(const struct kind *seen)
{
    unsigned i;
    if (__atomic_exchange_n(&kind_lock, 1, __ATOMIC_ACQUIRE))
        return; /* another thread, or the code that this tick interrupted: the totals still count */
    for (i = 0; i < kind_count; i++)
        if (kinds[i].pc == seen->pc && kinds[i].place == seen->place &&
            kinds[i].relation == seen->relation && kinds[i].end == seen->end)
            break;
    if (i == kind_count && kind_count < KINDS)
        kinds[kind_count++] = *seen;
    if (i < KINDS)
        kinds[i].count++;
    __atomic_store_n(&kind_lock, 0, __ATOMIC_RELEASE);
}

/*
 * In libunwind 1.6 unw_is_signal_frame() speaks, after a step, of the frame that was just left (and
 * is not initialised before the first step): its pc then is where the handler returns to, and the
 * current one is the interrupted instruction; neither is a return address to be moved into a call.
 */
static unsigned oracle_walk(unw_context_t *context, int signal_frame, uintptr_t *pcs)
{
    unw_cursor_t cursor;
    unsigned count = 0;
    unw_word_t pc = 0, before = 0;

    if (oracle.init(&cursor, context, signal_frame ? UNW_INIT_SIGNAL_FRAME : 0) != 0)
        return 0;
    do {
        int exact = count == 0;
        if (oracle.get_reg(&cursor, UNW_REG_IP, &pc) != 0 || pc == 0)
            break;
        if (count > 0 && oracle.is_signal(&cursor) > 0) {
            exact = 1;
            pcs[count - 1] = before;
        }
        pcs[count++] = exact ? pc : pc - 1;
        before = pc;
    } while (count < DEPTH && oracle.step(&cursor) > 0);
    return count;
}

/* What was walked before may know the stack, and then must know this node. */
static void memo_ask(const uintptr_t *frame, uint32_t node)
{
    enum { era = 1 };
    uint32_t known = unwind_memo_find(memos, frame, era);
    if (known)
        __atomic_fetch_add(known == node ? &memo_known : &memo_wrong, 1, __ATOMIC_RELAXED);
    else
        unwind_memo_enter(memos, kept, kept->depth, frame, (const uintptr_t *)stack.hi, era);
}

/*
 * The stack as the kept walk has it, and how its frames were come by. 0 where the shim walks the
 * whole stack anew.
 */
static unsigned kept_walk(const struct unwind_regs *regs, uintptr_t *pcs)
{
    uintptr_t sp = regs->reg[UNWIND_RSP];
    struct unwind_range here = stack;
    unsigned shared, depth;
    if (!kept) {
        void *memory = mmap(NULL, sizeof *kept + sizeof *memos, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return 0;
        memos = memory;
        kept = (void *)(memos + 1);
        kept->walked = 1;
    }
    if (sp - here.lo >= here.hi - here.lo) {
        if (unwind_stack_find(sp, &here) != 0)
            return 0;
        if (kept->depth && kept->frame[0].sp > here.hi)
            kept->depth = 0;
    }
    depth = unwind_kept_walk(kept, kept->depth, regs, here, &shared);
    for (unsigned i = shared; i < depth; i++) /* 32 bits tell callers apart as nodes do */
        kept->frame[i].node = (uint32_t)(((i ? kept->frame[i - 1].node : 0) ^ kept->frame[i].rip) *
                                             0x9e3779b97f4a7c15u >>
                                         32);
    kept->depth = depth;
    if (depth == 0 || depth == DEPTH)
        return 0;
    if (regs->frame && sp - stack.lo < stack.hi - stack.lo)
        memo_ask(regs->frame, kept->frame[depth - 1].node);
    __atomic_fetch_add(&shared_frames, shared, __ATOMIC_RELAXED);
    pcs[0] = regs->reg[UNWIND_RIP];
    for (unsigned i = 0; i < depth; i++)
        pcs[depth - i] = kept->frame[i].rip - 1;
    return depth + 1;
}

static int has_no_tables(uintptr_t pc)
{
    struct unwind_row row;
    enum unwind_rule_kind kind;
    unwind_row_find(pc, &row, &kind);
    return kind == UNWIND_RULE_NO_CFI || kind == UNWIND_RULE_NO_CODE || kind == UNWIND_RULE_ROOT;
}

/* ret, or lea -8(%r10), %rsp before it */
static int is_realigned_end(uintptr_t pc)
{
    static const unsigned char lea[] = {0x49, 0x8d, 0x62, 0xf8};
    struct unwind_row row;
    enum unwind_rule_kind kind;
    unwind_row_find(pc, &row, &kind);
    return kind == UNWIND_RULE_ROW && row.row.how[UNWIND_RBP] == CFI_EXPRESSION &&
           (*(const unsigned char *)pc == 0xc3 || memcmp((const void *)pc, lea, sizeof(lea)) == 0);
}

/* The two stacks from frame `from` outwards. */
static void compare(enum place place, unsigned from, const uintptr_t *ours, unsigned mine,
                    enum unwind_end end, const uintptr_t *theirs, unsigned other)
{
    struct kind seen = {.place = place, .end = end};
    struct unwind_module module;
    unsigned i = from;

    while (i < mine && i < other && ours[i] == theirs[i])
        i++;
    __atomic_fetch_add(&frames[place], mine, __ATOMIC_RELAXED);
    count_up(ends[place][end]);
    if (i == mine && i == other) {
        count_up(equal[place]);
        return;
    }
    if (place == TICK && i == mine && end == UNWIND_END_BAD_PC &&
        unwind_module_find(theirs[i], &module) != 0) {
        count_up(astray[place]);
        seen.relation = ASTRAY;
    } else if ((i == mine || i == other) && i && has_no_tables(ours[i - 1])) {
        count_up(guess[place]);
        seen.relation = GUESS;
    } else if (place == TICK && mine && is_realigned_end(ours[0])) {
        count_up(realigned[place]);
        seen.relation = REALIGNED;
    } else {
        count_up(different[place]);
        seen.relation = i == mine ? OURS_ENDS : i == other ? LIBUNWIND_ENDS : DIFFER;
    }
    seen.pc = i ? ours[i - 1] : 0;
    seen.leaf = mine > from ? ours[from] : 0;
    seen.depth = i - from;
    seen.ours_next = i < mine ? ours[i] : 0;
    seen.theirs_next = i < other ? theirs[i] : 0;
    kind_count_up(&seen);
}

static void stack_find(void)
{
    pthread_attr_t attr;
    void *lo;
    size_t bytes;

    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &lo, &bytes) == 0) {
        stack.lo = (uintptr_t)lo;
        stack.hi = stack.lo + bytes;
    }
    pthread_attr_destroy(&attr);
}

static void steps_begin(void)
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (sigismember(&blocked, SIGTRAP))
        return;
    steps_left = steps;
    __asm__ volatile("int3"); /* the handler switches them on */
}

static __attribute__((noinline)) void compare_here(void)
{
    int saved = errno;
    unw_context_t context;
    struct unwind_regs regs;
    int begin = 0;

    if (busy || !__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        return;
    steps_left = 0;
    busy = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (stack.hi && (!warm || ++turn % every == 0)) {
        uintptr_t ours[DEPTH], theirs[DEPTH];
        enum unwind_end end;
        unsigned mine, other;
        oracle.getcontext(&context);
        unwind_capture(&regs);
        other = oracle_walk(&context, 0, theirs);
        mine = unwind_walk(&regs, 1, &stack, 1, ours, DEPTH, &end);
        compare(SYNC, 1, ours, mine, end, theirs, other);
        mine = kept_walk(&regs, ours);
        if (mine)
            compare(KEPT, 1, ours, mine, UNWIND_END_ROOT, theirs, other);
        warm = 1;
        begin = steps && turn / every % burst == 0;
    } else if (stack.hi) { /* each stack is the next one's to join */
        uintptr_t pcs[DEPTH];
        unwind_capture(&regs);
        kept_walk(&regs, pcs);
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    busy = 0;
    errno = saved;
    if (begin)
        steps_begin();
}

static void interrupted(ucontext_t *context)
{
    uintptr_t ours[DEPTH], theirs[DEPTH];
    struct unwind_regs regs;
    enum unwind_end end;
    unsigned mine, other;

    unwind_from_ucontext(&regs, context);
    mine = unwind_walk(&regs, 1, &stack, 1, ours, DEPTH, &end);
    other = oracle_walk((unw_context_t *)context, 1, theirs);
    compare(TICK, 0, ours, mine, end, theirs, other);
}

/* The CPU's own switch: trap after each instruction. */
#define TRAP_FLAG 0x100

/* A system call may block signals, and a trap whose signal is blocked ends the program. */
static int steps_over(const ucontext_t *context)
{
    const unsigned char *code = (const unsigned char *)context->uc_mcontext.gregs[REG_RIP];
    return busy || steps_left == 0 || (code[0] == 0x0f && code[1] == 0x05);
}

/* Where the steps of one tick last longer than the next one's coming, the program would get no
 * further than these: every other tick only. */
static void steps_after_tick(ucontext_t *context)
{
    if (sigismember(&context->uc_sigmask, SIGTRAP))
        return;
    steps_left = steps;
    if (!steps_over(context))
        context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void tick(int number, siginfo_t *info, void *ucontext)
{
    int saved = errno;
    ucontext_t *context = ucontext;

    if (number == SIGTRAP && steps_over(context)) {
        context->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    } else if (number == SIGTRAP && info->si_code != TRAP_TRACE) {
        context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG; /* steps_begin() */
    } else if (!busy && warm && stack.hi) {
        busy = 1;
        interrupted(context);
        busy = 0;
        if (number == SIGTRAP)
            steps_left--;
        else if ((stepped = steps && !stepped && steps_left == 0))
            steps_after_tick(context);
    }
    errno = saved;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    int error = busy ? 0 : pthread_sigmask(how, set, old);
    if (error)
        errno = error;
    return error ? -1 : 0;
}

void *malloc(size_t size)
{
    compare_here();
    return NEXT(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
    compare_here();
    return NEXT(calloc)(count, size);
}

void *realloc(void *old, size_t size)
{
    compare_here();
    return NEXT(realloc)(old, size);
}

struct start {
    void *(*routine)(void *);
    void *argument;
};

static void *thread_run(void *argument)
{
    struct start start = *(struct start *)argument;

    busy = 1;
    free(argument);
    stack_find();
    busy = 0;
    return start.routine(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *),
                   void *argument)
{
    struct start *start = NEXT(malloc)(sizeof(*start));
    int error;

    if (!start)
        return EAGAIN;
    *start = (struct start){routine, argument};
    if ((error = NEXT(pthread_create)(thread, attr, thread_run, start)) != 0)
        free(start);
    return error;
}

static void pc_print(FILE *out, const char *key, uintptr_t pc)
{
    struct unwind_module module;
    const char *slash;

    if (unwind_module_find(pc, &module) != 0) {
        fprintf(out, "\"%s\":\"%#lx\",", key, (unsigned long)pc);
        return;
    }
    slash = strrchr(module.name, '/');
    fprintf(out, "\"%s\":\"%s+%#lx\",", key,
            slash          ? slash + 1
            : *module.name ? module.name
                           : "main",
            (unsigned long)(pc - module.bias));
}

static __attribute__((destructor)) void summary_write(void)
{
    FILE *out;

    if (!ready)
        return;
    ready = 0;
    busy = 1;
    if (!(out = fopen(out_path, "w")))
        return;
    fprintf(out, "{");
    for (unsigned p = 0; p < PLACES; p++) {
        fprintf(out,
                "\"%s\":{\"equal\":%lu,\"different\":%lu,\"astray\":%lu,\"guess\":%lu,"
                "\"realigned\":%lu,\"frames\":%lu,"
                "\"ends\":{",
                place_name[p], (unsigned long)equal[p], (unsigned long)different[p],
                (unsigned long)astray[p], (unsigned long)guess[p], (unsigned long)realigned[p],
                (unsigned long)frames[p]);
        for (unsigned e = 0; e < 6; e++)
            fprintf(out, "%s\"%s\":%lu", e ? "," : "", end_name[e], (unsigned long)ends[p][e]);
        fprintf(out, "}},\n");
    }
    fprintf(out,
            "\"shared_frames\":%lu,\n\"memo_known\":%lu,\n\"memo_wrong\":%lu,\n\"differences\":[",
            (unsigned long)shared_frames, (unsigned long)memo_known, (unsigned long)memo_wrong);
    for (unsigned i = 0; i < kind_count; i++) {
        fprintf(out, "%s\n{", i ? "," : "");
        fprintf(out, "\"depth\":%u,", kinds[i].depth);
        pc_print(out, "leaf", kinds[i].leaf);
        pc_print(out, "after", kinds[i].pc);
        pc_print(out, "ours", kinds[i].ours_next);
        pc_print(out, "libunwind", kinds[i].theirs_next);
        fprintf(out, "\"place\":\"%s\",\"relation\":\"%s\",\"end\":\"%s\",\"count\":%lu}",
                place_name[kinds[i].place], relation_name[kinds[i].relation],
                end_name[kinds[i].end], (unsigned long)kinds[i].count);
    }
    fprintf(out, "]}\n");
    fclose(out);
}

static unsigned number_of(const char *name, unsigned fallback)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : fallback;
}

static __attribute__((constructor)) void comparison_start(void)
{
    void *library;
    unsigned tick_us = number_of("UNWIND_DIFF_TICK_US", 0);

    busy = 1;
    steps = number_of("UNWIND_DIFF_STEPS", 0);
    burst = number_of("UNWIND_DIFF_BURST", 8);
    unwind_find_stack = unwind_stack_find;
    if (getenv("UNWIND_DIFF_OUT"))
        snprintf(out_path, sizeof(out_path), "%s", getenv("UNWIND_DIFF_OUT"));
    every = number_of("UNWIND_DIFF_EVERY", 1);
    library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    if (out_path[0] && library) {
        *(void **)&oracle.getcontext = dlsym(library, TEXT(unw_tdep_getcontext));
        *(void **)&oracle.init = dlsym(library, TEXT(unw_init_local2));
        *(void **)&oracle.step = dlsym(library, TEXT(unw_step));
        *(void **)&oracle.get_reg = dlsym(library, TEXT(unw_get_reg));
        *(void **)&oracle.is_signal = dlsym(library, TEXT(unw_is_signal_frame));
        ready = oracle.getcontext && oracle.init && oracle.step && oracle.get_reg &&
                oracle.is_signal && every && burst;
    }
    stack_find();
    busy = 0;
    if (ready && (tick_us || steps)) {
        struct sigaction action = {.sa_sigaction = tick,
                                   .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
        struct itimerval timer = {{0, tick_us}, {0, tick_us}};
        sigaddset(&action.sa_mask, SIGPROF);
        sigaddset(&action.sa_mask, SIGTRAP);
        sigaction(SIGPROF, &action, NULL);
        sigaction(SIGTRAP, &action, NULL);
        setitimer(ITIMER_PROF, &timer, NULL);
    }
}
