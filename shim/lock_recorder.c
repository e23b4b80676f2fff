#include "shim/lock_recorder.h"

#include <errno.h>

#include "profile/sys.h"
#include "shim/lock_block.h"
#include "shim/nodes.h"
#include "shim/waits.h"

static const struct pshim_node *node_at(uint32_t id)
{
    return profile_record(&shim.profile, PSHIM_REGION_NODE, id);
}

uint32_t lock_stack(const struct pshim_account *account)
{
    return node_at(node_at(account->node)->parent)->parent;
}

/* stack > call > lock */
static uint32_t site_node(struct thread_state *ts, uint32_t stack, enum pshim_call call,
                          uint32_t lock)
{
    uint32_t *spare = &ts->spare_node;
    uint32_t call_node = node_special(stack, PSHIM_SPECIAL_CALL + call, spare);
    uint32_t node = node_special(call_node, PSHIM_SPECIAL_LOCK + lock, spare);
    if (unlikely(call_node == stack || node == call_node)) /* no room for them */
        return nodes_last_resort_lock();
    return node;
}

static uint64_t tables_bytes; /* atomic: of all tables that were made */

/* A larger table in place of one, if so many of its entries had to go that it is needed. */
static void table_grow(uintptr_t *table, uint32_t *evicted, unsigned most, uint64_t set_bytes)
{
    unsigned bits = lock_table_grown(*table, most, set_bytes, *evicted,
                                     __atomic_load_n(&tables_bytes, __ATOMIC_RELAXED));
    if (likely(!bits))
        return;
    void *entries = sys_map_anon(set_bytes << bits);
    *evicted = 0;
    if (!entries)
        return;
    __atomic_fetch_add(&tables_bytes, set_bytes << bits, __ATOMIC_RELAXED);
    __atomic_store_n(table, lock_table_word(entries, bits), __ATOMIC_RELAXED);
}

/* Nobody has waited for the lock or taken it there yet. */
static bool account_is_new(const struct pshim_account *a)
{
    return (pshim_load(&a->counter[PSHIM_LOCK_ACQUISITIONS]) |
            pshim_load(&a->counter[PSHIM_LOCK_CONTENTIONS])) == 0;
}

/* Does its record stand for locks one after the other, of which this may be the next? Those that
   are initialised are looked at then. */
static bool lock_is_of_many(const struct pshim_lock *lock)
{
    return pshim_load(&lock->again) && !lock->initialised;
}

static bool book_is_kept(const struct lock_book *b, const struct thread_state *ts, const void *lock,
                         enum pshim_call call, uint32_t stack)
{
    return lock_book_is(b, lock, stack, call, ts->recorder) && lock_is_at(b->lock, lock);
}

struct lock_book *lock_book_at(struct thread_state *ts, const void *lock, struct lock_call call,
                               uint32_t stack)
{
    struct lock_book *home = lock_book_home(ts->books, lock);
    struct lock_book *set = lock_book_set(ts->books, lock, stack);
    for (unsigned i = 0; i < lock_book_ways; i++) {
        if (book_is_kept(&home[i], ts, lock, call.call, stack))
            return &home[i];
        if (book_is_kept(&set[i], ts, lock, call.call, stack))
            return &set[i];
    }
    struct lock_book *b = lock_book_home_room(home, ts->recorder);
    if (!b)
        b = lock_book_room(set, &ts->books_evicted);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    b->index = locks_get(lock, call.kind, stack, &ts->spare_lock);
    b->lock = locks_record(b->index);
    b->account =
        account_get(ts->recorder, PSHIM_KIND_LOCK, site_node(ts, stack, call.call, b->index));
    if (b->index && (account_is_new(b->account) || lock_is_of_many(b->lock)))
        lock_block_note(ts, locks_record(b->index));
    b->key = lock_book_key(stack, call.call);
    b->until_mark = lock_times_until(pshim_load(&b->account->counter[PSHIM_LOCK_ACQUISITIONS]),
                                     b->account->node);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    b->address = lock;
    table_grow(&ts->books, &ts->books_evicted, lock_book_bits_most,
               sizeof *set * lock_book_ways); /* this entry is made again in the next one */
    return b;
}

void lock_taken_again(struct thread_state *ts, const void *lock)
{
    struct held_lock *h = held_find(&ts->held, lock);
    if (likely(h != NULL))
        h->depth++;
    else
        ts->held.overflow++;
}

void lock_hold_add(struct thread_state *ts, const void *lock, struct pshim_account *a,
                   uint32_t index)
{
    struct held_lock *h = held_find(&ts->held, lock);
    if (unlikely(h != NULL)) /* another thread gave it back: how long it was held is not known */
        held_remove(&ts->held, h);
    h = held_push(&ts->held);
    if (unlikely(!h)) {
        if (a)
            shim_lost(PSHIM_LOSS_held_overflow);
        return;
    }
    lock_hold_fill(ts, h, lock, a, index);
}

COLD void lock_hold_begin_kept(struct thread_state *ts, const void *lock, struct pshim_account *a,
                               uint32_t index, uint32_t weight)
{
    lock_hold_begin(ts, lock, a, index);
    struct held_lock *h = held_find(&ts->held, lock);
    if (unlikely(!h || !weight))
        return; /* no room: it is not timed */
    held_weigh(h, weight);
    h->since = lock_clock();
}

/* A hold ends; if it goes there, into the histogram too. Then it is held no more. */
static COLD void hold_end(struct thread_state *ts, struct held_lock *held, uint64_t now)
{
    lock_hold_book(ts, held, now);
    if (held_weight(held) && shim_control->recording && held->stops == shim_control->stops)
        lock_times_held(held->account, lock_clock_since(held->since, now), held_weight(held));
    held_remove(&ts->held, held);
}

/* A hold that no book counts begins. */
static void hold_begin_apart(struct thread_state *ts, const void *lock, struct pshim_account *a,
                             uint32_t index)
{
    lock_hold_begin_kept(ts, lock, a, index, a ? lock_times_weight(a) : 0);
}

/* They are CPU time already: whoever adds waits to it must know. */
static COLD void wait_ticks_book(struct thread_state *ts, uint32_t node, uint64_t ticks)
{
    struct pshim_account *a = account_get(ts->recorder, PSHIM_KIND_WAIT, node);
    counter_add(&a->counter[PSHIM_WAIT_TICKS], ticks, account_is_shared(a));
}

static void wait_book(struct thread_state *ts, struct lock_wait *w)
{
    struct lock_book *book =
        lock_book_at(ts, w->lock, LOCK_CALL(w->call), recorder_stack(ts, w->regs));
    w->account = book->account;
    w->index = book->index;
}

/* Before the wait, so that who gives the lock back can be told whom it made wait. */
void lock_wait_begin(struct lock_wait *w)
{
    if (!lock_is_owned(lock_kind_of(w->call)) || lock_mode() != PSHIM_ON)
        return;
    struct thread_state *ts = lock_enter();
    if (!ts)
        return;
    if (likely(shim_control->recording)) {
        wait_book(ts, w);
        blame_wait_begin(ts, w->lock, w->index, node_at(w->account->node)->parent, w->caller,
                         w->span.since);
    }
    lock_leave(ts, w->account);
}

static void owner_note(const struct thread_state *ts, uint32_t index)
{
    if (locks_record(index)->owner != ts->tid)
        locks_owner_changed(index, ts->tid);
}

void lock_wait_end(struct lock_wait *w, int error)
{
    bool got = error == 0 || error == EOWNERDEAD;
    struct thread_state *ts = lock_enter();
    if (!ts)
        return;
    blame_wait_end(ts, w->lock, error == ETIMEDOUT ? w->span.since + w->span.took : 0);
    if (!got && error != ETIMEDOUT) {
        lock_leave(ts, w->account);
        return;
    }
    if (got && lock_is_taken_again(ts, w->lock, w->call)) {
        lock_taken_again(ts, w->lock);
        lock_leave(ts, NULL);
        return;
    }
    struct pshim_account *a = NULL;
    if (likely(shim_control->recording)) {
        if (!w->account)
            wait_book(ts, w);
        a = w->account;
        bool shared = account_is_shared(a);
        if (got)
            counter_add(&a->counter[PSHIM_LOCK_ACQUISITIONS], 1, shared);
        if (got && lock_has_owner(w->call) && lock_mode() == PSHIM_ON)
            owner_note(ts, w->index);
        counter_add(&a->counter[PSHIM_LOCK_CONTENTIONS], 1, shared);
        counter_add(&a->counter[PSHIM_LOCK_WAIT], w->span.took, shared);
        counter_max(&a->counter[PSHIM_LOCK_WAIT_MAX], w->span.took, shared);
        if (unlikely(w->span.ticks))
            wait_ticks_book(ts, a->node, w->span.ticks);
        lock_times_waited(a, w->span.took);
        ts->lock_wait += w->span.took;
    }
    if (got && lock_is_owned(lock_kind_of(w->call)) && lock_mode() == PSHIM_ON)
        hold_begin_apart(ts, w->lock, a, w->index);
    lock_leave(ts, a);
}

/* Will this unlock, by this thread, give the mutex to who waits for it? */
static bool is_given_back(const struct thread_state *ts, const pthread_mutex_t *m)
{
    enum { type = 3, robust_or_inherits = 48 };
    int kind = __atomic_load_n(&m->__data.__kind, __ATOMIC_RELAXED);
    int checks = kind & (type | robust_or_inherits);
    if (likely(checks == PTHREAD_MUTEX_TIMED_NP || checks == PTHREAD_MUTEX_ADAPTIVE_NP))
        return true;
    if (!ts || __atomic_load_n(&m->__data.__owner, __ATOMIC_RELAXED) != (int)ts->tid)
        return false; /* refused */
    return (kind & type) != PTHREAD_MUTEX_RECURSIVE_NP || m->__data.__count <= 1;
}

void lock_claim(struct claims *claims, const void *lock, enum pshim_lock_kind kind, uint64_t now)
{
    struct thread_state *ts = shim_tls.self;
    const struct held_lock *h = ts ? held_find(&ts->held, lock) : NULL;
    claims->count = claims->lost = 0;
    if (kind == PSHIM_LOCK_MUTEX ? is_given_back(ts, lock) : !h || held_depth(h) == 1)
        blame_claim(claims, ts, lock, h ? h->since : 0, now);
}

void lock_blame(const struct claims *claims, const struct unwind_regs *regs)
{
    struct thread_state *ts = claims->count + claims->lost ? lock_enter() : NULL;
    if (!ts)
        return;
    uint32_t stack = 0;
    if (shim_control->recording) {
        stack = recorder_stack(ts, regs);
        blame_book(ts, claims, stack);
    }
    guard_leave(ts, stack);
}

/* The guard is held, and left here. */
void lock_given_back_rest(struct thread_state *ts, const void *lock, uint64_t now)
{
    struct held_lock *h = likely(ts != NULL) ? held_find(&ts->held, lock) : NULL;
    if (likely(h != NULL)) {
        if (unlikely(held_depth(h) > 1))
            h->depth--;
        else
            hold_end(ts, h, now);
    } else if (!shim_tls.ended && (!ts || !held_overflow_left(&ts->held))) {
        shim_lost(PSHIM_LOSS_unlock_unknown);
    }
    guard_leave(ts, 0);
}

void lock_pause_begin(struct lock_pause *p, const pthread_mutex_t *m, enum pshim_call call,
                      const struct unwind_regs *regs, struct lock_caller caller, uint64_t now)
{
    *p = (struct lock_pause){.mutex = m};
    struct thread_state *ts = lock_enter();
    if (!ts)
        return;
    struct held_lock *h = held_find(&ts->held, m);
    if (h && held_depth(h) > 1) { /* glibc gives back one of several: it stays held */
        guard_leave(ts, 0);
        return;
    }
    p->active = true;
    blame_wait_check(ts, (uintptr_t)caller.frame);
    struct claims claims;
    claims.count = claims.lost = 0;
    if (unlikely(tickets_may_be(m)))
        blame_claim(&claims, ts, m, h ? h->since : 0, now);
    if (h) {
        p->was_held = true;
        p->held = *h;
        hold_end(ts, h, now);
    } else {
        p->was_overflow = held_overflow_left(&ts->held);
    }
    if (shim_control->recording) {
        struct lock_book *book = lock_book_at(ts, m, LOCK_CALL(call), recorder_stack(ts, regs));
        p->account = book->account;
        p->index = book->index;
        if (unlikely(claims.count + claims.lost))
            blame_book(ts, &claims, lock_book_stack(book));
    }
    lock_leave(ts, p->account);
}

void lock_pause_end(struct lock_pause *p, int error)
{
    struct thread_state *ts = p->active ? lock_enter() : NULL;
    if (!ts)
        return;
    if (error == 0 || error == ETIMEDOUT || error == EOWNERDEAD) {
        struct pshim_account *a = shim_control->recording ? p->account : NULL;
        if (a) {
            counter_add(&a->counter[PSHIM_LOCK_ACQUISITIONS], 1, account_is_shared(a));
            owner_note(ts, p->index);
        }
        hold_begin_apart(ts, p->mutex, a, p->index);
    } else if (error != ENOTRECOVERABLE) { /* refused: it was not given back at all */
        if (p->was_held)
            lock_hold_begin(ts, p->mutex, p->held.account, p->held.lock);
        ts->held.overflow += p->was_overflow;
    }
    lock_leave(ts, p->account);
}

void lock_made(const void *lock, enum pshim_lock_kind kind, const struct unwind_regs *regs)
{
    struct thread_state *ts = lock_enter();
    if (!ts)
        return;
    bool room = locks_have_room() || ts->spare_lock;
    uint32_t stack = room ? recorder_stack(ts, regs) : 0;
    uint32_t index = locks_made(lock, kind, stack, &ts->spare_lock);
    if (index)
        lock_block_note(ts, locks_record(index));
    guard_leave(ts, stack);
}

void lock_destroyed(const void *lock)
{
    struct thread_state *ts = lock_enter();
    if (!ts)
        return;
    locks_destroyed(lock);
    tickets_forget(lock);
    struct held_lock *h = held_find(&ts->held, lock);
    if (h)
        held_remove(&ts->held, h);
    guard_leave(ts, 0);
}
