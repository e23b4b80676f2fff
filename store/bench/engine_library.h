/*
 * What adapters of other people's databases have in common: a library that is opened at run time,
 * its functions by name, writes of which every so many-th is synced, and the removal of what a
 * database left in a temporary directory. Not thread-safe, but for sync_due.
 */
#ifndef PERFSHIM_STORE_BENCH_ENGINE_LIBRARY_H
#define PERFSHIM_STORE_BENCH_ENGINE_LIBRARY_H

#include "store/bench/engine.h"

/* A function of the library, and the pointer that is to point to it. */
struct library_function {
    const char *name;
    void *address; /* of a pointer to a function */
};

struct library {
    const char *const *names; /* file names to try, one after the other, NULL at the end */
    const char *package;      /* of Debian 12, that has it; in messages */
    const struct library_function *functions; /* name NULL at the end */
    const char *chosen; /* the user's, in place of `names`; NULL: none. See LIBRARY_OPTION */
    void *handle;       /* NULL: not open yet */
};

/* The engine's parameter for it. */
#define LIBRARY_OPTION(library)                                                                    \
    {                                                                                              \
        "library", OPT_STRING, &(library).chosen, "FILE", "its library, in place of the system's", \
            NULL, 0, 0, NULL                                                                       \
    }

/*
 * Opens it, once, and fills the pointers. It stays open: a database has threads of its own that do
 * not survive being unmapped. ENGINE_OK, or ENGINE_OTHER with *trouble filled.
 */
int library_open(struct library *library, struct engine_trouble *trouble);

/* Which writes have to be synced for `every` of engine_setup.sync_every. */
struct sync_rule {
    uint64_t every;
    uint64_t writes; /* atomic; only counted when not every write is due */
};
/* One more write: 1 if it has to be synced, with all before it. From any thread. */
int sync_due(struct sync_rule *rule);

/* ENGINE_NO_SPACE or ENGINE_IO if the database's message says so, else ENGINE_OTHER. Pure. */
int error_class_of_text(const char *text);

/* The directory and all that is in it, but no other file system and through no link: for temporary
 * ones. 0, or -1 with errno. */
int directory_remove(const char *directory);

#endif
