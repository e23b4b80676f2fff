/*
 * A program in phases, whose timeline is known. Prints, as JSON, when each began and ended (seconds
 * since 1970) and what was allocated and live in it.
 *
 *   phases        all of them, and exit
 *   phases hold   the first one, then "held", and sleep until killed
 *   phases short  exit at once
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim/perfshim.h"

enum { blocks = 8, block_bytes = 1 << 20, pairs = 200000, unseen = 1000, in_thread = 777 };

#define KEEP(p) __asm__ volatile("" : "+r"(p) : : "memory")

static void *held[blocks];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

static void hold(void)
{
    for (int i = 0; i < blocks; i++)
        held[i] = malloc(block_bytes);
    rest();
}

static void churn(void)
{
    for (int i = 0; i < pairs; i++) {
        void *p = malloc(100);
        KEEP(p);
        free(p);
    }
}

static void give_back(void)
{
    for (int i = 0; i < blocks; i++)
        free(held[i]);
    rest();
}

static void unrecorded(void)
{
    perfshim_stop();
    for (int i = 0; i < unseen; i++) {
        void *p = malloc(100);
        KEEP(p);
        free(p);
    }
    rest();
    rest();
    perfshim_start();
}

static void *thread(void *unused)
{
    for (int i = 0; i < in_thread; i++) {
        void *p = malloc(10);
        KEEP(p);
    }
    return unused;
}

static void in_a_thread(void)
{
    pthread_t t;
    rest(); /* so that it is in no interval with what was not recorded */
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
}

static void phase(const char *name, void (*run)(void))
{
    char text[200];
    double from = now();
    run();
    int n = snprintf(text, sizeof text, "%s\"%s\":[%.9f,%.9f]", strcmp(name, "hold") ? "," : "{",
                     name, from, now());
    if (write(1, text, (size_t)n) != n)
        _exit(1);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "short") == 0)
        return 0;
    phase("hold", hold);
    if (argc > 1) {
        if (write(1, "}\n", 2) != 2)
            return 1;
        pause();
    }
    phase("churn", churn);
    phase("give_back", give_back);
    phase("unrecorded", unrecorded);
    phase("in_a_thread", in_a_thread);
    return write(1, "}\n", 2) == 2 ? 0 : 1;
}
