/* build: -fno-builtin -Wno-alloc-size-larger-than -Wno-use-after-free */
/*
 * The allocator's behaviour at its edges, as a program sees it: one line a case, to be compared
 * with the same program's without the shim. Sizes near PTRDIFF_MAX and SIZE_MAX, products that
 * overflow, 0 bytes, bad alignments, errno; that usable sizes are usable, to the last byte.
 * usage: alloc_edges
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { untouched = 4242, kept_bytes = 100 };

static void fail(const char *what)
{
    printf("WRONG: %s\n", what);
    exit(3);
}

/* Says what a call gave, and takes it back. */
static void told(const char *call, void *p)
{
    int error = errno;
    printf("%s %s errno %d\n", call, p ? "a block" : "NULL", error);
    free(p);
    errno = untouched;
}

static unsigned char *kept_new(void)
{
    unsigned char *p = malloc(kept_bytes);
    memset(p, 0x5a, kept_bytes);
    errno = untouched;
    return p;
}

/* After a realloc that failed: the old block is as it was. */
static void kept_check(unsigned char *p)
{
    for (int i = 0; i < kept_bytes; i++)
        if (p[i] != 0x5a)
            fail("a failed realloc changed the block");
    free(p);
}

static void huge_sizes(void)
{
    static const size_t bases[] = {PTRDIFF_MAX, SIZE_MAX, SIZE_MAX / 4};
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++) {
        for (int d = -17; d <= 17; d++) {
            volatile size_t n = bases[b] + (size_t)d;
            if (n < SIZE_MAX / 8)
                continue; /* wrapped around: small */
            void *out = &out;
            printf("n = %zx\n", n);
            errno = untouched;
            told("malloc", malloc(n));
            told("calloc 1", calloc(1, n));
            told("calloc n", calloc(n, 1));
            told("calloc halves", calloc(n / 2, 2));
            told("calloc overflow", calloc(n, 17));
            told("realloc NULL", realloc(NULL, n));
            told("reallocarray NULL", reallocarray(NULL, n / 2, 2));
            told("reallocarray overflow", reallocarray(NULL, n, 17));
            told("memalign", memalign(64, n));
            told("aligned_alloc", aligned_alloc(64, n));
            told("valloc", valloc(n));
            told("pvalloc", pvalloc(n));
            printf("posix_memalign %d", posix_memalign(&out, 64, n));
            printf(" out %s errno %d\n", out == &out ? "untouched" : "set", errno);
            unsigned char *p = kept_new();
            void *moved = realloc(p, n);
            told("realloc", moved);
            kept_check(p);
            p = kept_new();
            moved = reallocarray(p, n, 17);
            told("reallocarray", moved);
            kept_check(p);
        }
    }
}

static void nothing(void)
{
    errno = untouched;
    void *a = malloc(0), *b = malloc(0);
    printf("two of malloc(0) differ: %d\n", a != b);
    told("malloc 0", a);
    told("malloc 0", b);
    told("calloc 0", calloc(0, 8));
    told("calloc 0", calloc(8, 0));
    told("realloc NULL 0", realloc(NULL, 0));
    told("reallocarray NULL 0", reallocarray(NULL, 0, 8));
    told("memalign 0", memalign(64, 0));
    told("aligned_alloc 0", aligned_alloc(64, 0));
    static const size_t sizes[] = {0, 1, 24, 4095, 4096, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *p = malloc(sizes[i]);
        errno = untouched;
        told("realloc to 0", realloc(p, 0));
        p = malloc(sizes[i]);
        errno = untouched;
        told("reallocarray to 0", reallocarray(p, 0, 8));
    }
    free(NULL);
    printf("free(NULL) errno %d, usable %zu\n", errno, malloc_usable_size(NULL));
}

static void alignments(void)
{
    static const size_t bad[] = {0, 1, 3, 4, 24, SIZE_MAX, (size_t)1 << 63};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *out = &out;
        printf("alignment %zx\n", bad[i]);
        errno = untouched;
        printf("posix_memalign %d", posix_memalign(&out, bad[i], 100));
        printf(" out %s errno %d\n", out == &out ? "untouched" : "set", errno);
        if (out != &out)
            free(out);
        errno = untouched;
        told("aligned_alloc", aligned_alloc(bad[i], 100));
        if (bad[i] == 1 || bad[i] == 4) /* of what is no power of two jemalloc makes anything */
            told("memalign", memalign(bad[i], 100));
    }
    for (size_t align = 8; align <= 65536; align *= 2) {
        for (size_t n = 1; n < 6000; n = n * 2 + 7) { /* of 0 bytes jemalloc aligns none */
            void *out = NULL;
            if (posix_memalign(&out, align, n) || (uintptr_t)out % align)
                fail("posix_memalign: not aligned");
            free(out);
            if ((uintptr_t)(out = memalign(align, n)) % align)
                fail("memalign: not aligned");
            free(out);
            if ((uintptr_t)(out = aligned_alloc(align, n)) % align)
                fail("aligned_alloc: not aligned");
            free(out);
        }
    }
    for (size_t n = 0; n < 6000; n++) {
        void *p = malloc(n);
        if ((uintptr_t)p % (n < 16 ? 8 : 16))
            fail("malloc: not aligned");
        free(p);
    }
    puts("alignments are right");
}

/* Writes every byte that is said to be usable, of blocks side by side, and finds it again. */
static void usable_sizes(void)
{
    enum { blocks = 64 };
    static unsigned char *p[blocks];
    static size_t room[blocks];
    for (size_t n = 0; n < 9000; n += n < 600 ? 1 : 61) {
        size_t i = n % blocks;
        if (p[i]) {
            for (size_t at = 0; at < room[i]; at++)
                if (p[i][at] != (unsigned char)i)
                    fail("a usable byte did not stay");
            free(p[i]);
        }
        p[i] = n % 3 ? malloc(n) : n % 2 ? calloc(n, 1) : memalign(128, n);
        room[i] = malloc_usable_size(p[i]);
        if (room[i] < n)
            fail("usable size below what was asked for");
        memset(p[i], (int)i, room[i]);
    }
    for (size_t i = 0; i < blocks; i++) {
        p[i] = realloc(p[i], room[i] + 100);
        for (size_t at = 0; at < room[i]; at++)
            if (p[i][at] != (unsigned char)i)
                fail("realloc lost a usable byte");
        free(p[i]);
    }
    puts("usable sizes are usable");
}

int main(void)
{
    huge_sizes();
    nothing();
    alignments();
    usable_sizes();
    return 0;
}
