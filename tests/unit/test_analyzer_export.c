#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include <profile.pb-c.h>
#include <zlib.h>

#include "analyzer/export.h"
#include "tests/unit/profile_fixture.h"

/* Code to stand in stacks: at the end of this file. */
static void entry(void), serve(void), parse(void);
extern const char export_test_inlined[]; /* an instruction of inner(), inlined into outer() */

static char path[PATH_MAX], written[PATH_MAX + 8];
static struct fixture f;
static struct reader r;
static struct model m;
static struct frames *frames;
static struct export_kind kind;
static struct export export;
static Pprof__Profile *p;
static uint32_t program;

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "export");
    snprintf(written, sizeof written, "%s.pb.gz", path);
    fixture_open(&f, path, 1 << 20);
    fixture_module(&f, "/nowhere/first.so", 0);
    program = fixture_own_module(&f);
    struct pshim_module *own = profile_record(&f.profile, PSHIM_REGION_MODULE, program);
    own->start = own->bias;
    own->end = own->bias + (1 << 20);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    if (p)
        pprof__profile__free_unpacked(p, NULL);
    p = NULL;
    if (frames)
        frames_free(frames);
    frames = NULL;
    model_release(&m);
    reader_close(&r);
    fixture_close(&f);
    unlink(written);
    return unlink(path);
}

static uint32_t call(uint32_t parent, void (*function)(void))
{
    return fixture_call(&f, parent, program, function);
}

static uint32_t inlined_call(uint32_t parent)
{
    const struct pshim_module *own = profile_record(&f.profile, PSHIM_REGION_MODULE, program);
    return fixture_node(&f, parent, program, (uintptr_t)export_test_inlined - own->bias);
}

static void loaded(const char *what, const struct selection *selection)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
    frames = frames_new(&r, selection);
    assert_true(export_kind_find(&kind, what, &m));
    export = (struct export){&kind, &m, frames};
}

/* Writes the export, and reads it again as anyone would. */
static void exported(const char *what, const struct selection *selection)
{
    static uint8_t bytes[1 << 20];
    loaded(what, selection);
    int fd = open(written, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_int_equal(export_pprof(fd, &export), 0);
    assert_int_equal(close(fd), 0);
    gzFile gz = gzopen(written, "rb");
    int n = gzread(gz, bytes, sizeof bytes);
    assert_int_equal(gzclose(gz), Z_OK);
    assert_in_range(n, 1, sizeof bytes - 1);
    p = pprof__profile__unpack(NULL, (size_t)n, bytes);
    assert_non_null(p);
}

static char *collapsed(const char *what)
{
    char *text = NULL;
    size_t bytes = 0;
    loaded(what, NULL);
    FILE *out = open_memstream(&text, &bytes);
    export_collapsed(out, &export);
    fclose(out);
    return text;
}

static const char *text(int64_t index)
{
    assert_in_range(index, 0, p->n_string_table - 1);
    return p->string_table[index];
}

static const Pprof__Location *location(uint64_t id)
{
    for (size_t i = 0; i < p->n_location; i++)
        if (p->location[i]->id == id)
            return p->location[i];
    fail_msg("no location %llu", (unsigned long long)id);
    return NULL;
}

static const Pprof__Function *function(uint64_t id)
{
    for (size_t i = 0; i < p->n_function; i++)
        if (p->function[i]->id == id)
            return p->function[i];
    fail_msg("no function %llu", (unsigned long long)id);
    return NULL;
}

/* A sample's stack as "leaf inlined-into|caller|…". */
static const char *stack_of(const Pprof__Sample *s)
{
    static char names[1000];
    names[0] = '\0';
    for (size_t i = 0; i < s->n_location_id; i++) {
        const Pprof__Location *l = location(s->location_id[i]);
        for (size_t k = 0; k < l->n_line; k++) {
            strcat(names, k ? " " : i ? "|" : "");
            strcat(names, text(function(l->line[k]->function_id)->name));
        }
    }
    return names;
}

static void types_are(const char *want)
{
    char got[200] = "";
    for (size_t i = 0; i < p->n_sample_type; i++) {
        strcat(strcat(got, text(p->sample_type[i]->type)), "/");
        strcat(strcat(got, text(p->sample_type[i]->unit)), " ");
    }
    assert_string_equal(got, want);
}

static void cpu_profile_has_ticks_and_their_time(void **state)
{
    (void)state;
    uint32_t top = call(0, entry);
    fixture_cpu(&f, call(call(top, serve), parse), 30)->counter[PSHIM_CPU_EXTRA_NS] = 7;
    fixture_cpu(&f, top, 12);
    fixture_alloc(&f, call(top, serve), 5, 50, 0, 0); /* no CPU time: no sample */
    exported("cpu", NULL);
    types_are("samples/count cpu/nanoseconds ");
    assert_int_equal(p->n_sample, 2);
    assert_string_equal(stack_of(p->sample[0]), "parse|serve|entry");
    assert_int_equal(p->sample[0]->n_value, 2);
    assert_int_equal(p->sample[0]->value[0], 30);
    assert_int_equal(p->sample[0]->value[1], 30 * FIXTURE_TICK_NS + 7);
    assert_string_equal(stack_of(p->sample[1]), "entry");
    assert_int_equal(p->sample[1]->value[1], 12 * FIXTURE_TICK_NS);
    assert_string_equal(text(p->period_type->type), "cpu");
    assert_string_equal(text(p->period_type->unit), "nanoseconds");
    assert_int_equal(p->period, FIXTURE_TICK_NS);
    assert_string_equal(text(p->default_sample_type), "cpu");
    assert_int_equal(p->time_nanos, 1700000000000000000);
    assert_int_equal(p->duration_nanos, 10000000000);
}

static void heap_profile_has_what_was_asked_for_and_what_is_live(void **state)
{
    (void)state;
    uint32_t top = call(0, entry);
    fixture_alloc(&f, call(top, parse), 10, 1000, 4, 300);
    fixture_cpu(&f, top, 3);
    exported("heap", NULL);
    types_are("alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes ");
    assert_int_equal(p->n_sample, 1);
    const int64_t want[] = {10, 1000, 6, 700};
    assert_memory_equal(p->sample[0]->value, want, sizeof want);
    assert_string_equal(text(p->period_type->type), "space");
    assert_int_equal(p->period, 1);
    assert_string_equal(text(p->default_sample_type), "alloc_space");
}

static void cost_profile_has_only_what_was_measured(void **state)
{
    (void)state;
    fixture_cpu(&f, call(0, entry), 2);
    exported("cost", NULL);
    types_are("cost/nanoseconds cpu/nanoseconds ");
    assert_int_equal(p->sample[0]->value[0], 2 * FIXTURE_TICK_NS);
}

static void kinds_that_were_not_measured_are_refused(void **state)
{
    (void)state;
    f.h->cpu_hz = 0;
    f.h->alloc_hidden = 1;
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
    static const char *const names[] = {"cpu", "heap", "cost", "mutex", "block", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(export_kind_find(&kind, names[i], &m));
}

static void first_string_is_empty_and_first_mapping_is_the_program(void **state)
{
    (void)state;
    uint32_t late = fixture_module(&f, "/nowhere/late.so", 0);
    struct pshim_module *module = profile_record(&f.profile, PSHIM_REGION_MODULE, late);
    module->start = module->bias = 0x7f0000000000;
    module->end = 0x7f0000010000;
    module->build_id_bytes = 3;
    memcpy(module->build_id, "\x01\xab\xff", 3);
    fixture_cpu(&f, fixture_node(&f, 0, late, 0x1234), 1);
    fixture_cpu(&f, call(0, entry), 1);
    exported("cpu", NULL);
    assert_string_equal(p->string_table[0], "");
    assert_int_equal(p->n_mapping, 2); /* first.so has no code in a stack */
    const Pprof__Mapping *own = p->mapping[0], *gone = p->mapping[1];
    assert_non_null(strstr(text(own->filename), "test_analyzer_export"));
    assert_true(own->has_functions && own->has_filenames && own->has_line_numbers &&
                own->has_inline_frames);
    assert_true(strlen(text(own->build_id)) >= 16);
    assert_string_equal(text(gone->filename), "/nowhere/late.so");
    assert_string_equal(text(gone->build_id), "01abff");
    assert_false(gone->has_functions); /* who has the file may name it */
    assert_int_equal(gone->memory_start, 0x7f0000000000);
    assert_int_equal(gone->memory_limit, 0x7f0000010000);
    const Pprof__Location *l = location(p->sample[0]->location_id[0]);
    assert_int_equal(l->mapping_id, gone->id);
    assert_int_equal(l->address, 0x7f0000001234);
    l = location(p->sample[1]->location_id[0]);
    assert_int_equal(l->mapping_id, own->id);
    assert_int_equal(l->address, (uintptr_t)entry);
}

static void inlined_frames_are_lines_of_one_location(void **state)
{
    (void)state;
    uint32_t top = call(0, entry);
    fixture_cpu(&f, inlined_call(top), 1);
    fixture_cpu(&f, call(inlined_call(top), parse), 1);
    exported("cpu", NULL);
    assert_string_equal(stack_of(p->sample[0]), "inner outer|entry");
    assert_string_equal(stack_of(p->sample[1]), "parse|inner outer|entry");
    assert_int_equal(p->sample[0]->location_id[0], p->sample[1]->location_id[1]);
    const Pprof__Location *l = location(p->sample[0]->location_id[0]);
    assert_int_equal(l->line[0]->line, 120);
    assert_int_equal(l->line[1]->line, 130);
    const Pprof__Function *inner = function(l->line[0]->function_id);
    assert_non_null(strstr(text(inner->filename), "app.c"));
    assert_int_equal(inner->start_line, 120);
}

static void hidden_functions_are_in_no_location(void **state)
{
    (void)state;
    static const char *const rules[SELECT_RULES] = {[SELECT_HIDE] = "^(inner|serve)$"};
    struct selection selection;
    char why[160];
    assert_int_equal(selection_init(&selection, rules, why), 0);
    fixture_cpu(&f, inlined_call(call(call(0, entry), serve)), 1);
    exported("cpu", &selection);
    assert_string_equal(stack_of(p->sample[0]), "outer|entry");
    selection_release(&selection);
}

static void ignored_stacks_are_not_written(void **state)
{
    (void)state;
    static const char *const rules[SELECT_RULES] = {[SELECT_IGNORE] = "^serve$"};
    struct selection selection;
    char why[160];
    assert_int_equal(selection_init(&selection, rules, why), 0);
    fixture_cpu(&f, call(call(0, serve), parse), 1);
    fixture_cpu(&f, call(call(0, entry), parse), 1);
    exported("cpu", &selection);
    assert_int_equal(p->n_sample, 1);
    assert_string_equal(stack_of(p->sample[0]), "parse|entry");
    selection_release(&selection);
}

static void profilers_own_time_is_a_comment_and_no_sample(void **state)
{
    (void)state;
    fixture_argv(&f, "store\0--x", 2);
    f.h->losses[PSHIM_LOSS_stack_depth] = 12;
    fixture_cpu(&f, call(0, entry), 1);
    fixture_cpu(&f, fixture_node(&f, 0, PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_PROFILER), 2);
    exported("cpu", NULL);
    assert_int_equal(p->n_sample, 1);
    assert_int_equal(p->n_comment, 4);
    assert_string_equal(text(p->comment[0]), "store --x");
    assert_string_equal(text(p->comment[1]), "perfshim " PERFSHIM_VERSION);
    assert_non_null(strstr(text(p->comment[2]), "10000000 ns"));
    assert_non_null(strstr(text(p->comment[3]), "loss: 12 stacks cut"));
}

static void frames_in_brackets_belong_to_no_mapping(void **state)
{
    (void)state;
    fixture_cpu(&f, fixture_node(&f, 0, PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_UNSAMPLED), 1);
    exported("cpu", NULL);
    assert_string_equal(stack_of(p->sample[0]), "[unsampled]");
    assert_int_equal(location(p->sample[0]->location_id[0])->mapping_id, 0);
}

static void names_that_are_not_utf8_become_so(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\xe9z", "a\xef\xbf\xbdz"},
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* NUL in two bytes */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* half a surrogate pair */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut at the end */
    };
    enum { count = sizeof cases / sizeof *cases };
    for (int i = 0; i < count; i++) {
        char file[100];
        snprintf(file, sizeof file, "/nowhere/%s", cases[i].bytes);
        fixture_cpu(&f, fixture_node(&f, 0, fixture_module(&f, file, 0), 0x10), 1);
    }
    exported("cpu", NULL);
    assert_int_equal(p->n_sample, count);
    for (int i = 0; i < count; i++) {
        char want[100];
        snprintf(want, sizeof want, "%s+0x10", cases[i].want);
        assert_string_equal(stack_of(p->sample[i]), want);
    }
}

static void full_disk_is_an_error(void **state)
{
    (void)state;
    fixture_cpu(&f, call(0, entry), 1);
    loaded("cpu", NULL);
    int fd = open("/dev/full", O_WRONLY);
    assert_int_equal(export_pprof(fd, &export), -1);
    assert_int_equal(errno, ENOSPC);
    close(fd);
    assert_int_equal(export_pprof(-1, &export), -1);
    assert_int_equal(errno, EBADF);
}

static void collapsed_stacks_of_equal_names_are_one_line_largest_first(void **state)
{
    (void)state;
    uint32_t top = call(0, entry);
    fixture_cpu(&f, call(top, parse), 1);
    fixture_cpu(&f, call(call(top, serve), parse), 2);
    fixture_cpu(&f, call(call(call(0, entry), serve), parse), 3); /* another node, the same names */
    fixture_cpu(&f, inlined_call(top), 4);
    fixture_alloc(&f, top, 1, 64, 0, 0);
    char *got = collapsed("cpu");
    assert_string_equal(got, "entry;serve;parse 25000000\n"
                             "entry;outer;inner 20000000\n"
                             "entry;parse 5000000\n");
    free(got);
}

static void collapsed_heap_is_bytes_asked_for(void **state)
{
    (void)state;
    fixture_alloc(&f, call(0, entry), 3, 64, 3, 64);
    char *got = collapsed("heap");
    assert_string_equal(got, "entry 64\n");
    free(got);
}

static void collapsed_names_cannot_break_the_format(void **state)
{
    (void)state;
    uint32_t evil = fixture_module(&f, "/nowhere/a;b\nc\033 d.so", 0);
    fixture_cpu(&f, fixture_node(&f, call(0, entry), evil, 0x10), 1);
    char *got = collapsed("cpu");
    assert_string_equal(got, "entry;a\\x3bb\\x0ac\\x1b d.so+0x10 5000000\n");
    free(got);
}

static void nothing_measured_is_an_empty_export(void **state)
{
    (void)state;
    exported("cpu", NULL);
    assert_int_equal(p->n_sample, 0);
    assert_int_equal(p->n_sample_type, 2);
    assert_int_equal(p->n_mapping, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cpu_profile_has_ticks_and_their_time),
        TEST(heap_profile_has_what_was_asked_for_and_what_is_live),
        TEST(cost_profile_has_only_what_was_measured),
        TEST(kinds_that_were_not_measured_are_refused),
        TEST(first_string_is_empty_and_first_mapping_is_the_program),
        TEST(inlined_frames_are_lines_of_one_location),
        TEST(hidden_functions_are_in_no_location),
        TEST(ignored_stacks_are_not_written),
        TEST(profilers_own_time_is_a_comment_and_no_sample),
        TEST(frames_in_brackets_belong_to_no_mapping),
        TEST(names_that_are_not_utf8_become_so),
        TEST(full_disk_is_an_error),
        TEST(collapsed_stacks_of_equal_names_are_one_line_largest_first),
        TEST(collapsed_heap_is_bytes_asked_for),
        TEST(collapsed_names_cannot_break_the_format),
        TEST(nothing_measured_is_an_empty_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Code to stand in stacks: on one line each, so that every address of it has that line. Last in the
   file, since #line holds for the rest of it. */
/* clang-format off */
#define CODE(name) __attribute__((noinline)) static void name(void) { __asm__ volatile("" ::: "memory"); }
#line 100 "app.c"
CODE(entry)
CODE(serve)
CODE(parse)
#line 120 "app.c"
__attribute__((always_inline)) static inline void inner(void) { __asm__ volatile(".globl export_test_inlined\nexport_test_inlined: nop\n\tnop" ::: "memory"); }
#line 130 "app.c"
__attribute__((noinline, used)) static void outer(void) { inner(); }
/* clang-format on */
