/*
 * A set of strings, each kept once: equal strings have equal pointers, so that names are compared
 * and hashed as pointers. Not thread-safe. Strings live until intern_release().
 */
#ifndef PERFSHIM_ANALYZER_INTERN_H
#define PERFSHIM_ANALYZER_INTERN_H

struct intern_entry;
struct intern {
    struct intern_entry *entries;
};

/* The kept copy of s; NULL stays NULL. Ends the program with status 3 when memory is out. */
const char *intern_get(struct intern *in, const char *s);
void intern_release(struct intern *in);

#endif
