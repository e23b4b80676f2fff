#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"

static void *must(void *p)
{
    if (!p) {
        fputs("perfshim: not enough memory\n", stderr);
        exit(3);
    }
    return p;
}

void *memory_new(size_t count, size_t bytes)
{
    return must(calloc(count ? count : 1, bytes));
}

void *memory_resize(void *p, size_t count, size_t bytes)
{
    if (bytes && count > SIZE_MAX / bytes)
        return must(NULL);
    return must(realloc(p, count && bytes ? count * bytes : 1));
}

char *memory_string(const char *s)
{
    return must(strdup(s));
}

void memory_grow(void **items, size_t *room, size_t count, size_t bytes)
{
    if (count < *room)
        return;
    *room = *room ? 2 * *room : 64;
    *items = memory_resize(*items, *room, bytes);
}

FILE *memory_stream(char **text, size_t *bytes)
{
    return must(open_memstream(text, bytes));
}
