/*
 * kinds_truth — a program that knows how each kind of lock is taken, waited for and held:
 * read-write locks, spin locks, semaphores, barriers, initialisation done once, C11's mutexes and
 * conditions, and futexes of its own.
 *
 * Each is a variable of its own, and what happens to it is fixed. Whoever makes a thread wait goes
 * on only when that thread has been seen asleep in the kernel (or, spinning, to use up CPU time),
 * so that a contention is one on any machine. Waits and holds are measured around the calls by
 * CLOCK_MONOTONIC and printed as JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include "samples/truth.h"

enum {
    READERS = 3,
    WRITES = 5,
    ROUNDS = 10,
    PARTIES = 4,
    WAIT_NS = 10000000,
    ASLEEP_NS = 4000000,
    SPIN_NS = 2000000
};

struct counts {
    const char *name;
    atomic_int acquisitions, contentions;
    atomic_ullong wait_ns, hold_ns;
    int owner_changes; /* −1: not known, or there is no owner */
};

enum { READ, WRITTEN, SPUN, POSTED, MET, MADE, MADE_C11, C11, TOLD, TOLD_C11, WOKEN, TURNS, KINDS };
static struct counts of[KINDS] = {
    [READ] = {"shared", .owner_changes = -1},
    [WRITTEN] = {"shared", .owner_changes = WRITES},
    [SPUN] = {"spun", .owner_changes = 2 * ROUNDS - 1},
    [POSTED] = {"posted", .owner_changes = -1},
    [MET] = {"met", .owner_changes = -1},
    [MADE] = {"made", .owner_changes = -1},
    [MADE_C11] = {"made_c11", .owner_changes = -1},
    [C11] = {"plain_c11", .owner_changes = 2 * ROUNDS - 1},
    [TOLD] = {"told", .owner_changes = -1},
    [TOLD_C11] = {"told_c11", .owner_changes = -1},
    [WOKEN] = {"woken", .owner_changes = -1},
    [TURNS] = {"turns", .owner_changes = 2 * ROUNDS},
};

static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spun;
static sem_t posted;
static pthread_barrier_t met;
static pthread_once_t made = PTHREAD_ONCE_INIT;
static once_flag made_c11 = ONCE_FLAG_INIT;
static mtx_t plain_c11, with_told_c11;
static pthread_mutex_t with_told = PTHREAD_MUTEX_INITIALIZER, turns = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static cnd_t told_c11;
static int woken;

static uint64_t now_ns(void)
{
    return truth_clock_ns(CLOCK_MONOTONIC);
}

static void pause_ns(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

static void expect(int got, int want, const char *what)
{
    if (got != want)
        truth_fail(what);
}

/* The other threads: each says who it is and then goes into the one call that has to wait. */
struct other {
    pthread_t thread;
    atomic_int tid;
    void (*work)(struct other *);
};

static void *other_main(void *arg)
{
    struct other *o = arg;
    o->work(o);
    return NULL;
}

static void other_start(struct other *o, void (*work)(struct other *))
{
    atomic_store(&o->tid, 0);
    o->work = work;
    expect(pthread_create(&o->thread, NULL, other_main, o), 0, "pthread_create");
}

static void about_to_wait(struct other *o)
{
    atomic_store(&o->tid, (int)syscall(SYS_gettid));
}

static int tid_of(struct other *o)
{
    while (atomic_load(&o->tid) == 0)
        sched_yield();
    return atomic_load(&o->tid);
}

/* Until it sleeps on a futex, and a while longer. */
static void see_asleep(struct other *o)
{
    char path[64], text[8];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid_of(o));
    for (;;) {
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, 4);
        if (fd >= 0)
            close(fd);
        if (n == 4 && memcmp(text, "202 ", 4) == 0)
            break;
        sched_yield();
    }
    pause_ns(ASLEEP_NS);
}

static void see_spinning(struct other *o)
{
    clockid_t clock;
    tid_of(o);
    expect(pthread_getcpuclockid(o->thread, &clock), 0, "pthread_getcpuclockid");
    uint64_t from = truth_clock_ns(clock);
    while (truth_clock_ns(clock) - from < SPIN_NS)
        sched_yield();
}

static void other_join(struct other *o)
{
    expect(pthread_join(o->thread, NULL), 0, "pthread_join");
}

/* A call that has to wait: counted, timed. */
#define WAITS(kind, call, want)                                                                    \
    do {                                                                                           \
        uint64_t from_ = now_ns();                                                                 \
        expect(call, want, #call);                                                                 \
        of[kind].wait_ns += now_ns() - from_;                                                      \
        of[kind].contentions++;                                                                    \
        of[kind].acquisitions += (want) == 0;                                                      \
    } while (0)

/* From a lock's return to the call that gives it back. */
#define HOLDS(kind, from) (of[kind].hold_ns += now_ns() - (from))

static atomic_int reading, let_go;

static SITE void read_shared(struct other *o)
{
    about_to_wait(o);
    WAITS(READ, pthread_rwlock_rdlock(&shared), 0);
    uint64_t from = now_ns();
    expect(pthread_rwlock_rdlock(&shared), 0, "a second read lock of one's own");
    atomic_fetch_add(&reading, 1);
    while (!atomic_load(&let_go))
        pause_ns(1000000);
    expect(pthread_rwlock_unlock(&shared), 0, "unlock of the second");
    HOLDS(READ, from);
    expect(pthread_rwlock_unlock(&shared), 0, "unlock of a read lock");
}

static SITE void write_shared(struct other *o)
{
    about_to_wait(o);
    WAITS(WRITTEN, pthread_rwlock_wrlock(&shared), 0);
    uint64_t from = now_ns();
    pause_ns(WAIT_NS);
    HOLDS(WRITTEN, from);
    expect(pthread_rwlock_unlock(&shared), 0, "unlock of a write lock");
}

/* Readers wait for a writer, read at once, and make another writer wait. */
static void use_rwlock(void)
{
    struct other readers[READERS], writer;
    for (int round = 0; round < WRITES; round++) {
        expect(pthread_rwlock_wrlock(&shared), 0, "pthread_rwlock_wrlock");
        uint64_t from = now_ns();
        of[WRITTEN].acquisitions++;
        atomic_store(&reading, 0);
        atomic_store(&let_go, 0);
        for (int i = 0; i < READERS; i++)
            other_start(&readers[i], read_shared);
        for (int i = 0; i < READERS; i++)
            see_asleep(&readers[i]);
        expect(pthread_rwlock_tryrdlock(&shared), EBUSY, "a read lock of one's own write lock");
        HOLDS(WRITTEN, from);
        expect(pthread_rwlock_unlock(&shared), 0, "unlock of a write lock");
        while (atomic_load(&reading) < READERS)
            sched_yield();
        other_start(&writer, write_shared);
        see_asleep(&writer);
        atomic_store(&let_go, 1);
        for (int i = 0; i < READERS; i++)
            other_join(&readers[i]);
        other_join(&writer);
    }
    of[WRITTEN].owner_changes = 2 * WRITES - 1;
}

static SITE void spin(struct other *o)
{
    about_to_wait(o);
    WAITS(SPUN, pthread_spin_lock(&spun), 0);
    uint64_t from = now_ns();
    expect(pthread_spin_trylock(&spun), EBUSY, "trylock of a spin lock that is taken");
    HOLDS(SPUN, from);
    expect(pthread_spin_unlock(&spun), 0, "pthread_spin_unlock");
}

static void use_spin(void)
{
    struct other o;
    expect(pthread_spin_init(&spun, PTHREAD_PROCESS_PRIVATE), 0, "pthread_spin_init");
    for (int round = 0; round < ROUNDS; round++) {
        expect(pthread_spin_lock(&spun), 0, "pthread_spin_lock");
        uint64_t from = now_ns();
        of[SPUN].acquisitions++;
        other_start(&o, spin);
        see_spinning(&o);
        HOLDS(SPUN, from);
        expect(pthread_spin_unlock(&spun), 0, "pthread_spin_unlock");
        other_join(&o);
    }
}

static SITE void wait_for_post(struct other *o)
{
    about_to_wait(o);
    WAITS(POSTED, sem_wait(&posted), 0);
}

static void use_semaphore(void)
{
    struct other o;
    expect(sem_init(&posted, 0, 2), 0, "sem_init");
    expect(sem_wait(&posted), 0, "sem_wait of what is there");
    expect(sem_trywait(&posted), 0, "sem_trywait of what is there");
    expect(sem_trywait(&posted), -1, "sem_trywait of nothing");
    of[POSTED].acquisitions += 2;
    for (int round = 0; round < ROUNDS; round++) {
        other_start(&o, wait_for_post);
        see_asleep(&o);
        expect(sem_post(&posted), 0, "sem_post");
        other_join(&o);
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 5 * WAIT_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    WAITS(POSTED, sem_timedwait(&posted, &until), -1);
    expect(sem_clockwait(&posted, 99, &until), -1, "sem_clockwait by no clock");
}

static SITE void meet(struct other *o)
{
    about_to_wait(o);
    uint64_t from = now_ns();
    expect(pthread_barrier_wait(&met), 0, "who comes first waits");
    of[MET].wait_ns += now_ns() - from;
    of[MET].contentions++;
    of[MET].acquisitions++;
}

static void use_barrier(void)
{
    struct other o[PARTIES - 1];
    expect(pthread_barrier_init(&met, NULL, PARTIES), 0, "pthread_barrier_init");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PARTIES - 1; i++)
            other_start(&o[i], meet);
        for (int i = 0; i < PARTIES - 1; i++)
            see_asleep(&o[i]);
        expect(pthread_barrier_wait(&met), PTHREAD_BARRIER_SERIAL_THREAD, "who comes last");
        of[MET].acquisitions++;
        for (int i = 0; i < PARTIES - 1; i++)
            other_join(&o[i]);
    }
}

static struct other makers[READERS];
static void (*maker_work)(struct other *);

static SITE void make_one(int kind)
{
    uint64_t from = now_ns();
    for (int i = 0; i < READERS; i++)
        other_start(&makers[i], maker_work);
    for (int i = 0; i < READERS; i++)
        see_asleep(&makers[i]);
    pause_ns(WAIT_NS);
    HOLDS(kind, from);
}

static void make_posix(void)
{
    make_one(MADE);
}

static void make_c11(void)
{
    make_one(MADE_C11);
}

static SITE void wait_for_made(struct other *o)
{
    about_to_wait(o);
    WAITS(MADE, pthread_once(&made, make_posix), 0);
}

static SITE void wait_for_made_c11(struct other *o)
{
    about_to_wait(o);
    uint64_t from = now_ns();
    call_once(&made_c11, make_c11);
    of[MADE_C11].wait_ns += now_ns() - from;
    of[MADE_C11].contentions++;
    of[MADE_C11].acquisitions++;
}

static void use_once(void)
{
    maker_work = wait_for_made;
    expect(pthread_once(&made, make_posix), 0, "pthread_once");
    for (int i = 0; i < READERS; i++)
        other_join(&makers[i]);
    maker_work = wait_for_made_c11;
    call_once(&made_c11, make_c11);
    for (int i = 0; i < READERS; i++)
        other_join(&makers[i]);
    of[MADE].acquisitions++;
    of[MADE_C11].acquisitions++;
    for (int i = 0; i < ROUNDS; i++) { /* it is made: not counted */
        expect(pthread_once(&made, make_posix), 0, "pthread_once of what is made");
        call_once(&made_c11, make_c11);
    }
}

static SITE void lock_c11(struct other *o)
{
    about_to_wait(o);
    WAITS(C11, mtx_lock(&plain_c11), thrd_success);
    uint64_t from = now_ns();
    pause_ns(WAIT_NS);
    HOLDS(C11, from);
    expect(mtx_unlock(&plain_c11), thrd_success, "mtx_unlock");
}

static void use_c11(void)
{
    struct other o;
    expect(mtx_init(&plain_c11, mtx_timed), thrd_success, "mtx_init");
    for (int round = 0; round < ROUNDS; round++) {
        expect(mtx_lock(&plain_c11), thrd_success, "mtx_lock");
        uint64_t from = now_ns();
        of[C11].acquisitions++;
        other_start(&o, lock_c11);
        see_asleep(&o);
        expect(mtx_trylock(&plain_c11), thrd_busy, "mtx_trylock of what is taken");
        HOLDS(C11, from);
        expect(mtx_unlock(&plain_c11), thrd_success, "mtx_unlock");
        other_join(&o);
    }
}

static SITE void wait_told(struct other *o)
{
    expect(pthread_mutex_lock(&with_told), 0, "pthread_mutex_lock");
    about_to_wait(o);
    WAITS(TOLD, pthread_cond_wait(&told, &with_told), 0);
    expect(pthread_mutex_unlock(&with_told), 0, "pthread_mutex_unlock");
}

static SITE void wait_told_c11(struct other *o)
{
    expect(mtx_lock(&with_told_c11), thrd_success, "mtx_lock");
    about_to_wait(o);
    WAITS(TOLD_C11, cnd_wait(&told_c11, &with_told_c11), thrd_success);
    expect(mtx_unlock(&with_told_c11), thrd_success, "mtx_unlock");
}

static void use_conditions(void)
{
    struct other o;
    expect(mtx_init(&with_told_c11, mtx_plain), thrd_success, "mtx_init");
    expect(cnd_init(&told_c11), thrd_success, "cnd_init");
    for (int round = 0; round < ROUNDS; round++) {
        other_start(&o, wait_told);
        see_asleep(&o);
        pause_ns(WAIT_NS);
        pthread_cond_signal(&told);
        other_join(&o);
        other_start(&o, wait_told_c11);
        see_asleep(&o);
        pause_ns(WAIT_NS);
        cnd_signal(&told_c11);
        other_join(&o);
    }
}

static SITE void sleep_until_woken(struct other *o)
{
    about_to_wait(o);
    WAITS(WOKEN, (int)syscall(SYS_futex, &woken, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), 0);
}

static void use_futex(void)
{
    struct other o;
    expect((int)syscall(SYS_futex, &woken, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), -1,
           "a stale wait");
    expect(errno, EAGAIN, "a stale wait's errno");
    for (int round = 0; round < ROUNDS; round++) {
        other_start(&o, sleep_until_woken);
        see_asleep(&o);
        expect((int)syscall(SYS_futex, &woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1, "a wake");
        other_join(&o);
    }
    expect((int)syscall(SYS_futex, &woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0, "no wake");
    of[WOKEN].acquisitions = 0; /* nobody knows what a futex stands for */
}

static SITE void take_turn(void)
{
    expect(pthread_mutex_lock(&turns), 0, "pthread_mutex_lock");
    uint64_t from = now_ns();
    pause_ns(100000);
    HOLDS(TURNS, from);
    expect(pthread_mutex_unlock(&turns), 0, "pthread_mutex_unlock");
    of[TURNS].acquisitions++;
}

static void take_two_turns(struct other *o)
{
    (void)o;
    take_turn();
    take_turn();
}

static void use_turns(void)
{
    struct other o;
    take_turn();
    for (int round = 0; round < ROUNDS; round++) {
        other_start(&o, take_two_turns);
        other_join(&o);
        take_turn();
    }
}

int main(void)
{
    uint64_t begin = now_ns();
    use_rwlock();
    use_spin();
    use_semaphore();
    use_barrier();
    use_once();
    use_c11();
    use_conditions();
    use_futex();
    use_turns();
    truth_put("{\"locks\":[\n");
    for (int i = 0; i < KINDS; i++)
        truth_put("{\"name\":\"%s\",\"acquisitions\":%d,\"contentions\":%d,\"wait_ns\":%llu,"
                  "\"hold_ns\":%llu,\"owner_changes\":%d}%s\n",
                  of[i].name, of[i].acquisitions, of[i].contentions,
                  (unsigned long long)of[i].wait_ns, (unsigned long long)of[i].hold_ns,
                  of[i].owner_changes, i + 1 < KINDS ? "," : "");
    truth_put("],\"wall_ns\":%llu}\n", (unsigned long long)(now_ns() - begin));
    truth_flush();
    return 0;
}
