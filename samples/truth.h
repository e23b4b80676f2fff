/*
 * What the sample programs share: how a function is kept visible in a stack, a random generator
 * with a fixed seed, the thread's CPU clock, and a buffer for the truth that a sample prints.
 *
 * Thread safety: truth_put() and truth_flush() belong to one thread; the rest is free.
 * Nothing here allocates, so that a sample's own output is not part of what it counts.
 */
#ifndef PERFSHIM_SAMPLES_TRUTH_H
#define PERFSHIM_SAMPLES_TRUTH_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One machine function per source function: not inlined, not cloned, not merged with its twin. */
#define SITE __attribute__((noipa, noinline))

/* The compiler must produce p here: no tail call (it would hide the caller), no elided malloc. */
#define KEEP(p) __asm__ volatile("" : "+r"(p) : : "memory")

/* xorshift64*: good enough to mix, the same on every machine. */
static inline uint64_t truth_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 2685821657736338717ull;
}

/* Uniform in (0, 1]. */
static inline double truth_uniform(uint64_t *state)
{
    return (double)((truth_random(state) >> 11) + 1) / 9007199254740992.0;
}

static inline uint64_t truth_clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CPU time of the calling thread; a system call of about 0.7 us, so ask rarely. */
static inline uint64_t truth_cpu_ns(void)
{
    return truth_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

struct truth_text {
    size_t used;
    char text[65536];
};
static struct truth_text truth_text;

static inline __attribute__((format(printf, 1, 2))) void truth_put(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(truth_text.text + truth_text.used, sizeof truth_text.text - truth_text.used,
                      format, args);
    va_end(args);
    if (n > 0)
        truth_text.used += (size_t)n;
    if (truth_text.used >= sizeof truth_text.text)
        abort();
}

/* Writes what was put to stdout, in whole. */
static inline void truth_flush(void)
{
    for (size_t at = 0; at < truth_text.used;) {
        ssize_t n = write(STDOUT_FILENO, truth_text.text + at, truth_text.used - at);
        if (n <= 0)
            abort();
        at += (size_t)n;
    }
    truth_text.used = 0;
}

static inline void truth_fail(const char *what)
{
    fprintf(stderr, "the program went wrong: %s\n", what);
    _exit(3);
}

#endif
