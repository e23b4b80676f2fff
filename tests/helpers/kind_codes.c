/*
 * Read-write locks, spin locks, semaphores, barriers, initialisation done once and C11's mutexes
 * under every call: what each one returns, a line a call, and what it did to errno. The lines must
 * be the same with and without the shim, also where the calls are misused. Without a deadlock: a
 * call that would wait for ever is not made.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "tests/helpers/codes.h"

static void say(const char *call, int code, int errno_after)
{
    printf("%-24s %-60s %d%s%s\n", about, call, code, errno_after == ERRNO_KEPT ? "" : " errno ",
           errno_after == ERRNO_KEPT ? "" : strerrorname_np(errno_after));
}

#define SAY(call)                                                                                  \
    do {                                                                                           \
        errno = ERRNO_KEPT;                                                                        \
        int code_ = (int)(call);                                                                   \
        say(#call, code_, errno);                                                                  \
    } while (0)

static pthread_rwlock_t rw;

static void *rwlock_of_another(void *arg)
{
    (void)arg;
    struct timespec t;
    SAY(pthread_rwlock_tryrdlock(&rw) ? 1 : pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_trywrlock(&rw) ? 1 : pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_timedrdlock(&rw, &past) ? 1 : pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_timedrdlock(&rw, &bad));
    SAY(pthread_rwlock_timedwrlock(&rw, &past));
    SAY(pthread_rwlock_timedwrlock(&rw, &negative));
    t = after(CLOCK_REALTIME, SOON_NS);
    SAY(pthread_rwlock_timedwrlock(&rw, &t));
    t = after(CLOCK_MONOTONIC, SOON_NS);
    SAY(pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &t));
    SAY(pthread_rwlock_clockwrlock(&rw, BAD_CLOCK, &t));
    SAY(pthread_rwlock_clockrdlock(&rw, CLOCK_PROCESS_CPUTIME_ID, &past));
    t = after(CLOCK_MONOTONIC, SOON_NS);
    SAY(pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &t) ? 1 : pthread_rwlock_unlock(&rw));
    return NULL;
}

static void use_rwlock(int preference)
{
    static const char *const names[] = {"rwlock", "rwlock writer", "rwlock writer first"};
    pthread_rwlockattr_t a;
    about = names[preference];
    pthread_rwlockattr_init(&a);
    SAY(pthread_rwlockattr_setkind_np(&a, preference));
    SAY(pthread_rwlock_init(&rw, &a));
    SAY(pthread_rwlock_rdlock(&rw));
    SAY(pthread_rwlock_rdlock(&rw));
    SAY(pthread_rwlock_tryrdlock(&rw));
    SAY(pthread_rwlock_trywrlock(&rw));
    in_thread(rwlock_of_another);
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_wrlock(&rw));
    SAY(pthread_rwlock_wrlock(&rw)); /* of one's own: told */
    SAY(pthread_rwlock_rdlock(&rw));
    SAY(pthread_rwlock_tryrdlock(&rw));
    SAY(pthread_rwlock_timedwrlock(&rw, &past));
    SAY(pthread_rwlock_timedrdlock(&rw, &past));
    in_thread(rwlock_of_another);
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_timedrdlock(&rw, &past));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_timedrdlock(&rw, &bad));
    SAY(pthread_rwlock_timedwrlock(&rw, &past));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_timedwrlock(&rw, &negative));
    SAY(pthread_rwlock_clockrdlock(&rw, BAD_CLOCK, &past));
    SAY(pthread_rwlock_clockwrlock(&rw, CLOCK_REALTIME, &past));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &bad));
    SAY(pthread_rwlock_trywrlock(&rw));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_destroy(&rw));
    pthread_rwlockattr_destroy(&a);
}

static pthread_spinlock_t spin;

static void *spin_of_another(void *arg)
{
    (void)arg;
    SAY(pthread_spin_trylock(&spin));
    SAY(pthread_spin_unlock(&spin)); /* anybody may */
    SAY(pthread_spin_lock(&spin));
    return NULL;
}

static void use_spin(void)
{
    about = "spin";
    SAY(pthread_spin_init(&spin, PTHREAD_PROCESS_SHARED));
    SAY(pthread_spin_lock(&spin));
    SAY(pthread_spin_trylock(&spin));
    in_thread(spin_of_another);
    SAY(pthread_spin_trylock(&spin));
    SAY(pthread_spin_unlock(&spin));
    SAY(pthread_spin_unlock(&spin));
    SAY(pthread_spin_destroy(&spin));
}

static sem_t sem;

static int sem_value(void)
{
    int value = -1;
    sem_getvalue(&sem, &value);
    return value;
}

static void on_signal(int signo)
{
    (void)signo;
}

static sigjmp_buf out;

static void jump_out(int signo)
{
    (void)signo;
    siglongjmp(out, 1);
}

static void alarm_in(long us, void (*handler)(int), int flags)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGALRM, &a, NULL);
    ualarm((useconds_t)us, 0);
}

/* Comes again until alarms_end(), should the first one come before the wait. */
static void alarms_begin(void)
{
    enum { first_us = 5000, next_us = 100000 };
    alarm_in(first_us, on_signal, 0);
    ualarm(first_us, next_us);
}

static void alarms_end(void)
{
    ualarm(0, 0);
}

static void *sem_cancelled(void *arg)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    switch (*(int *)arg) {
    case 0:
        sem_wait(&sem);
        break;
    case 1:
        sem_timedwait(&sem, &past);
        break;
    case 2:
        sem_timedwait(&sem, &bad);
        break;
    case 3:
        sem_clockwait(&sem, CLOCK_MONOTONIC, &past);
        break;
    case 4:
        sem_clockwait(&sem, BAD_CLOCK, &past);
        break;
    default:
        sem_trywait(&sem);
        break;
    }
    return arg;
}

static int cleaned;

static void clean_up(void *arg)
{
    cleaned = *(int *)arg + 1;
}

static void *sem_cancelled_asleep(void *arg)
{
    struct timespec t = after(CLOCK_REALTIME, 900000000);
    t.tv_sec += 20;
    pthread_cleanup_push(clean_up, arg);
    if (*(int *)arg)
        sem_timedwait(&sem, &t);
    else
        sem_wait(&sem);
    pthread_cleanup_pop(0);
    return NULL;
}

static void use_semaphore_cancelled(void)
{
    pthread_t t;
    void *result;
    for (int how = 0; how < 6; how++) {
        SAY(sem_init(&sem, 0, 1));
        pthread_create(&t, NULL, sem_cancelled, &how);
        pthread_join(t, &result);
        SAY(result == PTHREAD_CANCELED);
        SAY(sem_value());
    }
    SAY(sem_init(&sem, 0, 0));
    for (int how = 0; how < 2; how++) {
        pthread_create(&t, NULL, sem_cancelled_asleep, &how);
        usleep(20000);
        SAY(pthread_cancel(t));
        pthread_join(t, &result);
        SAY(result == PTHREAD_CANCELED);
        SAY(cleaned);
    }
}

static void use_semaphore(void)
{
    struct timespec t;
    about = "semaphore";
    SAY(sem_init(&sem, 0, (unsigned)-1));
    SAY(sem_init(&sem, 0, 3));
    SAY(sem_wait(&sem));
    SAY(sem_timedwait(&sem, &past));
    SAY(sem_timedwait(&sem, &bad));
    SAY(sem_trywait(&sem));
    SAY(sem_trywait(&sem));
    SAY(sem_value());
    SAY(sem_timedwait(&sem, &past));
    SAY(sem_timedwait(&sem, &negative));
    t = after(CLOCK_REALTIME, SOON_NS);
    SAY(sem_timedwait(&sem, &t));
    t = after(CLOCK_MONOTONIC, SOON_NS);
    SAY(sem_clockwait(&sem, CLOCK_MONOTONIC, &t));
    SAY(sem_clockwait(&sem, BAD_CLOCK, &t));
    SAY(sem_clockwait(&sem, CLOCK_REALTIME, &bad));
    SAY(sem_post(&sem));
    SAY(sem_clockwait(&sem, BAD_CLOCK, &past));
    SAY(sem_clockwait(&sem, CLOCK_MONOTONIC, &past));
    alarms_begin();
    SAY(sem_wait(&sem));
    alarms_end();
    alarm_in(5000, on_signal, 0);
    t = after(CLOCK_REALTIME, 900000000);
    SAY(sem_timedwait(&sem, &t));
    alarm_in(5000, on_signal, SA_RESTART);
    t = after(CLOCK_REALTIME, 20000000);
    SAY(sem_timedwait(&sem, &t));
    if (sigsetjmp(out, 1) == 0) {
        alarm_in(5000, jump_out, 0);
        sem_wait(&sem);
    }
    SAY(sem_post(&sem));
    SAY(sem_wait(&sem));
    SAY(sem_value());
    SAY(sem_destroy(&sem));
    use_semaphore_cancelled();
}

static pthread_barrier_t barrier;

static void *meet(void *arg)
{
    *(int *)arg = pthread_barrier_wait(&barrier);
    return NULL;
}

static void use_barrier(void)
{
    enum { parties = 3 };
    pthread_t t[parties];
    int codes[parties];
    about = "barrier";
    SAY(pthread_barrier_init(&barrier, NULL, 0));
    SAY(pthread_barrier_init(&barrier, NULL, 1));
    SAY(pthread_barrier_wait(&barrier));
    SAY(pthread_barrier_destroy(&barrier));
    SAY(pthread_barrier_init(&barrier, NULL, parties));
    for (int i = 0; i < parties; i++)
        pthread_create(&t[i], NULL, meet, &codes[i]);
    for (int i = 0; i < parties; i++)
        pthread_join(t[i], NULL);
    SAY((codes[0] + codes[1] + codes[2]) == PTHREAD_BARRIER_SERIAL_THREAD);
    SAY(pthread_barrier_destroy(&barrier));
}

static pthread_once_t once = PTHREAD_ONCE_INIT, inner = PTHREAD_ONCE_INIT, left = PTHREAD_ONCE_INIT;
static once_flag once_c11 = ONCE_FLAG_INIT;
static int ran, ran_inner, ran_c11, ran_left;

static void run_inner(void)
{
    ran_inner++;
}

static void run(void)
{
    ran++;
    SAY(pthread_once(&inner, run_inner));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        SAY(pthread_once(&inner, run_inner));
        fflush(stdout);
        _exit(ran_inner);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    SAY(WEXITSTATUS(status));
}

static void run_c11_only(void)
{
    ran_c11++;
}

static void run_and_leave(void)
{
    if (++ran_left == 1)
        pthread_exit(&ran_left);
}

static void *leave(void *arg)
{
    (void)arg;
    SAY(pthread_once(&left, run_and_leave));
    return NULL;
}

static void run_and_be_cancelled(void)
{
    ran_left++;
    pthread_cancel(pthread_self());
    pthread_testcancel();
}

static void *be_cancelled(void *arg)
{
    SAY(pthread_once(arg, run_and_be_cancelled));
    return NULL;
}

static void use_once(void)
{
    static pthread_once_t cancelled = PTHREAD_ONCE_INIT;
    pthread_t t;
    about = "once";
    for (int i = 0; i < 3; i++)
        SAY(pthread_once(&once, run));
    call_once(&once_c11, run_c11_only);
    call_once(&once_c11, run_c11_only);
    SAY(ran * 100 + ran_inner * 10 + ran_c11);
    in_thread(leave); /* left by pthread_exit(): it is as if it had not begun */
    in_thread(leave);
    in_thread(leave);
    SAY(ran_left);
    pthread_create(&t, NULL, be_cancelled, &cancelled);
    pthread_join(t, NULL);
    SAY(pthread_once(&cancelled, run_inner));
    SAY(ran_inner);
}

static mtx_t m;

static int mtx_of_another(void *arg)
{
    (void)arg;
    struct timespec t;
    SAY(mtx_trylock(&m));
    SAY(mtx_timedlock(&m, &past));
    SAY(mtx_timedlock(&m, &bad));
    t = after(CLOCK_REALTIME, SOON_NS);
    SAY(mtx_timedlock(&m, &t));
    return 5;
}

static cnd_t c;

static void use_mtx(int type)
{
    thrd_t t;
    int code;
    struct timespec until;
    about = type & mtx_recursive ? "mtx recursive" : "mtx";
    SAY(mtx_init(&m, type));
    SAY(mtx_lock(&m));
    SAY(mtx_trylock(&m));
    if (type & mtx_recursive) {
        SAY(mtx_lock(&m));
        SAY(mtx_timedlock(&m, &past));
        SAY(mtx_unlock(&m));
        SAY(mtx_unlock(&m));
        SAY(mtx_unlock(&m));
    }
    thrd_create(&t, mtx_of_another, NULL);
    SAY(thrd_join(t, &code));
    SAY(code);
    SAY(cnd_init(&c));
    SAY(cnd_timedwait(&c, &m, &past));
    SAY(cnd_timedwait(&c, &m, &bad));
    until = after(CLOCK_REALTIME, SOON_NS);
    SAY(cnd_timedwait(&c, &m, &until));
    cnd_destroy(&c);
    SAY(mtx_unlock(&m));
    SAY(mtx_timedlock(&m, &past));
    SAY(mtx_unlock(&m));
    SAY(mtx_timedlock(&m, &bad));
    SAY(mtx_unlock(&m));
    if (type & mtx_recursive)
        SAY(mtx_unlock(&m)); /* not taken: told */
    mtx_destroy(&m);
}

static int word;

static void *give_code(void *arg)
{
    return arg;
}

static void use_join(void)
{
    pthread_t t;
    void *result = NULL;
    struct timespec until;
    about = "join";
    SAY(pthread_join(pthread_self(), NULL));
    SAY(pthread_create(&t, NULL, give_code, &word));
    SAY(pthread_join(t, &result));
    SAY(result == &word);
    SAY(sem_init(&sem, 0, 0));
    SAY(pthread_create(&t, NULL, sem_cancelled_asleep, &ran));
    SAY(pthread_timedjoin_np(t, NULL, &past));
    until = after(CLOCK_MONOTONIC, SOON_NS);
    SAY(pthread_clockjoin_np(t, NULL, CLOCK_MONOTONIC, &until));
    SAY(pthread_clockjoin_np(t, NULL, BAD_CLOCK, &until));
    SAY(pthread_cancel(t));
    SAY(pthread_join(t, &result));
    SAY(result == PTHREAD_CANCELED);
    SAY(pthread_create(&t, NULL, give_code, NULL));
    SAY(pthread_detach(t));
}

static void *wake_word(void *arg)
{
    (void)arg;
    usleep(20000);
    for (int woken = 0; woken != 1; usleep(1000))
        woken = (int)syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return NULL;
}

static void use_syscall(void)
{
    pthread_t t;
    struct timespec soon = {0, SOON_NS};
    about = "syscall";
    SAY(syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL, NULL, 0));
    SAY(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0));
    SAY(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &past, NULL, 1));
    SAY(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &past, NULL, 0));
    SAY(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0));
    SAY(syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0));
    SAY(syscall(SYS_futex, &word, 77, 1, NULL, NULL, 0));
    SAY(syscall(SYS_futex, NULL, FUTEX_WAIT, 1, NULL, NULL, 0));
    pthread_create(&t, NULL, wake_word, NULL);
    SAY(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    pthread_join(t, NULL);
    alarms_begin();
    SAY(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    alarms_end();
    SAY(syscall(SYS_getpid) == getpid());
    SAY(syscall(-1L));
    SAY(syscall(SYS_close, -1));
    SAY(syscall(SYS_pread64, -1, NULL, 0, 0L));
    char text[4] = "";
    int ends[2];
    struct timespec none = {0, 0};
    SAY(pipe(ends));
    SAY(syscall(SYS_write, ends[1], "abc", 3));
    SAY(syscall(SYS_read, ends[0], text, 3));
    SAY(strcmp(text, "abc"));
    /* six arguments */
    SAY(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &none, NULL));
    SAY(syscall(SYS_splice, ends[0], NULL, -1, NULL, 1L, 0));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 4096);
    for (int preference = 0; preference <= 2; preference++)
        use_rwlock(preference);
    use_spin();
    use_semaphore();
    use_barrier();
    use_once();
    use_mtx(mtx_timed);
    use_mtx(mtx_timed | mtx_recursive);
    use_join();
    use_syscall();
    return 0;
}
