/* build: -fno-builtin -Wno-use-after-free */
/*
 * Blocks that come or go past malloc and free, by an allocator's own functions, and must not harm
 * anything. Prints {"seen": …, "past": …} as JSON: allocations through malloc or realloc, and
 * allocations of the other kind. Contents are checked: status 3 if they are not what they were.
 *
 *   alloc_past stale     a block made past malloc where a freed one was, and given to free
 *   alloc_past entries   a large block freed past free, and another one of malloc's in its place
 *   alloc_past jemalloc  mallocx, rallocx, xallocx, sallocx, nallocx, mixed with malloc and free
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "samples/truth.h"

static unsigned seen_calls, past_calls;

static SITE void *seen(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    seen_calls++;
    return memset(p, 0x11, n);
}

/* What this allocator's malloc or free is called when it is not called that. */
static void *past_function(const char *name)
{
    static const char *const prefixes[] = {"tc_", "mi_", "__libc_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char full[32];
        snprintf(full, sizeof full, "%s%s", prefixes[i], name);
        void *found = dlsym(RTLD_DEFAULT, full);
        if (found)
            return found;
    }
    return NULL;
}

static void stale(void)
{
    enum { turns = 40, blocks = 64 };
    void *(*mallocx)(size_t, int) = (void *(*)(size_t, int))dlsym(RTLD_DEFAULT, "mallocx");
    void *(*past)(size_t) = (void *(*)(size_t))past_function("malloc");
    void *p[blocks], *q[blocks];
    unsigned same = 0;
    for (unsigned turn = 0; turn < turns; turn++) {
        for (unsigned i = 0; i < blocks; i++)
            p[i] = seen(40);
        for (unsigned i = 0; i < blocks; i++)
            free(p[i]);
        for (unsigned i = 0; i < blocks; i++, past_calls++) {
            q[i] = mallocx ? mallocx(48, 0) : past(48);
            for (unsigned j = 0; j < blocks; j++)
                same += (uintptr_t)q[i] == (uintptr_t)p[j];
        }
        for (unsigned i = 0; i < blocks; i++)
            free(q[i]);
    }
    if (same < turns)
        truth_fail("the places of freed blocks were not taken: nothing was tried");
}

static void entries(void)
{
    enum { turns = 40, first = 5001, second = 5000, larger = 20000 };
    void *(*rallocx)(void *, size_t, int) =
        (void *(*)(void *, size_t, int))dlsym(RTLD_DEFAULT, "rallocx");
    void (*past_free)(void *) = (void (*)(void *))past_function("free");
    uintptr_t places[turns];
    unsigned same = 0;
    for (unsigned turn = 0; turn < turns; turn++) {
        void *p = seen(first);
        places[turn] = (uintptr_t)p;
        if (rallocx) {
            free(rallocx(p, larger, 0));
            past_calls++;
        } else {
            past_free(p);
        }
        p = seen(second);
        for (unsigned i = 0; i <= turn; i++)
            same += (uintptr_t)p == places[i];
        free(p);
    }
    if (same < turns / 2)
        truth_fail("the places of freed blocks were not taken: nothing was tried");
}

static void content_check(const unsigned char *p, size_t n, int mark)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != mark)
            truth_fail("a block lost its contents");
}

#define FIND(name)                                                                                 \
    if (!(*(void **)&name = dlsym(RTLD_DEFAULT, #name)))                                           \
    truth_fail("there is no " #name)

static void jemalloc(void)
{
    static const size_t sizes[] = {0, 1, 8, 24, 40, 100, 1000, 4088, 4095, 4096, 5000, 70000};
    void *(*mallocx)(size_t, int), *(*rallocx)(void *, size_t, int);
    size_t (*xallocx)(void *, size_t, size_t, int), (*sallocx)(const void *, int);
    size_t (*nallocx)(size_t, int);
    void (*sdallocx)(void *, size_t, int), (*dallocx)(void *, int);
    FIND(mallocx);
    FIND(rallocx);
    FIND(xallocx);
    FIND(sallocx);
    FIND(nallocx);
    FIND(sdallocx);
    FIND(dallocx);
    enum { aligned_64 = 6 };
    for (unsigned turn = 0; turn < 50; turn++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t n = sizes[i], asked = n ? n : 1; /* jemalloc: mallocx(0) is not defined */
            unsigned char *p;
            /* made past us, freed in every way */
            for (int way = 0; way < 3; way++) {
                p = memset(mallocx(asked, aligned_64), 0x22, asked);
                past_calls++;
                content_check(p, asked, 0x22);
                if (way == 0)
                    free(p);
                else if (way == 1)
                    dallocx(p, aligned_64);
                else
                    sdallocx(p, asked, aligned_64);
            }
            p = memset(mallocx(asked, 0), 0x22, asked);
            past_calls++;
            p = realloc(p, asked + 50);
            seen_calls++;
            content_check(p, asked, 0x22);
            free(p);
            /* made by malloc, changed past us */
            p = rallocx(seen(n), asked * 2 + 5, 0);
            content_check(p, n, 0x11);
            memset(p, 0x33, asked * 2 + 5);
            free(p);
            p = seen(n);
            size_t now = xallocx(p, asked + 64, 0, 0);
            content_check(p, n < now ? n : now, 0x11);
            memset(p, 0x44, now);
            free(p);
            p = seen(n);
            now = xallocx(p, asked / 3 + 1, 0, 0);
            content_check(p, asked / 3, 0x11);
            sdallocx(p, asked / 3 + 1 > now ? now : asked / 3 + 1, 0);
            /* every byte that jemalloc says there is */
            p = seen(n);
            now = sallocx(p, 0);
            if (now < nallocx(asked, 0))
                truth_fail("sallocx is below nallocx");
            memset(p, 0x55, now);
            p = realloc(p, now + 100);
            seen_calls++;
            content_check(p, now, 0x55);
            dallocx(p, 0);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "stale") == 0)
        stale();
    else if (argc == 2 && strcmp(argv[1], "entries") == 0)
        entries();
    else if (argc == 2 && strcmp(argv[1], "jemalloc") == 0)
        jemalloc();
    else
        return 2;
    truth_put("{\"seen\":%u,\"past\":%u}\n", seen_calls, past_calls);
    truth_flush();
    return 0;
}
