#include "store/bench/engine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PARAMETERS_MAX = 16, TEXT_MAX = 1024 };

static const struct engine *const engines[] = {
#define X(name) &engine_##name,
    ENGINES(X)
#undef X
};
enum { ENGINE_COUNT = sizeof engines / sizeof engines[0] };

static const struct engine *engine_find(const char *name, size_t length)
{
    for (int i = 0; i < ENGINE_COUNT; i++)
        if (strlen(engines[i]->name) == length && memcmp(engines[i]->name, name, length) == 0)
            return engines[i];
    fprintf(stderr, "store_bench: --engine: '%.*s' is not one of ", (int)length, name);
    for (int i = 0; i < ENGINE_COUNT; i++)
        fprintf(stderr, "%s%s", i ? "|" : "", engines[i]->name);
    fputc('\n', stderr);
    return NULL;
}

/* "a=1,b=2" as "--a=1", "--b=2", for the one grammar of options. */
static int parameters_parse(const struct engine *e, const char *text)
{
    /* values that are strings stay here */
    static char words[TEXT_MAX + 2 * PARAMETERS_MAX];
    char *argv[PARAMETERS_MAX + 2] = {"store_bench"}, prog[64], why[160], *to = words;
    int argc = 1;
    snprintf(prog, sizeof prog, "store_bench: --engine=%s", e->name);
    while (*text) {
        size_t n = strcspn(text, ",");
        if (argc > PARAMETERS_MAX || strlen(text) >= TEXT_MAX) {
            fprintf(stderr, "%s: too many parameters\n", prog);
            return -1;
        }
        argv[argc++] = to;
        to += sprintf(to, "--%.*s", (int)n, text) + 1;
        text += n + (text[n] == ',');
    }
    int rc = opt_parse(prog, e->parameters, OPT_KEEP_DASHES, argc, argv);
    if (rc == OPT_ERROR)
        return -1;
    if (rc != 0) {
        fprintf(stderr, "%s: parameters are written NAME=VALUE,NAME=VALUE\n", prog);
        return -1;
    }
    if (e->parameters_check && e->parameters_check(why) != 0) {
        fprintf(stderr, "%s: %s\n", prog, why);
        return -1;
    }
    return 0;
}

const struct engine *engine_choose(const char *text)
{
    size_t n = strcspn(text, ":");
    const struct engine *e = engine_find(text, n);
    if (!e)
        return NULL;
    if (!e->parameters && text[n]) {
        fprintf(stderr, "store_bench: --engine: '%s' takes no parameters\n", e->name);
        return NULL;
    }
    if (!e->parameters)
        return e;
    e->parameters_reset();
    return parameters_parse(e, text + n + (text[n] == ':')) == 0 ? e : NULL;
}

void engine_help(void)
{
    for (int i = 0; i < ENGINE_COUNT; i++) {
        const struct opt *p = engines[i]->parameters;
        if (!p)
            continue;
        printf("\n--engine=%s:PARAMETER=VALUE,...\n", engines[i]->name);
        for (; p->names; p++)
            printf("  %s=%s%*s%s\n", p->names, p->arg ? p->arg : p->choices,
                   (int)(26 - strlen(p->names) - strlen(p->arg ? p->arg : p->choices)), "",
                   p->help);
    }
}

const char *engine_error_name(int error)
{
    switch (error) {
#define X(id, value, name, text)                                                                   \
    case value:                                                                                    \
        return name;
        ENGINE_ERRORS(X)
#undef X
    }
    return "ok";
}

const char *engine_error_text(int error)
{
    switch (error) {
#define X(id, value, name, text)                                                                   \
    case value:                                                                                    \
        return text;
        ENGINE_ERRORS(X)
#undef X
    }
    return "ok";
}

double engine_statistic(const struct engine_statistics *s, const char *name)
{
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(s->names[i].name, name) == 0)
            return (double)s->values[i];
    return NAN;
}

void engine_statistics_subtract(struct engine_statistics *after,
                                const struct engine_statistics *before)
{
    for (unsigned i = 0; i < after->count; i++)
        if (!after->names[i].level)
            after->values[i] -= before->values[i];
}
