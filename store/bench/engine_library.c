#include "store/bench/engine_library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *names_try(const struct library *library, char why[static 256])
{
    const char *const chosen[] = {library->chosen, NULL};
    void *handle = NULL;
    why[0] = '\0';
    for (const char *const *name = library->chosen ? chosen : library->names; *name; name++) {
        if ((handle = dlopen(*name, RTLD_NOW | RTLD_LOCAL)))
            break;
        if (!why[0]) /* the first is the one to have */
            snprintf(why, 256, "%s", dlerror());
    }
    return handle;
}

int library_open(struct library *library, struct engine_trouble *trouble)
{
    char why[256];
    if (library->handle)
        return ENGINE_OK;
    void *handle = names_try(library, why);
    if (!handle) {
        snprintf(trouble->text, sizeof trouble->text, "%s (Debian's package is %s)", why,
                 library->package);
        return ENGINE_OTHER;
    }
    for (const struct library_function *f = library->functions; f->name; f++) {
        void *address = dlsym(handle, f->name);
        if (!address) {
            snprintf(trouble->text, sizeof trouble->text,
                     "the library has no %s: another version than %s's?", f->name,
                     library->package);
            dlclose(handle);
            return ENGINE_OTHER;
        }
        memcpy(f->address, &address, sizeof address); /* C has no cast from data to function */
    }
    library->handle = handle;
    return ENGINE_OK;
}

int sync_due(struct sync_rule *rule)
{
    if (rule->every == 1)
        return 1;
    if (rule->every == 0 || rule->every == ENGINE_NO_LOG)
        return 0;
    return __atomic_add_fetch(&rule->writes, 1, __ATOMIC_RELAXED) % rule->every == 0;
}

int error_class_of_text(const char *text)
{
    if (strstr(text, "No space left") || strstr(text, "File too large"))
        return ENGINE_NO_SPACE;
    return strstr(text, "IO error") ? ENGINE_IO : ENGINE_OTHER;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)place;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

int directory_remove(const char *directory)
{
    int rc = nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return rc == 0 || errno == ENOENT ? 0 : -1;
}
