#include "shim/blame.h"

#include "shim/nodes.h"

void blame_wait_drop(struct thread_state *ts)
{
    uint32_t ticket = ts->ticket.number;
    ts->ticket.number = 0;
    ticket_drop(ts->ticket.lock, ticket);
}

/*
 * While the wait lasts the hook's return address stands where it stood. On the thread's own stack,
 * whose memory is there for as long as the thread is.
 */
static bool is_overwritten(const struct thread_state *ts, struct lock_caller c)
{
    uintptr_t frame = (uintptr_t)c.frame;
    return frame > ts->stack.lo && frame <= ts->stack.hi && c.frame[-1] != c.pc;
}

COLD void blame_wait_look(struct thread_state *ts, uintptr_t at)
{
    bool on_own_stack = at >= ts->stack.lo && at < ts->stack.hi;
    if ((on_own_stack && (uintptr_t)ts->ticket.caller.frame <= at) ||
        is_overwritten(ts, ts->ticket.caller))
        blame_wait_drop(ts);
}

void blame_wait_begin(struct thread_state *ts, const void *lock, uint32_t index, uint32_t node,
                      struct lock_caller caller, uint64_t since)
{
    blame_wait_check(ts, (uintptr_t)caller.frame);
    if (unlikely(ts->ticket.number))
        return;
    uint32_t ticket = ticket_open(lock, index, node, since);
    if (unlikely(!ticket)) {
        shim_lost(PSHIM_LOSS_ticket_table_full);
        return;
    }
    ts->ticket.lock = lock;
    ts->ticket.caller = caller;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ts->ticket.number = ticket;
}

void blame_wait_end(struct thread_state *ts, const void *lock, uint64_t in_vain)
{
    uint32_t ticket = ts->ticket.number;
    if (!ticket || ts->ticket.lock != lock)
        return;
    ts->ticket.number = 0;
    if (in_vain)
        ticket_close(ticket, in_vain);
    else
        ticket_drop(lock, ticket);
}

void blame_claim(struct claims *claims, const struct thread_state *ts, const void *lock,
                 uint64_t since, uint64_t now)
{
    tickets_claim(lock, since, now, ts ? ts->ticket.number : 0, claims);
}

/* stack > lock > waiter */
static uint32_t blame_node(struct thread_state *ts, uint32_t stack, const struct claim *c)
{
    uint32_t *spare = &ts->spare_node;
    uint32_t lock = node_special(stack, PSHIM_SPECIAL_LOCK + c->index, spare);
    uint32_t node = node_special(lock, PSHIM_SPECIAL_WAITER + c->node, spare);
    if (unlikely(lock == stack || node == lock)) /* no room for them */
        return nodes_last_resort_waiter();
    return node;
}

void blame_book(struct thread_state *ts, const struct claims *claims, uint32_t stack)
{
    if (unlikely(claims->lost))
        profile_lost(&shim.profile, PSHIM_LOSS_ticket_table_full, claims->lost);
    for (uint32_t i = 0; i < claims->count; i++) {
        const struct claim *c = &claims->items[i];
        struct pshim_account *a =
            account_get(ts->recorder, PSHIM_KIND_BLAME, blame_node(ts, stack, c));
        bool shared = account_is_shared(a);
        counter_add(&a->counter[PSHIM_BLAME_WAITS], c->waits, shared);
        counter_add(&a->counter[PSHIM_BLAME_TIME], c->time, shared);
        counter_max(&a->counter[PSHIM_BLAME_TIME_MAX], c->time_max, shared);
    }
}
