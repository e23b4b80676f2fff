/* Thread creation: the new thread begins as ours, then jumps to what the host asked for. */
#include <string.h>

#include "shim/real.h"
#include "shim/modules.h"
#include "shim/nodes.h"
#include "shim/thread.h"

/*
 * Where the new thread's stack will be: given by the host, or else just its size (lo = 0). What
 * glibc allocates lies directly below the thread's descriptor.
 */
static struct unwind_range stack_asked_for(const pthread_attr_t *attr)
{
    struct unwind_range range = {0, 0};
    pthread_attr_t standard;
    void *lo = NULL;
    size_t bytes = 0;
    if (attr) {
        pthread_attr_getstack(attr, &lo, &bytes);
        range = (struct unwind_range){(uintptr_t)lo, (uintptr_t)lo + bytes};
        if (bytes == 0)
            pthread_attr_getstacksize(attr, &bytes);
    }
    if (bytes == 0 && pthread_getattr_default_np(&standard) == 0) {
        pthread_attr_getstacksize(&standard, &bytes);
        pthread_attr_destroy(&standard);
    }
    if (range.lo == 0 || range.hi < range.lo)
        range = (struct unwind_range){0, bytes};
    return range;
}

/*
 * `base`: where the return address of our caller stands. That is the start routine's own then: it
 * is called last, by a jump or from a frame further in.
 */
static void begin(struct thread_state *ts, uintptr_t start, uintptr_t base)
{
    if (!guard_enter())
        return;
    uint64_t offset;
    uint32_t module = modules_locate(start, &offset);
    thread_stack_settle(&ts->stack);
    ts->start_node = node_get(0, module, offset, &ts->spare_node);
    shim_tls.host_blocks_tick = ts->host_blocks_tick;
    thread_begin(ts, true);
    if (base >= ts->stack.lo && base < ts->stack.hi)
        ts->stack_base = base;
    guard_leave(ts, 0);
}

static void *thread_main(void *arg)
{
    struct thread_state *ts = arg;
    void *(*start)(void *) = ts->start;
    void *start_arg = ts->start_arg;
    begin(ts, (uintptr_t)start, (uintptr_t)__builtin_dwarf_cfa() - sizeof(uintptr_t));
    return start(start_arg);
}

static int thread_main_c11(void *arg)
{
    struct thread_state *ts = arg;
    int (*start)(void *) = ts->start_c11;
    void *start_arg = ts->start_arg;
    begin(ts, (uintptr_t)start, (uintptr_t)__builtin_dwarf_cfa() - sizeof(uintptr_t));
    return start(start_arg);
}

/* A state for the new thread, or NULL: then it is created as if we were not there. */
static struct thread_state *state_for_new(const pthread_attr_t *attr, void *arg)
{
    struct thread_state *ts = NULL;
    if (!shim_control->on)
        return NULL;
    if (!guard_enter())
        return NULL;
    ts = thread_state_new();
    if (ts) {
        ts->stack = stack_asked_for(attr);
        ts->start_arg = arg;
        ts->created_ns = shim_now_ns();
        ts->host_blocks_tick = shim_tls.host_blocks_tick;
    }
    guard_leave(NULL, 0);
    return ts;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    if (real_resolve() != 0 && !real.pthread_create)
        return 11; /* EAGAIN: as without resources; the loader gave us nothing to call */
    struct thread_state *ts = state_for_new(attr, arg);
    if (!ts)
        return real.pthread_create(thread, attr, start, arg);
    ts->start = start;
    int error = real.pthread_create(thread, attr, thread_main, ts);
    if (error)
        thread_state_free(ts);
    return error;
}

EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
    if (real_resolve() != 0 && !real.thrd_create)
        return thrd_error;
    struct thread_state *ts = state_for_new(NULL, arg);
    if (!ts)
        return real.thrd_create(thread, start, arg);
    ts->start_c11 = start;
    int error = real.thrd_create(thread, thread_main_c11, ts);
    if (error != thrd_success)
        thread_state_free(ts);
    return error;
}

EXPORT int pthread_setname_np(pthread_t thread, const char *name)
{
    real_resolve();
    int error = real.pthread_setname_np(thread, name);
    if (error == 0 && shim_control->on && pthread_equal(thread, pthread_self()) && guard_enter()) {
        struct thread_state *ts = thread_self();
        if (ts)
            thread_note_name(ts);
        guard_leave(ts, 0);
    }
    return error;
}
