#include "shim/thread.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "profile/sys.h"
#include "shim/blame.h"
#include "shim/modules.h"
#include "shim/nodes.h"
#include "shim/recorder.h"
#include "shim/run_delay.h"
#include "shim/tag.h"
#include "shim/tick.h"
#include "shim/timeline.h"
#include "shim/waits.h"

enum {
    slab_states = 4,
    slab_max = 32768,
    last_destructor_round = 4, /* PTHREAD_DESTRUCTOR_ITERATIONS */
};

static struct thread_state *slabs[slab_max];
static uint32_t slab_count;    /* atomic: slabs handed out */
static uint64_t free_head;     /* atomic: serial << 32 | state index + 1; a Treiber stack */
static uint64_t own_recorders; /* atomic bitmap */
static uint64_t ended_cpu_ns;  /* atomic: what the clocks of the threads that ended showed last */
static int64_t clockless_ns;   /* CPU time on no thread's clock, booked or from before our time */
static pthread_key_t end_key;
static size_t default_stack_bytes;           /* of threads made without attributes */
static struct pshim_thread *overflow_record; /* of all threads for which the table has no room */

static struct thread_state *state_at(uint32_t index)
{
    return slabs[index / slab_states] + index % slab_states;
}

static void state_push(uint32_t first, uint32_t last)
{
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_RELAXED);
    uint64_t next;
    do {
        state_at(last)->next_free = (uint32_t)head;
        next = ((head >> 32) + 1) << 32 | (first + 1);
    } while (!__atomic_compare_exchange_n(&free_head, &head, next, 0, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

static struct thread_state *state_pop(void)
{
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE);
    while ((uint32_t)head) {
        struct thread_state *ts = state_at((uint32_t)head - 1);
        uint64_t next = ((head >> 32) + 1) << 32 | ts->next_free;
        if (__atomic_compare_exchange_n(&free_head, &head, next, 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_ACQUIRE))
            return ts;
    }
    return NULL;
}

/* Maps some more states; the first one is returned, the others go to the free list. */
static struct thread_state *slab_map(void)
{
    struct thread_state *slab = sys_map_anon(slab_states * sizeof *slab);
    if (!slab)
        return NULL;
    uint32_t at = __atomic_fetch_add(&slab_count, 1, __ATOMIC_RELAXED);
    if (at >= slab_max) {
        sys_call2(SYS_munmap, slab, slab_states * sizeof *slab);
        return NULL;
    }
    for (uint32_t i = 0; i < slab_states; i++) {
        slab[i].index = at * slab_states + i;
        slab[i].next_free = i + 1 < slab_states ? at * slab_states + i + 2 : 0;
    }
    __atomic_store_n(&slabs[at], slab, __ATOMIC_RELEASE);
    state_push(at * slab_states + 1, at * slab_states + slab_states - 1);
    return slab;
}

struct thread_state *thread_state_new(void)
{
    struct thread_state *ts = state_pop();
    return ts ? ts : slab_map();
}

void thread_state_free(struct thread_state *ts)
{
    state_push(ts->index, ts->index);
}

/* An own recorder if one is free, else a shared one. */
static void recorder_claim(struct thread_state *ts)
{
    uint64_t used = __atomic_load_n(&own_recorders, __ATOMIC_RELAXED);
    while (~used) {
        int bit = __builtin_ctzll(~used);
        if (__atomic_compare_exchange_n(&own_recorders, &used, used | (uint64_t)1 << bit, 0,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            ts->recorder = (uint32_t)bit;
            return;
        }
    }
    ts->recorder = shim_own_recorders + ts->tid % (shim_recorders - shim_own_recorders);
}

/* The number that tells this thread's blocks from other threads'. */
static uint32_t serial_draw(void)
{
    uint32_t serial;
    do
        serial = tag_serial(__atomic_fetch_add(&shim.serials, 1, __ATOMIC_RELAXED), shim.tag_key);
    while (!tag_serial_is_drawn(serial));
    return serial;
}

static void recorder_release(const struct thread_state *ts)
{
    if (ts->recorder < shim_own_recorders)
        __atomic_fetch_and(&own_recorders, ~((uint64_t)1 << ts->recorder), __ATOMIC_RELEASE);
}

void thread_note_ticks(struct thread_state *ts, uint64_t now_ns)
{
    if (ts->record_is_shared)
        return; /* added at the thread's end */
    ts->record->ticks = ts->ticks;
    ts->record->last_seen_ns = now_ns;
}

void thread_note_pause(uint32_t on)
{
    struct pshim_header *h = shim.profile.header;
    uint64_t now = shim_now_ns();
    if (!on) {
        __atomic_store_n(&h->paused_since_ns, now, __ATOMIC_RELAXED);
        return;
    }
    uint64_t since = __atomic_exchange_n(&h->paused_since_ns, 0, __ATOMIC_RELAXED);
    if (since)
        __atomic_fetch_add(&h->paused_ns, now - since, __ATOMIC_RELAXED);
}

/* How long recording was off until now. */
static uint64_t paused_ns(uint64_t now)
{
    const struct pshim_header *h = shim.profile.header;
    uint64_t since = pshim_load(&h->paused_since_ns);
    return pshim_load(&h->paused_ns) + (since ? now - since : 0);
}

void thread_each(void (*visit)(struct thread_state *ts))
{
    uint32_t count = __atomic_load_n(&slab_count, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < count && i < slab_max; i++) {
        struct thread_state *slab = __atomic_load_n(&slabs[i], __ATOMIC_ACQUIRE);
        for (unsigned k = 0; slab && k < slab_states; k++)
            visit(&slab[k]);
    }
}

void thread_note_name(struct thread_state *ts)
{
    char name[16] = "";
    sys_call2(SYS_prctl, PR_GET_NAME, name);
    if (!ts->record_is_shared)
        memcpy(ts->record->name, name, sizeof name - 1);
}

static void record_claim(struct thread_state *ts, bool newborn)
{
    struct profile *p = &shim.profile;
    uint32_t index;
    if (profile_allot(p, PSHIM_REGION_THREAD, 1, &index) != PROFILE_OK) {
        shim_lost(PSHIM_LOSS_thread_table_full);
        ts->record = overflow_record;
        ts->record_is_shared = true;
        uint32_t none = 0;
        if (__atomic_compare_exchange_n(&overflow_record->state, &none, PSHIM_THREAD_ENDED, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            memcpy(overflow_record->name, "(others)", 9);
            overflow_record->start_monotonic_ns = shim_now_ns();
        } else {
            __atomic_fetch_add(&overflow_record->merged, 1, __ATOMIC_RELAXED);
        }
        return;
    }
    ts->record = profile_record(p, PSHIM_REGION_THREAD, index);
    ts->record_is_shared = false;
    ts->record->tid = ts->tid;
    ts->record->start_monotonic_ns = newborn ? ts->created_ns : shim_now_ns();
    ts->record->paused_at_start_ns = paused_ns(ts->record->start_monotonic_ns);
    ts->record->start_node = ts->start_node;
    ts->record->recorder = ts->recorder;
    thread_note_name(ts);
    __atomic_store_n(&ts->record->state, PSHIM_THREAD_RUNNING, __ATOMIC_RELEASE);
}

void thread_begin(struct thread_state *ts, bool newborn)
{
    ts->tid = (uint32_t)sys_call0(SYS_gettid);
    ts->destructor_rounds = 0;
    ts->ticks = ts->paused_ticks = ts->pending_ticks = 0;
    ts->settled_ns = ts->booked_ns = ts->live_delta = ts->live_step = 0;
    ts->last_alloc = NULL;
    timeline_begin(ts);
    ts->timed_strata = 0;
    ts->waiting.what = PSHIM_WAIT_RUN;
    ts->ticket.number = 0;
    ts->kept.depth = 0;
    ts->life++;
    ts->stack_base = ts->stack.hi;
    if (!ts->books)
        ts->books = lock_table_word(ts->first_books, lock_book_bits);
    held_clear(&ts->held);
    memset(ts->named, 0, sizeof ts->named);
    ts->spans.count = ts->spans.over = 0;
    memset(ts->accounts, 0, sizeof ts->accounts);
    ts->serial = serial_draw();
    recorder_claim(ts);
    record_claim(ts, newborn);
    ts->cpu_at_start_ns = newborn ? 0 : shim_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (!ts->record_is_shared)
        ts->record->cpu_at_start_ns = ts->cpu_at_start_ns;
    __atomic_fetch_add(&shim.live_threads, 1, __ATOMIC_RELAXED);
    shim_tls.self = ts;
    pthread_setspecific(end_key, ts); /* one of the first 32 keys: glibc allocates nothing */
    tick_start(ts);
}

void thread_stack_settle(struct unwind_range *range)
{
    enum { descriptor_bytes = 2304 }; /* struct pthread of glibc 2.36; rounded up to a page below */
    uintptr_t sp = shim_sp();
    uintptr_t self = (uintptr_t)pthread_self();
    if (range->lo && sp >= range->lo && sp < range->hi)
        return;
    uintptr_t bytes = range->lo ? range->hi - range->lo : range->hi;
    uintptr_t top = (self + descriptor_bytes + PSHIM_PAGE_BYTES - 1) & -(uintptr_t)PSHIM_PAGE_BYTES;
    uintptr_t lo = top - (bytes & -(uintptr_t)PSHIM_PAGE_BYTES);
    *range = (struct unwind_range){0, 0};
    if (sp >= lo && sp < self)
        *range = (struct unwind_range){lo, self};
}

COLD struct thread_state *thread_attach(void)
{
    if (shim_tls.ended || !shim_control->on) {
        shim_lost(PSHIM_LOSS_thread_late);
        return NULL;
    }
    struct thread_state *ts = thread_state_new();
    if (!ts) {
        shim_lost(PSHIM_LOSS_thread_table_full);
        return NULL;
    }
    /* Not pthread_getattr_np: it allocates with the thread's own lock held, and the host may be in
       it now. The usual size is known. */
    ts->stack = (struct unwind_range){0, default_stack_bytes};
    thread_stack_settle(&ts->stack);
    ts->start_node = 0;
    thread_begin(ts, false);
    return ts;
}

/*
 * Time between the thread's last tick and now, and what no tick caught. While recording is paused
 * that time is not booked. Returns what was.
 */
static int64_t cpu_settle(struct thread_state *ts)
{
    if (!shim.cpu_hz)
        return 0;
    uint64_t used = shim_clock_ns(CLOCK_THREAD_CPUTIME_ID) - ts->cpu_at_start_ns;
    uint64_t sampled = (ts->ticks + ts->paused_ticks) * shim.tick_period_ns;
    int64_t rest = (int64_t)(used - sampled) - ts->settled_ns;
    ts->settled_ns += rest;
    ts->clock_ns = ts->cpu_at_start_ns + used;
    if (shim_control->recording) {
        recorder_cpu(ts, node_special(ts->start_node, PSHIM_SPECIAL_UNSAMPLED, &ts->spare_node), 0,
                     rest);
        ts->booked_ns += rest;
    } else {
        rest = 0;
    }
    if (!ts->record_is_shared)
        ts->record->cpu_ns = (uint64_t)ts->booked_ns + ts->ticks * shim.tick_period_ns;
    return rest;
}

void thread_settle(struct thread_state *ts)
{
    if (ts->pending_ticks)
        tick_book_pending(ts, 0);
    int64_t rest_ns = cpu_settle(ts);
    recorder_flush_live(ts);
    timeline_tell(ts, shim_now_ns(), 0, rest_ns);
    lock_clock_note();
}

int thread_cpu_clock(uint32_t tid)
{
    enum { per_thread = 4, sched = 2 };
    return (int)(~tid << 3 | per_thread | sched);
}

void thread_settle_ended(struct thread_state *ts)
{
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_THREAD);
    uint64_t threads = pshim_load(&r->used);
    uint64_t known = __atomic_load_n(&ended_cpu_ns, __ATOMIC_RELAXED);
    if (!shim.cpu_hz || !shim_control->recording || overflow_record->state)
        return;
    bool paused = paused_ns(0) != 0;
    for (uint32_t i = 0; i < threads && i < r->capacity; i++) {
        struct pshim_thread *t = profile_record(&shim.profile, PSHIM_REGION_THREAD, i);
        if (pshim_load32(&t->state) == PSHIM_THREAD_RUNNING) {
            uint64_t used = shim_clock_ns(thread_cpu_clock(t->tid));
            known += used ? used : t->ticks * shim.tick_period_ns; /* 0: it left us unseen */
            if (used && !paused && t != ts->record)
                t->cpu_ns = used - t->cpu_at_start_ns;
        }
    }
    int64_t rest = (int64_t)(shim_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - known) - clockless_ns;
    if (rest <= 0)
        return;
    clockless_ns += rest;
    recorder_cpu(ts, node_special(0, PSHIM_SPECIAL_UNSAMPLED, &ts->spare_node), 0, rest);
}

void thread_end(struct thread_state *ts)
{
    tick_stop(ts);
    run_delay_note(ts);
    spans_end_all(ts);
    if (ts->ticket.number)
        blame_wait_drop(ts);
    if (ts->waiting.what != PSHIM_WAIT_RUN) /* it was cancelled there */
        wait_left(ts, lock_clock(), 0);
    thread_settle(ts);
    __atomic_fetch_add(&ended_cpu_ns, ts->clock_ns, __ATOMIC_RELAXED);
    if (ts->record_is_shared) {
        __atomic_fetch_add(&overflow_record->ticks, ts->ticks, __ATOMIC_RELAXED);
        __atomic_fetch_add(&overflow_record->cpu_ns,
                           (uint64_t)ts->booked_ns + ts->ticks * shim.tick_period_ns,
                           __ATOMIC_RELAXED);
        __atomic_store_n(&overflow_record->end_monotonic_ns, shim_now_ns(), __ATOMIC_RELAXED);
    } else {
        thread_note_name(ts);
        ts->record->end_monotonic_ns = shim_now_ns();
        ts->record->paused_at_end_ns = paused_ns(ts->record->end_monotonic_ns);
        __atomic_store_n(&ts->record->state, PSHIM_THREAD_ENDED, __ATOMIC_RELEASE);
    }
    __atomic_fetch_sub(&shim.live_threads, 1, __ATOMIC_RELAXED);
    shim_tls.self = NULL;
    shim_tls.ended = 1;
    recorder_release(ts);
    thread_state_free(ts);
}

/*
 * Other keys' destructors may allocate: ours puts itself back until the last round, so that those
 * are counted too. What comes later still is counted as thread_late.
 */
static void end_destructor(void *value)
{
    struct thread_state *ts = value;
    if (!shim_control->on || ts != shim_tls.self)
        return;
    if (++ts->destructor_rounds < last_destructor_round) {
        pthread_setspecific(end_key, ts);
        return;
    }
    if (guard_enter()) {
        thread_end(ts);
        guard_leave(NULL, 0);
    }
}

int thread_init(void)
{
    uint32_t index;
    pthread_attr_t standard;
    if (pthread_getattr_default_np(&standard) == 0) {
        pthread_attr_getstacksize(&standard, &default_stack_bytes);
        pthread_attr_destroy(&standard);
    }
    if (profile_allot(&shim.profile, PSHIM_REGION_THREAD, 1, &index) != PROFILE_OK)
        return -1;
    overflow_record = profile_record(&shim.profile, PSHIM_REGION_THREAD, index);
    clockless_ns =
        (int64_t)(shim_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - shim_clock_ns(CLOCK_THREAD_CPUTIME_ID));
    return pthread_key_create(&end_key, end_destructor) == 0 ? 0 : -1;
}
