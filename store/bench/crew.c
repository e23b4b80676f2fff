#include "store/bench/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* Address space, touched as needed; ThreadSanitizer refuses less than 900 KiB. */
enum { STACK_BYTES = 1 << 20, GUARD_BYTES = 4096 };

struct member {
    struct crew *crew;
    unsigned index;
    pthread_t thread;
    void *stack;
};

struct crew {
    void (*work)(void *context, unsigned index);
    void *context;
    unsigned count; /* of members */
    pthread_mutex_t lock;
    pthread_cond_t begun; /* a phase, or the end */
    pthread_cond_t done;  /* by the last member */
    unsigned phase;       /* number of phases begun */
    unsigned working;     /* members not done with it */
    int over;
    struct member members[];
};

static void *member_main(void *argument)
{
    struct member *m = argument;
    struct crew *crew = m->crew;
    unsigned phase = 0;
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        while (crew->phase == phase && !crew->over)
            pthread_cond_wait(&crew->begun, &crew->lock);
        if (crew->over)
            break;
        phase = crew->phase;
        pthread_mutex_unlock(&crew->lock);
        crew->work(crew->context, m->index);
        pthread_mutex_lock(&crew->lock);
        if (--crew->working == 0)
            pthread_cond_signal(&crew->done);
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static int member_start(struct crew *crew, struct member *m)
{
    pthread_attr_t attributes;
    *m = (struct member){.crew = crew, .index = crew->count};
    m->stack = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (m->stack == MAP_FAILED)
        return errno;
    char *usable = (char *)m->stack + GUARD_BYTES;
    int error = mprotect(usable, STACK_BYTES, PROT_READ | PROT_WRITE) == 0 ? 0 : errno;
    if (!error) {
        pthread_attr_init(&attributes);
        pthread_attr_setstack(&attributes, usable, STACK_BYTES);
        error = pthread_create(&m->thread, &attributes, member_main, m);
        pthread_attr_destroy(&attributes);
    }
    if (error)
        munmap(m->stack, GUARD_BYTES + STACK_BYTES);
    else
        crew->count++;
    return error;
}

int crew_new(struct crew **out, unsigned threads, void (*work)(void *context, unsigned index),
             void *context, unsigned *started)
{
    *out = NULL;
    *started = 0;
    struct crew *crew = calloc(1, sizeof *crew + threads * sizeof crew->members[0]);
    if (!crew)
        return ENOMEM;
    crew->work = work;
    crew->context = context;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->begun, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->done, &attributes);
    pthread_condattr_destroy(&attributes);
    int error = 0;
    while (!error && crew->count < threads)
        error = member_start(crew, &crew->members[crew->count]);
    *started = crew->count;
    if (error)
        crew_free(crew);
    else
        *out = crew;
    return error;
}

void crew_begin(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->phase++;
    crew->working = crew->count;
    pthread_cond_broadcast(&crew->begun);
    pthread_mutex_unlock(&crew->lock);
}

int crew_wait(struct crew *crew, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                             .tv_nsec = (long)(until_ns % 1000000000u)};
    int timed_out = 0;
    pthread_mutex_lock(&crew->lock);
    while (crew->working && !timed_out)
        timed_out = pthread_cond_timedwait(&crew->done, &crew->lock, &until) == ETIMEDOUT;
    int done = crew->working == 0;
    pthread_mutex_unlock(&crew->lock);
    return done;
}

void crew_free(struct crew *crew)
{
    if (!crew)
        return;
    pthread_mutex_lock(&crew->lock);
    crew->over = 1;
    pthread_cond_broadcast(&crew->begun);
    pthread_mutex_unlock(&crew->lock);
    for (unsigned i = 0; i < crew->count; i++) {
        pthread_join(crew->members[i].thread, NULL);
        munmap(crew->members[i].stack, GUARD_BYTES + STACK_BYTES);
    }
    pthread_cond_destroy(&crew->done);
    pthread_cond_destroy(&crew->begun);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
