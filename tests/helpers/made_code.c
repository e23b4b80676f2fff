/*
 * Code made at run time, as a JIT makes it: calls a function of this program that allocates and
 * computes, from a frame with a frame pointer ("fp") or without ("nofp"), COUNT times. Prints
 * "done".
 *
 *   made_code fp|nofp [COUNT]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SITE __attribute__((noinline, noclone))

static volatile unsigned long sum;

static SITE void allocate(void)
{
    void *volatile block = malloc(100);
    for (unsigned i = 0; i < 2000; i++)
        sum += i;
    free(block);
}

typedef void made(void (*)(void));

static SITE void call_made(made *code)
{
    code(allocate);
    sum++;
}

int main(int argc, char **argv)
{
    /* push %rbp; mov %rsp, %rbp; sub $32, %rsp; call *%rdi; leave; ret */
    static const unsigned char with[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83,
                                         0xec, 0x20, 0xff, 0xd7, 0xc9, 0xc3};
    /* sub $24, %rsp; call *%rdi; add $24, %rsp; ret */
    static const unsigned char without[] = {0x48, 0x83, 0xec, 0x18, 0xff, 0xd7,
                                            0x48, 0x83, 0xc4, 0x18, 0xc3};
    int keeps = argc > 1 && strcmp(argv[1], "fp") == 0;
    int count = argc > 2 ? atoi(argv[2]) : 10000;
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 1;
    memcpy(page, keeps ? with : without, keeps ? sizeof with : sizeof without);
    for (int i = 0; i < count; i++)
        call_made((made *)page);
    puts("done");
    return 0;
}
