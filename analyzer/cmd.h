/*
 * The verbs of `perfshim`: one list for dispatch, `perfshim --help` and the documentation.
 *
 * A verb gets argv with argv[0] = the verb and returns the exit status of the command. It prints
 * errors as "perfshim VERB: …" on stderr.
 */
#ifndef PERFSHIM_ANALYZER_CMD_H
#define PERFSHIM_ANALYZER_CMD_H

/* name, what it does */
#define CMD_VERBS(X) X(bench, "compare two commands run in turn, or one with a saved baseline")

#define X(name, help) int cmd_##name(int argc, char **argv);
CMD_VERBS(X)
#undef X

/* Exit statuses of every verb but record (docs/contract.md). */
enum {
    CMD_FINE = 0,
    CMD_NO = 1,    /* a budget, a regression or --fail-on said no */
    CMD_USAGE = 2, /* wrong use */
    CMD_INPUT = 3, /* bad or unreadable input */
};

#endif
