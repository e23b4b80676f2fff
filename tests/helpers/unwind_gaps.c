/* build: -no-pie -Wl,-Ttext=0x900000 */
/*
 * A program at a fixed address with a hole between its segments, as linkers make for huge pages: of
 * such a one the loader tells only the segment around a pc, which holds neither the ELF header nor
 * the unwind tables. Allocates in a recursion, then computes for a while; prints "done".
 *
 *   unwind_gaps [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>

static volatile unsigned long sum;

static __attribute__((noinline)) void descend(unsigned left)
{
    void *volatile block = malloc(left + 1);
    if (left)
        descend(left - 1);
    for (unsigned i = 0; i < 20000; i++)
        sum += i ^ left;
    free(block);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    for (int round = 0; round < rounds; round++)
        descend(50);
    puts("done");
    return 0;
}
