/* build: -O2 -pthread */
/*
 * Threads under one mutex, each mode with another thing wrong.
 *
 * usage: lock_shapes MODE THREADS OPERATIONS
 *   convoy   a section of some 20 ns between calculations of about a microsecond
 *   often    one thread after the other, nobody waits: the calls are the cost
 *   alloc    sections that allocate a list and give it back
 *   many     no lock: threads that only compute
 *   signal   one thread works for all that wait, and then signals each of them under the lock
 *   unlock   … and then signals each of them after the unlock
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { threads_most = 64, list_length = 24 };

struct item {
    struct item *next;
    unsigned long value;
};

/* Where a thread waits until another one has worked for it; outlives every signal. */
struct seat {
    pthread_cond_t turn;
    bool done;
    struct seat *next;
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

static struct seat *waiting;
static bool led;

__attribute__((noinline)) static void group_lead(void)
{
    struct seat *all[threads_most];
    int count = 0;
    unsigned long x = compute(1, 1000);
    pthread_mutex_lock(&guard);
    shared += x;
    for (struct seat *s = waiting; s; s = s->next) {
        s->done = true;
        all[count++] = s;
    }
    waiting = NULL;
    led = false;
    for (int i = 0; mode == 's' && i < count; i++)
        pthread_cond_signal(&all[i]->turn);
    pthread_mutex_unlock(&guard);
    for (int i = 0; mode == 'u' && i < count; i++)
        pthread_cond_signal(&all[i]->turn);
}

__attribute__((noinline)) static void group_join(struct seat *mine)
{
    pthread_mutex_lock(&guard);
    bool leads = !led;
    led = true;
    mine->done = leads;
    if (!leads) {
        mine->next = waiting;
        waiting = mine;
    }
    while (!mine->done)
        pthread_cond_wait(&mine->turn, &guard);
    pthread_mutex_unlock(&guard);
    if (leads)
        group_lead();
}

static void *run(void *unused)
{
    static struct seat seats[threads_most];
    static unsigned taken;
    unsigned long x = 1;
    struct seat *mine = &seats[__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED)];
    pthread_cond_init(&mine->turn, NULL);
    for (unsigned long i = 0; i < operations; i++) {
        if (mode == 'a')
            list_renew(i);
        else if (mode == 's' || mode == 'u')
            group_join(mine);
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
