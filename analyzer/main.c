/* `perfshim VERB …`: finds the verb and hands over. */
#include "analyzer/cmd.h"

#include <stdio.h>
#include <string.h>

static const struct verb {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} VERBS[] = {
#define X(name, help) {#name, help, cmd_##name},
    CMD_VERBS(X)
#undef X
};

static void usage(FILE *out)
{
    fprintf(out, "usage: perfshim VERB [options] ...\n\n");
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
        fprintf(out, "  %-10s %s\n", VERBS[i].name, VERBS[i].help);
    fprintf(out, "\nperfshim VERB --help tells more; perfshim --version the version.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return CMD_USAGE;
    }
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
        if (strcmp(argv[1], VERBS[i].name) == 0)
            return VERBS[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return CMD_FINE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("perfshim %s\n", PERFSHIM_VERSION);
        return CMD_FINE;
    }
    fprintf(stderr, "perfshim: '%s' is not a verb; perfshim --help lists them\n", argv[1]);
    return CMD_USAGE;
}
