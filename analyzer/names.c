#include <dlfcn.h>
#include <string.h>

#include "analyzer/names.h"

static int badness(const char *name)
{
    static const char *const obsolete[] = {"bcmp", "bcopy", "bzero", "index", "rindex"};
    int bad = 0;
    for (unsigned i = 0; i < sizeof obsolete / sizeof *obsolete; i++)
        if (strcmp(name, obsolete[i]) == 0)
            bad = 100;
    bad += 10 * (int)strspn(name, "_");
    return bad + (strchr(name, '.') ? 5 : 0);
}

bool name_better(const char *a, const char *b)
{
    int x = badness(a), y = badness(b);
    if (x != y)
        return x < y;
    size_t n = strlen(a), m = strlen(b);
    return n != m ? n < m : strcmp(a, b) < 0;
}

typedef char *demangler(const char *mangled, char *buffer, size_t *length, int *status);

static demangler *demangler_find(void)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++abi.so.1"};
    for (unsigned i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_LOCAL);
        void *found = library ? dlsym(library, "__cxa_demangle") : NULL;
        if (found)
            return (demangler *)found;
    }
    return NULL;
}

char *name_demangle(const char *mangled)
{
    enum { longest = 4096 }; /* the demangler is not made for hostile input */
    static demangler *demangle;
    static bool looked;
    if (strncmp(mangled, "_Z", 2) != 0 || strlen(mangled) > longest)
        return NULL;
    if (!looked) {
        demangle = demangler_find();
        looked = true;
    }
    int status;
    return demangle ? demangle(mangled, NULL, NULL, &status) : NULL;
}
