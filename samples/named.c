/*
 * named — regions and a pool of its own, told to the profiler, with their truth.
 *
 * Three threads serve requests in a region each; in it a region parses, allocating as often as it
 * says, and one answers recursively; objects come from a pool. Prints what the report must say of
 * each region and pool as JSON. `named odd` does what should not be done instead: ends without a
 * begin, an inner region left open, deeper than there is room for, a pause in between, a child.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "samples/truth.h"
#include "shim/perfshim.h"

enum { THREADS = 3, REQUESTS = 2000, PARSED = 5, PARSED_BYTES = 48, DEPTH = 4, KEPT = 7 };

static SITE void named_parse(void)
{
    perfshim_region_begin("parse");
    for (int i = 0; i < PARSED; i++) {
        void *p = malloc(PARSED_BYTES);
        KEEP(p);
        free(p);
    }
    perfshim_region_end("parse");
}

/* Within itself: as many calls, the time once. */
static SITE void named_answer(int depth)
{
    perfshim_region_begin("answer");
    if (depth > 1)
        named_answer(depth - 1);
    else
        usleep(20);
    perfshim_region_end("answer");
}

static void *named_serve(void *number)
{
    static char other[] = "request"; /* the same text at another address */
    uint64_t inside_ns = 0, from;
    for (int i = 0; i < REQUESTS; i++) {
        from = truth_clock_ns(CLOCK_MONOTONIC);
        perfshim_region_begin(i % 2 ? "request" : other);
        named_parse();
        perfshim_pool_get("objects");
        if (i % 10 == 0)
            named_answer(DEPTH);
        if (i >= KEPT)
            perfshim_pool_put("objects");
        if (i == 0)
            perfshim_pool_add("at once", 30, 10);
        perfshim_region_end("request");
        inside_ns += truth_clock_ns(CLOCK_MONOTONIC) - from;
        perfshim_progress("op");
    }
    *(uint64_t *)number = inside_ns;
    return NULL;
}

static void region_put(const char *comma, const char *name, uint64_t calls, uint64_t allocs)
{
    truth_put("%s{\"name\":\"%s\",\"calls\":%llu,\"alloc_calls\":%llu,\"alloc_bytes\":%llu}", comma,
              name, (unsigned long long)calls, (unsigned long long)allocs,
              (unsigned long long)(allocs * PARSED_BYTES));
}

static int named_odd(void)
{
    perfshim_region_end("never begun");
    perfshim_region_begin("outer");
    perfshim_region_begin("left open");
    perfshim_region_end("outer");
    perfshim_region_end("left open"); /* not open any more */
    for (int i = 0; i < 20; i++)
        perfshim_region_begin("deep");
    for (int i = 0; i < 20; i++)
        perfshim_region_end("deep");
    perfshim_region_begin("paused inside");
    perfshim_stop();
    perfshim_start();
    perfshim_region_end("paused inside");
    perfshim_stop();
    perfshim_region_begin("begun in a pause");
    perfshim_pool_get("not counted in a pause");
    perfshim_start();
    perfshim_region_end("begun in a pause");
    perfshim_region_begin("open at the end");
    pid_t child = fork();
    if (child == 0) {
        perfshim_region_begin("in a child");
        perfshim_region_end("in a child");
        perfshim_region_end("open at the end");
        perfshim_pool_get("of a child");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS];
    uint64_t inside_ns[THREADS], sum_ns = 0;
    if (argc > 1 && strcmp(argv[1], "odd") == 0)
        return named_odd();
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, named_serve, &inside_ns[i]))
            truth_fail("no thread");
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        sum_ns += inside_ns[i];
    }
    uint64_t requests = THREADS * REQUESTS;
    truth_put("{\"request_ns\":%llu,\"regions\":[", (unsigned long long)sum_ns);
    region_put("", "request", requests, requests * PARSED);
    region_put(",", "parse", requests, requests * PARSED);
    region_put(",", "answer", requests / 10 * DEPTH, 0);
    truth_put("],\"pools\":[{\"name\":\"objects\",\"gets\":%llu,\"puts\":%llu,\"in_use\":%d},"
              "{\"name\":\"at once\",\"gets\":%d,\"puts\":%d,\"in_use\":%d}]}\n",
              (unsigned long long)requests, (unsigned long long)(requests - THREADS * KEPT),
              THREADS * KEPT, THREADS * 30, THREADS * 10, THREADS * 20);
    truth_flush();
    return 0;
}
