#include <stdio.h>

#include "analyzer/select.h"

int selection_init(struct selection *s, const char *const text[static SELECT_RULES],
                   char err[static 160])
{
    static const char *const options[SELECT_RULES] = {"focus", "ignore", "hide"};
    *s = (struct selection){0};
    for (int i = 0; i < SELECT_RULES; i++) {
        if (!text[i])
            continue;
        int error = regcomp(&s->re[i], text[i], REG_EXTENDED | REG_NOSUB);
        if (error) {
            char why[80];
            regerror(error, &s->re[i], why, sizeof why);
            snprintf(err, 160, "--%s: '%.50s': %s", options[i], text[i], why);
            selection_release(s);
            return -1;
        }
        s->used[i] = true;
        s->text[i] = text[i];
    }
    return 0;
}

void selection_release(struct selection *s)
{
    for (int i = 0; i < SELECT_RULES; i++)
        if (s->used[i])
            regfree(&s->re[i]);
    *s = (struct selection){0};
}

static bool matches(const regex_t *re, const char *text)
{
    return text && regexec(re, text, 0, NULL, 0) == 0;
}

unsigned selection_match(const struct selection *s, const char *name, const char *file,
                         const char *module)
{
    unsigned bits = 0;
    for (int i = 0; i < SELECT_RULES; i++)
        if (s->used[i] &&
            (matches(&s->re[i], name) || matches(&s->re[i], file) || matches(&s->re[i], module)))
            bits |= 1u << i;
    return bits;
}
