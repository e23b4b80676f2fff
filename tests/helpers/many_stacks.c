/*
 * many_stacks [DEPTH [ROUNDS]] — allocates under 2^DEPTH different stacks, ROUNDS times.
 *
 * Each step of the recursion goes left or right, by the bits of a number, and the number runs
 * through all values: more stacks than a small profile holds. Prints the exact total as JSON.
 */
#include "samples/truth.h"

static SITE void *leaf_alloc(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

static SITE void *go_left(unsigned path, unsigned depth);

static SITE void *go_right(unsigned path, unsigned depth)
{
    void *p;
    if (!depth)
        p = leaf_alloc(24);
    else if (path & 1)
        p = go_right(path >> 1, depth - 1);
    else
        p = go_left(path >> 1, depth - 1);
    KEEP(p);
    return p;
}

static SITE void *go_left(unsigned path, unsigned depth)
{
    void *p;
    if (!depth)
        p = leaf_alloc(16);
    else if (path & 1)
        p = go_right(path >> 1, depth - 1);
    else
        p = go_left(path >> 1, depth - 1);
    KEEP(p);
    return p;
}

int main(int argc, char **argv)
{
    unsigned depth = argc > 1 ? (unsigned)atoi(argv[1]) : 16;
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    uint64_t calls = 0;
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned path = 0; path < 1u << depth; path++, calls++)
            free(go_left(path, depth));
    truth_put("{\"calls\":%llu}\n", (unsigned long long)calls);
    truth_flush();
    return 0;
}
