/*
 * Command-line options from one table: parsing, --help and the man page's option list.
 * Used by `perfshim` and `store_bench`. Prints errors to stderr; never exits. Not thread-safe.
 *
 * Grammar (docs/contract.md): --x=v and --x v, `_` accepted for `-`, short -x v and -xv, `--` ends
 * the options. Durations "250us 10ms 30s 2m" (bare = seconds), sizes "4K 512M 1G" (1024).
 */
#ifndef PERFSHIM_COMMON_OPT_H
#define PERFSHIM_COMMON_OPT_H

#include <stdint.h>
#include <stdio.h>

enum opt_type {
    OPT_FLAG,     /* int *: set to 1 (also --no-x: 0) */
    OPT_STRING,   /* const char ** */
    OPT_OPTIONAL, /* const char **: --x gives "-", --x=v gives v; never takes the next word */
    OPT_CHOICE,   /* const char **: one of opt.choices, "a|b|c" */
    OPT_UINT,     /* uint64_t * : decimal, within [min, max] */
    OPT_REAL,     /* double * */
    OPT_DURATION, /* uint64_t *: ns */
    OPT_SIZE,     /* uint64_t *: bytes */
    OPT_CALL, /* opt.call(opt, value): repeatable or special; takes a value if opt.arg is set, else
                 value is NULL; 0 = fine, −1 = refused (it printed why) */
    OPT_RESERVED, /* a later version's option; with choices, its values of the OPT_CHOICE of that
                     name. Refused as not available yet, and not in --help */
};

struct opt {
    const char *names; /* "threads|t|concurrency": the first is shown, one-letter names are short */
    enum opt_type type;
    void *value;
    const char *arg;     /* how --help calls the value, e.g. "N"; NULL for flags */
    const char *help;    /* one line, no period */
    const char *choices; /* OPT_CHOICE; --help shows them in place of a missing arg, else below */
    uint64_t min, max;   /* OPT_UINT, OPT_SIZE, OPT_DURATION; max 0 = no limit */
    int (*call)(const struct opt *opt, const char *value);
};
#define OPT_END                                                                                    \
    {                                                                                              \
        0                                                                                          \
    }

/* Flags of opt_parse(). */
enum {
    OPT_STOP_AT_OPERAND = 1, /* the first operand ends the options (`record cmd -x`) */
    OPT_KEEP_DASHES = 2,     /* the `--` that ends the options stays an operand (`diff A B -- C`) */
};
enum { OPT_ERROR = -1, OPT_HELP = -2 };

/*
 * Parses argv[1..argc). Operands are moved, in order, to the front of argv[1..], and a NULL follows
 * them (argv[argc] must be NULL, as main's is); returns how many. Strings stored through opt.value
 * are the caller's argv strings. A later option overrides an earlier one.
 * OPT_HELP when --help or -h was given (the caller prints it), OPT_ERROR after a message
 * "PROG: what and where" on stderr (exit code 2 is the caller's).
 */
int opt_parse(const char *prog, const struct opt *opts, unsigned flags, int argc, char **argv);

/* Prints the option table with --help last, aligned, ≤ 100 columns. */
void opt_help(FILE *out, const struct opt *opts);

#endif
