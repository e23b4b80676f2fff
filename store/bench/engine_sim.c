/*
 * A model of a server: every operation waits for one of some servers, in the order of its call,
 * and takes a random time there. What the load generator must measure is known (M/M/c).
 *
 * It waits on the run's clock, so that in virtual time it takes none. Calls must then come in the
 * order of their times.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/bench/engine_dummy.h"
#include "store/bench/random.h"

enum { SERVERS_MAX = 1024 };
#define HOUR_NS    (3600ull * 1000000000u)
#define SIM_STREAM (UINT64_MAX - 1) /* of random numbers: no thread's */

static struct sim_parameters {
    struct dummy_parameters dummy;
    uint64_t servers, mean_ns;
    const char *dist;
    uint64_t stall_ns, stall_after;
} parameters;

static const struct opt options[] = {
    {"servers", OPT_UINT, &parameters.servers, "N", "servers (1)", NULL, 1, SERVERS_MAX, NULL},
    {"mean", OPT_DURATION, &parameters.mean_ns, "TIME", "mean time of an operation there (1ms)",
     NULL, 1, HOUR_NS, NULL},
    {"dist", OPT_CHOICE, &parameters.dist, "NAME", "how it is distributed: exp or fixed (exp)",
     "exp|fixed", 0, 0, NULL},
    {"stall", OPT_DURATION, &parameters.stall_ns, "TIME", "once, no server works for so long (0)",
     NULL, 0, HOUR_NS, NULL},
    {"stall-after", OPT_UINT, &parameters.stall_after, "N",
     "from the operation on that comes after N (0)", NULL, 0, INT64_MAX, NULL},
    DUMMY_OPTIONS(parameters.dummy),
    OPT_END,
};

struct sim {
    struct dummy *dummy; /* its owner is this */
    struct bench_clock *clock;
    struct sim_parameters p;
    pthread_mutex_t lock; /* of all below */
    struct rng rng;
    uint64_t operations;
    uint64_t free_ns[SERVERS_MAX]; /* when each server will have done all it was given */
};

static void reset(void)
{
    parameters = (struct sim_parameters){
        .dummy = DUMMY_DEFAULTS, .servers = 1, .mean_ns = 1000000, .dist = "exp"};
}

static int open_sim(const struct engine_setup *setup, void **self, struct engine_trouble *trouble)
{
    struct sim *s = calloc(1, sizeof *s);
    struct dummy *d = s ? dummy_new(setup, &parameters.dummy, trouble) : NULL;
    if (!d) {
        free(s);
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return ENGINE_NO_MEMORY;
    }
    d->owner = s;
    s->dummy = d;
    s->clock = setup->clock;
    s->p = parameters;
    pthread_mutex_init(&s->lock, NULL);
    rng_init(&s->rng, setup->seed, SIM_STREAM);
    *self = s;
    return ENGINE_OK;
}

static void statistics(void *self, struct engine_statistics *out)
{
    struct sim *s = self;
    dummy_statistics(s->dummy, out);
}

static int close_sim(void *self, struct engine_statistics *last, struct engine_trouble *trouble)
{
    struct sim *s = self;
    (void)trouble;
    statistics(s, last);
    dummy_free(s->dummy);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return ENGINE_OK;
}

static int thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble)
{
    return dummy_thread_open(((struct sim *)self)->dummy, number, thread, trouble);
}

static uint64_t service_draw(struct sim *s)
{
    if (s->p.dist[0] == 'f')
        return s->p.mean_ns;
    return (uint64_t)(rng_exponential(&s->rng) * (double)s->p.mean_ns + 0.5);
}

static void sim_serve(struct sim *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t now = s->clock->now_ns(s->clock), *next = &s->free_ns[0];
    if (s->operations++ == s->p.stall_after && s->p.stall_ns)
        for (uint64_t i = 0; i < s->p.servers; i++)
            s->free_ns[i] = (s->free_ns[i] > now ? s->free_ns[i] : now) + s->p.stall_ns;
    for (uint64_t i = 1; i < s->p.servers; i++)
        if (s->free_ns[i] < *next)
            next = &s->free_ns[i];
    *next = (*next > now ? *next : now) + service_draw(s);
    uint64_t end = *next;
    pthread_mutex_unlock(&s->lock);
    s->clock->sleep_until_ns(s->clock, end);
}

static int get(void *thread, const void *key, size_t key_size, struct engine_value *value)
{
    sim_serve(((struct dummy_thread *)thread)->dummy->owner);
    return dummy_get(thread, key, key_size, value);
}

static int put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size)
{
    sim_serve(((struct dummy_thread *)thread)->dummy->owner);
    return dummy_put(thread, key, key_size, value, value_size);
}

static int scan(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
                void *context)
{
    sim_serve(((struct dummy_thread *)thread)->dummy->owner);
    return dummy_scan(thread, key, key_size, count, visit, context);
}

const struct engine engine_sim = {
    .name = "sim",
    .title = "the sim engine",
    .differs = "keeps nothing: a model of a server",
    .features = ENGINE_EMPTY,
    .parameters = options,
    .parameters_reset = reset,
    .open = open_sim,
    .close = close_sim,
    .thread_open = thread_open,
    .thread_close = dummy_thread_close,
    .get = get,
    .release = dummy_release,
    .put = put,
    .scan = scan,
    .statistics = statistics,
};
