/*
 * kill_ledger LEDGER — allocates and frees until it is killed, and keeps a ledger of its own.
 *
 * The ledger is a shared mapping of a file, as the profile is: what was stored before a SIGKILL is
 * in it. A thread's cell says how many allocations and frees it has begun and ended; whatever
 * profiles the program must have counted between the two. Each thread allocates in a function of
 * its own, so that the counts of one can be told from another's.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "samples/truth.h"

enum { THREADS = 4, SLOTS = 64 };

struct cell { /* a cache line each */
    uint64_t alloc_begun, alloc_ended, free_begun, free_ended;
    uint64_t unused[4];
};
struct ledger {
    uint64_t pid; /* stored last: the threads are at work */
    uint64_t unused[7];
    struct cell cell[THREADS];
};
static struct ledger *ledger;

#define ALLOC(n)                                                                                   \
    static SITE void *alloc_on_##n(size_t bytes)                                                   \
    {                                                                                              \
        void *p = malloc(bytes);                                                                   \
        KEEP(p);                                                                                   \
        return p;                                                                                  \
    }
ALLOC(0)
ALLOC(1)
ALLOC(2)
ALLOC(3)
static void *(*const alloc_on[THREADS])(size_t) = {alloc_on_0, alloc_on_1, alloc_on_2, alloc_on_3};

/* The order of the stores is the point; x86-64 keeps it if the compiler does. */
static void store(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

static void *work(void *arg)
{
    unsigned t = (unsigned)(uintptr_t)arg;
    struct cell *c = &ledger->cell[t];
    uint64_t random = 1 + t, allocs = 0, frees = 0;
    void *slot[SLOTS] = {0};
    for (;;) {
        uint64_t r = truth_random(&random);
        unsigned i = r % SLOTS;
        if (slot[i]) {
            store(&c->free_begun, frees + 1);
            free(slot[i]);
            store(&c->free_ended, ++frees);
            slot[i] = NULL;
        } else {
            store(&c->alloc_begun, allocs + 1);
            slot[i] = alloc_on[t]((r >> 8) % 64 ? 16 + (r >> 16) % 500 : 4000 + (r >> 16) % 9000);
            store(&c->alloc_ended, ++allocs);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, sizeof *ledger)) {
        fprintf(stderr, "usage: kill_ledger LEDGER\n");
        return 2;
    }
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ledger == MAP_FAILED)
        truth_fail("cannot map the ledger");
    pthread_t thread;
    for (uintptr_t t = 0; t < THREADS; t++)
        if (pthread_create(&thread, NULL, work, (void *)t))
            truth_fail("no thread");
    store(&ledger->pid, (uint64_t)getpid());
    for (;;)
        pause();
}
