/*
 * buffer — responses that each get a buffer from malloc; buffer_cured.c is the same with a pool.
 *
 * Lesson: what every operation needs again is kept, not given back. A response is written into a
 * 16 KiB buffer, sent, and done with. The pool is a list of free buffers that each thread has for
 * itself: no lock, and after the first response no allocation.
 */
#include "samples/pair.h"

enum { BUFFER_BYTES = 16 << 10, ROWS = 10 };

union buffer {
    union buffer *next; /* while it is in the pool */
    char text[BUFFER_BYTES];
};

static SITE union buffer *buffer_new(struct worker *w)
{
    union buffer *b = malloc(sizeof *b);
    KEEP(b);
    pair_count(w, sizeof *b);
    return b;
}

#ifndef CURED
static union buffer *buffer_get(struct worker *w)
{
    return buffer_new(w);
}

static void buffer_put(union buffer *b)
{
    free(b);
}
#else
static __thread union buffer *pool;

static union buffer *buffer_get(struct worker *w)
{
    union buffer *b = pool;
    if (!b)
        return buffer_new(w);
    pool = b->next;
    return b;
}

static void buffer_put(union buffer *b)
{
    b->next = pool;
    pool = b;
}
#endif

/* Rows of numbers in hexadecimal; returns the bytes written. */
static SITE size_t response_write(struct worker *w, char *text)
{
    size_t n = 0;
    for (unsigned row = 0; row < ROWS; row++) {
        uint64_t value = truth_random(&w->random);
        for (unsigned digit = 0; digit < 8; digit++, value >>= 4)
            text[n++] = "0123456789abcdef"[value & 15];
        text[n++] = '\n';
    }
    return n;
}

static void operate(struct worker *w)
{
    union buffer *b = buffer_get(w);
    pair_check(w, b->text, response_write(w, b->text));
    buffer_put(b);
}

int main(int argc, char **argv)
{
    return pair_main(argc, argv, 8000000, 2, operate);
}
