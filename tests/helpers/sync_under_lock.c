/* build: -pthread */
/*
 * Threads that append to a file under one mutex, and read from a pipe under another: what a lock is
 * held for is I/O.
 *
 * usage: sync_under_lock FILE sync|pipe|each COUNT
 *
 * each: one thread alone appends and syncs.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { threads_most = 3 };

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static int file, ends[2], count, with_sync;
static int threads = threads_most;
static volatile unsigned long work;

__attribute__((noinline)) static void append(void)
{
    pthread_mutex_lock(&guard);
    if (write(file, "a line\n", 7) != 7 || fdatasync(file) != 0)
        abort();
    pthread_mutex_unlock(&guard);
}

__attribute__((noinline)) static void take_one(void)
{
    char byte;
    pthread_mutex_lock(&guard);
    if (read(ends[0], &byte, 1) != 1)
        abort();
    pthread_mutex_unlock(&guard);
}

static void *run(void *unused)
{
    for (int i = 0; i < count; i++) {
        if (with_sync)
            append();
        else
            take_one();
        for (int k = 0; k < 20000; k++)
            work += (unsigned long)k;
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread[threads_most];
    if (argc < 4 || (file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0 ||
        pipe(ends) != 0)
        return 2;
    with_sync = strcmp(argv[2], "pipe") != 0;
    if (strcmp(argv[2], "each") == 0)
        threads = 1;
    count = atoi(argv[3]);
    for (int i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, run, NULL);
    for (int i = 0; !with_sync && i < threads * count; i++) {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
        if (write(ends[1], "x", 1) != 1)
            return 1;
    }
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    puts("done");
    return 0;
}
