/*
 * busy THREADS SECONDS          — THREADS threads that use SECONDS of CPU time together
 * busy THREADS MILLISECONDS brief — THREADS threads of that much CPU time each, four at a time
 */
#include <pthread.h>

#include "samples/truth.h"

static uint64_t each_ns;

static SITE uint64_t burn(void)
{
    uint64_t random = 1;
    while (truth_cpu_ns() < each_ns)
        for (unsigned i = 0; i < 2000; i++)
            truth_random(&random);
    return random;
}

static void *work(void *unused)
{
    uint64_t random = burn();
    KEEP(random);
    return unused;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[1]) : 0;
    int brief = argc == 4 && !strcmp(argv[3], "brief");
    unsigned at_a_time = brief ? 4 : threads;
    static pthread_t thread[256];
    if (!threads || at_a_time > 256 || threads % at_a_time) {
        fprintf(stderr, "usage: busy THREADS SECONDS | busy THREADS MILLISECONDS brief\n");
        return 2;
    }
    each_ns = (uint64_t)(brief ? atof(argv[2]) * 1e6 : atof(argv[2]) * 1e9 / threads);
    for (unsigned done = 0; done < threads; done += at_a_time) {
        for (unsigned t = 0; t < at_a_time; t++)
            if (pthread_create(&thread[t], NULL, work, NULL))
                truth_fail("no thread");
        for (unsigned t = 0; t < at_a_time; t++)
            pthread_join(thread[t], NULL);
    }
    return 0;
}
