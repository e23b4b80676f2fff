#include "shim/io_recorder.h"

#include <errno.h>

#include "shim/nodes.h"

uint32_t io_bits(uint32_t mode)
{
    return (mode == PSHIM_ON ? IO_RECORDED : 0) | (tick_ends_waits() ? IO_MASKS_WAITS : 0);
}

COLD struct thread_state *io_attach(void)
{
    if (!guard_enter())
        return NULL;
    struct thread_state *ts = thread_attach();
    guard_leave(ts, 0);
    return ts;
}

/* What (stack > call) is booked on, and with `lock` held (0 = none) beside it. */
static const struct io_book *book_get(struct thread_state *ts, uint32_t stack, enum pshim_call call,
                                      uint32_t lock)
{
    uint64_t key = stack | (uint64_t)call << 24 | (uint64_t)lock << 32;
    struct io_book *b = &ts->io_books[key * 0x9e3779b97f4a7c15u >> 59];
    if (likely(b->key == key && b->account && b->account->recorder == ts->recorder))
        return b;
    uint32_t *spare = &ts->spare_node;
    uint32_t call_node = node_special(stack, PSHIM_SPECIAL_CALL + call, spare);
    b->account = NULL; /* until it is whole: a signal handler may jump out of here */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    b->key = key;
    struct pshim_account *account = account_get(ts->recorder, PSHIM_KIND_WAIT, call_node);
    b->held = NULL;
    if (lock)
        b->held = account_get(ts->recorder, PSHIM_KIND_HELD_WAIT,
                              node_special(call_node, PSHIM_SPECIAL_LOCK + lock, spare));
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    b->account = account;
    return b;
}

HOT_INLINE void book(struct pshim_account *a, const struct io_wait *w, uint64_t took,
                     uint64_t bytes, bool failed)
{
    bool shared = account_is_shared(a);
    counter_add(&a->counter[PSHIM_WAIT_CALLS], 1, shared);
    if (bytes)
        counter_add(&a->counter[PSHIM_WAIT_BYTES], bytes, shared);
    counter_add(&a->counter[PSHIM_WAIT_TIME], took, shared);
    counter_max(&a->counter[PSHIM_WAIT_TIME_MAX], took, shared);
    if (unlikely(w->span.ticks))
        counter_add(&a->counter[PSHIM_WAIT_TICKS], w->span.ticks, shared);
    if (unlikely(failed))
        counter_add(&a->counter[PSHIM_WAIT_ERRORS], 1, shared);
}

/* Ticks that waited for the end of the call are the call's: the thread ran in it, in the kernel. */
static COLD void ticks_take(struct thread_state *ts, struct io_wait *w, uint32_t stack,
                            enum pshim_call call)
{
    uint64_t before = ts->pending_ticks;
    tick_unblock();
    w->unblock = false;
    uint64_t ticks = ts->pending_ticks - before;
    if (!ticks)
        return;
    ts->pending_ticks = before;
    tick_book_at(ts, node_special(stack, PSHIM_SPECIAL_CALL + call, &ts->spare_node), ticks);
    if (!w->span.ts)
        return;
    w->span.ticks += ticks;
    counter_add(&ts->record->wait_ticks[pshim_call_waits(call)], ticks, ts->record_is_shared);
}

/* The call's time is known. */
static void io_book_call(struct io_wait *w, enum pshim_call call, const struct unwind_regs *regs,
                         uint64_t took, uint64_t bytes, bool failed)
{
    struct thread_state *ts = shim_tls.self;
    if (unlikely(!ts || !shim_control->recording))
        return;
    if (unlikely(!guard_enter())) {
        shim_lost(PSHIM_LOSS_recursion);
        return;
    }
    uint32_t stack = recorder_stack(ts, regs);
    if (unlikely(w->unblock))
        ticks_take(ts, w, stack, call);
    const struct held_lock *held = held_last(&ts->held);
    const struct io_book *b =
        book_get(ts, stack, call, unlikely(held != NULL) && held->account ? held->lock : 0);
    if (unlikely(!w->span.ts))
        took = 0; /* in another wait's time */
    book(b->account, w, took, bytes, failed);
    if (unlikely(b->held != NULL))
        book(b->held, w, took, bytes, failed);
    guard_leave(ts, stack);
}

void io_end(struct io_wait *w, enum pshim_call call, const struct unwind_regs *regs, uint64_t bytes,
            bool failed)
{
    if (likely(w->recorded)) {
        uint64_t took = wait_end(&w->span);
        if (unlikely(failed))
            failed = errno != EINTR && errno != EAGAIN;
        io_book_call(w, call, regs, took, bytes, failed);
    }
    if (unlikely(w->unblock))
        tick_unblock();
}
