/* build: -no-pie -fno-pie */
/* Takes the address of malloc at a fixed address, so that the name means this program's own PLT
   entry for everybody. Allocates 100 blocks of 10 bytes through it, 50 of 20 bytes directly. */
#include <stdlib.h>

int main(void)
{
    void *(*volatile allocate)(size_t) = malloc;
    for (int i = 0; i < 100; i++)
        free(allocate(10));
    for (int i = 0; i < 50; i++) {
        void *volatile block = malloc(20); /* volatile: the pair would be optimised away */
        free(block);
    }
    return 0;
}
