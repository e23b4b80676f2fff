/*
 * What a program's memory grows by, as the kernel counts it (Rss and Pss of smaps_rollup).
 *
 * usage: memory_use threads COUNT          live threads that allocate under 14 frames and take a
 * mutex memory_use blocks COUNT BYTES     blocks of malloc that nobody writes to memory_use aligned
 * COUNT BYTES    the same of posix_memalign(BYTES, BYTES)
 *
 * One of them is there before the first reading, so that what a first one brings is not counted.
 * Prints
 * {"rss": bytes, "pss": bytes}, the growth by the others.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

struct memory {
    long rss, pss;
};

static struct memory memory_now(void)
{
    struct memory m = {0, 0};
    char line[256];
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "Rss:", 4) == 0)
            m.rss = atol(line + 4) * 1024;
        if (strncmp(line, "Pss:", 4) == 0)
            m.pss = atol(line + 4) * 1024;
    }
    if (f)
        fclose(f);
    return m;
}

static pthread_mutex_t taken = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t here, leave;

static NOINLINE void work(unsigned depth)
{
    if (depth > 0) {
        work(depth - 1);
    } else {
        for (int i = 0; i < 10; i++) {
            pthread_mutex_lock(&taken);
            char *volatile p = malloc(100);
            free(p);
            pthread_mutex_unlock(&taken);
        }
    }
    __asm__ volatile("" ::: "memory"); /* no tail call: each level is a frame */
}

static void *thread_run(void *unused)
{
    work(11);
    pthread_barrier_wait(&here);
    pthread_barrier_wait(&leave);
    return unused;
}

static int thread_start(pthread_attr_t *attr)
{
    pthread_t thread;
    return pthread_create(&thread, attr, thread_run, NULL);
}

static struct memory threads_grow(unsigned count)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_barrier_init(&leave, NULL, count + 2);
    pthread_barrier_init(&here, NULL, 2);
    int rc = thread_start(&attr);
    if (rc == 0)
        pthread_barrier_wait(&here);
    struct memory before = memory_now();
    pthread_barrier_destroy(&here);
    pthread_barrier_init(&here, NULL, count + 1);
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = thread_start(&attr);
    if (rc != 0) {
        fprintf(stderr, "memory_use: pthread_create: %s\n", strerror(rc));
        exit(1);
    }
    pthread_barrier_wait(&here);
    struct memory m = memory_now();
    pthread_barrier_wait(&leave);
    return (struct memory){m.rss - before.rss, m.pss - before.pss};
}

static NOINLINE void *block(size_t size, int aligned)
{
    void *p = NULL;
    if (!aligned)
        p = malloc(size);
    else if (posix_memalign(&p, size, size) != 0)
        p = NULL;
    if (!p) {
        fprintf(stderr, "memory_use: no memory\n");
        exit(1);
    }
    return p;
}

static struct memory blocks_grow(unsigned count, size_t size, int aligned)
{
    void **blocks = malloc(count * sizeof *blocks);
    memset(blocks, 0, count * sizeof *blocks);
    free(block(size, aligned));
    struct memory before = memory_now();
    for (unsigned i = 0; i < count; i++)
        blocks[i] = block(size, aligned);
    struct memory m = memory_now();
    for (unsigned i = 0; i < count; i++)
        free(blocks[i]);
    free(blocks);
    return (struct memory){m.rss - before.rss, m.pss - before.pss};
}

int main(int argc, char **argv)
{
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    struct memory m;
    memory_now(); /* stdio's buffer is there */
    if (count && strcmp(argv[1], "threads") == 0) {
        m = threads_grow(count);
    } else if (count && size &&
               (strcmp(argv[1], "blocks") == 0 || strcmp(argv[1], "aligned") == 0)) {
        m = blocks_grow(count, size, argv[1][0] == 'a');
    } else {
        fprintf(stderr,
                "usage: memory_use threads COUNT | blocks COUNT BYTES | aligned COUNT BYTES\n");
        return 2;
    }
    printf("{\"rss\": %ld, \"pss\": %ld}\n", m.rss, m.pss);
    return 0;
}
