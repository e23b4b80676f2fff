#include <string.h>

#include "analyzer/cmd.h"
#include "analyzer/json_write.h"
#include "analyzer/text.h"
#include "analyzer/view_diff.h"
#include "common/opt.h"

#define PROG "perfshim diff"

static struct options {
    const char *per, *json, *color;
    uint64_t limit;
    int all;
} o;

static const struct opt table[] = {
    {"per", OPT_CHOICE, &o.per, NULL,
     "unit of the figures (op if both have a progress point, else second)", "op|second|total", 0, 0,
     NULL},
    {"limit|n", OPT_UINT, &o.limit, "N", "rows of the list of sites (10)", NULL, 1, 0, NULL},
    {"all", OPT_FLAG, &o.all, NULL, "every site, unchanged ones included", NULL, 0, 0, NULL},
    {"json", OPT_OPTIONAL, &o.json, "F", "the comparison as JSON, to stdout or to F", NULL, 0, 0,
     NULL},
    {"color", OPT_CHOICE, &o.color, NULL, "colour (auto: on a terminal, without NO_COLOR)",
     "auto|always|never", 0, 0, NULL},
    OPT_END,
};

static int help(void)
{
    puts("usage: perfshim diff [options] BEFORE AFTER\n"
         "       perfshim diff [options] A1 A2 ... -- B1 B2 ...\n\n"
         "Compares two profiles, or two sets of them by their medians: B - A, minus is less.\n");
    opt_help(stdout, table);
    return cmd_finish(PROG);
}

static int compare(char **a, size_t a_count, char **b, size_t b_count)
{
    static const char *const units[] = {"op", "second", "total"};
    int per = -1;
    for (int i = 0; o.per && i < 3; i++)
        if (strcmp(o.per, units[i]) == 0)
            per = i;
    struct diff d;
    char err[512];
    int status = CMD_FINE;
    if (diff_build(&d, a, a_count, b, b_count, per, err) != 0) {
        fprintf(stderr, PROG ": %s\n", err);
        diff_release(&d);
        return strncmp(err, "--per", 5) == 0 ? CMD_USAGE : CMD_INPUT;
    }
    if (o.json) {
        FILE *out = json_open(PROG, o.json);
        if (out)
            diff_json(&d, out);
        if (!out || json_close(PROG, o.json, out) != 0)
            status = CMD_INPUT;
    }
    if (status == CMD_FINE && (!o.json || strcmp(o.json, "-") != 0)) {
        text_color_choose(o.color, stdout);
        view_diff(&d, stdout, o.limit, o.all != 0);
        status = cmd_finish(PROG);
    }
    diff_release(&d);
    return status;
}

int cmd_diff(int argc, char **argv)
{
    o = (struct options){.limit = 10};
    int operands = opt_parse(PROG, table, OPT_KEEP_DASHES, argc, argv);
    if (operands == OPT_HELP)
        return help();
    if (operands < 0)
        return CMD_USAGE;
    char **names = argv + 1;
    size_t count = (size_t)operands, split = 0;
    while (split < count && strcmp(names[split], "--") != 0)
        split++;
    if (split == count && count == 2)
        return compare(names, 1, names + 1, 1);
    if (split > 0 && split + 1 < count)
        return compare(names, split, names + split + 1, count - split - 1);
    fprintf(stderr, PROG ": two profiles are compared, or sets of them around `--`; see --help\n");
    return CMD_USAGE;
}
