#include "store/wal_queue.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* A sleep and a wake-up take 5 to 50 us; a group of the write-heavy loads 1 to 5 us. */
enum { SPIN_NS = 20000, LOOKS = 16 /* between two at the clock */ };

enum { WAITS, SLEEPS, LEADS, DONE }; /* state of a record */

void wal_queue_init(struct wal_queue *q)
{
    cpu_set_t cpus;
    q->newest = NULL;
    q->slow = false;
    q->alone = sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1;
}

/* ---- waiting ---- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void cpu_relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static int state_of(const struct wal_record *r)
{
    return __atomic_load_n(&r->state, __ATOMIC_ACQUIRE);
}

static void spin(const struct wal_queue *q, const struct wal_record *r)
{
    uint64_t end = now_ns() + SPIN_NS;
    while (!__atomic_load_n(&q->slow, __ATOMIC_RELAXED) && now_ns() < end)
        for (int i = 0; i < LOOKS; i++) {
            if (state_of(r) != WAITS)
                return;
            cpu_relax();
        }
}

static void sleep_until_told(struct wal_record *r)
{
    int waits = WAITS;
    sem_init(&r->turn, 0, 0);
    if (__atomic_compare_exchange_n(&r->state, &waits, SLEEPS, 0, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        while (sem_wait(&r->turn) != 0 && errno == EINTR)
            ;
    sem_destroy(&r->turn);
}

bool wal_queue_join(struct wal_queue *q, struct wal_record *r)
{
    r->state = WAITS;
    r->older = __atomic_load_n(&q->newest, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&q->newest, &r->older, r, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
        ;
    if (!r->older)
        return true;
    if (!q->alone)
        spin(q, r);
    if (state_of(r) == WAITS)
        sleep_until_told(r);
    return state_of(r) == LEADS;
}

/* ---- leading ---- */

struct wal_record *wal_queue_close(struct wal_queue *q, struct wal_record *first)
{
    struct wal_record *last = __atomic_load_n(&q->newest, __ATOMIC_ACQUIRE);
    for (struct wal_record *r = last; r != first; r = r->older)
        r->older->next = r;
    return last;
}

struct wal_record *wal_queue_leave(struct wal_queue *q, struct wal_record *last)
{
    struct wal_record *r = last;
    if (__atomic_compare_exchange_n(&q->newest, &r, NULL, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return NULL;
    while (r->older != last)
        r = r->older;
    return r;
}

bool wal_queue_sleeps(const struct wal_record *r)
{
    return state_of(r) == SLEEPS;
}

static void tell(struct wal_record *r, int state)
{
    /* Who spins may be gone after the exchange; who sleeps stays until the post. */
    if (__atomic_exchange_n(&r->state, state, __ATOMIC_ACQ_REL) == SLEEPS)
        sem_post(&r->turn);
}

void wal_queue_lead(struct wal_record *r)
{
    tell(r, LEADS);
}

void wal_queue_release(struct wal_record *r)
{
    tell(r, DONE);
}

void wal_queue_slow(struct wal_queue *q, bool slow)
{
    if (q->slow != slow) /* its cache line is everybody's */
        __atomic_store_n(&q->slow, slow, __ATOMIC_RELAXED);
}
