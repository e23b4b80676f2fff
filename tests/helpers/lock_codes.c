/*
 * Every kind of mutex under every call: what each one returns, a line a call, and whether errno was
 * left alone. The lines must be the same with and without the shim. Without a deadlock: a call that
 * would wait for ever is not made.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/helpers/codes.h"

static pthread_mutex_t m;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;

#define SAY(call)                                                                                  \
    do {                                                                                           \
        errno = ERRNO_KEPT;                                                                        \
        int code_ = (call);                                                                        \
        int errno_ = errno;                                                                        \
        printf("%-28s %-52s %s%s\n", about, #call, code_ ? strerrorname_np(code_) : "0",           \
               errno_ == ERRNO_KEPT ? "" : " errno changed");                                      \
    } while (0)

/* By a thread that does not own the mutex, which is taken. */
static void *while_taken(void *arg)
{
    struct timespec real = after(CLOCK_REALTIME, SOON_NS), mono;
    (void)arg;
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_timedlock(&m, &past));
    SAY(pthread_mutex_timedlock(&m, &bad));
    SAY(pthread_mutex_timedlock(&m, &negative));
    SAY(pthread_mutex_timedlock(&m, &real));
    mono = after(CLOCK_MONOTONIC, SOON_NS);
    SAY(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &mono));
    SAY(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &bad));
    SAY(pthread_mutex_clocklock(&m, CLOCK_REALTIME, &past));
    SAY(pthread_mutex_clocklock(&m, BAD_CLOCK, &past));
    SAY(pthread_mutex_destroy(&m));
    return NULL;
}

/* Only where a thread that does not own it is told so. */
static void *unlock_foreign(void *arg)
{
    (void)arg;
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_cond_timedwait(&c, &m, &past));
    return NULL;
}

static void *is_it_taken(void *arg)
{
    (void)arg;
    int code = pthread_mutex_trylock(&m);
    printf("%-28s taken by another thread then: %s\n", about, code ? strerrorname_np(code) : "0");
    if (code == 0)
        pthread_mutex_unlock(&m);
    return NULL;
}

static void use_free(void)
{
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_timedlock(&m, &past));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_timedlock(&m, &bad));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_clocklock(&m, CLOCK_REALTIME, &past));
    SAY(pthread_mutex_unlock(&m));
    errno = ERRNO_KEPT;
    int code = pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &past);
    printf("%-28s free clocklock, monotonic: %s\n", about, code ? strerrorname_np(code) : "0");
    if (code == 0)
        SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_clocklock(&m, BAD_CLOCK, &past));
    in_thread(is_it_taken);
}

static void use_own(int checks, int recursive, int told)
{
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_timedlock(&m, &past));
    SAY(pthread_mutex_clocklock(&m, CLOCK_REALTIME, &past));
    if (checks || recursive)
        SAY(pthread_mutex_lock(&m));
    in_thread(while_taken);
    if (told)
        in_thread(unlock_foreign);
    for (int i = 0; recursive && i < 4; i++)
        SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_unlock(&m));
    in_thread(is_it_taken);
    if (told)
        SAY(pthread_mutex_unlock(&m)); /* not taken */
}

static void use_condition(void)
{
    struct timespec real, mono;
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_cond_timedwait(&c, &m, &past));
    real = after(CLOCK_REALTIME, SOON_NS);
    SAY(pthread_cond_timedwait(&c, &m, &real));
    SAY(pthread_cond_timedwait(&c, &m, &bad));
    mono = after(CLOCK_MONOTONIC, SOON_NS);
    SAY(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &mono));
    SAY(pthread_cond_clockwait(&c, &m, BAD_CLOCK, &mono));
    in_thread(is_it_taken);
    SAY(pthread_mutex_unlock(&m));
    in_thread(is_it_taken);
}

static void *die_with_it(void *arg)
{
    (void)arg;
    SAY(pthread_mutex_lock(&m));
    return NULL;
}

static int take(int how)
{
    switch (how) {
    case 0:
        return pthread_mutex_lock(&m);
    case 1:
        return pthread_mutex_trylock(&m);
    case 2:
        return pthread_mutex_timedlock(&m, &past);
    default:
        return pthread_mutex_clocklock(&m, CLOCK_REALTIME, &past);
    }
}

/* The owner dies; the next one gets the mutex, mends it or not. */
static void use_dead(const pthread_mutexattr_t *a)
{
    for (int how = 0; how < 4; how++) {
        in_thread(die_with_it);
        SAY(take(how));
        in_thread(is_it_taken);
        SAY(pthread_mutex_consistent(&m));
        SAY(pthread_mutex_unlock(&m));
        in_thread(die_with_it);
        SAY(take(how));
        SAY(pthread_mutex_unlock(&m)); /* not mended: lost for ever */
        for (int then = 0; then < 4; then++)
            SAY(take(then));
        SAY(pthread_mutex_destroy(&m));
        SAY(pthread_mutex_init(&m, a));
    }
}

static void *die_while_one_waits(void *arg)
{
    (void)arg;
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_cond_signal(&c));
    return NULL;
}

/* The mutex comes back from a wait with a dead owner. */
static void wait_for_dead(void)
{
    pthread_t t;
    SAY(pthread_mutex_lock(&m));
    pthread_create(&t, NULL, die_while_one_waits, NULL);
    SAY(pthread_cond_wait(&c, &m));
    pthread_join(t, NULL);
    SAY(pthread_mutex_consistent(&m));
    SAY(pthread_mutex_unlock(&m));
    in_thread(is_it_taken);
}

static void clean_up(void *arg)
{
    printf("%-28s cancelled: unlock %s\n", about, (char *)arg);
    SAY(pthread_mutex_unlock(&m));
}

static int in_wait;

static void *wait_for_ever(void *arg)
{
    SAY(pthread_mutex_lock(&m));
    in_wait = 1;
    pthread_cleanup_push(clean_up, arg);
    for (;;)
        pthread_cond_wait(&c, &m);
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancel_wait(void)
{
    pthread_t t;
    void *result;
    static char why[] = "(error checking)";
    in_wait = 0;
    pthread_create(&t, NULL, wait_for_ever, why);
    for (int there = 0; !there; usleep(1000)) {
        pthread_mutex_lock(&m); /* got while the other is in its wait */
        there = in_wait;
        pthread_mutex_unlock(&m);
    }
    pthread_cancel(t); /* not said: the thread itself speaks meanwhile */
    SAY(pthread_join(t, &result));
    printf("%-28s ended as cancelled: %d\n", about, result == PTHREAD_CANCELED);
    in_thread(is_it_taken);
}

/* glibc's first condition variables, as programs of 2002 are bound to them. */
struct old_cond {
    void *cond;
};
int old_init(struct old_cond *, const void *);
int old_destroy(struct old_cond *);
int old_wait(struct old_cond *, pthread_mutex_t *);
int old_timedwait(struct old_cond *, pthread_mutex_t *, const struct timespec *);
int old_signal(struct old_cond *);
__asm__(".symver old_init, pthread_cond_init@GLIBC_2.2.5");
__asm__(".symver old_destroy, pthread_cond_destroy@GLIBC_2.2.5");
__asm__(".symver old_wait, pthread_cond_wait@GLIBC_2.2.5");
__asm__(".symver old_timedwait, pthread_cond_timedwait@GLIBC_2.2.5");
__asm__(".symver old_signal, pthread_cond_signal@GLIBC_2.2.5");

/* Behind it: the new kind is 48 bytes, and a mix-up writes there. */
static struct {
    struct old_cond cond;
    unsigned char guard[64];
} old;
static int old_is_ready;

static void *signal_old(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&m);
    old_is_ready = 1;
    old_signal(&old.cond);
    pthread_mutex_unlock(&m);
    return NULL;
}

static void use_old_condition(void)
{
    pthread_t t;
    struct timespec real;
    memset(old.guard, 0xa5, sizeof old.guard);
    SAY(old_init(&old.cond, NULL));
    SAY(pthread_mutex_lock(&m));
    real = after(CLOCK_REALTIME, SOON_NS);
    SAY(old_timedwait(&old.cond, &m, &real));
    pthread_create(&t, NULL, signal_old, NULL);
    while (!old_is_ready)
        SAY(old_wait(&old.cond, &m));
    SAY(pthread_mutex_unlock(&m));
    pthread_join(t, NULL);
    SAY(old_destroy(&old.cond));
    int whole = 1;
    for (size_t i = 0; i < sizeof old.guard; i++)
        whole &= old.guard[i] == 0xa5;
    printf("%-28s nothing written behind it: %d\n", about, whole);
}

static void use_kind(int type, int robust, int protocol)
{
    static const char *const types[] = {"normal", "recursive", "errorcheck", "adaptive"};
    static const char *const protocols[] = {"", " inherit", " protect"};
    char name[64];
    pthread_mutexattr_t a;
    snprintf(name, sizeof name, "%s%s%s", types[type], robust ? " robust" : "",
             protocols[protocol]);
    about = name;
    pthread_mutexattr_init(&a);
    SAY(pthread_mutexattr_settype(&a, type));
    SAY(pthread_mutexattr_setrobust(&a, robust));
    SAY(pthread_mutexattr_setprotocol(&a, protocol));
    errno = ERRNO_KEPT;
    int code = pthread_mutex_init(&m, &a);
    printf("%-28s init %s\n", about, code ? strerrorname_np(code) : "0");
    if (code == 0 && protocol == PTHREAD_PRIO_PROTECT) {
        SAY(pthread_mutex_lock(&m)); /* may not be allowed to raise its priority */
        code = pthread_mutex_trylock(&m);
        pthread_mutex_unlock(&m);
        if (code && code != EBUSY && code != EDEADLK)
            return;
    }
    if (code == 0 || protocol == PTHREAD_PRIO_PROTECT) {
        use_free();
        int checks = type == PTHREAD_MUTEX_ERRORCHECK, recursive = type == PTHREAD_MUTEX_RECURSIVE;
        use_own(checks, recursive, checks || recursive || robust);
        use_condition();
        if (robust) {
            use_dead(&a);
            if (protocol != PTHREAD_PRIO_PROTECT) /* glibc refuses some waits with that */
                wait_for_dead();
        }
        SAY(pthread_mutex_destroy(&m));
    }
    pthread_mutexattr_destroy(&a);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 4096);
    for (int protocol = 0; protocol <= 2; protocol++)
        for (int robust = 0; robust <= 1; robust++)
            for (int type = 0; type <= 3; type++)
                use_kind(type, robust, protocol);
    about = "static errorcheck";
    m = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    cancel_wait();
    use_old_condition();
    return 0;
}
