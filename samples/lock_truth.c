/*
 * lock_truth — a program that knows how its mutexes are taken, waited for and held.
 *
 *   lock_truth [SECONDS]      SECONDS (10): how long a thread waits on a condition variable
 *
 * Every mutex is a variable of its own, and what happens to it is fixed: how often it is taken and
 * how often it is not free then. A holder leaves only after it has seen its waiter asleep on the
 * mutex, so that a contention is one on any machine. Waits and holds are measured around the calls
 * by CLOCK_MONOTONIC and printed as JSON, their sums and each of them.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "samples/truth.h"

enum {
    ALONE_ROUNDS = 100,
    BUSY_ROUNDS = 20,
    TIMED_ROUNDS = 5,
    RECURSIVE_ROUNDS = 50,
    RECURSIVE_DEPTH = 3,
    TRY_ROUNDS = 9,
    ALLOC_ROUNDS = 10,
    ALLOC_BLOCKS = 4,
    OFTEN_ROUNDS = 64 + 6400,
    OFTEN_EACH = 10, /* one in so many is long */
    OFTEN_NS = 10000,
    OFTEN_LONG_NS = 100000,
    TIMES_MAX = OFTEN_ROUNDS,
    HOLD_NS = 1000000,
    WAIT_NS = 20000000,
};

struct counts {
    const char *name;
    int acquisitions, contentions, held_allocs;
    uint64_t wait_ns, hold_ns;
    /* each for itself; atomic, since a holder and its waiter count at once */
    int waits, holds;
    uint32_t wait[TIMES_MAX], hold[TIMES_MAX];
};

static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER, busy = PTHREAD_MUTEX_INITIALIZER,
                       timed = PTHREAD_MUTEX_INITIALIZER, tried = PTHREAD_MUTEX_INITIALIZER,
                       allocating = PTHREAD_MUTEX_INITIALIZER, waiting = PTHREAD_MUTEX_INITIALIZER,
                       recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
                       checked = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
                       often = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
static int is_ready;
static pthread_mutex_t *held_by_other; /* atomic: the mutex that the other thread holds now */

static uint64_t now_ns(void)
{
    return truth_clock_ns(CLOCK_MONOTONIC);
}

/* A wait, a hold, that began at `from`, ends. */
static void note_wait(struct counts *c, uint64_t from)
{
    uint64_t ns = now_ns() - from;
    __atomic_fetch_add(&c->wait_ns, ns, __ATOMIC_RELAXED);
    c->wait[__atomic_fetch_add(&c->waits, 1, __ATOMIC_RELAXED)] = (uint32_t)ns;
}
static void note_hold(struct counts *c, uint64_t from)
{
    uint64_t ns = now_ns() - from;
    __atomic_fetch_add(&c->hold_ns, ns, __ATOMIC_RELAXED);
    c->hold[__atomic_fetch_add(&c->holds, 1, __ATOMIC_RELAXED)] = (uint32_t)ns;
}

static void pause_ns(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

static struct timespec after_ns(clockid_t clock, uint64_t ns)
{
    uint64_t t = truth_clock_ns(clock) + ns;
    return (struct timespec){(time_t)(t / 1000000000u), (long)(t % 1000000000u)};
}

static void expect(int got, int want, const char *what)
{
    if (got != want)
        truth_fail(what);
}

/* Takes a mutex `depth` times, holds it, and gives it back. */
static SITE void keep_taken(pthread_mutex_t *m, int depth, uint64_t ns, struct counts *c)
{
    for (int i = 0; i < depth; i++)
        expect(pthread_mutex_lock(m), 0, "pthread_mutex_lock");
    uint64_t from = now_ns();
    pause_ns(ns);
    note_hold(c, from);
    for (int i = 0; i < depth; i++)
        expect(pthread_mutex_unlock(m), 0, "pthread_mutex_unlock");
    c->acquisitions++;
}

/* glibc: 0 free, 1 taken, 2 taken and somebody sleeps until it is free. */
static int has_waiter(pthread_mutex_t *m)
{
    return __atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) > 1;
}

/* The other thread: holds the mutex until its waiter sleeps and then for a while, `rounds` times.
 */
struct holder {
    pthread_mutex_t *mutex;
    int rounds;
    struct counts *counts;
};

static SITE void *hold_against(void *arg)
{
    struct holder *h = arg;
    for (int i = 0; i < h->rounds; i++) {
        expect(pthread_mutex_lock(h->mutex), 0, "the holder's pthread_mutex_lock");
        uint64_t from = now_ns();
        __atomic_store_n(&held_by_other, h->mutex, __ATOMIC_RELEASE);
        while (!has_waiter(h->mutex))
            sched_yield();
        pause_ns(WAIT_NS);
        __atomic_store_n(&held_by_other, NULL, __ATOMIC_RELEASE);
        note_hold(h->counts, from);
        expect(pthread_mutex_unlock(h->mutex), 0, "the holder's pthread_mutex_unlock");
        h->counts->acquisitions++;
        while (__atomic_load_n(&held_by_other, __ATOMIC_ACQUIRE) != h->mutex + 1)
            sched_yield(); /* until the waiter has had it */
    }
    return NULL;
}

static void wait_until_held(pthread_mutex_t *m)
{
    while (__atomic_load_n(&held_by_other, __ATOMIC_ACQUIRE) != m)
        sched_yield();
}

static void tell_done(pthread_mutex_t *m)
{
    __atomic_store_n(&held_by_other, m + 1, __ATOMIC_RELEASE);
}

static void wait_for_busy(struct counts *c)
{
    pthread_t other;
    struct holder h = {&busy, BUSY_ROUNDS, c};
    expect(pthread_create(&other, NULL, hold_against, &h), 0, "pthread_create");
    for (int i = 0; i < BUSY_ROUNDS; i++) {
        wait_until_held(&busy);
        uint64_t from = now_ns();
        expect(pthread_mutex_lock(&busy), 0, "pthread_mutex_lock after a wait");
        note_wait(c, from);
        from = now_ns();
        pause_ns(HOLD_NS);
        note_hold(c, from);
        expect(pthread_mutex_unlock(&busy), 0, "pthread_mutex_unlock");
        tell_done(&busy);
    }
    pthread_join(other, NULL);
    c->acquisitions += BUSY_ROUNDS;
    c->contentions += BUSY_ROUNDS;
}

static SITE void *wait_in_vain(void *arg)
{
    struct counts *c = arg;
    for (int i = 0; i < TRY_ROUNDS; i++)
        expect(pthread_mutex_trylock(&timed), EBUSY, "trylock of a mutex that is taken");
    for (int i = 0; i < TIMED_ROUNDS; i++) {
        struct timespec until = after_ns(CLOCK_REALTIME, WAIT_NS);
        uint64_t from = now_ns();
        expect(pthread_mutex_timedlock(&timed, &until), ETIMEDOUT, "timedlock");
        note_wait(c, from);
        until = after_ns(CLOCK_MONOTONIC, WAIT_NS);
        from = now_ns();
        expect(pthread_mutex_clocklock(&timed, CLOCK_MONOTONIC, &until), ETIMEDOUT, "clocklock");
        note_wait(c, from);
        c->contentions += 2;
    }
    return NULL;
}

/* Another thread tries, and waits in vain, while this one holds the mutex. */
static void time_out(struct counts *c)
{
    pthread_t other;
    expect(pthread_mutex_lock(&timed), 0, "pthread_mutex_lock");
    uint64_t from = now_ns();
    expect(pthread_create(&other, NULL, wait_in_vain, c), 0, "pthread_create");
    pthread_join(other, NULL);
    note_hold(c, from);
    expect(pthread_mutex_unlock(&timed), 0, "pthread_mutex_unlock");
    c->acquisitions++;
}

static void try_free(struct counts *c)
{
    for (int i = 0; i < TRY_ROUNDS; i++) {
        expect(pthread_mutex_trylock(&tried), 0, "trylock of a free mutex");
        uint64_t from = now_ns();
        pause_ns(HOLD_NS);
        note_hold(c, from);
        expect(pthread_mutex_unlock(&tried), 0, "pthread_mutex_unlock");
        c->acquisitions++;
    }
}

/* So often that not every hold is looked at. */
static void take_often(struct counts *c)
{
    for (int i = 0; i < OFTEN_ROUNDS; i++) {
        uint64_t ns = i % OFTEN_EACH == OFTEN_EACH - 1 ? OFTEN_LONG_NS : OFTEN_NS;
        expect(pthread_mutex_lock(&often), 0, "pthread_mutex_lock");
        uint64_t from = now_ns();
        while (now_ns() - from < ns)
            ;
        note_hold(c, from);
        expect(pthread_mutex_unlock(&often), 0, "pthread_mutex_unlock");
        c->acquisitions++;
    }
}

/* What is refused is no acquisition, and nobody waited. */
static void refuse(struct counts *c)
{
    expect(pthread_mutex_lock(&checked), 0, "pthread_mutex_lock");
    uint64_t from = now_ns();
    for (int i = 0; i < TRY_ROUNDS; i++)
        expect(pthread_mutex_lock(&checked), EDEADLK, "lock of one's own mutex");
    pause_ns(WAIT_NS);
    note_hold(c, from);
    expect(pthread_mutex_unlock(&checked), 0, "pthread_mutex_unlock");
    expect(pthread_mutex_unlock(&checked), EPERM, "unlock of a free mutex");
    c->acquisitions++;
}

static void allocate_inside(struct counts *c)
{
    for (int i = 0; i < ALLOC_ROUNDS; i++) {
        expect(pthread_mutex_lock(&allocating), 0, "pthread_mutex_lock");
        uint64_t from = now_ns();
        for (int k = 0; k < ALLOC_BLOCKS; k++) {
            void *p = malloc(100);
            KEEP(p);
            free(p);
        }
        pause_ns(HOLD_NS);
        note_hold(c, from);
        expect(pthread_mutex_unlock(&allocating), 0, "pthread_mutex_unlock");
        c->acquisitions++;
        c->held_allocs += ALLOC_BLOCKS;
    }
}

/* Waits on the condition until it is told: the mutex is taken, given back in the wait, and taken.
 */
static SITE void *wait_for_ready(void *arg)
{
    struct counts *c = arg;
    uint64_t wait_ns = 0;
    expect(pthread_mutex_lock(&waiting), 0, "pthread_mutex_lock");
    uint64_t begin = now_ns();
    while (!is_ready) {
        uint64_t from = now_ns();
        expect(pthread_cond_wait(&ready, &waiting), 0, "pthread_cond_wait");
        wait_ns += now_ns() - from;
        c->acquisitions++;
    }
    c->hold_ns += now_ns() - begin - wait_ns;
    expect(pthread_mutex_unlock(&waiting), 0, "pthread_mutex_unlock");
    c->acquisitions++;
    return NULL;
}

static void put_times(const char *key, const uint32_t *ns, int count)
{
    truth_put(",\"%s\":[", key);
    for (int i = 0; i < count; i++)
        truth_put("%s%u", i ? "," : "", ns[i]);
    truth_put("]");
}

static void put(const struct counts *c, const char *comma)
{
    truth_put("{\"name\":\"%s\",\"acquisitions\":%d,\"contentions\":%d,\"wait_ns\":%llu,"
              "\"hold_ns\":%llu,\"held_alloc_calls\":%d",
              c->name, c->acquisitions, c->contentions, (unsigned long long)c->wait_ns,
              (unsigned long long)c->hold_ns, c->held_allocs);
    put_times("waits", c->wait, c->waits);
    put_times("holds", c->hold, c->holds);
    truth_put("}%s\n", comma);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
    static struct counts of[] = {
        {.name = "alone"},   {.name = "recursive"},  {.name = "busy"},
        {.name = "timed"},   {.name = "tried"},      {.name = "checked"},
        {.name = "waiting"}, {.name = "allocating"}, {.name = "often"},
    };
    enum { N = sizeof of / sizeof *of };
    pthread_t waiter;
    uint64_t begin = now_ns();
    expect(pthread_create(&waiter, NULL, wait_for_ready, &of[6]), 0, "pthread_create");
    for (int i = 0; i < ALONE_ROUNDS; i++)
        keep_taken(&alone, 1, HOLD_NS, &of[0]);
    for (int i = 0; i < RECURSIVE_ROUNDS; i++)
        keep_taken(&recursive, RECURSIVE_DEPTH, HOLD_NS, &of[1]);
    wait_for_busy(&of[2]);
    time_out(&of[3]);
    try_free(&of[4]);
    refuse(&of[5]);
    allocate_inside(&of[7]);
    take_often(&of[8]);
    uint64_t end = begin + seconds * 1000000000ull;
    if (now_ns() < end)
        pause_ns(end - now_ns());
    expect(pthread_mutex_lock(&waiting), 0, "pthread_mutex_lock");
    uint64_t from = now_ns();
    is_ready = 1;
    expect(pthread_cond_signal(&ready), 0, "pthread_cond_signal");
    uint64_t signaller_ns = now_ns() - from;
    expect(pthread_mutex_unlock(&waiting), 0, "pthread_mutex_unlock");
    pthread_join(waiter, NULL);
    of[6].hold_ns += signaller_ns;
    of[6].acquisitions++;
    truth_put("{\"locks\":[\n");
    for (int i = 0; i < N; i++)
        put(&of[i], i + 1 < N ? "," : "");
    truth_put("],\"wall_ns\":%llu}\n", (unsigned long long)(now_ns() - begin));
    truth_flush();
    return 0;
}
