/*
 * A program with an allocator of its own, as many servers have: the profiler sees nothing of it,
 * and must say so instead of reporting 0. Exits with status 21.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char heap[16 << 20];
static size_t heap_used;

void *malloc(size_t n)
{
    size_t bytes = (n + 31) & ~(size_t)15;
    size_t at = __atomic_fetch_add(&heap_used, bytes, __ATOMIC_RELAXED);
    if (at + bytes > sizeof heap)
        return NULL;
    memcpy(heap + at, &n, sizeof n);
    return heap + at + 16;
}

void free(void *p)
{
    (void)p;
}

void *calloc(size_t n, size_t each)
{
    return malloc(n * each); /* the heap is never reused: it is zero */
}

void *realloc(void *p, size_t n)
{
    size_t had = 0;
    void *moved = malloc(n);
    if (p && moved) {
        memcpy(&had, (char *)p - 16, sizeof had);
        memcpy(moved, p, had < n ? had : n);
    }
    return moved;
}

int main(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char *volatile p = malloc(1 + i % 100);
        p[0] = (char)i;
        sum += (unsigned char)p[0];
        free(p);
    }
    printf("sum %u\n", sum);
    return 21;
}
