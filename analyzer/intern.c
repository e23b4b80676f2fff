#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "analyzer/intern.h"
#include "analyzer/memory.h"

struct intern_entry {
    UT_hash_handle hh;
    char text[];
};

const char *intern_get(struct intern *in, const char *s)
{
    if (!s)
        return NULL;
    struct intern_entry *e;
    size_t n = strlen(s);
    HASH_FIND(hh, in->entries, s, n, e);
    if (!e) {
        e = memory_new(1, sizeof *e + n + 1);
        memcpy(e->text, s, n);
        HASH_ADD(hh, in->entries, text[0], n, e);
    }
    return e->text;
}

void intern_release(struct intern *in)
{
    struct intern_entry *e, *next;
    HASH_ITER(hh, in->entries, e, next)
    {
        HASH_DEL(in->entries, e);
        free(e);
    }
}
