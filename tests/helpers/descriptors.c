/*
 * descriptors list            — prints the open descriptors, and what each one is
 * descriptors rewrite FILE    — closes all of them, then writes 64 MiB to FILE and to nothing else
 *
 * While it writes, other threads allocate and burn CPU: whatever a profiler does with descriptors
 * of its own, it does now. The bytes are known: block i of 64 KiB is 8 bytes of i and then k * 7
 * mod 256 for k = 8, 9, …
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>

#include "samples/truth.h"

enum { BLOCK_BYTES = 65536, BLOCKS = 1024, THREADS = 2 };

static volatile int stop;

static SITE void *busy_alloc(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

static void *busy(void *arg)
{
    uint64_t random = 1 + (uintptr_t)arg;
    while (!stop)
        free(busy_alloc(truth_random(&random) % 20000));
    return NULL;
}

static int list(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        truth_fail("cannot list /proc/self/fd");
    for (struct dirent *e; (e = readdir(folder));) {
        char target[4096], path[300];
        if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(folder))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        truth_put("%s %s\n", e->d_name, n > 0 && target[0] == '/' ? target : "-");
    }
    truth_put("next %d\n", dup(0));
    closedir(folder);
    truth_flush();
    return 0;
}

/* Every write goes to whatever the number stands for now: that is the point. */
static int rewrite(const char *path)
{
    static unsigned char block[BLOCK_BYTES];
    pthread_t thread[THREADS];
    for (uintptr_t t = 0; t < THREADS; t++)
        if (pthread_create(&thread[t], NULL, busy, (void *)t))
            truth_fail("no thread");
    closefrom(0);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd != 0)
        return 4;
    for (int other = 1; other < 40; other++) /* what a profiler might take for its own */
        if (dup2(fd, other) != other)
            return 5;
    for (unsigned k = 8; k < BLOCK_BYTES; k++)
        block[k] = (unsigned char)(k * 7);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        memcpy(block, &i, sizeof i);
        int to = (int)(i % 40);
        for (size_t at = 0; at < BLOCK_BYTES;) {
            ssize_t n = write(to, block + at, BLOCK_BYTES - at);
            if (n <= 0)
                return 6;
            at += (size_t)n;
        }
        if (i % 64 == 0) { /* descriptors come and go */
            closefrom(1);
            for (int other = 1; other < 40; other++)
                if (dup2(fd, other) != other)
                    return 7;
        }
    }
    stop = 1;
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "list"))
        return list();
    if (argc == 3 && !strcmp(argv[1], "rewrite"))
        return rewrite(argv[2]);
    fprintf(stderr, "usage: descriptors list | rewrite FILE\n");
    return 2;
}
