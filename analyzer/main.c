#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/cmd.h"

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} verbs[] = {
#define X(verb, text) {#verb, cmd_##verb, text},
    CMD_VERBS(X)
#undef X
};
/* Names whose meaning is settled (docs/contract.md). */
static const char *const reserved[] = {"serve", "push", "check", "merge", "symbolize", "doctor"};
enum { verb_count = sizeof verbs / sizeof *verbs };

static void usage(FILE *out)
{
    fputs("usage: perfshim VERB [options] ...\n\n", out);
    for (int i = 0; i < verb_count; i++)
        fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].help);
    fputs("\nperfshim VERB --help tells a verb's options; perfshim --version.\n", out);
}

/* A profile may be cut while it is mapped; reading past its end then raises SIGBUS. */
static void on_bus_error(int signal)
{
    static const char text[] = "perfshim: a file was truncated while it was read\n";
    (void)signal;
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    _exit(n < 0 ? CMD_INPUT : CMD_INPUT);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return CMD_FINE;
    }
    if (strcmp(name, "--version") == 0) {
        puts("perfshim " PERFSHIM_VERSION);
        return CMD_FINE;
    }
    signal(SIGBUS, on_bus_error);
    for (int i = 0; i < verb_count; i++)
        if (strcmp(name, verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(name, reserved[i]) == 0) {
            fprintf(stderr, "perfshim: '%s' is not available yet; perfshim --help\n", name);
            return CMD_USAGE;
        }
    if (*name)
        fprintf(stderr, "perfshim: no verb '%s'\n", name);
    usage(stderr);
    return CMD_USAGE;
}
