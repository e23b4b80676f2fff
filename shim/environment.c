#include "shim/environment.h"

#include <string.h>

enum { kept_max = 16 };
static const char *own_library;        /* absolute path of libperfshim.so */
static const char *kept[kept_max + 1]; /* PERFSHIM_* strings of our environment */
static unsigned kept_count;
static bool follows;

static const char preload_name[] = "LD_PRELOAD=";
static const char prefix[] = "PERFSHIM_";
static const char follow_name[] = "PERFSHIM_FOLLOW=";

static bool entry_is_ours(const char *entry, size_t n)
{
    static const char file[] = "libperfshim.so";
    size_t m = sizeof file - 1;
    return n >= m && memcmp(entry + n - m, file, m) == 0 && (n == m || entry[n - m - 1] == '/');
}

static bool list_has_ours(const char *list)
{
    while (*list) {
        size_t n = strcspn(list, ": ");
        if (entry_is_ours(list, n))
            return true;
        list += n + (list[n] != '\0');
    }
    return false;
}

/* Removes our entry from a list separated by spaces or colons, in place; true if it was there. */
static bool list_remove_ours(char *list)
{
    for (char *at = list; *at;) {
        size_t n = strcspn(at, ": ");
        if (!entry_is_ours(at, n)) {
            at += n + (at[n] != '\0');
            continue;
        }
        size_t skip = n + (at[n] != '\0');
        memmove(at, at + skip, strlen(at + skip) + 1);
        size_t left = strlen(list); /* no separator may dangle */
        if (left && (list[left - 1] == ':' || list[left - 1] == ' '))
            list[left - 1] = '\0';
        return true;
    }
    return false;
}

bool environment_follows(void)
{
    return follows;
}

void environment_take(char **envp, const char *own_path, bool follow)
{
    own_library = own_path;
    follows = follow;
    for (char **e = envp; *e;) {
        if (strncmp(*e, prefix, sizeof prefix - 1) == 0 && kept_count < kept_max)
            kept[kept_count++] = *e;
        if (follow && strncmp(*e, follow_name, sizeof follow_name - 1) == 0 &&
            (*e)[sizeof follow_name - 1])
            (*e)[sizeof follow_name - 1] = '2';
        char *list = *e + sizeof preload_name - 1;
        if (!follow && strncmp(*e, preload_name, sizeof preload_name - 1) == 0 &&
            list_remove_ours(list) && *list == '\0') {
            for (char **to = e; (*to = to[1]); to++) /* the variable was ours alone */
                ;
            continue;
        }
        e++;
    }
}

const char *environment_library(void)
{
    return own_library;
}

static bool environment_has(char *const *envp, const char *name_and_value)
{
    size_t n = (size_t)(strchr(name_and_value, '=') - name_and_value) + 1;
    for (; *envp; envp++)
        if (strncmp(*envp, name_and_value, n) == 0)
            return true;
    return false;
}

size_t environment_slots(char *const *envp)
{
    size_t n = 0;
    while (envp && envp[n])
        n++;
    return n + kept_max + 2;
}

size_t environment_preload_bytes(char *const *envp)
{
    size_t n = sizeof preload_name + strlen(own_library) + 1;
    for (; envp && *envp; envp++)
        if (strncmp(*envp, preload_name, sizeof preload_name - 1) == 0)
            n += strlen(*envp);
    return n;
}

void environment_build(char *const *envp, char **out, char *preload)
{
    char *const none[] = {NULL};
    size_t n = 0;
    bool there = false;
    char *to = stpcpy(stpcpy(preload, preload_name), own_library);
    if (!envp)
        envp = none;
    for (char *const *e = envp; *e; e++) {
        bool is_list = strncmp(*e, preload_name, sizeof preload_name - 1) == 0;
        if (is_list && list_has_ours(*e + sizeof preload_name - 1))
            there = true;
        if (!is_list || there)
            out[n++] = *e;
        else if ((*e)[sizeof preload_name - 1])
            to = stpcpy(stpcpy(to, ":"), *e + sizeof preload_name - 1);
    }
    if (!there)
        out[n++] = preload;
    for (unsigned i = 0; i < kept_count; i++)
        if (!environment_has(envp, kept[i]))
            out[n++] = (char *)kept[i];
    out[n] = NULL;
}
