/*
 * `perfshim plan`: what to provide for a target, and whether a measured sweep has it.
 *
 * A fit is asked about N up to PLAN_REACH times what was measured. When the answer lies past that,
 * the page is printed without it, and the exit status is that of bad input.
 */
#include "analyzer/cmd.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/json_write.h"
#include "analyzer/plan.h"
#include "analyzer/text.h"
#include "common/opt.h"
#include "common/units.h"

static struct plan plan;
static uint64_t service_ns;
static const char *json_path, *color;
static int extrapolate;

static int refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(int status, const char *format, ...)
{
    va_list args;

    fputs(PLAN_PROG ": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

static int util_set(const struct opt *opt, const char *value)
{
    const char *end;
    double v;

    if (units_parse_real(value, &v, &end) != 0 || (*end && strcmp(end, "%") != 0))
        return refuse(-1, "--%s: '%s' is not a share (0.70 or 70%%)", opt->names, value);
    v = *end ? v / 100 : v;
    if (v <= 0 || v > 1)
        return refuse(-1, "--%s: '%s' is out of range: above 0, up to 1", opt->names, value);
    plan.util = v;
    return 0;
}

/* A number between the two limits of what is asked: --target, --at. */
static int number_set(const struct opt *opt, const char *value)
{
    double least = opt->value == &plan.at ? 1 : 1e-9, most = opt->value == &plan.at ? 1e9 : 1e15;
    const char *end;
    double v;

    if (units_parse_real(value, &v, &end) != 0 || *end)
        return refuse(-1, "--%s: '%s' is not a number", opt->names, value);
    if (v < least || v > most)
        return refuse(-1, "--%s: '%s' is out of range: %g to %g", opt->names, value, least, most);
    *(double *)opt->value = v;
    return 0;
}

static int slo_set(const struct opt *opt, const char *value)
{
    struct plan_slo more[PLAN_SLOS_MAX];
    char err[160];
    int n = plan_slo_parse(value, more, err);

    if (n < 0)
        return refuse(-1, "--%s: %s", opt->names, err);
    if (plan.slo_count + n > PLAN_SLOS_MAX)
        return refuse(-1, "--%s: more than %d", opt->names, PLAN_SLOS_MAX);
    memcpy(plan.slo + plan.slo_count, more, (size_t)n * sizeof *more);
    plan.slo_count += n;
    return 0;
}

static const struct opt OPTIONS[] = {
    {.names = "target",
     .type = OPT_CALL,
     .call = number_set,
     .value = &plan.target,
     .arg = "N",
     .help = "operations a second to serve"},
    {.names = "util",
     .type = OPT_CALL,
     .call = util_set,
     .arg = "SHARE",
     .help = "how busy what is provided may be, 0.70 or 70% (default: 0.70)"},
    {.names = "from",
     .type = OPT_STRING,
     .value = &plan.from,
     .arg = "F",
     .help = "a sweep: JSON of `store_bench sweep --json`, or CSV with level,throughput,p99_us"},
    {.names = "slo",
     .type = OPT_CALL,
     .call = slo_set,
     .arg = "LIST",
     .help = "latencies that must hold, e.g. 'p99=10ms,avg<1ms'; exit status 1 if they do not"},
    {.names = "at",
     .type = OPT_CALL,
     .call = number_set,
     .value = &plan.at,
     .arg = "N",
     .help = "also predict the throughput of N threads"},
    {.names = "extrapolate",
     .type = OPT_FLAG,
     .value = &extrapolate,
     .help = "believe the fit past 1.5 times the most threads that were measured"},
    {.names = "service",
     .type = OPT_DURATION,
     .value = &service_ns,
     .arg = "TIME",
     .min = 1,
     .help = "mean service time: tells the response times of a queue (M/M/c)"},
    {.names = "servers",
     .type = OPT_UINT,
     .value = &plan.servers,
     .arg = "N",
     .min = 1,
     .max = PLAN_SERVERS_MAX,
     .help = "servers of that queue (default: what the target takes)"},
    {.names = "json",
     .type = OPT_OPTIONAL,
     .value = &json_path,
     .arg = "F",
     .help = "print JSON instead of the page, or write it to F beside the page"},
    {.names = "color",
     .type = OPT_CHOICE,
     .value = &color,
     .help = "colour (auto: on a terminal, without NO_COLOR)",
     .choices = "auto|always|never"},
    OPT_END,
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: " PLAN_PROG " [--target N] [--from SWEEP] [options]\n\n"
            "Tells what to provision for a target, and from a load sweep: the measured maximum, "
            "the headroom,\nthe fitted scalability law, what binds, and where a latency target "
            "is last met.\n\n");
    opt_help(out, OPTIONS);
}

/* What can be refused before anything is read. */
static int options_check(void)
{
    if (isnan(plan.target) && !plan.from && !service_ns)
        return refuse(CMD_USAGE,
                      "nothing asked: --target, --from or --service; " PLAN_PROG " --help");
    if (!plan.from && !isnan(plan.at))
        return refuse(CMD_USAGE, "--at needs --from: a sweep to predict from");
    if (!plan.from && extrapolate)
        return refuse(CMD_USAGE, "--extrapolate needs --from");
    if (!plan.from && !service_ns && plan.slo_count)
        return refuse(CMD_USAGE, "--slo needs --from or --service: latencies to judge");
    if (plan.servers && !service_ns)
        return refuse(CMD_USAGE, "--servers needs --service: the mean service time");
    if (!service_ns)
        return CMD_FINE;
    if (plan.util >= 1)
        return refuse(CMD_USAGE, "--util: servers that are always busy have a queue without end");
    if (!plan.servers && isnan(plan.target))
        return refuse(CMD_USAGE, "--service needs --servers or --target");
    plan.service_ns = (double)service_ns;
    if (!plan.servers) {
        double servers = plan_provisioned(plan.target * plan.service_ns / 1e9, plan.util);
        if (servers > PLAN_SERVERS_MAX)
            return refuse(CMD_USAGE, "--target and --service: %.3g servers, more than %d", servers,
                          PLAN_SERVERS_MAX);
        plan.servers = (uint64_t)servers;
    }
    return CMD_FINE;
}

static int result_show(void)
{
    bool json_only = json_path && strcmp(json_path, "-") == 0;
    FILE *json = NULL;

    if (json_path && !(json = json_open(PLAN_PROG, json_path)))
        return CMD_INPUT;
    if (json)
        plan_json(json, &plan);
    if (json && !json_only && json_close(PLAN_PROG, json_path, json) != 0)
        return CMD_INPUT;
    if (!json_only)
        plan_print(stdout, &plan);
    return cmd_finish(PLAN_PROG);
}

/* After the page: what the fit was not asked. */
static int reach_check(void)
{
    const char *past = "past 1.5 times what was measured: measure there, or --extrapolate";
    double most;

    if (!plan.from)
        return CMD_FINE;
    most = plan.sweep.levels[plan.sweep.count - 1].level;
    if (!isnan(plan.at) && isnan(plan.at_throughput))
        return refuse(CMD_INPUT, "%s: measured up to N=%g; N=%g lies %s", plan.from, most, plan.at,
                      past);
    if (plan.answer == PLAN_UNKNOWN)
        return refuse(CMD_INPUT, "%s: measured up to N=%g; the answer lies %s", plan.from, most,
                      past);
    return CMD_FINE;
}

/* CMD_NO after a line that says which SLO and why, or CMD_FINE. */
static int slo_check(void)
{
    char text[UNITS_BUF];

    if (!plan_slo_says_no(&plan))
        return CMD_FINE;
    for (int i = 0; plan.servers && i < plan.slo_count; i++) {
        double expected = plan.queue_ns[plan.slo[i].latency];
        if (!isnan(expected) && !plan_slo_met(&plan.slo[i], expected))
            return refuse(CMD_NO, "--slo %s: a queue of %llu has %s", plan.slo[i].text,
                          (unsigned long long)plan.servers, units_duration(text, expected));
    }
    if (plan.slo_last < 0)
        return refuse(CMD_NO, "--slo: met at no measured level");
    return refuse(CMD_NO, "--slo: met up to N=%g, too few for %.10g ops/s",
                  plan.sweep.levels[plan.slo_last].level, plan.provisioned);
}

static int plan_all(void)
{
    char err[PLAN_ERROR_BYTES];
    int status;

    if (plan.from && plan_read(plan.from, &plan.sweep, err) != 0)
        return refuse(CMD_INPUT, "%s: %s", plan.from, err);
    if (plan.from)
        plan_combine(&plan.sweep);
    if (plan_compute(&plan, err) != 0)
        return refuse(CMD_INPUT, "%s: %s", plan.from, err);
    status = result_show();
    if (status == CMD_FINE)
        status = reach_check();
    return status == CMD_FINE ? slo_check() : status;
}

int cmd_plan(int argc, char **argv)
{
    int operands, status;

    plan.target = plan.at = NAN;
    plan.util = .7;
    operands = opt_parse(PLAN_PROG, OPTIONS, 0, argc, argv);
    if (operands == OPT_HELP) {
        usage(stdout);
        return cmd_finish(PLAN_PROG);
    }
    if (operands < 0)
        return CMD_USAGE;
    if (operands > 0)
        return refuse(CMD_USAGE, "'%s': unexpected argument; a sweep is given with --from",
                      argv[1]);
    plan.extrapolate = extrapolate;
    text_color_choose(color, stdout);
    status = options_check();
    if (status == CMD_FINE)
        status = plan_all();
    plan_series_release(&plan.sweep);
    return status;
}
