/* build: -shared -fPIC -ftls-model=initial-exec -fno-builtin-malloc */
/*
 * A preload library that walks stacks with the shim's unwinder and with libunwind, side by side in
 * somebody else's program, and counts where they agree.
 *
 *   UNWIND_DIFF_OUT=FILE    where the JSON summary goes when the program exits
 *   UNWIND_DIFF_EVERY=N     every Nth allocation of a thread compares (default 1); the walk that
 *                           joins the last stack is made at each
 *   UNWIND_DIFF_TICK_US=N   and a SIGPROF handler does, every N µs of CPU time (default 0: none)
 *
 * libunwind is opened RTLD_LOCAL, so that the program's own exceptions do not go through it. A
 * thread's ticks count only after its first allocation was compared: libunwind allocates at its
 * first walk in a thread, which a signal handler must not. Each thread asks for its stack before
 * its start routine runs, since pthread_getattr_np allocates while it holds a lock of the thread.
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

#include "shim/unwind_kept.h"

#define DEPTH 256
#define KINDS 512

#define TEXT2(x)    #x
#define TEXT(x)     TEXT2(x)
#define count_up(x) __atomic_fetch_add(&(x), 1, __ATOMIC_RELAXED)

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

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

/* ASTRAY is no difference: both came to the same word, in which no code can be. Ours ends there,
 * libunwind takes it for a frame. */
enum relation { DIFFER, OURS_ENDS, LIBUNWIND_ENDS, ASTRAY };
static const char *const relation_name[] = {"differ", "ours_ends", "libunwind_ends", "astray"};

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

static uint64_t equal[PLACES], different[PLACES], astray[PLACES], frames[PLACES], ends[PLACES][6];
static struct kind kinds[KINDS];
static unsigned kind_count;
static volatile int kind_lock;
static int ready;
static unsigned every = 1;
static const char *out_path;

static __thread int busy, warm;
static __thread unsigned turn;
static __thread struct unwind_range stack;
static __thread struct unwind_kept *kept;
static uint64_t shared_frames;

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

/*
 * The stack as the kept walk has it, and how its frames were come by. 0 where the shim walks the
 * whole stack anew.
 */
static unsigned kept_walk(const struct unwind_regs *regs, uintptr_t *pcs)
{
    unsigned shared, depth;
    if (!kept) {
        void *memory =
            mmap(NULL, sizeof *kept, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return 0;
        kept = memory;
        kept->walked = 1;
    }
    depth = unwind_kept_walk(kept, kept->depth, regs, stack, &shared);
    for (unsigned i = shared; i < depth; i++) /* 32 bits tell callers apart as nodes do */
        kept->frame[i].node = (uint32_t)(((i ? kept->frame[i - 1].node : 0) ^ kept->frame[i].rip) *
                                             0x9e3779b97f4a7c15u >>
                                         32);
    unwind_kept_settle(kept, depth, shared);
    if (depth == 0 || depth == DEPTH)
        return 0;
    __atomic_fetch_add(&shared_frames, shared, __ATOMIC_RELAXED);
    pcs[0] = regs->reg[UNWIND_RIP];
    for (unsigned i = 0; i < depth; i++)
        pcs[depth - i] = kept->frame[i].rip - 1;
    return depth + 1;
}

/* Compares from frame `from` outwards. */
static void compare(enum place place, unsigned from, const struct unwind_regs *regs,
                    unw_context_t *context)
{
    uintptr_t ours[DEPTH], theirs[DEPTH];
    struct kind seen = {.place = place};
    struct unwind_module module;
    unsigned mine, other, i = from;

    if (place == KEPT) {
        seen.end = UNWIND_END_ROOT;
        if ((mine = kept_walk(regs, ours)) == 0)
            return;
    } else {
        mine = unwind_walk(regs, 1, &stack, 1, ours, DEPTH, &seen.end);
    }
    other = oracle_walk(context, place == TICK, theirs);
    while (i < mine && i < other && ours[i] == theirs[i])
        i++;
    __atomic_fetch_add(&frames[place], mine, __ATOMIC_RELAXED);
    count_up(ends[place][seen.end]);
    if (i == mine && i == other) {
        count_up(equal[place]);
        return;
    }
    if (place == TICK && i == mine && seen.end == UNWIND_END_BAD_PC &&
        unwind_module_find(theirs[i], &module) != 0) {
        count_up(astray[place]);
        seen.relation = ASTRAY;
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

static __attribute__((noinline)) void compare_here(void)
{
    int saved = errno;
    unw_context_t context;
    struct unwind_regs regs;

    if (busy || !__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        return;
    busy = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (stack.hi && (!warm || ++turn % every == 0)) {
        oracle.getcontext(&context);
        unwind_capture(&regs);
        compare(SYNC, 1, &regs, &context);
        compare(KEPT, 1, &regs, &context);
        warm = 1;
    } else if (stack.hi) { /* each stack is the next one's to join */
        uintptr_t pcs[DEPTH];
        unwind_capture(&regs);
        kept_walk(&regs, pcs);
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    busy = 0;
    errno = saved;
}

static void tick(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    struct unwind_regs regs;

    (void)number;
    (void)info;
    if (!busy && warm) {
        busy = 1;
        unwind_from_ucontext(&regs, context);
        compare(TICK, 0, &regs, context);
        busy = 0;
    }
    errno = saved;
}

void *malloc(size_t size)
{
    compare_here();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    compare_here();
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    compare_here();
    return __libc_realloc(old, size);
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
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    struct start *start = __libc_malloc(sizeof(*start));
    int error;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (!start)
        return EAGAIN;
    *start = (struct start){routine, argument};
    if ((error = real(thread, attr, thread_run, start)) != 0)
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
                "\"%s\":{\"equal\":%lu,\"different\":%lu,\"astray\":%lu,\"frames\":%lu,\"ends\":{",
                place_name[p], (unsigned long)equal[p], (unsigned long)different[p],
                (unsigned long)astray[p], (unsigned long)frames[p]);
        for (unsigned e = 0; e < 6; e++)
            fprintf(out, "%s\"%s\":%lu", e ? "," : "", end_name[e], (unsigned long)ends[p][e]);
        fprintf(out, "}},\n");
    }
    fprintf(out, "\"shared_frames\":%lu,\n\"differences\":[", (unsigned long)shared_frames);
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
    out_path = getenv("UNWIND_DIFF_OUT");
    every = number_of("UNWIND_DIFF_EVERY", 1);
    library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    if (out_path && library) {
        *(void **)&oracle.getcontext = dlsym(library, TEXT(unw_tdep_getcontext));
        *(void **)&oracle.init = dlsym(library, TEXT(unw_init_local2));
        *(void **)&oracle.step = dlsym(library, TEXT(unw_step));
        *(void **)&oracle.get_reg = dlsym(library, TEXT(unw_get_reg));
        *(void **)&oracle.is_signal = dlsym(library, TEXT(unw_is_signal_frame));
        ready = oracle.getcontext && oracle.init && oracle.step && oracle.get_reg &&
                oracle.is_signal && every;
    }
    stack_find();
    busy = 0;
    if (ready && tick_us) {
        struct sigaction action = {.sa_sigaction = tick,
                                   .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
        struct itimerval timer = {{0, tick_us}, {0, tick_us}};
        sigaction(SIGPROF, &action, NULL);
        setitimer(ITIMER_PROF, &timer, NULL);
    }
}
