#include <stdlib.h>
#include <string.h>

#include "analyzer/cmd.h"
#include "analyzer/lock.h"
#include "analyzer/report_json.h"
#include "analyzer/view.h"
#include "common/opt.h"

#define PROG "perfshim report"

enum { default_rows = 20 };

/* `report --sort`: word, metric, by flat. METRIC_COUNT: the view's own metric. */
static const struct sort {
    const char *name;
    enum metric metric;
    bool flat;
} sorts[] = {
    {"cum", METRIC_COUNT, false},         {"flat", METRIC_COUNT, true},
    {"cpu", METRIC_CPU_NS, false},        {"lock", METRIC_LOCK_WAIT_NS, false},
    {"io", METRIC_IO_WAIT_NS, false},     {"allocs", METRIC_ALLOC_CALLS, false},
    {"bytes", METRIC_ALLOC_BYTES, false},
};

static const struct named_view {
    const char *name;
    void (*print)(const struct view *v);
} views[] = {
#define X(id, text) {#id, view_##id},
    VIEWS(X)
#undef X
};

#define X(id, text) "|" #id
static const char view_words[] = VIEWS(X);
#undef X

struct options {
    const char *view, *sort, *by, *json, *color;
    const char *select[SELECT_RULES];
    uint64_t limit;
    int all;
};

static const struct opt *option_table(struct options *o)
{
    static struct opt table[16];
    const struct opt filled[] = {
        {"view", OPT_CHOICE, &o->view, NULL, "what to show (summary)", view_words + 1, 0, 0, NULL},
        {"sort", OPT_CHOICE, &o->sort, NULL, "order of functions (cum)",
         "cum|flat|cpu|lock|io|allocs|bytes", 0, 0, NULL},
        {"limit|n", OPT_UINT, &o->limit, "N", "rows of a table (20)", NULL, 1, 0, NULL},
        {"all", OPT_FLAG, &o->all, NULL, "every row, entry frames included", NULL, 0, 0, NULL},
        {"focus", OPT_STRING, &o->select[SELECT_FOCUS], "RE",
         "only stacks through a function, file or module that matches", NULL, 0, 0, NULL},
        {"ignore", OPT_STRING, &o->select[SELECT_IGNORE], "RE",
         "no stacks through one that matches", NULL, 0, 0, NULL},
        {"hide", OPT_STRING, &o->select[SELECT_HIDE], "RE",
         "leave matching functions out; their cost goes to the caller", NULL, 0, 0, NULL},
        {"by", OPT_CHOICE, &o->by, NULL, "gather by (function)", "function|file|module|thread|lock",
         0, 0, NULL},
        {"json", OPT_OPTIONAL, &o->json, "F", "the report as JSON, to stdout or to F", NULL, 0, 0,
         NULL},
        {"color", OPT_CHOICE, &o->color, NULL, "colour (auto: on a terminal, without NO_COLOR)",
         "auto|always|never", 0, 0, NULL},
        OPT_END,
    };
    memcpy(table, filled, sizeof filled);
    return table;
}

static int help(const struct opt *table)
{
    puts(
        "usage: perfshim report [options] [PROFILE]\n\n"
        "Says where a program's time and memory went. Without PROFILE, the newest *.pshim here.\n");
    opt_help(stdout, table);
    return cmd_finish(PROG);
}

static int view_choose(const struct options *o, const struct model *m, struct view *v)
{
    v->sort = METRIC_COUNT;
    for (size_t i = 0; o->sort && i < sizeof sorts / sizeof *sorts; i++) {
        if (strcmp(o->sort, sorts[i].name) != 0)
            continue;
        v->sort = sorts[i].metric;
        v->sort_flat = sorts[i].flat;
        if (v->sort != METRIC_COUNT && !model_has(m, v->sort)) {
            fprintf(stderr, PROG ": --sort=%s: this profile did not measure it\n", o->sort);
            return CMD_USAGE;
        }
    }
    v->by = !o->by || strcmp(o->by, "function") == 0 ? RANK_FUNCTION
            : strcmp(o->by, "file") == 0             ? RANK_FILE
                                                     : RANK_MODULE;
    return CMD_FINE;
}

/* Views with rows of their own, which are gathered by nothing else and have an order of their own.
 */
static const struct row_view {
    const char *name, *row, *order;
    const char *by;        /* what --by may say; NULL = nothing else than function */
    enum metric sorted[2]; /* what --sort may say */
} row_views[] = {
#define SITES(name)                                                                                \
    {                                                                                              \
        name, "has one row a site", "is sorted by allocs or bytes", NULL,                          \
        {                                                                                          \
            METRIC_ALLOC_CALLS, METRIC_ALLOC_BYTES                                                 \
        }                                                                                          \
    }
    SITES("temporary"),
    SITES("lifetime"),
    SITES("sizes"),
    SITES("pool"),
#undef SITES
    {"locks",
     "has one row a lock",
     "is sorted by lock",
     "lock",
     {METRIC_LOCK_WAIT_NS, METRIC_LOCK_WAIT_NS}},
    {"blame",
     "has one row a holder and waiter",
     "is sorted by lock",
     NULL,
     {METRIC_LOCK_WAIT_NS, METRIC_LOCK_WAIT_NS}},
    {"io",
     "has one row a call and place",
     "is sorted by io",
     NULL,
     {METRIC_IO_WAIT_NS, METRIC_IO_WAIT_NS}},
};

/* `--by=lock` alone is the view of locks, by another word. */
static const char *row_view_name(const struct options *o)
{
    return o->view ? o->view : o->by && strcmp(o->by, "lock") == 0 ? "locks" : "summary";
}

static int row_view_check(const struct options *o, const struct view *v)
{
    const char *name = row_view_name(o);
    for (size_t i = 0; i < sizeof row_views / sizeof *row_views; i++) {
        const struct row_view *r = &row_views[i];
        if (strcmp(name, r->name) != 0)
            continue;
        if (o->by && strcmp(o->by, "function") != 0 && !(r->by && strcmp(o->by, r->by) == 0)) {
            fprintf(stderr, PROG ": --by=%s: --view=%s %s\n", o->by, name, r->row);
            return CMD_USAGE;
        }
        bool flat = v->sort == METRIC_COUNT && v->sort_flat;
        if (flat ||
            (v->sort != METRIC_COUNT && v->sort != r->sorted[0] && v->sort != r->sorted[1])) {
            fprintf(stderr, PROG ": --sort=%s: --view=%s %s\n", o->sort, name, r->order);
            return CMD_USAGE;
        }
    }
    return CMD_FINE;
}

/* Of the whole process: what picks or orders functions would be without effect. */
static int whole_view_check(const struct options *o)
{
    static const struct {
        const char *name, *order;
    } whole[] = {{"timeline", "time"}, {"threads", "CPU time"}, {"ledger", "CPU time"}};
    static const char *const names[SELECT_RULES] = {
        [SELECT_FOCUS] = "focus", [SELECT_IGNORE] = "ignore", [SELECT_HIDE] = "hide"};
    for (size_t i = 0; o->view && i < sizeof whole / sizeof *whole; i++) {
        if (strcmp(o->view, whole[i].name) != 0)
            continue;
        const char *name = o->by ? "by" : o->sort ? "sort" : NULL;
        for (int k = 0; k < SELECT_RULES; k++)
            if (o->select[k])
                name = names[k];
        if (name)
            fprintf(stderr, PROG ": --%s: --view=%s is of the whole process, in order of %s\n",
                    name, whole[i].name, whole[i].order);
        return name ? CMD_USAGE : CMD_FINE;
    }
    return CMD_FINE;
}

static int screen(const struct options *o, const struct model *m, struct frames *f)
{
    struct view v = {.model = m, .frames = f, .out = stdout, .limit = o->limit, .all = o->all != 0};
    int error = view_choose(o, m, &v);
    if (!error)
        error = row_view_check(o, &v);
    if (!error)
        error = whole_view_check(o);
    if (error)
        return error;
    text_color_choose(o->color, stdout);
    if (o->by && strcmp(o->by, "thread") == 0) {
        view_thread_names(&v);
        return cmd_finish(PROG);
    }
    if (o->by && strcmp(o->by, "lock") == 0) {
        view_locks(&v);
        return cmd_finish(PROG);
    }
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        if (strcmp(o->view ? o->view : "summary", views[i].name) == 0)
            views[i].print(&v);
    return cmd_finish(PROG);
}

/* Names every stack now, so that the first line printed can tell of modules without symbols. */
static void stacks_name(const struct model *m, struct frames *f)
{
    const struct frame *stack[FRAMES_STACK_MAX];
    for (size_t i = 0; i < m->sample_count; i++)
        frames_stack(f, m->samples[i].node, stack);
    lock_blocks_place(m, f);
}

static int report(const struct options *o, const char *path, const struct selection *selection)
{
    struct reader r;
    struct model m;
    if (reader_open(&r, path) != 0 || model_load(&m, &r) != 0) {
        fprintf(stderr, PROG ": %s\n", r.error);
        reader_close(&r);
        return CMD_INPUT;
    }
    struct frames *f = frames_new(&r, selection);
    stacks_name(&m, f);
    int status = CMD_FINE;
    if (o->json) {
        FILE *out = json_open(PROG, o->json);
        if (out)
            report_json(out, &m, f);
        if (!out || json_close(PROG, o->json, out) != 0)
            status = CMD_INPUT;
    }
    if (status == CMD_FINE && (!o->json || strcmp(o->json, "-") != 0))
        status = screen(o, &m, f);
    frames_free(f);
    model_release(&m);
    reader_close(&r);
    return status;
}

int cmd_report(int argc, char **argv)
{
    struct options o = {.limit = default_rows};
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
    int status = path ? report(&o, path, &selection) : CMD_INPUT;
    free(newest);
    selection_release(&selection);
    return status;
}
