#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/cmd.h"
#include "analyzer/launch.h"
#include "analyzer/model.h"
#include "analyzer/reader.h"
#include "analyzer/recover.h"
#include "analyzer/stage_settle.h"
#include "analyzer/target.h"
#include "analyzer/text.h"
#include "common/opt.h"
#include "common/units.h"

#define PROG "perfshim record"

enum { /* exit codes of record's own failures; else it exits as its program did */
       RECORD_FAILED = 125,
       RECORD_CANNOT_EXECUTE = 126,
       RECORD_NOT_FOUND = 127,
       RECORD_CANNOT_PROFILE = 121,
       RECORD_SIGNAL = 128,
};

enum { max_mb_max = 65536 };

struct options {
    const char *out, *alloc, *unwind, *locks, *io, *hz, *max_mb, *stage;
    int force, no_start, follow, recover, attach;
};
static struct options o;
static time_t begun; /* when the program was about to be started */

static int complain(int status, const char *text)
{
    fprintf(stderr, PROG ": %s\n", text);
    return status;
}

/* -p: a number of any kind gets the same answer. */
static int attach(const struct opt *opt, const char *value)
{
    (void)opt;
    (void)value;
    o.attach = 1;
    return 0;
}

/* A number within bounds that is passed on as it was written. */
static int number(const struct opt *opt, const char *value)
{
    uint64_t n;
    if (units_parse_uint(value, &n) != 0 || n < opt->min || n > opt->max) {
        fprintf(stderr, PROG ": --%.*s: '%s' is not a number from %llu to %llu\n",
                (int)strcspn(opt->names, "|"), opt->names, value, (unsigned long long)opt->min,
                (unsigned long long)opt->max);
        return -1;
    }
    *(const char **)opt->value = value;
    return 0;
}

static int allocation_mode(const struct opt *opt, const char *value)
{
    uint64_t bytes;
    if (strcmp(value, "exact") != 0 && strcmp(value, "off") != 0 &&
        (units_parse_size(value, &bytes) != 0 || bytes == 0 || bytes > 1 << 30)) {
        fprintf(stderr, PROG ": --alloc: '%s' is neither 'exact' nor 'off' nor a size up to 1G\n",
                value);
        return -1;
    }
    *(const char **)opt->value = value;
    return 0;
}

static const struct opt table[] = {
    {"output|o", OPT_STRING, &o.out, "F",
     "the profile: a file (%p: pid) or a directory (perfshim-PROGRAM-PID.pshim)", NULL, 0, 0, NULL},
    {"force|f", OPT_FLAG, &o.force, NULL, "take the place of a file of that name", NULL, 0, 0,
     NULL},
    {"cpu-hz|F", OPT_CALL, &o.hz, "N", "CPU ticks a second and thread; 0 = none (199)", NULL, 0,
     10000, number},
    {"alloc", OPT_CALL, &o.alloc, "MODE",
     "exact, off, or a size: sample once in that many bytes, say 512K (exact)", NULL, 0, 0,
     allocation_mode},
    {"locks", OPT_CHOICE, &o.locks, NULL, "mutexes: waits and holds, waits only, or nothing (on)",
     "on|wait|off", 0, 0, NULL},
    {"io", OPT_CHOICE, &o.io, NULL, "calls of I/O and of waiting for events (on)", "on|off", 0, 0,
     NULL},
    {"unwind", OPT_CHOICE, &o.unwind, NULL,
     "how stacks are walked: by tables, by frame pointers, or by libunwind (cfi)",
     "cfi|fp|libunwind", 0, 0, NULL},
    {"max-mb", OPT_CALL, &o.max_mb, "N", "largest size of the profile in MiB (64)", NULL, 1,
     max_mb_max, number},
    {"no-start", OPT_FLAG, &o.no_start, NULL, "record only after the program calls perfshim_start",
     NULL, 0, 0, NULL},
    {"follow", OPT_FLAG, &o.follow, NULL,
     "profile programs that child processes execute, too: each writes F.PID", NULL, 0, 0, NULL},
    {"stage", OPT_CHOICE, &o.stage, NULL,
     "keep the profile in /dev/shm until the end, F is a link to it: auto = if there is 4 times "
     "the room and it spares the program a disk (auto)",
     "auto|on|off", 0, 0, NULL},
    {"recover", OPT_FLAG, &o.recover, NULL,
     "no program, but the profiles of records that were killed while they staged them: make them "
     "plain files (none named: all of yours)",
     NULL, 0, 0, NULL},
    {"p", OPT_CALL, NULL, "PID", "say why a running process cannot be attached to", NULL, 0, 0,
     attach},
    OPT_END,
};

static int help(void)
{
    puts("usage: perfshim record [options] [--] PROGRAM [argument ...]\n"
         "       perfshim record --recover [F ...]\n\n"
         "Runs PROGRAM with the profiler preloaded, writes a profile, exits as PROGRAM did\n"
         "(128 + signal). Own failures: 125 wrong use or no output, 126 cannot execute, 127 not\n"
         "found, 121 cannot be profiled (nothing is started then).\n");
    opt_help(stdout, table);
    return cmd_finish(PROG) == CMD_FINE ? 0 : RECORD_FAILED;
}

/* What is asked for and cannot be had. */
static int refused(int operands)
{
    if (o.attach)
        return complain(RECORD_FAILED, "-p: cannot attach to a running process: its allocations "
                                       "are only seen by a library that was loaded before them; "
                                       "start the program with `perfshim record -- PROGRAM`");
    if (o.recover && (o.out || o.alloc || o.unwind || o.locks || o.io || o.hz || o.max_mb ||
                      o.stage || o.force || o.no_start || o.follow))
        return complain(RECORD_FAILED, "--recover takes profiles and no other option: it runs no "
                                       "program");
    if (o.recover)
        return 0;
    if (o.follow && o.stage && strcmp(o.stage, "on") == 0)
        return complain(RECORD_FAILED, "--stage=on does not go with --follow: a child's profile is "
                                       "its own, and may still be written when this one ends");
    if (operands == 0)
        return complain(RECORD_FAILED, "no program named: perfshim record [options] [--] PROGRAM");
    return 0;
}

static int exit_code(enum target_verdict verdict)
{
    switch (verdict) {
    case TARGET_FINE:
        return 0;
    case TARGET_NOT_FOUND:
        return RECORD_NOT_FOUND;
    case TARGET_NOT_EXECUTABLE:
        return RECORD_CANNOT_EXECUTE;
    default:
        return RECORD_CANNOT_PROFILE;
    }
}

static void environment_set(const struct target *t)
{
    const char *follow = getenv("PERFSHIM_FOLLOW");
    const struct {
        const char *name, *value;
    } settings[] = {
        {"PERFSHIM_CPU_HZ", o.hz},
        {"PERFSHIM_ALLOC", t->own_malloc ? "off" : o.alloc},
        {"PERFSHIM_LOCKS", o.locks},
        {"PERFSHIM_IO", o.io},
        {"PERFSHIM_UNWIND", o.unwind},
        {"PERFSHIM_MAX_MB", o.max_mb},
        {"PERFSHIM_START", o.no_start ? "0" : NULL},
        /* 2: this command was followed itself; what it records is a beginning of its own. */
        {"PERFSHIM_FOLLOW", o.follow || (follow && strcmp(follow, "2") == 0) ? "1" : NULL},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (settings[i].value)
            setenv(settings[i].name, settings[i].value, 1);
}

/* Will children write profiles too? */
static bool follows(void)
{
    const char *follow = getenv("PERFSHIM_FOLLOW");
    return o.follow || (follow && (strcmp(follow, "1") == 0 || strcmp(follow, "2") == 0));
}

static enum stage_wish stage_wish(void)
{
    if (follows())
        return STAGE_OFF;
    return !o.stage || strcmp(o.stage, "auto") == 0 ? STAGE_AUTO
           : strcmp(o.stage, "on") == 0             ? STAGE_ON
                                                    : STAGE_OFF;
}

/* The profile's largest size; the library will say so if the environment's is no number. */
static uint64_t profile_bytes(void)
{
    const char *mb = o.max_mb ? o.max_mb : getenv("PERFSHIM_MAX_MB");
    uint64_t n;
    if (!mb || units_parse_uint(mb, &n) != 0 || n == 0 || n > max_mb_max)
        n = profile_mb_default;
    return n << 20;
}

/* ---- afterwards ---- */

/* A copy is not left half done for these; it is short. */
static const int held_back[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

/*
 * A killed program could not write how it ended: this process knows. Only into the file of that
 * very process (pid and start time), through no symbolic link, and `end` last.
 */
static void end_write(const struct launch *l)
{
    struct pshim_header h;
    int fd = open(l->live, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    bool ours = pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h &&
                memcmp(h.magic, PSHIM_MAGIC, sizeof h.magic) == 0 && h.version == PSHIM_VERSION &&
                h.pid == (uint32_t)l->pid && h.start_ticks == l->start_ticks &&
                h.end == PSHIM_END_RUNNING;
    if (ours) {
        bool killed = WIFSIGNALED(l->status);
        h.status = killed ? WTERMSIG(l->status) : WEXITSTATUS(l->status);
        h.end = killed ? PSHIM_END_SIGNAL : PSHIM_END_EXIT;
        if (!h.end_monotonic_ns)
            h.end_monotonic_ns = l->end_ns;
        if (!h.max_rss_bytes)
            h.max_rss_bytes = (uint64_t)l->usage.ru_maxrss * 1024;
#define WRITE(field)                                                                               \
    (void)!pwrite(fd, &h.field, sizeof h.field, offsetof(struct pshim_header, field))
        WRITE(status);
        WRITE(end_monotonic_ns);
        WRITE(max_rss_bytes);
        WRITE(end);
#undef WRITE
    }
    close(fd);
}

static uint64_t time_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* Children without a profile of their own: their time is in nobody's report. */
static void children_warn(const struct launch *l, const struct pshim_header *h)
{
    enum { worth_telling_ns = 100000000 };
    char a[UNITS_BUF], b[UNITS_BUF];
    uint64_t all = time_ns(l->usage.ru_utime) + time_ns(l->usage.ru_stime);
    uint64_t own = h->end_cpu_ns;
    if (!follows() && own && all > 2 * own && all - own > worth_telling_ns)
        fprintf(stderr,
                PROG ": %s of %s CPU time is not in this profile: it was spent in child processes "
                     "(--follow profiles them) or before the last exec\n",
                units_duration(a, (double)(all - own)), units_duration(b, (double)all));
}

static void no_profile(const struct launch *l)
{
    struct rlimit limit;
    fprintf(stderr, PROG ": %s: no profile was written", l->profile);
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        fputs(": the file size limit (ulimit -f) is in its way, or", stderr);
    else
        fputs(":", stderr);
    fputs(" the program went on as something that nothing can be preloaded into\n", stderr);
}

static void losses_tell(const struct pshim_header *h)
{
    bool any = false;
    for (int i = 0; i < PSHIM_LOSS_COUNT; i++) {
        if (!h->losses[i])
            continue;
        fprintf(stderr, "%s%llu %s", any ? ", " : ", lost: ", (unsigned long long)h->losses[i],
                model_loss_name(i));
        any = true;
    }
    if (!any)
        fputs(", nothing lost", stderr);
}

/* How many profiles of children stand beside F, as F.PID. Earlier images of F are F.1 to F.9. */
static void children_tell(const struct launch *l, const char *shown)
{
    char pattern[PATH_MAX + 16];
    glob_t found;
    size_t count = 0;
    if (!follows())
        return;
    size_t n = 0;
    for (const char *at = l->profile; *at && n + 3 < PATH_MAX; at++) {
        if (strchr("*?[\\", *at))
            pattern[n++] = '\\';
        pattern[n++] = *at;
    }
    strcpy(pattern + n, ".[1-9]*");
    if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *pid = found.gl_pathv[i] + strlen(l->profile) + 1;
        struct stat st;
        count += pid[strspn(pid, "0123456789")] == '\0' && pid[1] &&
                 stat(found.gl_pathv[i], &st) == 0 && st.st_mtime >= begun;
    }
    globfree(&found);
    if (count)
        fprintf(stderr, "; of children: %zu, %s.PID", count, shown);
}

static void closing_line(const struct launch *l, const char *shown)
{
    struct reader r;
    struct stat st;
    char size[UNITS_BUF], text[256];
    if (reader_open(&r, l->profile) != 0) {
        fprintf(stderr, PROG ": %s\n", r.error);
        return;
    }
    const struct pshim_header *h = r.profile.header;
    for (unsigned i = 0; i < PSHIM_NOTES; i++) {
        const char *note = profile_string(&r.profile, h->notes[i]);
        if (*note)
            fprintf(stderr, PROG ": %s\n", text_escape(text, sizeof text, note, sizeof text));
    }
    if (*model_off_reason(h))
        fprintf(stderr, PROG ": recording ended early: %s\n", model_off_reason(h));
    if (h->end == PSHIM_END_EXEC)
        fputs(PROG ": the profile ends with an exec: what the program became then could not be "
                   "profiled\n",
              stderr);
    children_warn(l, h);
    if (stat(l->profile, &st) != 0)
        st.st_blocks = 0;
    fprintf(stderr, PROG ": %s, %s", shown, units_size(size, (double)st.st_blocks * 512));
    losses_tell(h);
    children_tell(l, shown);
    fprintf(stderr, ". Next: perfshim report %s\n", shown);
    reader_close(&r);
}

/* The profile's path as a person here would write it. */
static const char *path_shown(const char *path)
{
    char here[PATH_MAX];
    size_t n = getcwd(here, sizeof here) ? strlen(here) : 0;
    if (n > 1 && strncmp(path, here, n) == 0 && path[n] == '/')
        return path + n + 1;
    return path;
}

/* Out of memory and onto the disk. Whatever comes of it, F can be read. */
static void unstage(const struct launch *l, const char *shown)
{
    char user[80];
    uint32_t pid = 0;
    sigset_t set, before;
    if (l->stage->lock < 0)
        return;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof held_back / sizeof *held_back; i++)
        sigaddset(&set, held_back[i]);
    sigprocmask(SIG_BLOCK, &set, &before);
    switch (stage_settle(l->stage, l->profile, strrchr(l->live, '/') + 1, &pid)) {
    case STAGE_IN_USE:
        fprintf(stderr,
                PROG ": %s is a link to %s: %s still has that mapped; when it has ended: perfshim "
                     "record --recover %s\n",
                shown, l->live, recover_user(pid, user), shown);
        break;
    case STAGE_FAILED:
        fprintf(stderr,
                PROG ": %s; the profile stays in %s; once that is cured: perfshim record --recover "
                     "%s\n",
                l->stage->why, l->live, shown);
        break;
    default:
        break;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static int finish(const struct launch *l)
{
    end_write(l);
    unstage(l, path_shown(l->profile));
    if (access(l->profile, F_OK) != 0)
        no_profile(l);
    else
        closing_line(l, path_shown(l->profile));
    if (WIFSIGNALED(l->status))
        return RECORD_SIGNAL + WTERMSIG(l->status);
    return WEXITSTATUS(l->status);
}

static int record(char **command)
{
    static struct target target;
    static struct output output;
    static struct stage stage;
    static struct launch launch;
    char library[PATH_MAX];
    enum target_verdict verdict = target_check(command[0], &target);
    if (verdict != TARGET_FINE)
        return complain(exit_code(verdict), target.why);
    if (launch_find_library(library) != 0) {
        fprintf(stderr, PROG ": libperfshim.so is neither in %s nor in ../lib/perfshim of it\n",
                library);
        return RECORD_FAILED;
    }
    if (output_prepare(&output, o.out ? o.out : getenv("PERFSHIM_OUT"), o.force != 0,
                       target.path) != 0)
        return complain(RECORD_FAILED, output.why);
    if (stage_begin(&stage, stage_wish(), output.dir, profile_bytes()) != 0)
        return complain(RECORD_FAILED, stage.why);
    if (target.own_malloc)
        fprintf(stderr,
                PROG ": %s has its own malloc, which no library can watch: its allocations are "
                     "not recorded\n",
                target.path);
    environment_set(&target);
    launch = (struct launch){.path = target.path,
                             .argv = command,
                             .library = library,
                             .output = &output,
                             .stage = &stage};
    begun = time(NULL);
    if (launch_run(&launch) != 0)
        return complain(launch.exec_error > 0 ? RECORD_CANNOT_EXECUTE : RECORD_FAILED, launch.why);
    return finish(&launch);
}

int cmd_record(int argc, char **argv)
{
    o = (struct options){0};
    int operands = opt_parse(PROG, table, OPT_STOP_AT_OPERAND, argc, argv);
    if (operands == OPT_HELP)
        return help();
    if (operands < 0)
        return RECORD_FAILED;
    int status = refused(operands);
    if (status)
        return status;
    if (o.recover)
        return recover(PROG, argv + 1, operands) == 0 ? 0 : RECORD_FAILED;
    return record(argv + 1);
}
