/* build: -shared -fPIC */
/*
 * A profiler's library of an earlier version: its table has no more than start, stop and progress.
 * What lies behind it is none of the program's business; who calls it crashes.
 */
#include <stdint.h>
#include <stdio.h>

static uint64_t progress_count;

static void nothing(void)
{
}

static void progress(const char *name, uint64_t n)
{
    (void)name;
    __atomic_fetch_add(&progress_count, n, __ATOMIC_RELAXED);
}

extern const struct table {
    uint32_t size, version;
    void (*start)(void);
    void (*stop)(void);
    void (*progress)(const char *name, uint64_t n);
    uintptr_t behind[8];
} perfshim_api_v1;
const struct table perfshim_api_v1 = {
    .size = 2 * sizeof(uint32_t) + 3 * sizeof(void *),
    .version = 1,
    .start = nothing,
    .stop = nothing,
    .progress = progress,
    .behind = {1, 1, 1, 1, 1, 1, 1, 1},
};

static __attribute__((destructor)) void told(void)
{
    fprintf(stderr, "progress %llu\n", (unsigned long long)progress_count);
}
