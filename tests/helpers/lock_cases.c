/*
 * Mutexes in the situations that are easy to count wrongly, each on variables of its own; how often
 * each is taken is what tests/shim/locks.py expects. With an argument, only a program that takes
 * locks in a signal handler, which prints how many it took; or, with "short-lived", one whose many
 * mutexes live for a moment, and every other one is never given back; or, with "many", one that has
 * as many at a time.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim/perfshim.h"

#define SITE        __attribute__((noipa, noinline))
#define MUTEX(name) static pthread_mutex_t name = PTHREAD_MUTEX_INITIALIZER

MUTEX(crowded);
MUTEX(wrapped);
MUTEX(foreign);
MUTEX(paused);
MUTEX(forked);
MUTEX(cancelled);
MUTEX(busy_with);
MUTEX(outside);
MUTEX(inner);
MUTEX(in_handler);
static pthread_mutex_t nested[20];
static pthread_mutex_t remade;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

enum { CROWD = 100, CROWD_ROUNDS = 1000, VIA_A = 700, VIA_B = 300 };

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void *crowd(void *start)
{
    pthread_barrier_wait(start);
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        pthread_mutex_lock(&crowded);
        pthread_mutex_unlock(&crowded);
    }
    return NULL;
}

/* More threads at once than have a recorder of their own. */
static void many_threads(void)
{
    pthread_t t[CROWD];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, CROWD);
    for (int i = 0; i < CROWD; i++)
        if (pthread_create(&t[i], NULL, crowd, &start) != 0)
            abort();
    for (int i = 0; i < CROWD; i++)
        pthread_join(t[i], NULL);
}

/* Two callers of one wrapper, at the same depth: they differ in a return address alone. */
static SITE void take_and_leave(void)
{
    pthread_mutex_lock(&wrapped);
    pthread_mutex_unlock(&wrapped);
}
static SITE void via_a(void)
{
    take_and_leave();
    __asm__ volatile("");
}
static SITE void via_b(void)
{
    take_and_leave();
    __asm__ volatile("nop");
}

static void by_wrapper(void)
{
    for (int i = 0; i < VIA_A + VIA_B; i++)
        (i % 10 < 7 ? via_a : via_b)();
}

static void more_than_tracked(void)
{
    enum { n = sizeof nested / sizeof *nested };
    for (int i = 0; i < n; i++)
        pthread_mutex_init(&nested[i], NULL);
    for (int i = 0; i < n; i++)
        pthread_mutex_lock(&nested[i]);
    for (int i = 0; i < n; i++) /* not in reverse */
        pthread_mutex_unlock(&nested[i]);
}

static void *unlock_foreign(void *arg)
{
    pthread_mutex_unlock(&foreign);
    return arg;
}

static void given_back_by_another(void)
{
    pthread_t t;
    pthread_mutex_lock(&foreign);
    pthread_create(&t, NULL, unlock_foreign, NULL);
    pthread_join(t, NULL);
    pthread_mutex_lock(&foreign);
    pthread_mutex_unlock(&foreign);
}

static void while_paused(void)
{
    pthread_mutex_lock(&paused); /* counted; its hold is dropped */
    perfshim_stop();
    pause_ms(30);
    pthread_mutex_unlock(&paused);
    pthread_mutex_lock(&paused); /* not counted */
    perfshim_start();
    pause_ms(30);
    pthread_mutex_unlock(&paused); /* nor its hold */
    pthread_mutex_lock(&paused);   /* counted; a pause within its hold */
    perfshim_stop();
    pause_ms(30);
    perfshim_start();
    pthread_mutex_unlock(&paused);
    pthread_mutex_lock(&paused); /* counted in whole */
    pthread_mutex_unlock(&paused);
}

static SITE void make_first(void)
{
    pthread_mutex_init(&remade, NULL);
}
static SITE void make_second(void)
{
    pthread_mutex_init(&remade, NULL);
}
static SITE void take_remade(int n)
{
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&remade);
        pthread_mutex_unlock(&remade);
    }
}

static void made_twice(void)
{
    make_first();
    take_remade(3);
    pthread_mutex_destroy(&remade);
    make_second();
    take_remade(5);
    pthread_mutex_destroy(&remade);
}

static void in_child(void)
{
    pthread_mutex_lock(&forked);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_unlock(&forked);
        for (int i = 0; i < 50; i++) {
            pthread_mutex_lock(&forked);
            pthread_mutex_unlock(&forked);
        }
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    pthread_mutex_unlock(&forked);
}

static int is_waiting;

static void clean_up(void *arg)
{
    (void)arg;
    pause_ms(30); /* with the mutex held */
    pthread_mutex_unlock(&cancelled);
}

static void *wait_for_ever(void *arg)
{
    pthread_mutex_lock(&cancelled);
    pthread_cleanup_push(clean_up, NULL);
    __atomic_store_n(&is_waiting, 1, __ATOMIC_RELEASE);
    for (;;)
        pthread_cond_wait(&never, &cancelled);
    pthread_cleanup_pop(0);
    return arg;
}

static void cancelled_in_a_wait(void)
{
    pthread_t t;
    pthread_create(&t, NULL, wait_for_ever, NULL);
    while (!__atomic_load_n(&is_waiting, __ATOMIC_ACQUIRE))
        pause_ms(1);
    pause_ms(50);
    pthread_cancel(t);
    pthread_join(t, NULL);
}

static SITE void burn(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    long until = t.tv_sec * 1000 + t.tv_nsec / 1000000 + ms;
    do {
        for (volatile int i = 0; i < 100000; i++)
            ;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    } while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < until);
}

/* CPU time goes to the lock taken last. */
static void work_inside(void)
{
    pthread_mutex_lock(&outside);
    pthread_mutex_unlock(&outside);
    burn(300);
    pthread_mutex_lock(&busy_with);
    burn(300);
    pthread_mutex_lock(&inner);
    burn(300);
    pthread_mutex_unlock(&inner);
    pthread_mutex_unlock(&busy_with);
}

static int handled;

static void on_alarm(int signo)
{
    (void)signo;
    pthread_mutex_lock(&in_handler);
    pthread_mutex_unlock(&in_handler);
    handled++;
}

static void handler_takes_locks(void)
{
    struct itimerval every = {{0, 100}, {0, 100}}, off;
    memset(&off, 0, sizeof off);
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < 2000000; i++) {
        pthread_mutex_lock(&wrapped);
        pthread_mutex_unlock(&wrapped);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    printf("%d\n", handled);
}

enum { MANY = 50000 };

static void many_at_a_time(void)
{
    static pthread_mutex_t all[MANY];
    for (int i = 0; i < MANY; i++) {
        pthread_mutex_init(&all[i], NULL);
        pthread_mutex_lock(&all[i]);
        pthread_mutex_unlock(&all[i]);
    }
}

static void short_lived(void)
{
    for (int i = 0; i < MANY; i++) {
        pthread_mutex_t *m = malloc(sizeof *m);
        if (!m)
            abort();
        pthread_mutex_init(m, NULL);
        pthread_mutex_lock(m);
        if (i % 2 == 0) {
            pthread_mutex_unlock(m);
            pthread_mutex_destroy(m);
        }
        free(m);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "short-lived") == 0) {
        short_lived();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "many") == 0) {
        many_at_a_time();
        return 0;
    }
    if (argc > 1) {
        handler_takes_locks();
        return 0;
    }
    many_threads();
    by_wrapper();
    more_than_tracked();
    given_back_by_another();
    while_paused();
    made_twice();
    in_child();
    cancelled_in_a_wait();
    work_inside();
    return 0;
}
