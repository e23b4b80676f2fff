#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/cmd.h"
#include "analyzer/json_write.h"
#include "analyzer/lock.h"
#include "analyzer/memory.h"
#include "analyzer/process.h"
#include "analyzer/text.h"
#include "analyzer/top_find.h"
#include "analyzer/top_plain.h"
#include "analyzer/top_screen.h"
#include "analyzer/top_text.h"
#include "common/opt.h"
#include "common/units.h"

#define PROG "perfshim top"

enum {
    second_ns = 1000000000,
    shortest_ns = 100000000,
    default_ns =
        500000000, /* two a second: what changes is printed within one, whatever the load */
    default_rows = 10,
    status_waits = 20, /* for `perfshim record` to write how the program ended */
    status_wait_ms = 5,
};
#define LONGEST_NS (3600ull * second_ns)

static struct options {
    const char *json, *color, *sort;
    uint64_t interval_ns, limit, count;
    int plain;
} o;

#define X(id, word, heading, metric, flat) "|" #word
static const char sort_words[] = TOP_SORTS(X);
#undef X

static const struct opt table[] = {
    {"plain", OPT_FLAG, &o.plain, NULL, "lines instead of a screen (without a terminal: always)",
     NULL, 0, 0, NULL},
    {"interval|i", OPT_DURATION, &o.interval_ns, "T", "time between readings, 100ms or more (0.5s)",
     NULL, shortest_ns, LONGEST_NS, NULL},
    {"limit|n", OPT_UINT, &o.limit, "N", "functions shown (10)", NULL, 0, 1000, NULL},
    {"count|c", OPT_UINT, &o.count, "N", "stop after this many readings", NULL, 1, 0, NULL},
    {"sort", OPT_CHOICE, &o.sort, NULL, "order of functions (cum)", sort_words + 1, 0, 0, NULL},
    {"json", OPT_OPTIONAL, &o.json, "F", "each reading as a line of JSON, to stdout or to F", NULL,
     0, 0, NULL},
    {"color", OPT_CHOICE, &o.color, NULL, "bold and reverse (auto: without NO_COLOR)",
     "auto|always|never", 0, 0, NULL},
    OPT_END,
};

/* One program that is watched. */
struct watch {
    struct reader reader;
    struct model models[2]; /* the last reading and the one before */
    bool loaded[2];
    unsigned last;
    uint64_t read_ns[2]; /* CLOCK_MONOTONIC of each reading */
    uint64_t real_ns;    /* of the last one, since 1970 */
    struct top_output output;
    uint64_t interval_ns;
    FILE *json;
    bool lines, screen, paused;
    int pidfd; /* becomes readable when the program ends; −1 = not there */
};

static volatile sig_atomic_t stopped;

static void on_stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static void on_bus_error(int signal)
{
    static const char text[] = PROG ": the profile was truncated while it was read\n";
    (void)signal;
    top_screen_close();
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    _exit(n < 0 ? CMD_INPUT : CMD_INPUT);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * second_ns + (uint64_t)now.tv_nsec;
}

/* Replaces the reading before the last one. 0, or −1 with the reader's error. */
static int reading_take(struct watch *w)
{
    unsigned next = !w->last;
    if (w->loaded[next])
        model_release(&w->models[next]);
    w->loaded[next] = false;
    w->read_ns[next] = clock_ns(CLOCK_MONOTONIC);
    w->real_ns = clock_ns(CLOCK_REALTIME);
    if (model_load(&w->models[next], &w->reader) != 0)
        return -1;
    w->loaded[next] = true;
    w->last = next;
    return 0;
}

static const struct model *now(const struct watch *w)
{
    return &w->models[w->last];
}

static bool has_ended(const struct watch *w)
{
    return now(w)->end != PSHIM_END_RUNNING;
}

/* Names all stacks before the first interval: reading symbols takes its time. */
static void stacks_name(struct watch *w)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < now(w)->sample_count; i++)
        frames_stack(w->output.frames, now(w)->samples[i].node, stack);
    lock_blocks_place(now(w), w->output.frames);
}

static void change_build(const struct watch *w, struct top_change *c)
{
    unsigned before = !w->last;
    if (!w->loaded[before]) {
        top_change_build(c, NULL, now(w), (double)now(w)->wall_ns / second_ns);
        return;
    }
    double seconds = (double)(w->read_ns[w->last] - w->read_ns[before]) / second_ns;
    /* Of the last interval the program saw only a part. */
    double lived = (double)(now(w)->wall_ns - w->models[before].wall_ns) / second_ns;
    if (has_ended(w) && lived > 0 && lived < seconds)
        seconds = lived;
    top_change_build(c, &w->models[before], now(w), seconds);
}

static void screen_draw(struct watch *w)
{
    unsigned height, width, used = 0;
    char *text, status[200], interval[UNITS_BUF];
    size_t bytes;
    struct top_change c;
    top_screen_size(&height, &width);
    size_t columns = width < TEXT_COLUMNS ? width : TEXT_COLUMNS;
    FILE *lines = memory_stream(&text, &bytes);
    change_build(w, &c);
    top_text_title(lines, now(w), columns);
    top_text_figures(lines, &c, columns);
    fputc('\n', lines);
    fflush(lines);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        used++;
    used += 3; /* what the functions are ordered by, their heading, the status */
    size_t room = height > used ? height - used : 0;
    top_text_functions(lines, &c, w->output.frames, w->output.sort,
                       room < w->output.limit ? room : w->output.limit, columns, false);
    room = room > w->output.limit + 2 ? room - w->output.limit - 2 : 0;
    if (room) { /* below the functions, behind an empty line and a heading */
        fputc('\n', lines);
        top_text_locks(lines, &c, w->output.frames, room < TOP_LOCKS ? room : TOP_LOCKS, columns,
                       false);
    }
    fclose(lines);
    snprintf(status, sizeof status, "%s  q quit  space %s  s sort  +/- interval %s",
             w->paused             ? "PAUSED"
             : w->loaded[!w->last] ? "LAST INTERVAL"
                                   : "SINCE THE START",
             w->paused ? "go on" : "pause", units_duration(interval, (double)w->interval_ns));
    top_screen_draw(text, status);
    free(text);
    top_change_release(&c);
}

static void reading_show(struct watch *w)
{
    struct top_change c;
    if (w->screen)
        screen_draw(w);
    if (!w->lines && !w->json)
        return;
    change_build(w, &c);
    if (w->lines)
        top_plain(stdout, &w->output, &c, w->real_ns);
    if (w->json)
        top_json(w->json, &w->output, &c, w->real_ns);
    top_change_release(&c);
}

static void interval_scale(struct watch *w, bool up)
{
    uint64_t t = up ? 2 * w->interval_ns : w->interval_ns / 2;
    w->interval_ns = t < shortest_ns ? shortest_ns : t > LONGEST_NS ? LONGEST_NS : t;
}

/* Does what the keys that were pressed say. */
static void keys_obey(struct watch *w)
{
    for (enum top_key key; (key = top_screen_key()) != TOP_KEY_NONE;) {
        if (key == TOP_KEY_QUIT)
            stopped = 1;
        else if (key == TOP_KEY_PAUSE)
            w->paused = !w->paused;
        else if (key == TOP_KEY_SORT)
            w->output.sort = top_sort_next(now(w), w->output.sort);
        else if (key == TOP_KEY_SLOWER || key == TOP_KEY_FASTER)
            interval_scale(w, key == TOP_KEY_SLOWER);
    }
    screen_draw(w);
}

/* Waits until the next reading is due, the program ends or somebody wants to stop. */
static void wait_for(struct watch *w, uint64_t due_ns, const sigset_t *open_mask)
{
    while (!stopped) {
        uint64_t at = clock_ns(CLOCK_MONOTONIC), left = due_ns > at ? due_ns - at : 0;
        struct timespec t = {(time_t)(left / second_ns), (long)(left % second_ns)};
        struct pollfd fds[2] = {{.fd = w->pidfd, .events = POLLIN},
                                {.fd = w->screen ? STDIN_FILENO : -1, .events = POLLIN}};
        if (left == 0 && !w->paused)
            return;
        int n = ppoll(fds, 2, w->paused ? NULL : &t, open_mask);
        if (fds[0].revents && n > 0)
            return;
        if (n > 0 && fds[1].revents & (POLLHUP | POLLERR | POLLNVAL))
            stopped = 1;              /* the terminal is gone */
        else if (w->screen && n != 0) /* a key, or another size */
            keys_obey(w);
    }
}

/* A killed program does not say how it ended, but `perfshim record` does, a moment later. */
static void end_await(const struct watch *w)
{
    struct pollfd fd = {.fd = w->pidfd, .events = POLLIN};
    if (w->pidfd < 0 || poll(&fd, 1, 0) != 1)
        return;
    for (int i = 0; i < status_waits; i++) {
        if (pshim_load32(&w->reader.profile.header->end) != PSHIM_END_RUNNING)
            return;
        poll(NULL, 0, status_wait_ms);
    }
}

/* 0, or −1 with the reader's error. */
static int intervals_watch(struct watch *w, const sigset_t *open_mask)
{
    uint64_t due = w->read_ns[w->last];
    for (uint64_t n = 0; !stopped && !has_ended(w) && (o.count == 0 || n < o.count); n++) {
        uint64_t at = clock_ns(CLOCK_MONOTONIC);
        due = due + w->interval_ns > at ? due + w->interval_ns : at; /* late: none is caught up */
        wait_for(w, due, open_mask);
        if (stopped)
            break;
        end_await(w);
        if (reading_take(w) != 0)
            return -1;
        reading_show(w);
        if (ferror(stdout) || (w->json && ferror(w->json)))
            break;
    }
    return 0;
}

static void signals_set(sigset_t *open_mask)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_stop};
    sigset_t blocked;
    sigemptyset(&blocked);
    sigprocmask(SIG_BLOCK, NULL, open_mask);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        sigaction(stops[i], &action, NULL);
        sigaddset(&blocked, stops[i]);
        sigdelset(open_mask, stops[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, NULL); /* they come while we wait, and at no other time */
}

/* 0, or −1 with the reader's error. */
static int watch_begin(struct watch *w, sigset_t *open_mask)
{
    const struct pshim_header *h = w->reader.profile.header;
    w->output.frames = frames_new(&w->reader, NULL);
    stacks_name(w);
    if (!has_ended(w)) { /* that took its time: the first interval begins here */
        if (reading_take(w) != 0)
            return -1;
        model_release(&w->models[!w->last]);
        w->loaded[!w->last] = false;
    }
    /* The pid may be another process's by now: process_alive() was asked before, and is after. */
    w->pidfd = has_ended(w) ? -1 : pidfd_open((pid_t)h->pid, 0);
    if (w->pidfd >= 0 && !process_alive(h->pid, h->start_ticks)) {
        close(w->pidfd);
        w->pidfd = -1;
    }
    signals_set(open_mask); /* before the terminal is taken: it must be given back */
    bool terminal = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    w->lines = !o.json || strcmp(o.json, "-") != 0;
    if (w->lines && terminal && !o.plain && !has_ended(w)) {
        text_color_choose(o.color, stdout);
        w->screen = top_screen_open(*text_bold() != '\0');
        w->lines = !w->screen;
        if (!w->screen)
            fprintf(stderr, PROG ": this terminal cannot place text: lines instead\n");
    }
    text_color_choose("never", stdout); /* tables become lines of a log, or are drawn by ncurses */
    if (w->screen)
        signal(SIGBUS, on_bus_error);
    return 0;
}

static int watch_run(struct watch *w)
{
    sigset_t open_mask;
    int error = watch_begin(w, &open_mask);
    if (!error && w->lines)
        top_plain_title(stdout, now(w), w->real_ns);
    if (!error && w->screen)
        screen_draw(w);
    else if (!error && has_ended(w))
        reading_show(w);
    if (!error)
        error = intervals_watch(w, &open_mask);
    bool screen = w->screen;
    top_screen_close();
    if (error)
        fprintf(stderr, PROG ": %s\n", w->reader.error);
    else if (has_ended(w) && (w->lines || screen))
        top_plain_end(stdout, now(w), w->real_ns);
    return error ? CMD_INPUT : cmd_finish(PROG);
}

static int watch(const char *path)
{
    struct watch w = {.interval_ns = o.interval_ns, .output.limit = o.limit};
    const char *const words[] = {
#define X(id, word, heading, metric, flat) #word,
        TOP_SORTS(X)
#undef X
    };
    while (o.sort && strcmp(o.sort, words[w.output.sort]) != 0)
        w.output.sort++;
    if (reader_open(&w.reader, path) != 0 || reading_take(&w) != 0) {
        fprintf(stderr, PROG ": %s\n", w.reader.error);
        reader_close(&w.reader);
        return CMD_INPUT;
    }
    int status = CMD_FINE;
    if (o.sort && top_metric(now(&w), w.output.sort) == METRIC_COUNT) {
        fprintf(stderr, PROG ": --sort=%s: this profile does not measure it\n", o.sort);
        status = CMD_USAGE;
    }
    if (status == CMD_FINE && o.json && !(w.json = json_open(PROG, o.json)))
        status = CMD_INPUT;
    if (status == CMD_FINE) {
        status = watch_run(&w);
        frames_free(w.output.frames);
    }
    if (w.json && json_close(PROG, o.json, w.json) != 0)
        status = CMD_INPUT;
    if (w.pidfd > 0)
        close(w.pidfd);
    for (int i = 0; i < 2; i++)
        if (w.loaded[i])
            model_release(&w.models[i]);
    reader_close(&w.reader);
    return status;
}

static bool is_number(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == '\0';
}

/* The file that an operand means: a number is a process, anything else a file's name. */
static char *operand_resolve(const char *operand)
{
    uint64_t pid;
    char why[512];
    if (!is_number(operand))
        return memory_string(operand);
    if (units_parse_uint(operand, &pid) != 0 || pid > INT_MAX || pid == 0) {
        fprintf(stderr, PROG ": no process %.40s can be (a file of that name is ./%.40s)\n",
                operand, operand);
        return NULL;
    }
    char *path = top_find((uint32_t)pid, why);
    if (!path)
        fprintf(stderr, PROG ": %s\n", why);
    return path;
}

static int help(void)
{
    puts("usage: perfshim top [options] [PROFILE|PID]\n\n"
         "Watches a running program through the profile that it writes: rates, live bytes and the\n"
         "functions with the most cost in the last interval. The program does not notice. Without\n"
         "an argument, the newest *.pshim here; a number is the process of that id.\n"
         "Keys: q quit, space pause, s order, + and - longer and shorter intervals.\n");
    opt_help(stdout, table);
    return cmd_finish(PROG);
}

int cmd_top(int argc, char **argv)
{
    o = (struct options){.interval_ns = default_ns, .limit = default_rows};
    int operands = opt_parse(PROG, table, 0, argc, argv);
    if (operands == OPT_HELP)
        return help();
    if (operands < 0)
        return CMD_USAGE;
    if (operands > 1) {
        fprintf(stderr, PROG ": one program at a time; '%s' is one too many\n", argv[2]);
        return CMD_USAGE;
    }
    char *path = operands ? operand_resolve(argv[1]) : cmd_newest_profile(PROG);
    int status = path ? watch(path) : CMD_INPUT;
    free(path);
    return status;
}
