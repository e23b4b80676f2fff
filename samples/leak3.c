/*
 * leak3 — leaks at three known places, and nowhere else.
 *
 * Amid a hundred thousand blocks that are freed, three functions lose theirs: many small ones, a
 * few of some KiB, one large one. Prints function, line, blocks and bytes of each leak as JSON; the
 * output is written without stdio, whose buffer would be a fourth block alive at exit.
 */
#include "samples/truth.h"

struct leak {
    const char *function;
    unsigned line;
    uint64_t blocks, bytes;
};
static struct leak leaks[3];

/* Call and __LINE__ stand on one line of source. */
#define LEAK(i, n)                                                                                 \
    do {                                                                                           \
        char *p_ = malloc(n);                                                                      \
        KEEP(p_);                                                                                  \
        p_[0] = 1;                                                                                 \
        leaks[i].function = __func__;                                                              \
        leaks[i].line = __LINE__;                                                                  \
        leaks[i].blocks++;                                                                         \
        leaks[i].bytes += n;                                                                       \
    } while (0)

static SITE void cache_remember(size_t n)
{
    LEAK(0, n);
}

static SITE void session_open(size_t n)
{
    LEAK(1, n);
}

static SITE void buffer_enlarge(size_t n)
{
    LEAK(2, n);
}

static SITE void *scratch_get(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

static SITE void request_serve(unsigned i)
{
    void *a = scratch_get(16 + i % 300), *b = scratch_get(4096 + i % 20000);
    if (i % 1000 == 7)
        cache_remember(40 + i / 1000);
    if (i % 10000 == 9)
        session_open(5000 + i / 10000);
    if (i == 25000)
        buffer_enlarge(1000000);
    free(a);
    free(b);
}

int main(void)
{
    for (unsigned i = 0; i < 50000; i++)
        request_serve(i);
    truth_put("{\"file\":\"leak3.c\",\"leaks\":[");
    for (unsigned i = 0; i < 3; i++)
        truth_put("%s{\"function\":\"%s\",\"line\":%u,\"blocks\":%llu,\"bytes\":%llu}",
                  i ? "," : "", leaks[i].function, leaks[i].line,
                  (unsigned long long)leaks[i].blocks, (unsigned long long)leaks[i].bytes);
    truth_put("]}\n");
    truth_flush();
    return 0;
}
