/*
 * Which stacks and functions a view is about: --focus, --ignore and --hide, extended regular
 * expressions matched against a function's name, file and module.
 *
 *  focus   only stacks through a matching function
 *  ignore  no stacks through a matching function
 *  hide    matching functions are left out of stacks; their cost goes to who called them
 *
 * Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_SELECT_H
#define PERFSHIM_ANALYZER_SELECT_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

enum select_rule { SELECT_FOCUS, SELECT_IGNORE, SELECT_HIDE, SELECT_RULES };

struct selection {
    regex_t re[SELECT_RULES];
    bool used[SELECT_RULES];
    const char *text[SELECT_RULES];
};

/* Compiles the rules that are not NULL. 0, or −1 with what and where in err. */
int selection_init(struct selection *s, const char *const text[static SELECT_RULES],
                   char err[static 160]);
void selection_release(struct selection *s);

/* Bits 1 << rule of the rules that match; any of the strings may be NULL. */
unsigned selection_match(const struct selection *s, const char *name, const char *file,
                         const char *module);

#endif
