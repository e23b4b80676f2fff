/*
 * What lock_codes.c and kind_codes.c ask with: times that are over, no times at all, or soon; a
 * value of errno that no call sets; a thread for a few questions.
 *
 * For one thread at a time, but for in_thread(), whose caller waits.
 */
#ifndef PERFSHIM_TESTS_CODES_H
#define PERFSHIM_TESTS_CODES_H

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { ERRNO_KEPT = 4711, BAD_CLOCK = 99, SOON_NS = 2000000 };

/* What is asked about, at the head of each line. */
static const char *about = "";

static const struct timespec past = {1, 0}, bad = {1, 2000000000}, negative = {1, -1};

/* The clock's time in `ns`, less than a second. */
static inline struct timespec after(clockid_t clock, long ns)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_nsec += ns;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

static inline void in_thread(void *(*f)(void *))
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, NULL) != 0)
        abort();
    pthread_join(t, NULL);
}

#endif
