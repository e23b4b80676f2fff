/*
 * blame_truth — a program that knows who made whom wait for its locks.
 *
 *   blame_truth           the cases below, each with a lock of its own; about 3 s
 *
 * Every function that holds a lock notes when it had it and gave it back, every waiter when it
 * began to wait and ended. From these it is computed how much of all waits each function's holds
 * answer for, and printed as JSON: what remains was hand-off. In the cases are those in which it is
 * easy to blame the wrong one: a holder that takes the mutex again, elsewhere, before its waiter
 * has woken; a mutex given back by another thread, or in a wait on a condition; locks taken hand
 * over hand; more locks at once than anybody keeps a list of; crowds of waiters; waits that end in
 * vain, by a siglongjmp() or by cancellation; a fork meanwhile; unlocks that are refused. And
 * readers that a writer waits for, a writer that readers wait for, one who spins.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "samples/truth.h"

enum { MS = 1000000, SPANS = 400, CROWD = 40, MANY = 20, LINKS = 3, WALKS = 4 };

struct span {
    const char *holder; /* NULL: a wait */
    uint64_t from, to;
    uint64_t charged; /* of a hold: the time of waits that it answers for */
};

struct scene {
    const char *name;
    const volatile void *lock;
    struct span spans[SPANS];
    int used;
};

static pthread_mutex_t relocked = PTHREAD_MUTEX_INITIALIZER, foreign = PTHREAD_MUTEX_INITIALIZER,
                       last_of_many = PTHREAD_MUTEX_INITIALIZER, paused = PTHREAD_MUTEX_INITIALIZER,
                       crowded = PTHREAD_MUTEX_INITIALIZER, timed = PTHREAD_MUTEX_INITIALIZER,
                       jumped = PTHREAD_MUTEX_INITIALIZER, cancelled = PTHREAD_MUTEX_INITIALIZER,
                       forked = PTHREAD_MUTEX_INITIALIZER,
                       recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
                       checked = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_mutex_t chain_0 = PTHREAD_MUTEX_INITIALIZER, chain_1 = PTHREAD_MUTEX_INITIALIZER,
                       chain_2 = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t many[MANY];
static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spun;
static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
static int is_ready;

#define SCENE(variable)                                                                            \
    {                                                                                              \
        .name = #variable, .lock = &(variable)                                                     \
    }
static struct scene scenes[] = {
    SCENE(relocked), SCENE(foreign),   SCENE(last_of_many), SCENE(paused),
    SCENE(crowded),  SCENE(timed),     SCENE(jumped),       SCENE(cancelled),
    SCENE(forked),   SCENE(recursive), SCENE(checked),      SCENE(chain_0),
    SCENE(chain_1),  SCENE(chain_2),   SCENE(shared),       SCENE(spun),
};
enum { SCENES = sizeof scenes / sizeof *scenes };

static uint64_t now_ns(void)
{
    return truth_clock_ns(CLOCK_MONOTONIC);
}

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * MS};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

static void expect(int got, int want, const char *what)
{
    if (got != want)
        truth_fail(what);
}

static struct scene *scene_of(const volatile void *lock)
{
    for (int i = 0; i < SCENES; i++)
        if (scenes[i].lock == lock)
            return &scenes[i];
    truth_fail("a lock without a scene");
    return NULL;
}

static void note(const volatile void *lock, const char *holder, uint64_t from, uint64_t to)
{
    struct scene *s = scene_of(lock);
    int at = __atomic_fetch_add(&s->used, 1, __ATOMIC_RELAXED);
    if (at >= SPANS)
        truth_fail("more spans than are kept");
    s->spans[at] = (struct span){holder, from, to, 0};
}

/* The time that it took to get a lock is a wait, if it was not free. Returns when it was there. */
static uint64_t got_noted(const volatile void *lock, uint64_t from, int error)
{
    uint64_t got = now_ns();
    expect(error, 0, "taking a lock");
    note(lock, NULL, from, got);
    return got;
}

static uint64_t take_noted(pthread_mutex_t *m)
{
    uint64_t from = now_ns();
    return got_noted(m, from, pthread_mutex_lock(m));
}

/* Holds it for a while and gives it back: one function for each, so that each is another site. */
#define HOLDER(name)                                                                               \
    static SITE void name(pthread_mutex_t *m, int ms)                                              \
    {                                                                                              \
        uint64_t got = take_noted(m);                                                              \
        pause_ms(ms);                                                                              \
        note(m, #name, got, now_ns());                                                             \
        expect(pthread_mutex_unlock(m), 0, "pthread_mutex_unlock");                                \
    }
HOLDER(hold_first)
HOLDER(hold_then)
HOLDER(hold_waited)
HOLDER(hold_deep)
HOLDER(hold_crowded)
HOLDER(hold_long)

static SITE void *wait_for(void *arg)
{
    pthread_mutex_t *m = arg;
    hold_waited(m, 1);
    return NULL;
}

static pthread_t begin_thread(void *(*routine)(void *), void *arg)
{
    pthread_t thread;
    expect(pthread_create(&thread, NULL, routine, arg), 0, "pthread_create");
    return thread;
}

static void join_thread(pthread_t thread)
{
    expect(pthread_join(thread, NULL), 0, "pthread_join");
}

/* Starts one who will wait, and sees it asleep on the mutex, which is taken. */
static pthread_t start_waiter(void *(*routine)(void *), pthread_mutex_t *m)
{
    pthread_t thread = begin_thread(routine, m);
    while (__atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) != 2)
        pause_ms(1);
    return thread;
}

static void stay_away(int signo)
{
    (void)signo;
    pause_ms(60);
}

/* The waiter is kept in a signal handler until the holder has the mutex again. */
static SITE void relock(void)
{
    struct sigaction action = {.sa_handler = stay_away};
    sigaction(SIGUSR2, &action, NULL);
    uint64_t got = take_noted(&relocked);
    pthread_t waiter = start_waiter(wait_for, &relocked);
    pause_ms(50);
    pthread_kill(waiter, SIGUSR2);
    pause_ms(10);
    note(&relocked, "relock", got, now_ns());
    expect(pthread_mutex_unlock(&relocked), 0, "pthread_mutex_unlock");
    hold_first(&relocked, 20);
    hold_then(&relocked, 80);
    join_thread(waiter);
}

static SITE void give_back_for_other(pthread_mutex_t *m, uint64_t got)
{
    note(m, "give_back_for_other", got, now_ns());
    expect(pthread_mutex_unlock(m), 0, "pthread_mutex_unlock by another thread");
}

static SITE void *take_for_other(void *arg)
{
    uint64_t *got = arg;
    *got = take_noted(&foreign);
    return NULL;
}

static void let_other_give_back(void)
{
    uint64_t got;
    join_thread(begin_thread(take_for_other, &got));
    pthread_t waiter = start_waiter(wait_for, &foreign);
    pause_ms(80);
    give_back_for_other(&foreign, got);
    join_thread(waiter);
}

static SITE void hold_many(void)
{
    for (int i = 0; i < MANY; i++) {
        expect(pthread_mutex_init(&many[i], NULL), 0, "pthread_mutex_init");
        expect(pthread_mutex_lock(&many[i]), 0, "pthread_mutex_lock");
    }
    uint64_t got = take_noted(&last_of_many);
    pthread_t waiter = start_waiter(wait_for, &last_of_many);
    pause_ms(80);
    note(&last_of_many, "hold_many", got, now_ns());
    expect(pthread_mutex_unlock(&last_of_many), 0, "pthread_mutex_unlock");
    hold_deep(&last_of_many, 40);
    join_thread(waiter);
    for (int i = 0; i < MANY; i++)
        expect(pthread_mutex_unlock(&many[i]), 0, "pthread_mutex_unlock");
}

static SITE void *make_ready(void *arg)
{
    pthread_mutex_t *m = arg;
    uint64_t got = take_noted(m);
    pause_ms(40);
    is_ready = 1;
    expect(pthread_cond_signal(&ready), 0, "pthread_cond_signal");
    note(m, "make_ready", got, now_ns());
    expect(pthread_mutex_unlock(m), 0, "pthread_mutex_unlock");
    return NULL;
}

/* What it holds is given back inside of pthread_cond_wait(). */
static SITE void hold_until_ready(void)
{
    uint64_t got = take_noted(&paused);
    pthread_t other = start_waiter(make_ready, &paused);
    pause_ms(60);
    while (!is_ready) {
        note(&paused, "hold_until_ready", got, now_ns());
        expect(pthread_cond_wait(&ready, &paused), 0, "pthread_cond_wait");
        got = now_ns();
    }
    note(&paused, "hold_until_ready", got, now_ns());
    expect(pthread_mutex_unlock(&paused), 0, "pthread_mutex_unlock");
    join_thread(other);
}

static SITE void *wait_in_crowd(void *arg)
{
    hold_crowded(arg, 2);
    return NULL;
}

static SITE void keep_crowd_waiting(void)
{
    pthread_t crowd[CROWD];
    uint64_t got = take_noted(&crowded);
    for (int i = 0; i < CROWD; i++)
        crowd[i] = begin_thread(wait_in_crowd, &crowded);
    pause_ms(100);
    note(&crowded, "keep_crowd_waiting", got, now_ns());
    expect(pthread_mutex_unlock(&crowded), 0, "pthread_mutex_unlock");
    for (int i = 0; i < CROWD; i++)
        join_thread(crowd[i]);
}

static SITE void *wait_in_vain(void *arg)
{
    pthread_mutex_t *m = arg;
    for (int i = 0; i < 2; i++) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        uint64_t end = (uint64_t)until.tv_nsec + 30 * MS;
        until.tv_sec += (time_t)(end / 1000000000u);
        until.tv_nsec = (long)(end % 1000000000u);
        uint64_t from = now_ns();
        expect(pthread_mutex_timedlock(m, &until), ETIMEDOUT, "pthread_mutex_timedlock");
        note(m, NULL, from, now_ns());
    }
    return NULL;
}

static SITE void outlast_waiters(void)
{
    uint64_t got = take_noted(&timed);
    pthread_t waiter = begin_thread(wait_in_vain, &timed);
    join_thread(waiter);
    pause_ms(100); /* of which nobody's wait is a part */
    note(&timed, "outlast_waiters", got, now_ns());
    expect(pthread_mutex_unlock(&timed), 0, "pthread_mutex_unlock");
}

static sigjmp_buf way_out;
static int is_away; /* atomic */
static void jump_out(int signo)
{
    (void)signo;
    siglongjmp(way_out, 1);
}

/* A wait that is left has no end that anybody could see: it counts for nobody. */
static SITE void *wait_and_jump(void *arg)
{
    if (sigsetjmp(way_out, 1) == 0) {
        pthread_mutex_lock(arg);
        truth_fail("the wait was not left");
    }
    uint64_t until = truth_cpu_ns() + 40 * MS; /* a tick of the CPU clock finds it gone */
    while (truth_cpu_ns() < until)
        ;
    __atomic_store_n(&is_away, 1, __ATOMIC_RELEASE);
    pause_ms(200);
    return NULL;
}

static SITE void hold_against_jumper(void)
{
    struct sigaction action = {.sa_handler = jump_out};
    sigaction(SIGUSR1, &action, NULL);
    uint64_t got = take_noted(&jumped);
    pthread_t waiter = start_waiter(wait_and_jump, &jumped);
    pause_ms(30);
    pthread_kill(waiter, SIGUSR1);
    while (!__atomic_load_n(&is_away, __ATOMIC_ACQUIRE))
        pause_ms(1);
    pthread_t other = begin_thread(wait_for, &jumped); /* one who stays */
    pause_ms(60);
    note(&jumped, "hold_against_jumper", got, now_ns());
    expect(pthread_mutex_unlock(&jumped), 0, "pthread_mutex_unlock");
    join_thread(other);
    join_thread(waiter);
}

static SITE void *wait_cancelled(void *arg)
{
    int old;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    pthread_mutex_lock(arg);
    truth_fail("the wait was not cancelled");
    return NULL;
}

static SITE void hold_against_cancelled(void)
{
    uint64_t got = take_noted(&cancelled);
    pthread_t waiter = start_waiter(wait_cancelled, &cancelled);
    pause_ms(40);
    pthread_cancel(waiter);
    join_thread(waiter);
    waiter = begin_thread(wait_for, &cancelled);
    pause_ms(60);
    note(&cancelled, "hold_against_cancelled", got, now_ns());
    expect(pthread_mutex_unlock(&cancelled), 0, "pthread_mutex_unlock");
    join_thread(waiter);
}

/* The child has the mutex, too, and knows of no waiter. */
static SITE void fork_while_held(void)
{
    uint64_t got = take_noted(&forked);
    pthread_t waiter = start_waiter(wait_for, &forked);
    pid_t pid = fork();
    if (pid == 0) {
        int error = pthread_mutex_unlock(&forked);
        for (int i = 0; i < 100 && !error; i++)
            error = pthread_mutex_lock(&forked) || pthread_mutex_unlock(&forked);
        _exit(error ? 1 : 0);
    }
    int status;
    expect(waitpid(pid, &status, 0), pid, "waitpid");
    expect(status, 0, "the forked child");
    pause_ms(50);
    note(&forked, "fork_while_held", got, now_ns());
    expect(pthread_mutex_unlock(&forked), 0, "pthread_mutex_unlock");
    join_thread(waiter);
}

/* Only the last of its unlocks gives it back. */
static SITE void hold_recursive(void)
{
    uint64_t got = take_noted(&recursive);
    expect(pthread_mutex_lock(&recursive), 0, "pthread_mutex_lock once more");
    pthread_t waiter = start_waiter(wait_for, &recursive);
    pause_ms(30);
    expect(pthread_mutex_unlock(&recursive), 0, "the first pthread_mutex_unlock");
    pause_ms(30);
    note(&recursive, "hold_recursive", got, now_ns());
    expect(pthread_mutex_unlock(&recursive), 0, "the last pthread_mutex_unlock");
    join_thread(waiter);
}

static SITE void *unlock_refused(void *arg)
{
    for (int i = 0; i < 10; i++) {
        expect(pthread_mutex_unlock(arg), EPERM, "unlock by one who does not hold it");
        pause_ms(3);
    }
    return NULL;
}

static SITE void hold_checked(void)
{
    uint64_t got = take_noted(&checked);
    pthread_t waiter = start_waiter(wait_for, &checked);
    join_thread(begin_thread(unlock_refused, &checked));
    note(&checked, "hold_checked", got, now_ns());
    expect(pthread_mutex_unlock(&checked), 0, "pthread_mutex_unlock");
    join_thread(waiter);
}

static pthread_mutex_t *const links[LINKS] = {&chain_0, &chain_1, &chain_2};

/* Along the chain: the next one is taken before this one is given back. */
static SITE void walk_hand_over_hand(int ms)
{
    uint64_t got = take_noted(links[0]);
    for (int i = 0; i < LINKS; i++) {
        pause_ms(ms);
        uint64_t next = i + 1 < LINKS ? take_noted(links[i + 1]) : 0;
        note(links[i], "walk_hand_over_hand", got, now_ns());
        expect(pthread_mutex_unlock(links[i]), 0, "pthread_mutex_unlock");
        got = next;
    }
}

static SITE void walk_slowly(int ms)
{
    uint64_t got = take_noted(links[0]);
    for (int i = 0; i < LINKS; i++) {
        pause_ms(ms * (i + 1));
        uint64_t next = i + 1 < LINKS ? take_noted(links[i + 1]) : 0;
        note(links[i], "walk_slowly", got, now_ns());
        expect(pthread_mutex_unlock(links[i]), 0, "pthread_mutex_unlock");
        got = next;
    }
}

static void *walk_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < WALKS; i++)
        walk_hand_over_hand(5);
    return NULL;
}

static void walk(void)
{
    pthread_t other = begin_thread(walk_often, NULL), third = begin_thread(walk_often, NULL);
    for (int i = 0; i < WALKS; i++)
        walk_slowly(10);
    join_thread(other);
    join_thread(third);
}

/* Of a read-write lock: each reader is one whom a writer waits for, and it is one whom readers do.
 */
#define RWLOCK_USER(name, take, ms)                                                                \
    static SITE void *name(void *unused)                                                           \
    {                                                                                              \
        uint64_t from = now_ns();                                                                  \
        uint64_t got = got_noted(&shared, from, take(&shared));                                    \
        pause_ms(ms);                                                                              \
        note(&shared, #name, got, now_ns());                                                       \
        expect(pthread_rwlock_unlock(&shared), 0, "pthread_rwlock_unlock");                        \
        return unused;                                                                             \
    }
RWLOCK_USER(read_briefly, pthread_rwlock_rdlock, 45)
RWLOCK_USER(read_long, pthread_rwlock_rdlock, 90)
RWLOCK_USER(write_after, pthread_rwlock_wrlock, 80)
RWLOCK_USER(read_last, pthread_rwlock_rdlock, 1)

static void use_shared(void)
{
    pthread_t users[] = {
        begin_thread(read_briefly, NULL), begin_thread(read_long, NULL), 0, 0, 0, 0,
    };
    enum { USERS = sizeof users / sizeof *users };
    pause_ms(10);
    users[2] = begin_thread(write_after, NULL);
    pause_ms(100); /* the readers have gone, it has the lock */
    for (int i = 3; i < USERS; i++)
        users[i] = begin_thread(read_last, NULL);
    for (int i = 0; i < USERS; i++)
        join_thread(users[i]);
}

static SITE void *spin_for(void *unused)
{
    uint64_t from = now_ns();
    uint64_t got = got_noted(&spun, from, pthread_spin_lock(&spun));
    note(&spun, "spin_for", got, now_ns());
    expect(pthread_spin_unlock(&spun), 0, "pthread_spin_unlock");
    return unused;
}

static SITE void keep_spinning(void)
{
    uint64_t from = now_ns();
    uint64_t got = got_noted(&spun, from, pthread_spin_lock(&spun));
    pthread_t spinner = begin_thread(spin_for, NULL);
    pause_ms(60);
    note(&spun, "keep_spinning", got, now_ns());
    expect(pthread_spin_unlock(&spun), 0, "pthread_spin_unlock");
    join_thread(spinner);
}

static int by_end(const void *a, const void *b)
{
    uint64_t x = ((const struct span *)a)->to, y = ((const struct span *)b)->to;
    return (x > y) - (x < y);
}

/* What of each wait each hold answers for: a moment for which several do, the one that ended first.
 */
static void charge(struct scene *s)
{
    qsort(s->spans, (size_t)s->used, sizeof *s->spans, by_end);
    for (int w = 0; w < s->used; w++) {
        const struct span *wait = &s->spans[w];
        uint64_t until = wait->from;
        for (int h = 0; h < s->used && !wait->holder; h++) {
            struct span *hold = &s->spans[h];
            uint64_t from = hold->from > until ? hold->from : until;
            uint64_t to = hold->to < wait->to ? hold->to : wait->to;
            if (hold->holder && to > from) {
                hold->charged += to - from;
                until = to;
            }
        }
    }
}

/* {"holder": ns, …}: what the holds of each function answer for. */
static void blame_put(const struct scene *s)
{
    const char *comma = "";
    for (int i = 0; i < s->used; i++) {
        const char *holder = s->spans[i].holder;
        bool seen = !holder;
        for (int k = 0; k < i && !seen; k++)
            seen = s->spans[k].holder && strcmp(s->spans[k].holder, holder) == 0;
        if (seen)
            continue;
        uint64_t sum = 0;
        for (int h = i; h < s->used; h++)
            if (s->spans[h].holder && strcmp(s->spans[h].holder, holder) == 0)
                sum += s->spans[h].charged;
        truth_put("%s\"%s\":%llu", comma, holder, (unsigned long long)sum);
        comma = ",";
    }
}

int main(void)
{
    relock();
    let_other_give_back();
    hold_many();
    hold_until_ready();
    keep_crowd_waiting();
    outlast_waiters();
    hold_against_jumper();
    hold_against_cancelled();
    fork_while_held();
    hold_recursive();
    hold_checked();
    walk();
    use_shared();
    pthread_spin_init(&spun, PTHREAD_PROCESS_PRIVATE);
    keep_spinning();
    hold_long(&relocked, 1); /* nobody waits */
    truth_put("{\"locks\":[\n");
    for (int i = 0; i < SCENES; i++) {
        struct scene *s = &scenes[i];
        uint64_t wait = 0;
        charge(s);
        for (int k = 0; k < s->used; k++)
            wait += s->spans[k].holder ? 0 : s->spans[k].to - s->spans[k].from;
        truth_put("{\"name\":\"%s\",\"wait_ns\":%llu,\"blame\":{", s->name,
                  (unsigned long long)wait);
        blame_put(s);
        truth_put("}}%s\n", i + 1 < SCENES ? "," : "");
    }
    truth_put("]}\n");
    truth_flush();
    return 0;
}
