#include "shim/recorder.h"

#include <sys/mman.h>

#include "profile/sys.h"
#include "shim/modules.h"
#include "shim/nodes.h"
#include "shim/timeline.h"
#include "shim/unwind_libunwind.h"

/* How each way a walk ends is told in the file: the node the stack hangs from, and the loss. */
static const struct {
    uint8_t special; /* enum pshim_special; NONE = a whole stack */
    uint8_t loss;
} walk_ends[] = {
    [UNWIND_END_ROOT] = {PSHIM_SPECIAL_NONE, 0},
    [UNWIND_END_DEPTH] = {PSHIM_SPECIAL_TRUNCATED, PSHIM_LOSS_stack_depth},
    [UNWIND_END_NO_CFI] = {PSHIM_SPECIAL_NO_CFI, PSHIM_LOSS_stack_no_cfi},
    [UNWIND_END_BAD_CFI] = {PSHIM_SPECIAL_BAD_CFI, PSHIM_LOSS_stack_bad_cfi},
    [UNWIND_END_STACK] = {PSHIM_SPECIAL_UNKNOWN_STACK, PSHIM_LOSS_stack_unknown},
    [UNWIND_END_BAD_PC] = {PSHIM_SPECIAL_BAD_PC, PSHIM_LOSS_stack_bad_pc},
};

static uint32_t walk_root(struct thread_state *ts, enum unwind_end end)
{
    if (likely(end == UNWIND_END_ROOT))
        return 0;
    shim_lost(walk_ends[end].loss);
    return node_special(0, walk_ends[end].special, &ts->spare_node);
}

static unsigned walk(const struct unwind_regs *regs, int exact, const struct unwind_range *stacks,
                     unsigned stack_count, uintptr_t *pcs, enum unwind_end *end)
{
    static unsigned (*const walks[])(const struct unwind_regs *, int, const struct unwind_range *,
                                     unsigned, uintptr_t *, unsigned, enum unwind_end *) = {
        [PSHIM_UNWIND_CFI] = unwind_walk,
        [PSHIM_UNWIND_FP] = unwind_walk_fp,
        [PSHIM_UNWIND_LIBUNWIND] = unwind_libunwind_walk,
    };
    return walks[shim.unwind_mode](regs, exact, stacks, stack_count, pcs, shim_depth_max, end);
}

/*
 * The node of pcs[0..depth) (innermost first) below `root`, of a stack that was walked whole. The
 * frames that it shares with the kept one, counted from the outermost, need no look-up. A signal
 * handler that allocates may come between: then nothing is kept.
 */
static uint32_t whole_stack_node(struct thread_state *ts, uint32_t root, const uintptr_t *pcs,
                                 unsigned depth, unsigned most, uint32_t serial)
{
    struct unwind_frame *frame = ts->kept.frame;
    uint32_t node = root;
    unsigned at = 0;
    if (most > depth)
        most = depth;
    if (root == ts->kept.root)
        for (; at < most && frame[at].rip == pcs[depth - 1 - at] + 1; at++)
            node = frame[at].node;
    ts->kept.depth = 0;
    ts->kept.walked = 0;
    ts->kept.root = root;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    for (; at < depth; at++) {
        node = node_at_pc(node, pcs[depth - 1 - at], &ts->spare_node);
        frame[at].rip = pcs[depth - 1 - at] + 1;
        frame[at].node = node;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ts->walk_serial == serial)
        ts->kept.depth = depth;
    return node;
}

/* most: frames of the kept stack that may be compared with. */
static __attribute__((noinline)) uint32_t stack_whole(struct thread_state *ts,
                                                      const struct unwind_regs *regs, unsigned most)
{
    enum { tries_most = 4 }; /* signals may come faster than walks end */
    uint32_t node = 0;
    for (unsigned i = 0; i < tries_most; i++, most = 0) { /* a handler's walk may come between */
        uint32_t serial = ++ts->walk_serial;
        enum unwind_end end;
        ts->kept.depth = 0;
        unsigned depth = walk(regs, 1, &ts->stack, 1, ts->hook_pcs, &end);
        node = walk_root(ts, end);
        if (likely(depth > 1)) /* not our hook alone */
            node = whole_stack_node(ts, node, ts->hook_pcs + 1, depth - 1, most, serial);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (likely(ts->walk_serial == serial))
            break;
        ts->kept.depth = 0;
    }
    return node;
}

/*
 * On another stack than the thread's own: a coroutine's, an alternate one. The kept stack may be of
 * one whose memory is gone: it is joined only if all of it lies where reading is safe.
 */
static __attribute__((noinline)) unsigned elsewhere_walk(struct thread_state *ts,
                                                         const struct unwind_regs *regs,
                                                         unsigned known, unsigned *shared)
{
    uintptr_t sp = regs->reg[UNWIND_RSP];
    struct unwind_range stack;
    if (sp - ts->stack.lo < ts->stack.hi - ts->stack.lo || !unwind_find_stack ||
        unwind_find_stack(sp, &stack) != 0)
        return 0;
    if (known && ts->kept.frame[0].sp > stack.hi)
        known = 0;
    return unwind_kept_walk_elsewhere(&ts->kept, known, regs, stack, shared);
}

static __attribute__((noinline, hot)) uint32_t stack_changed(struct thread_state *ts,
                                                             const struct unwind_regs *regs)
{
    struct unwind_kept *kept = &ts->kept;
    uint32_t generation = modules_generation();
    uint32_t serial = ++ts->walk_serial;
    unsigned known = likely(kept->generation == generation) ? kept->depth : 0, shared;
    kept->generation = generation;
    if (unlikely(shim.unwind_mode != PSHIM_UNWIND_CFI))
        return stack_whole(ts, regs, known);
    unsigned depth = unwind_kept_walk(kept, known, regs, ts->stack, &shared);
    if (unlikely(depth == 0))
        depth = elsewhere_walk(ts, regs, known, &shared);
    if (unlikely(depth == 0 || ts->walk_serial != serial))
        return stack_whole(ts, regs, ts->walk_serial == serial ? known : 0);
    uint32_t node = shared ? kept->frame[shared - 1].node : 0;
    for (unsigned i = shared; i < depth; i++) {
        node = node_at_pc(node, kept->frame[i].rip - 1, &ts->spare_node);
        kept->frame[i].node = node;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(ts->walk_serial != serial)) /* the frames are a signal handler's */
        return stack_whole(ts, regs, 0);
    kept->walked = 1;
    kept->root = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    kept->depth = depth;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(ts->walk_serial != serial))
        kept->depth = 0;
    return node;
}

/* For a thread whose stacks change, or that has been often in one. */
static COLD void memos_make(struct thread_state *ts)
{
    enum { all_bytes_most = 64 << 20 };
    static uint64_t all_bytes; /* atomic */
    uint64_t bytes = sizeof *ts->memos;
    if (__atomic_add_fetch(&all_bytes, bytes, __ATOMIC_RELAXED) > all_bytes_most) {
        __atomic_fetch_sub(&all_bytes, bytes, __ATOMIC_RELAXED);
        return;
    }
    void *memos = sys_map_anon(bytes);
    if (!memos)
        return;
    /* Resident is what is used of it, also where the host said mlockall(MCL_FUTURE). */
    sys_call2(SYS_munlock, (long)memos, (long)bytes);
    sys_call3(SYS_madvise, (long)memos, (long)bytes, MADV_DONTNEED);
    ts->memos = memos;
}

/* Threads that do little need no memory for it. */
HOT_INLINE void memos_ask(struct thread_state *ts, uint32_t worth)
{
    enum { enough = 1000 };
    if (unlikely(ts->memos_asked < enough) && unlikely((ts->memos_asked += worth) >= enough))
        memos_make(ts);
}

uint32_t recorder_stack_last(struct thread_state *ts, const uintptr_t *frame)
{
    const struct unwind_kept *kept = &ts->kept;
    uint32_t serial = ts->walk_serial;
    if (unlikely(kept->generation != modules_generation() ||
                 !unwind_kept_same(kept, frame, ts->stack)))
        return 0;
    uint32_t node = kept->frame[kept->depth - 1].node;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memos_ask(ts, 1);
    return likely(ts->walk_serial == serial) ? node : 0;
}

uint32_t recorder_stack_walk(struct thread_state *ts, const struct unwind_regs *regs)
{
    enum { change_worth = 10 };
    const struct unwind_kept *kept = &ts->kept;
    if (unlikely(kept->depth > unwind_memo_words)) { /* which is never entered below */
        uint32_t last = recorder_stack_last(ts, regs->frame);
        if (last)
            return last;
    }
    uint32_t node = stack_changed(ts, regs), serial = ts->walk_serial;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    unsigned depth = kept->depth;
    if (unlikely(!ts->memos))
        memos_ask(ts, change_worth);
    else if (depth && depth <= unwind_memo_words && kept->walked &&
             kept->frame[depth - 1].sp == (uintptr_t)(regs->frame + 2) &&
             (uintptr_t)regs->frame - ts->stack.lo < ts->stack.hi - ts->stack.lo) {
        unwind_memo_enter(ts->memos, kept, depth, regs->frame, (const uintptr_t *)ts->stack_base,
                          recorder_era(ts));
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (unlikely(ts->walk_serial != serial))
            unwind_memo_forget(ts->memos, regs->frame);
    }
    return node;
}

uint32_t recorder_tick_stack(struct thread_state *ts, const struct unwind_regs *regs,
                             const struct unwind_range *stacks, unsigned stack_count)
{
    enum unwind_end end;
    unsigned depth = walk(regs, 1, stacks, stack_count, ts->tick_pcs, &end);
    uint32_t node = walk_root(ts, end);
    for (unsigned i = depth; i-- > 0;)
        node = node_at_pc(node, ts->tick_pcs[i], &ts->spare_node);
    return node;
}

COLD void recorder_epoch_moved(struct pshim_account *a, uint64_t epoch)
{
    uint64_t live = pshim_load(&a->counter[PSHIM_ALLOC_BYTES]) -
                    pshim_load(&a->counter[PSHIM_ALLOC_FREE_BYTES]);
    __atomic_store_n(&a->counter[PSHIM_ALLOC_PEAK_SAVED], live, __ATOMIC_RELAXED);
    __atomic_store_n(&a->counter[PSHIM_ALLOC_PEAK_EPOCH], epoch, __ATOMIC_RELAXED);
}

static void atomic_max(uint64_t *to, uint64_t value)
{
    uint64_t old = pshim_load(to);
    while (old < value &&
           !__atomic_compare_exchange_n(to, &old, value, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void recorder_flush_live(struct thread_state *ts)
{
    enum { step_min = 4096, steps_per_live = 200 };
    static uint64_t epoch_peak; /* live bytes when the epoch moved last */
    struct pshim_header *h = shim.profile.header;
    int64_t delta = ts->live_delta;
    ts->live_delta = 0;
    int64_t live = (int64_t)__atomic_add_fetch(&h->live_bytes, (uint64_t)delta, __ATOMIC_RELAXED);
    if (live < 0)
        live = 0; /* other threads hold what they allocated back; it comes with their next step */
    atomic_max(&h->peak_bytes, (uint64_t)live);
    uint64_t old = pshim_load(&epoch_peak);
    if ((uint64_t)live > old + old / 100 &&
        __atomic_compare_exchange_n(&epoch_peak, &old, (uint64_t)live, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&h->peak_epoch, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&h->peak_monotonic_ns, shim_now_ns(), __ATOMIC_RELAXED);
    }
    uint32_t threads = __atomic_load_n(&shim.live_threads, __ATOMIC_RELAXED);
    int64_t step = live / (int64_t)(steps_per_live * (threads ? threads : 1));
    ts->live_step = step < step_min ? step_min : step;
    atomic_max(&h->live_bound_bytes, (uint64_t)ts->live_step * (threads ? threads : 1));
    timeline_live(ts);
}

uint32_t recorder_mark(struct thread_state *ts, uint32_t node, const struct pshim_account *a,
                       const void *p, uint64_t bytes)
{
    uint64_t calls = pshim_load(&a->counter[PSHIM_ALLOC_CALLS]);
    ts->accounts[recorder_at_hand(node)].until_mark = recorder_until_mark(calls + 1, node);
    return marks_new(a, p, bytes);
}

/* What a sampled block adds to the variance of figures that it stands in: calls, and bytes. */
struct spread {
    uint64_t calls, bytes;
};

/* In whole numbers: the host's floating-point environment is not ours. */
static struct spread spread_of(uint64_t bytes, uint32_t weight)
{
    typedef unsigned __int128 wide;
    enum { most_bits = 62 };
    wide distances = ((wide)bytes << 32) / shim.sample_bytes; /* in 2^-32 */
    wide most = (wide)1 << most_bits, sum = distances * weight;
    if (weight <= 1 || sum > most) /* never seen: 2^30 distances, sampled with a chance below 1 */
        return (struct spread){(uint64_t)weight * (weight - 1u), weight <= 1 ? 0 : UINT64_MAX};
    wide product = (sum * (sum - distances)) >> 48;
    return (struct spread){(uint64_t)weight * (weight - 1u),
                           product < most ? (uint64_t)product : (uint64_t)most};
}

/* At most UINT64_MAX: too wide an interval is no lie. */
static void spread_add(uint64_t *counter, uint64_t n, bool shared)
{
    uint64_t room = UINT64_MAX - pshim_load(counter);
    counter_add(counter, n < room ? n : room, shared);
}

void recorder_sample(struct thread_state *ts, uint32_t node, uint64_t bytes, uint32_t weight)
{
    struct spread add = spread_of(bytes, weight);
    struct pshim_account *a = recorder_account(ts, node);
    struct pshim_account *s = account_get(ts->recorder, PSHIM_KIND_SPREAD, node);
    bool shared = account_is_shared(a);
    recorder_touch(a);
    counter_add(&a->counter[PSHIM_ALLOC_CALLS], weight, shared);
    counter_add(&a->counter[PSHIM_ALLOC_BYTES], weight * bytes, shared);
    counter_add(&s->counter[PSHIM_SPREAD_SAMPLES], 1, account_is_shared(s));
    spread_add(&s->counter[PSHIM_SPREAD_CALLS], add.calls, account_is_shared(s));
    spread_add(&s->counter[PSHIM_SPREAD_BYTES], add.bytes, account_is_shared(s));
    ts->alloc_events += weight;
    ts->alloc_bytes += weight * bytes;
    recorder_live(ts, (int64_t)(weight * bytes));
    timeline_allocs(ts);
}

void recorder_sample_free(struct thread_state *ts, uint32_t node, uint64_t bytes, uint32_t weight,
                          bool temporary)
{
    struct spread add = spread_of(bytes, weight);
    struct pshim_account *a = recorder_account(ts, node);
    struct pshim_account *s = account_get(ts->recorder, PSHIM_KIND_SPREAD, node);
    bool shared = account_is_shared(a);
    recorder_touch(a);
    counter_add(&a->counter[PSHIM_ALLOC_FREE_CALLS], weight, shared);
    counter_add(&a->counter[PSHIM_ALLOC_FREE_BYTES], weight * bytes, shared);
    spread_add(&s->counter[PSHIM_SPREAD_FREE_CALLS], add.calls, account_is_shared(s));
    spread_add(&s->counter[PSHIM_SPREAD_FREE_BYTES], add.bytes, account_is_shared(s));
    if (temporary) {
        counter_add(&a->counter[PSHIM_ALLOC_TEMPORARY], weight, shared);
        spread_add(&s->counter[PSHIM_SPREAD_TEMPORARY], add.calls, account_is_shared(s));
    }
    recorder_live(ts, -(int64_t)(weight * bytes));
}

void recorder_cpu(struct thread_state *ts, uint32_t node, uint64_t ticks, int64_t extra_ns)
{
    struct pshim_account *a = account_get(ts->recorder, PSHIM_KIND_CPU, node);
    bool shared = account_is_shared(a);
    counter_add(&a->counter[PSHIM_CPU_TICKS], ticks, shared);
    counter_add(&a->counter[PSHIM_CPU_EXTRA_NS], (uint64_t)extra_ns, shared);
}

void recorder_held(struct thread_state *ts, uint32_t node, uint32_t lock, uint64_t ticks)
{
    uint32_t leaf = node_special(node, PSHIM_SPECIAL_LOCK + lock, &ts->spare_node);
    struct pshim_account *a = account_get(ts->recorder, PSHIM_KIND_HELD,
                                          likely(leaf != node) ? leaf : nodes_last_resort_lock());
    counter_add(&a->counter[0], ticks, account_is_shared(a));
}
