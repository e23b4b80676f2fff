/*
 * A program that keeps one small block in each page: records are read, nearly all are dropped, the
 * few that stay lie scattered, and no page can be given back. Prints what it did, as JSON. The
 * cure (fragmented_cured.c): what stays is copied to a place of its own, by its lifetime.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "samples/truth.h"

#ifndef KEPT_APART
#define KEPT_APART 0
#endif

enum { records = 128000, record_bytes = 200, one_in = 16, kept = records / one_in };

static char *all[records];
static char *stays[kept];

SITE static char *record_read(uint64_t n)
{
    char *p = malloc(record_bytes);
    if (!p)
        exit(1);
    memset(p, (int)n, record_bytes);
    return p;
}

SITE static void records_read(void)
{
    for (uint64_t i = 0; i < records; i++)
        all[i] = record_read(i);
}

/* All but one in 16 is dropped: a page holds some 18 of them. */
SITE static void records_drop(char *room)
{
    for (unsigned i = 0; i < records; i++) {
        if (i % one_in == 0) {
            stays[i / one_in] = all[i];
            if (!room)
                continue;
            stays[i / one_in] = memcpy(room + i / one_in * record_bytes, all[i], record_bytes);
        }
        free(all[i]);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The long rest of its life: it waits, and looks a record up now and then. */
SITE static uint64_t records_use(double seconds)
{
    uint64_t sum = 0;
    for (double end = now() + seconds; now() < end;) {
        for (unsigned i = 0; i < kept; i++)
            sum += (unsigned char)stays[i][i % record_bytes];
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return sum;
}

int main(void)
{
    double start = now();
    char *room = KEPT_APART ? malloc((size_t)kept * record_bytes) : NULL;
    records_read();
    records_drop(room);
    uint64_t sum = records_use(now() - start + 0.2);
    printf("{\"kept_bytes\":%d,\"dropped_bytes\":%d,\"sum\":%d}\n", kept * record_bytes,
           (records - kept) * record_bytes, sum != 0);
    return 0;
}
