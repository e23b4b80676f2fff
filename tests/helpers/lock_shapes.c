/* build: -O2 -pthread */
/*
 * Threads under one mutex, each mode with another thing wrong.
 *
 * usage: lock_shapes MODE THREADS OPERATIONS
 *   convoy   a section of some 20 ns between calculations of about a microsecond
 *   often    one thread after the other, nobody waits: the calls are the cost
 *   alloc    sections that allocate a list and give it back
 *   many     no lock: threads that only compute
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { threads_most = 64, list_length = 24 };

struct item {
    struct item *next;
    unsigned long value;
};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static unsigned long shared, operations;
static char mode; /* its first letter */

__attribute__((noinline)) static unsigned long compute(unsigned long x, int rounds)
{
    for (int i = 0; i < rounds; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

__attribute__((noinline)) static void count_one(unsigned long value)
{
    pthread_mutex_lock(&guard);
    shared += value;
    pthread_mutex_unlock(&guard);
    __asm__ volatile(""); /* no jump instead of the call: this function stays in the stack */
}

__attribute__((noinline)) static void list_renew(unsigned long value)
{
    struct item *list = NULL;
    pthread_mutex_lock(&guard);
    for (int i = 0; i < list_length; i++) {
        struct item *new = malloc(sizeof *new + (value + (unsigned)i) % 64);
        if (!new)
            abort();
        new->next = list;
        new->value = value;
        list = new;
    }
    while (list) {
        struct item *next = list->next;
        shared += list->value;
        free(list);
        list = next;
    }
    pthread_mutex_unlock(&guard);
}

static void *run(void *unused)
{
    unsigned long x = 1;
    for (unsigned long i = 0; i < operations; i++) {
        if (mode == 'a')
            list_renew(i);
        else if (mode != 'm')
            count_one(i);
        x = compute(x, mode == 'a' ? 300 : mode == 'o' ? 0 : 1000);
    }
    __atomic_fetch_add(&shared, x, __ATOMIC_RELAXED);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread[threads_most];
    if (argc < 4)
        return 2;
    mode = argv[1][0];
    int threads = atoi(argv[2]);
    operations = strtoul(argv[3], NULL, 10);
    if (threads < 1 || threads > threads_most)
        return 2;
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&thread[i], NULL, run, NULL) != 0)
            return 1;
        if (mode == 'o')
            pthread_join(thread[i], NULL);
    }
    for (int i = 0; mode != 'o' && i < threads; i++)
        pthread_join(thread[i], NULL);
    puts("done");
    return 0;
}
