/* build: -fomit-frame-pointer */
/*
 * What a read of one byte that is there costs, under `depth` frames without frame pointers. Prints
 * one JSON object: {"ns_per_read": …}, the median of rounds.
 *
 * usage: io_cost [reads [depth]]
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 401 }; /* short ones: most are not interrupted where others use the machine too */

static int fd;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static __attribute__((noipa)) void inner(uint64_t reads, unsigned left)
{
    char byte;
    if (left)
        inner(reads, left - 1);
    else
        for (uint64_t i = 0; i < reads; i++)
            if (read(fd, &byte, 1) != 1)
                abort();
    __asm__ volatile("");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    uint64_t reads = (argc > 1 ? strtoull(argv[1], NULL, 10) : 500000) / ROUNDS + 1;
    unsigned depth = argc > 2 ? (unsigned)atoi(argv[2]) : 10;
    double ns[ROUNDS];
    fd = open("/dev/zero", O_RDONLY);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begin = now_ns();
        inner(reads, depth);
        ns[i] = (double)(now_ns() - begin) / (double)reads;
    }
    qsort(ns, ROUNDS, sizeof ns[0], by_value);
    printf("{\"ns_per_read\": %.2f}\n", ns[ROUNDS / 2]);
    return 0;
}
