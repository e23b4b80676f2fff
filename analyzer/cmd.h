/*
 * The verbs of `perfshim`: one list drives dispatch, --help and the tests. Each verb is one
 * function in cmd_<verb>.c that gets its own argv (argv[0] is the verb) and returns the exit code.
 */
#ifndef PERFSHIM_ANALYZER_CMD_H
#define PERFSHIM_ANALYZER_CMD_H

/* verb, one line of help */
#define CMD_VERBS(X)                                                                               \
    X(record, "run a program and record where its time and memory go")                             \
    X(report, "say where time and memory went")                                                    \
    X(diff, "compare two profiles: what a change cost or saved, per operation")                    \
    X(top, "watch a running program: rates, live bytes, its busiest functions")                    \
    X(export, "write a profile for pprof or a flame graph")                                        \
    X(bench, "compare two commands run in turn, or one with a saved baseline")                     \
    X(plan, "say what to provide for a target, and what a load sweep shows")

#define X(verb, help) int cmd_##verb(int argc, char **argv);
CMD_VERBS(X)
#undef X

enum { /* exit codes; `record` has its own (cmd_record.c) */
       CMD_FINE = 0,
       CMD_NO = 1,    /* a budget, a regression or --fail-on said no */
       CMD_USAGE = 2, /* wrong use */
       CMD_INPUT = 3, /* bad or unreadable input */
};

/*
 * The profile that is meant when none is named: the newest *.pshim in the directory, which is said
 * on stderr. NULL after a message "PROG: …" if there is none. The caller frees it.
 */
char *cmd_newest_profile(const char *prog);

/* Flushes stdout; CMD_INPUT and a message if what was printed did not arrive. */
int cmd_finish(const char *prog);

#endif
