#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/bench/benchmark.h"

static struct bench_config config_of(const char *line)
{
    static char words[500];
    char *argv[40] = {"store_bench", "benchmark"};
    struct bench_config c;
    int argc = 2;
    snprintf(words, sizeof words, "--keys=1000 --benchtime=2ms %s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    assert_int_equal(args_parse(&c, argc, argv), ARGS_RUN);
    return c;
}

static char *text_of(const struct bench_config *c, int want)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int error = store_bench_benchmark(out, c);
    fclose(out);
    assert_int_equal(error, want);
    return text;
}

static unsigned lines_like(const char *text, const char *pattern)
{
    regex_t regex;
    unsigned n = 0;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0);
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
        char line[200];
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        n += regexec(&regex, line, 0, NULL, 0) == 0;
    }
    regfree(&regex);
    return n;
}

static void iterations_grow_a_fifth_past_what_it_takes_but_not_more_than_hundredfold(void **state)
{
    (void)state;
    assert_int_equal(benchmark_next(1, 100, 1000000000), 100);
    assert_int_equal(benchmark_next(1, 0, 1000000000), 100);
    assert_int_equal(benchmark_next(100, 1000000, 10000000), 1200);
    assert_int_equal(benchmark_next(1000, 900000, 1000000), 1333);
    assert_int_equal(benchmark_next(1000, 2000000, 1000000), 1001); /* never fewer */
    assert_int_equal(benchmark_next(900000000000, 1, 1000000000000000), 1000000000000);
}

static void expect_line(const char *want, const struct benchmark_line *line, int width)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    benchmark_print(out, line, width);
    fclose(out);
    assert_string_equal(text, want);
    free(text);
}

/* The lines that Go prints of the same numbers. */
static void lines_are_as_go_prints_them(void **state)
{
    (void)state;
    expect_line("BenchmarkGet-2\t 5000000\t       212.3 ns/op\t       0 B/op\t       0 allocs/op\n",
                &(struct benchmark_line){"Get", 2, 5000000, 212.34, 0.9, 0.0}, 14);
    expect_line("BenchmarkPut   \t 1000000\t      1234 ns/op\t     164 B/op\t       3 allocs/op\n",
                &(struct benchmark_line){"Put", 1, 1000000, 1234.4, 164, 3.2}, 15);
    expect_line("BenchmarkGet\t1000000000\t         0.2931 ns/op\n",
                &(struct benchmark_line){"Get", 1, 1000000000, 0.29312, NAN, NAN}, 0);
    expect_line("BenchmarkGet\t      12\t        16.23 ns/op\n",
                &(struct benchmark_line){"Get", 1, 12, 16.234, NAN, NAN}, 0);
    expect_line("BenchmarkGet\t      12\t         2.500 ns/op\n",
                &(struct benchmark_line){"Get", 1, 12, 2.5, NAN, NAN}, 0);
}

static const char line_pattern[] =
    "^Benchmark[A-Z][A-Za-z]*(-[0-9]+)? *\t *[0-9]+\t *[0-9.]+ ns/op\t *[0-9]+ B/op\t *[0-9]+ "
    "allocs/op$";

static void all_are_run_as_often_as_asked_for(void **state)
{
    struct bench_config c = config_of("--count=2 --threads=3");
    (void)state;
    char *text = text_of(&c, 0);
    assert_int_equal(lines_like(text, line_pattern), 14);
    assert_int_equal(lines_like(text, "^BenchmarkScan-3 "), 2);
    assert_int_equal(lines_like(text, "^(goos: linux|goarch: amd64|pkg: [^ ]+|cpu: .+)$"), 4);
    assert_int_equal(lines_like(text, "^engine: store$"), 1);
    assert_int_equal(lines_like(text, "^PASS$"), 1);
    free(text);
}

static void a_pattern_chooses(void **state)
{
    struct bench_config c = config_of("Get$|^BenchmarkPut --threads=1");
    (void)state;
    char *text = text_of(&c, 0);
    assert_int_equal(lines_like(text, "^Benchmark"), 2);
    assert_int_equal(lines_like(text, "^BenchmarkGet\t"), 1);
    assert_int_equal(lines_like(text, "^BenchmarkPut\t"), 1);
    free(text);
}

static void a_get_allocates_only_without_the_pool(void **state)
{
    struct bench_config on = config_of("Get$ --benchtime=200ms"), off;
    (void)state;
    char *text = text_of(&on, 0);
    assert_int_equal(lines_like(text, "^BenchmarkGet-2\t.*\t +0 B/op\t +0 allocs/op$"), 1);
    free(text);
    off = config_of("Get$ --benchtime=200ms --pool=off");
    text = text_of(&off, 0);
    assert_int_equal(lines_like(text, "^BenchmarkGet-2\t.*\t +100 B/op\t +1 allocs/op$"), 1);
    free(text);
}

static void an_engine_without_counts_has_none_in_its_lines(void **state)
{
    struct bench_config c = config_of("--engine=null");
    (void)state;
    char *text = text_of(&c, 0);
    assert_int_equal(lines_like(text, "^Benchmark[A-Za-z]+-2 *\t *[0-9]+\t *[0-9.]+ ns/op$"), 6);
    assert_int_equal(lines_like(text, "GetMissing"), 0); /* it finds any key */
    free(text);
}

static char *refused(const struct bench_config *c, char said[static 1001])
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    char *text = text_of(c, -1);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    said[fread(said, 1, 1000, file)] = '\0';
    fclose(file);
    return text;
}

static void what_cannot_run_is_told(void **state)
{
    struct bench_config c = config_of("Swim");
    char said[1001], *text;
    (void)state;
    free(text = refused(&c, said));
    assert_string_equal(said, "store_bench: Swim: finds none of the benchmarks (--help lists "
                              "them)\n");
    c = config_of("Get(");
    free(refused(&c, said));
    assert_non_null(strstr(said, "store_bench: Get(: "));
    c = config_of(
        "Put --engine=null:errors=1,error=no_memory --benchtime=200ms"); /* one failure is one too
                                                                            many */
    text = refused(&c, said);
    assert_string_equal(said, "store_bench: BenchmarkPut: out of memory\n");
    assert_null(strstr(text, "ns/op"));
    assert_null(strstr(text, "PASS"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iterations_grow_a_fifth_past_what_it_takes_but_not_more_than_hundredfold),
        cmocka_unit_test(lines_are_as_go_prints_them),
        cmocka_unit_test(all_are_run_as_often_as_asked_for),
        cmocka_unit_test(a_pattern_chooses),
        cmocka_unit_test(a_get_allocates_only_without_the_pool),
        cmocka_unit_test(an_engine_without_counts_has_none_in_its_lines),
        cmocka_unit_test(what_cannot_run_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
