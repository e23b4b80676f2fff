#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/opt.h"

static struct values {
    int all, force;
    const char *out, *json, *pool;
    uint64_t threads, duration_ns, cache_bytes, any;
    double share;
    char called[64];
} v;

static int call_note(const struct opt *opt, const char *value)
{
    (void)opt;
    if (value && strcmp(value, "no") == 0)
        return -1;
    strcat(v.called, value ? value : "(none)");
    strcat(v.called, ";");
    return 0;
}

static const struct opt OPTS[] = {
    {.names = "all", .type = OPT_FLAG, .value = &v.all, .help = "show everything"},
    {.names = "f|force", .type = OPT_FLAG, .value = &v.force, .help = "overwrite"},
    {.names = "o|output-file|out",
     .type = OPT_STRING,
     .value = &v.out,
     .arg = "FILE",
     .help = "write there"},
    {.names = "json",
     .type = OPT_OPTIONAL,
     .value = &v.json,
     .arg = "F",
     .help = "print JSON, a line of help so long that it must be broken somewhere before column "
             "one hundred"},
    {.names = "pool",
     .type = OPT_CHOICE,
     .value = &v.pool,
     .choices = "on|off|read-heavy",
     .help = "pool"},
    {.names = "threads|t|concurrency",
     .type = OPT_UINT,
     .value = &v.threads,
     .arg = "N",
     .min = 1,
     .max = 4096,
     .help = "threads"},
    {.names = "duration|d",
     .type = OPT_DURATION,
     .value = &v.duration_ns,
     .arg = "TIME",
     .min = 1000000,
     .help = "how long"},
    {.names = "cache-size",
     .type = OPT_SIZE,
     .value = &v.cache_bytes,
     .arg = "SIZE",
     .max = 1 << 20,
     .help = "cache"},
    {.names = "any", .type = OPT_UINT, .value = &v.any, .arg = "N", .help = "any number"},
    {.names = "share", .type = OPT_REAL, .value = &v.share, .arg = "X", .help = "a real number"},
    {.names = "m|metric", .type = OPT_CALL, .call = call_note, .arg = "NAME", .help = "repeatable"},
    {.names = "tick", .type = OPT_CALL, .call = call_note, .help = "takes nothing"},
    OPT_END,
};

static char said[1000]; /* what the last parse printed on stderr */
static char *args[16];

/* Splits a line at blanks (a lone ~ is an empty word), parses it, keeps stderr in `said`. */
static int parse(unsigned flags, const char *line)
{
    static char words[400];
    int argc = 1, saved = dup(2), status;
    FILE *capture = tmpfile();

    memset(&v, 0, sizeof v);
    snprintf(words, sizeof words, "%s", line);
    args[0] = "prog";
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        args[argc++] = strcmp(w, "~") == 0 ? "" : w;
    args[argc] = NULL;

    assert_non_null(capture);
    dup2(fileno(capture), 2);
    status = opt_parse("prog verb", OPTS, flags, argc, args);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    rewind(capture);
    said[fread(said, 1, sizeof said - 1, capture)] = '\0';
    fclose(capture);
    return status;
}

static void assert_refused(const char *line, const char *message)
{
    char expected[300];

    assert_int_equal(parse(0, line), OPT_ERROR);
    snprintf(expected, sizeof expected, "prog verb: %s\n", message);
    assert_string_equal(said, expected);
}

static void long_options_take_values_after_equals_or_a_blank(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--threads=4 --duration 250ms --pool=off --out f --share=-2.5"), 0);
    assert_int_equal(v.threads, 4);
    assert_int_equal(v.duration_ns, 250000000);
    assert_string_equal(v.pool, "off");
    assert_string_equal(v.out, "f");
    assert_true(v.share == -2.5);
    assert_string_equal(said, "");
}

static void underscores_stand_for_dashes(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--cache_size=4K --output_file=x"), 0);
    assert_int_equal(v.cache_bytes, 4096);
    assert_string_equal(v.out, "x");
}

static void aliases_and_short_options_reach_the_same_value(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--concurrency 7"), 0);
    assert_int_equal(v.threads, 7);
    assert_int_equal(parse(0, "-t 8 -d2s"), 0);
    assert_int_equal(v.threads, 8);
    assert_int_equal(v.duration_ns, 2000000000);
    assert_int_equal(parse(0, "-fo out.txt"), 0);
    assert_int_equal(v.force, 1);
    assert_string_equal(v.out, "out.txt");
    assert_int_equal(parse(0, "-ft9 op"), 1);
    assert_int_equal(v.force, 1);
    assert_int_equal(v.threads, 9);
}

static void a_later_option_overrides_an_earlier_one(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--all --threads=1 --threads=2 --no-all"), 0);
    assert_int_equal(v.threads, 2);
    assert_int_equal(v.all, 0);
    assert_int_equal(parse(0, "--no_all --all"), 0);
    assert_int_equal(v.all, 1);
}

static void an_optional_value_never_takes_the_next_word(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--json file"), 1);
    assert_string_equal(v.json, "-");
    assert_string_equal(args[1], "file");
    assert_int_equal(parse(0, "--json=out.json"), 0);
    assert_string_equal(v.json, "out.json");
    assert_int_equal(parse(0, "--json="), 0);
    assert_string_equal(v.json, "");
}

static void a_call_is_made_in_order_for_each_use(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--metric=a -mb --tick -m c"), 0);
    assert_string_equal(v.called, "a;b;(none);c;");
    assert_int_equal(parse(0, "--metric=no"), OPT_ERROR);
    assert_string_equal(said, ""); /* the callee speaks */
}

static void operands_move_to_the_front_in_order_and_end_with_null(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "one --all two -t 3 - ~"), 4);
    assert_string_equal(args[1], "one");
    assert_string_equal(args[2], "two");
    assert_string_equal(args[3], "-");
    assert_string_equal(args[4], "");
    assert_null(args[5]);
    assert_int_equal(parse(0, "~ - x y"), 4);
    assert_null(args[5]);
    assert_int_equal(parse(0, ""), 0);
    assert_null(args[1]);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--all -- --threads=x -- -t"), 3);
    assert_string_equal(args[1], "--threads=x");
    assert_string_equal(args[2], "--");
    assert_string_equal(args[3], "-t");
    assert_int_equal(parse(OPT_KEEP_DASHES, "a b --all -- c"), 4);
    assert_string_equal(args[3], "--");
    assert_string_equal(args[4], "c");
    assert_int_equal(v.all, 1);
}

static void the_first_operand_may_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(parse(OPT_STOP_AT_OPERAND, "--all ls --all -- --help"), 4);
    assert_string_equal(args[1], "ls");
    assert_string_equal(args[2], "--all");
    assert_string_equal(args[3], "--");
    assert_string_equal(args[4], "--help");
    assert_int_equal(parse(OPT_STOP_AT_OPERAND, "-- -x --all"), 2);
    assert_string_equal(args[1], "-x");
    assert_int_equal(v.all, 0);
}

static void an_unknown_option_is_named_with_what_was_probably_meant(void **state)
{
    (void)state;
    assert_refused("--thread=4", "--thread: unknown option; did you mean --threads?");
    assert_refused("--treads 4", "--treads: unknown option; did you mean --threads?");
    assert_refused("--htreads", "--htreads: unknown option; did you mean --threads?");
    assert_refused("--cache_sise=1", "--cache_sise: unknown option; did you mean --cache-size?");
    assert_refused("--conc=1", "--conc: unknown option; did you mean --concurrency?");
    assert_refused("-threds", "-t: 'hreds' is not a whole number");
    assert_refused("-jsno", "-j: unknown option; did you mean --json?");
    assert_refused("--nothing-like-it", "--nothing-like-it: unknown option; --help lists them");
    assert_refused("--no-threads", "--no-threads: unknown option; --help lists them");
    assert_refused("-z", "-z: unknown option; --help lists them");
    assert_refused("--t=4", "--t: unknown option; --help lists them");
    assert_refused("--=4", "--: unknown option; --help lists them");
}

static void a_missing_or_forbidden_value_is_told(void **state)
{
    (void)state;
    assert_refused("--threads", "--threads needs a value: N");
    assert_refused("a -t", "-t needs a value: N");
    assert_refused("--pool", "--pool needs a value: on|off|read-heavy");
    assert_refused("--all=1", "--all takes no value");
    assert_refused("--no-all=1", "--no-all: unknown option; --help lists them");
    assert_refused("--tick=1", "--tick takes no value");
}

static void a_bad_value_is_told_with_what_would_be_good(void **state)
{
    (void)state;
    assert_refused("--threads=four", "--threads: 'four' is not a whole number");
    assert_refused("--threads=", "--threads: '' is not a whole number");
    assert_refused("-t -1", "-t: '-1' is not a whole number");
    assert_refused("--duration=5x", "--duration: '5x' is not a duration (250us, 10ms, 30s, 2m)");
    assert_refused("--cache-size=1Q", "--cache-size: '1Q' is not a size (4K, 512M, 1G)");
    assert_refused("--share=x", "--share: 'x' is not a number");
    assert_refused("--share=1x", "--share: '1x' is not a number");
    assert_refused("--pool=maybe", "--pool: 'maybe' is not one of on|off|read-heavy");
    assert_refused("--pool=o", "--pool: 'o' is not one of on|off|read-heavy");
    assert_refused("--pool=", "--pool: '' is not one of on|off|read-heavy");
}

static void ranges_are_inclusive_and_told_in_the_options_own_unit(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "--threads=1"), 0);
    assert_int_equal(parse(0, "--threads=4096"), 0);
    assert_refused("--threads=0", "--threads: '0' is out of range: 1 to 4096");
    assert_refused("--threads=4097", "--threads: '4097' is out of range: 1 to 4096");
    assert_refused("--threads=99999999999999999999",
                   "--threads: '99999999999999999999' is out of range: 1 to 4096");
    assert_int_equal(parse(0, "--duration=1ms"), 0);
    assert_refused("--duration=999us", "--duration: '999us' is out of range: at least 1.00 ms");
    assert_int_equal(parse(0, "--cache-size=1M"), 0);
    assert_refused("--cache-size=1.1M", "--cache-size: '1.1M' is out of range: at most 1.0 MiB");
    assert_int_equal(parse(0, "--any=18446744073709551615"), 0);
    assert_true(v.any == UINT64_MAX);
    assert_refused("--any=18446744073709551616",
                   "--any: '18446744073709551616' is out of range: at most 18446744073709551615");
}

static void help_is_reported_wherever_options_are_read(void **state)
{
    (void)state;
    assert_int_equal(parse(0, "a --help"), OPT_HELP);
    assert_int_equal(parse(0, "-h"), OPT_HELP);
    assert_int_equal(parse(0, "-fh"), OPT_HELP);
    assert_string_equal(said, "");
    assert_int_equal(parse(0, "-- --help"), 1);
}

static void help_is_an_aligned_table_within_100_columns(void **state)
{
    char text[4000] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    (void)state;
    assert_non_null(out);
    opt_help(out, OPTS);
    fclose(out);
    assert_string_equal(
        text,
        "      --all                   show everything\n"
        "  -f, --force                 overwrite\n"
        "  -o, --output-file FILE      write there\n"
        "      --json[=F]              print JSON, a line of help so long that it must be broken "
        "somewhere\n"
        "                              before column one hundred\n"
        "      --pool on|off|read-heavy\n"
        "                              pool\n"
        "  -t, --threads N             threads\n"
        "  -d, --duration TIME         how long\n"
        "      --cache-size SIZE       cache\n"
        "      --any N                 any number\n"
        "      --share X               a real number\n"
        "  -m, --metric NAME           repeatable\n"
        "      --tick                  takes nothing\n"
        "  -h, --help                  this text\n");
}

static void long_lists_of_choices_break_after_a_bar(void **state)
{
    static const struct opt opts[] = {
        {.names = "view",
         .type = OPT_CHOICE,
         .arg = "VIEW",
         .help = "what to show",
         .choices = "summary|cpu|alloc|peak|leaks|temporary|lifetime|sizes|pool|timeline|locks|"
                    "blame|io|ledger|threads"},
        {.names = "x", .type = OPT_FLAG, .help = "short only"},
        OPT_END,
    };
    char text[4000] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    (void)state;
    assert_non_null(out);
    opt_help(out, opts);
    fclose(out);
    assert_string_equal(
        text, "      --view VIEW             what to show: "
              "summary|cpu|alloc|peak|leaks|temporary|lifetime|sizes|\n"
              "                              pool|timeline|locks|blame|io|ledger|threads\n"
              "  -x                          short only\n"
              "  -h, --help                  this text\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_options_take_values_after_equals_or_a_blank),
        cmocka_unit_test(underscores_stand_for_dashes),
        cmocka_unit_test(aliases_and_short_options_reach_the_same_value),
        cmocka_unit_test(a_later_option_overrides_an_earlier_one),
        cmocka_unit_test(an_optional_value_never_takes_the_next_word),
        cmocka_unit_test(a_call_is_made_in_order_for_each_use),
        cmocka_unit_test(operands_move_to_the_front_in_order_and_end_with_null),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(the_first_operand_may_end_the_options),
        cmocka_unit_test(an_unknown_option_is_named_with_what_was_probably_meant),
        cmocka_unit_test(a_missing_or_forbidden_value_is_told),
        cmocka_unit_test(a_bad_value_is_told_with_what_would_be_good),
        cmocka_unit_test(ranges_are_inclusive_and_told_in_the_options_own_unit),
        cmocka_unit_test(help_is_reported_wherever_options_are_read),
        cmocka_unit_test(help_is_an_aligned_table_within_100_columns),
        cmocka_unit_test(long_lists_of_choices_break_after_a_bar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
