#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/cmd.h"
#include "analyzer/export.h"
#include "analyzer/memory.h"
#include "common/opt.h"

#define PROG "perfshim export"

struct options {
    const char *format, *kind, *out;
    const char *select[SELECT_RULES];
};

static const struct opt *option_table(struct options *o)
{
    static struct opt table[8];
    const struct opt filled[] = {
        {"format", OPT_CHOICE, &o->format, NULL, "what to write (pprof)", "pprof|collapsed", 0, 0,
         NULL},
        {"format", OPT_RESERVED, NULL, NULL, NULL,
         "speedscope|dhat|heaptrack|callgrind|csv|json|html", 0, 0, NULL},
        {"kind", OPT_CHOICE, &o->kind, NULL, "what it measures (cpu)", "cpu|heap|mutex|block|cost",
         0, 0, NULL},
        {"output|o", OPT_STRING, &o->out, "F",
         "file; - = stdout (pprof: PROFILE.KIND.pb.gz; collapsed: stdout)", NULL, 0, 0, NULL},
        {"focus", OPT_STRING, &o->select[SELECT_FOCUS], "RE",
         "only stacks through a function, file or module that matches", NULL, 0, 0, NULL},
        {"ignore", OPT_STRING, &o->select[SELECT_IGNORE], "RE",
         "no stacks through one that matches", NULL, 0, 0, NULL},
        {"hide", OPT_STRING, &o->select[SELECT_HIDE], "RE",
         "leave matching functions out; their cost goes to the caller", NULL, 0, 0, NULL},
        OPT_END,
    };
    memcpy(table, filled, sizeof filled);
    return table;
}

static int help(const struct opt *table)
{
    puts("usage: perfshim export [options] [PROFILE]\n\n"
         "Writes a profile for other tools: pprof's format, or one line a stack for flame graphs.\n"
         "Without PROFILE, the newest *.pshim here.\n");
    opt_help(stdout, table);
    return cmd_finish(PROG);
}

static int kind_choose(const struct options *o, const struct model *m, struct export_kind *kind)
{
    if (export_kind_find(kind, o->kind, m))
        return CMD_FINE;
    if (strcmp(o->kind, "mutex") == 0 && model_has(m, METRIC_LOCK_WAIT_NS)) {
        fputs(PROG ": --kind=mutex: who held the locks was not recorded (that needs --locks=on); "
                   "--kind=block has the waits\n",
              stderr);
        return CMD_USAGE;
    }
    bool locks = strcmp(o->kind, "mutex") == 0 || strcmp(o->kind, "block") == 0;
    fprintf(stderr, PROG ": --kind=%s: this profile has no %s measurements\n", o->kind,
            locks                          ? "lock"
            : strcmp(o->kind, "heap") == 0 ? "allocation"
                                           : "CPU");
    return CMD_USAGE;
}

/* PROFILE without .pshim, then .KIND.pb.gz: exports of several kinds stand side by side. */
static char *default_name(const char *profile, const char *kind)
{
    static const char suffix[] = ".pshim";
    size_t n = strlen(profile), cut = sizeof suffix - 1;
    if (n > cut && strcmp(profile + n - cut, suffix) == 0 && profile[n - cut - 1] != '/')
        n -= cut;
    size_t bytes = n + strlen(kind) + sizeof "..pb.gz";
    char *name = memory_new(bytes, 1);
    snprintf(name, bytes, "%.*s.%s.pb.gz", (int)n, profile, kind);
    return name;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int failed(const char *name, int error)
{
    if (error != EPIPE) /* a reader that left is no error of ours */
        fprintf(stderr, PROG ": %s: %s\n", name, strerror(error));
    return CMD_INPUT;
}

static int export_to(FILE *out, bool pprof, const struct export *e)
{
    if (pprof)
        return export_pprof(fileno(out), e) == 0 ? 0 : errno;
    export_collapsed(out, e);
    if (fflush(out) == 0 && !ferror(out))
        return 0;
    return errno ? errno : EIO;
}

/* A part of an export looks like a whole one to those who do not check: none is left behind. */
static int export_to_file(const char *name, bool pprof, const struct export *e)
{
    struct stat st;
    FILE *out = fopen(name, "we");
    if (!out)
        return failed(name, errno);
    bool regular = fstat(fileno(out), &st) == 0 && S_ISREG(st.st_mode);
    int error = export_to(out, pprof, e);
    if (fclose(out) != 0 && !error)
        error = errno;
    if (!error)
        return CMD_FINE;
    if (regular)
        unlink(name);
    return failed(name, error);
}

static int export_write(const struct options *o, const char *profile, const struct export *e)
{
    bool pprof = strcmp(o->format, "pprof") == 0;
    if (o->out ? strcmp(o->out, "-") == 0 : !pprof) {
        if (pprof && isatty(STDOUT_FILENO)) {
            fputs(PROG ": -o -: pprof's format is not for a terminal\n", stderr);
            return CMD_USAGE;
        }
        int error = export_to(stdout, pprof, e);
        return error ? failed("stdout", error) : CMD_FINE;
    }
    char *named = o->out ? NULL : default_name(profile, o->kind);
    const char *name = named ? named : o->out;
    int status = CMD_USAGE;
    if (is_same_file(name, profile))
        fprintf(stderr, PROG ": -o %s: that is the profile itself\n", name);
    else
        status = export_to_file(name, pprof, e);
    if (named && status == CMD_FINE)
        fprintf(stderr, PROG ": wrote %s\n", named);
    free(named);
    return status;
}

static int export_profile(const struct options *o, const char *path, const struct selection *s)
{
    struct reader r;
    struct model m;
    if (reader_open(&r, path) != 0 || model_load(&m, &r) != 0) {
        fprintf(stderr, PROG ": %s\n", r.error);
        reader_close(&r);
        return CMD_INPUT;
    }
    struct export_kind kind;
    int status = kind_choose(o, &m, &kind);
    if (status == CMD_FINE) {
        struct frames *f = frames_new(&r, s);
        status = export_write(o, path, &(struct export){&kind, &m, f});
        frames_free(f);
    }
    model_release(&m);
    reader_close(&r);
    return status;
}

int cmd_export(int argc, char **argv)
{
    struct options o = {.format = "pprof", .kind = "cpu"};
    const struct opt *table = option_table(&o);
    int operands = opt_parse(PROG, table, 0, argc, argv);
    if (operands == OPT_HELP)
        return help(table);
    if (operands < 0)
        return CMD_USAGE;
    if (operands > 1) {
        fprintf(stderr, PROG ": one profile at a time; '%s' is one too many\n", argv[2]);
        return CMD_USAGE;
    }
    struct selection selection;
    char why[160];
    if (selection_init(&selection, o.select, why) != 0) {
        fprintf(stderr, PROG ": %s\n", why);
        return CMD_USAGE;
    }
    char *newest = operands ? NULL : cmd_newest_profile(PROG);
    const char *path = operands ? argv[1] : newest;
    int status = path ? export_profile(&o, path, &selection) : CMD_INPUT;
    free(newest);
    selection_release(&selection);
    return status;
}
