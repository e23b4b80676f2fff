/*
 * A coroutine on a short stack allocates with the stack pointer where one on a longer stack did,
 * of which the outer pages are gone. With an argument nothing allocates in between. Prints "done".
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define SITE __attribute__((noinline, noclone))

enum { page = 4096, place_pages = 64, long_pages = 48, short_pages = 28, leaf_page = 27 };

static ucontext_t outside, coroutine;
static char *place, *leaf_at;
static int is_short, is_directly;
static volatile int sink;

static void block_make(void)
{
    void *volatile block = malloc(24);
    free(block);
}

static SITE void leaf(void)
{
    block_make();
    sink++;
}

static SITE void leaf_at_its_place(void)
{
    enum { room = 256 };
    char *here = __builtin_frame_address(0);
    volatile char *rest = __builtin_alloca((size_t)(here - leaf_at - room));
    rest[0] = 1;
    leaf();
    sink += rest[0];
}

static SITE void one_way(void)
{
    leaf_at_its_place();
    sink++;
}

static SITE void another_way(void)
{
    leaf_at_its_place();
    sink += 2;
}

static void coroutine_main(void)
{
    if (!is_directly)
        block_make();
    for (int i = 0; i < 400 && !is_short; i++) { /* the same leaf, told apart far above it */
        one_way();
        another_way();
    }
    if (is_short)
        leaf_at_its_place();
}

static void stack_map(int pages, int protection)
{
    if (mmap(place, (size_t)pages * page, protection, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
             0) == MAP_FAILED)
        exit(2);
}

static void coroutine_run(int pages)
{
    stack_map(place_pages, PROT_NONE);
    stack_map(pages, PROT_READ | PROT_WRITE);
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = place;
    coroutine.uc_stack.ss_size = (size_t)pages * page;
    coroutine.uc_link = &outside;
    makecontext(&coroutine, coroutine_main, 0);
    swapcontext(&outside, &coroutine);
}

int main(int argc, char **argv)
{
    (void)argv;
    is_directly = argc > 1;
    place = mmap(NULL, (size_t)place_pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
        return 2;
    leaf_at = place + leaf_page * page;
    coroutine_run(long_pages);
    if (!is_directly)
        block_make(); /* another stack is the last one now */
    is_short = 1;
    coroutine_run(short_pages);
    puts("done");
    return 0;
}
