/*
 * A program that was built with perfshim.h of an earlier version: what it knows of the table ends
 * with progress. Counts 1000 operations and allocates for each.
 */
#include <dlfcn.h>

#include "samples/truth.h"

struct old_table {
    uint32_t size, version;
    void (*start)(void);
    void (*stop)(void);
    void (*progress)(const char *name, uint64_t n);
};

int main(void)
{
    const struct old_table *table = dlsym(RTLD_DEFAULT, "perfshim_api_v1");
    for (int i = 0; i < 1000; i++) {
        void *p = malloc(16);
        KEEP(p);
        free(p);
        if (table && table->size >= sizeof *table && table->version == 1)
            table->progress("old op", 1);
    }
    return 0;
}
