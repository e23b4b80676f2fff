#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "analyzer/frames.h"
#include "analyzer/path.h"
#include "analyzer/rank.h"
#include "analyzer/site.h"
#include "tests/unit/profile_fixture.h"

/* Code to stand in stacks: at the end of this file. */
static void entry(void), serve(void), parse(void), recurse(void);
static void xmalloc(void), xstrdup(void), allocate(void);

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;
static struct frames *frames;
static struct rank rank;
static uint32_t module;

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "rank");
    fixture_open(&f, path, 1 << 20);
    module = fixture_own_module(&f);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    rank_release(&rank);
    if (frames)
        frames_free(frames);
    frames = NULL;
    model_release(&m);
    reader_close(&r);
    fixture_close(&f);
    return unlink(path);
}

static uint32_t call(uint32_t parent, void (*function)(void))
{
    return fixture_call(&f, parent, module, function);
}

static void loaded(const struct selection *selection)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
    frames = frames_new(&r, selection);
}

static void ranked(const struct selection *selection, enum rank_by by)
{
    loaded(selection);
    rank_build(&rank, &m, frames, by);
    rank_sort(&rank, METRIC_COST_NS, false);
}

/* The row of a function, or of a file by the last part of its path. */
static const struct rank_row *row(const char *name)
{
    for (size_t i = 0; i < rank.count; i++) {
        const char *slash = strrchr(rank.rows[i].name, '/');
        if (strcmp(slash ? slash + 1 : rank.rows[i].name, name) == 0)
            return &rank.rows[i];
    }
    return NULL;
}

static int64_t ticks(const struct rank_row *at, bool flat)
{
    return (flat ? at->flat : at->cum).v[METRIC_CPU_NS] / FIXTURE_TICK_NS;
}

static void leaf_is_flat_and_every_caller_is_cum(void **state)
{
    (void)state;
    uint32_t top = call(0, entry), mid = call(top, serve);
    fixture_cpu(&f, call(mid, parse), 30);
    fixture_cpu(&f, mid, 20);
    ranked(NULL, RANK_FUNCTION);
    assert_int_equal(rank.count, 3);
    assert_string_equal(rank.rows[0].name, "entry");
    assert_int_equal(ticks(row("entry"), true), 0);
    assert_int_equal(ticks(row("entry"), false), 50);
    assert_int_equal(ticks(row("serve"), true), 20);
    assert_int_equal(ticks(row("serve"), false), 50);
    assert_int_equal(ticks(row("parse"), false), 30);
    assert_non_null(strstr(row("parse")->file, "app.c"));
    assert_int_equal(row("parse")->line, 102);
    assert_string_equal(row("parse")->module, "test_analyzer_rank");
}

static void recursion_counts_once_in_cum(void **state)
{
    (void)state;
    uint32_t at = call(0, entry);
    for (int i = 0; i < 5; i++)
        at = call(at, recurse);
    fixture_cpu(&f, at, 7);
    ranked(NULL, RANK_FUNCTION);
    assert_int_equal(ticks(row("recurse"), false), 7);
    assert_int_equal(ticks(row("recurse"), true), 7);
}

static void profilers_own_frames_are_hidden_and_its_time_is_shown(void **state)
{
    (void)state;
    uint32_t shim = fixture_module(&f, "/opt/libperfshim.so", PSHIM_MODULE_SHIM);
    uint32_t top = call(0, entry);
    uint32_t hook = fixture_node(&f, top, shim, 0x1000);
    fixture_cpu(&f, call(hook, parse), 5);                    /* a real malloc below */
    fixture_cpu(&f, fixture_node(&f, hook, shim, 0x2000), 3); /* in our own code */
    fixture_cpu(&f, fixture_node(&f, hook, PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_PROFILER), 2);
    ranked(NULL, RANK_FUNCTION);
    assert_int_equal(rank.count, 3);
    assert_int_equal(ticks(row("[profiler]"), true), 0); /* not the program's time */
    assert_int_equal(row("[profiler]")->flat.v[METRIC_PROFILER_NS], 5 * FIXTURE_TICK_NS);
    assert_int_equal(row("entry")->cum.v[METRIC_PROFILER_NS], 5 * FIXTURE_TICK_NS);
    assert_int_equal(ticks(row("entry"), false), 5);
    assert_null(row("[profiler]")->module);
}

static void what_could_not_be_walked_has_a_name_in_brackets(void **state)
{
    (void)state;
    static const struct {
        uint32_t module;
        uint64_t offset;
        const char *name;
    } cases[] = {
        {PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_TRUNCATED, "[stack cut: depth limit]"},
        {PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_UNKNOWN_STACK, "[stack cut: unknown stack]"},
        {PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_UNSAMPLED, "[unsampled]"},
        {PSHIM_MODULE_SPECIAL, 200, "[unknown]"},
        {PSHIM_MODULE_ANON, 0x7f0000001000, "[code in no module]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        fixture_cpu(&f, fixture_node(&f, 0, cases[i].module, cases[i].offset), 1);
    fixture_cpu(&f, fixture_node(&f, 0, fixture_allot(&f, PSHIM_REGION_MODULE), 1), 1);
    fixture_cpu(&f, fixture_node(&f, 0, fixture_module(&f, "x", PSHIM_MODULE_VDSO), 16), 1);
    fixture_cpu(&f, 0, 1);
    ranked(NULL, RANK_FUNCTION);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_non_null(row(cases[i].name));
    assert_non_null(row("[unknown module]"));
    assert_non_null(row("[vdso]+0x10"));
    assert_non_null(row("[no stack]"));
}

static void module_that_is_gone_or_changed_gives_offsets_and_says_why(void **state)
{
    (void)state;
    const char *where, *why;
    uint32_t gone = fixture_module(&f, "/nowhere/libgone.so", 0);
    fixture_cpu(&f, fixture_node(&f, 0, gone, 0x1234), 1);
    struct pshim_module *own = profile_record(&f.profile, PSHIM_REGION_MODULE, module);
    own->build_id[0] ^= 1;
    fixture_cpu(&f, call(0, parse), 1);
    ranked(NULL, RANK_FUNCTION);
    assert_non_null(row("libgone.so+0x1234"));
    assert_null(row("parse"));
    assert_true(frames_problem(frames, 0, &where, &why));
    assert_non_null(strstr(why, "build-id"));
    assert_true(frames_problem(frames, 1, &where, &why));
    assert_string_equal(where, "/nowhere/libgone.so");
    assert_false(frames_problem(frames, 2, &where, &why));
}

static void stacks_chosen(const char *focus, const char *ignore, const char *hide)
{
    static struct selection s;
    const char *text[SELECT_RULES] = {focus, ignore, hide};
    char err[160];
    uint32_t top = call(0, entry);
    fixture_cpu(&f, call(call(top, serve), parse), 1);
    fixture_cpu(&f, call(top, recurse), 2);
    assert_int_equal(selection_init(&s, text, err), 0);
    ranked(&s, RANK_FUNCTION);
    selection_release(&s);
}

static void focus_keeps_only_stacks_through_a_match(void **state)
{
    (void)state;
    stacks_chosen("^serve$", NULL, NULL);
    assert_int_equal(ticks(row("entry"), false), 1);
    assert_null(row("recurse"));
    assert_int_equal(rank.selected.v[METRIC_CPU_NS], FIXTURE_TICK_NS);
}

static void ignore_drops_stacks_through_a_match(void **state)
{
    (void)state;
    stacks_chosen(NULL, "parse|nothing", NULL);
    assert_int_equal(ticks(row("entry"), false), 2);
    assert_null(row("serve"));
}

static void hide_gives_the_cost_to_the_caller(void **state)
{
    (void)state;
    stacks_chosen(NULL, NULL, "parse");
    assert_null(row("parse"));
    assert_int_equal(ticks(row("serve"), true), 1);
    assert_int_equal(ticks(row("entry"), false), 3);
}

static void rows_by_file_and_by_module_add_up(void **state)
{
    (void)state;
    uint32_t top = call(0, entry);
    fixture_cpu(&f, call(call(top, serve), xmalloc), 4);
    fixture_cpu(&f, top, 1);
    ranked(NULL, RANK_FILE);
    assert_int_equal(rank.count, 2);
    assert_int_equal(ticks(row("app.c"), false), 5);
    assert_int_equal(ticks(row("app.c"), true), 1);
    assert_int_equal(ticks(row("layer.c"), true), 4);
    rank_release(&rank);
    rank_build(&rank, &m, frames, RANK_MODULE);
    assert_int_equal(rank.count, 1);
    assert_int_equal(ticks(row("test_analyzer_rank"), true), 5);
}

static void entry_frames_are_those_that_all_from_their_root_runs_through(void **state)
{
    (void)state;
    uint32_t one = call(0, entry), two = call(0, serve);
    uint32_t loop = call(two, xmalloc);
    fixture_cpu(&f, call(one, parse), 100);
    fixture_cpu(&f, call(loop, parse), 60);
    fixture_cpu(&f, call(loop, recurse), 40);
    ranked(NULL, RANK_FUNCTION);
    assert_true(rank_is_entry(&rank, row("entry"), METRIC_COST_NS));
    assert_true(rank_is_entry(&rank, row("serve"), METRIC_COST_NS));
    assert_true(rank_is_entry(&rank, row("xmalloc"), METRIC_COST_NS));
    assert_false(rank_is_entry(&rank, row("parse"), METRIC_COST_NS));
    assert_false(rank_is_entry(&rank, row("recurse"), METRIC_COST_NS));
}

static void hot_path_ends_where_it_splits_into_many(void **state)
{
    (void)state;
    struct path p;
    uint32_t top = call(0, entry), mid = call(top, serve);
    fixture_cpu(&f, call(mid, parse), 40);
    fixture_cpu(&f, call(mid, recurse), 35);
    fixture_cpu(&f, call(mid, xmalloc), 30);
    loaded(NULL);
    path_find(&p, &m, frames, METRIC_CPU_NS);
    assert_int_equal(p.depth, 2);
}

static void hot_path_follows_the_most_until_it_stays(void **state)
{
    (void)state;
    struct path p;
    uint32_t top = call(0, entry), mid = call(top, serve);
    fixture_cpu(&f, call(mid, parse), 50);
    fixture_cpu(&f, call(mid, recurse), 20);
    fixture_cpu(&f, call(top, recurse), 10);
    loaded(NULL);
    path_find(&p, &m, frames, METRIC_CPU_NS);
    assert_int_equal(p.depth, 3);
    assert_string_equal(frames_function(frames, p.functions[2])->name, "parse");
    assert_int_equal(p.values[0], 80 * (int64_t)FIXTURE_TICK_NS);
    assert_int_equal(p.values[2], 50 * (int64_t)FIXTURE_TICK_NS);
}

/* ---- sites ---- */

static struct sites sites;

static const struct site *site(const char *function, uint32_t line)
{
    for (size_t i = 0; i < sites.count; i++)
        if (strcmp(frames_function(frames, sites.sites[i].frame->function)->name, function) == 0 &&
            sites.sites[i].frame->line == line)
            return &sites.sites[i];
    return NULL;
}

static void site_is_the_line_that_allocates(void **state)
{
    (void)state;
    uint32_t top = call(0, entry);
    fixture_alloc(&f, call(top, parse), 3, 30, 0, 0);
    fixture_alloc(&f, call(call(top, serve), parse), 4, 40, 0, 0);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    assert_int_equal(sites.count, 1); /* one line, whoever called */
    assert_int_equal(site("parse", 102)->m.v[METRIC_ALLOC_CALLS], 7);
    assert_null(site("parse", 102)->via);
    sites_release(&sites);
}

static void site_behind_an_allocation_layer_is_who_entered_it(void **state)
{
    (void)state;
    uint32_t top = call(0, entry), mid = call(top, serve);
    fixture_alloc(&f, call(call(mid, xstrdup), xmalloc), 3, 30, 0, 0);
    fixture_alloc(&f, call(call(top, parse), xmalloc), 4, 40, 0, 0);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    assert_int_equal(sites.count, 2);
    assert_int_equal(site("serve", 101)->m.v[METRIC_ALLOC_CALLS], 3);
    assert_int_equal(site("parse", 102)->m.v[METRIC_ALLOC_CALLS], 4);
    assert_string_equal(frames_function(frames, site("parse", 102)->via->function)->name,
                        "xmalloc");
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(frames, m.samples[0].node, stack);
    assert_int_equal(sites_frame(&sites, frames, stack, depth), 2);
    sites_release(&sites);
}

static void layer_with_one_way_in_is_a_site_itself(void **state)
{
    (void)state;
    fixture_alloc(&f, call(call(call(0, entry), serve), xmalloc), 3, 30, 0, 0);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    assert_non_null(site("xmalloc", 200));
    sites_release(&sites);
}

static void what_starts_threads_and_programs_is_never_the_site(void **state)
{
    (void)state;
    uint32_t libc = fixture_module(&f, "/lib/libc.so.6", 0);
    uint32_t start = fixture_node(&f, 0, libc, 0x1000), thread = fixture_node(&f, 0, libc, 0x2000);
    fixture_alloc(&f, call(call(start, entry), parse), 3, 30, 0, 0);
    fixture_alloc(&f, call(call(thread, serve), parse), 4, 40, 0, 0);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    assert_int_equal(sites.count, 1);
    assert_non_null(site("parse", 102));
    sites_release(&sites);
}

static void libc_that_allocates_is_a_layer_whatever_it_is_called_from(void **state)
{
    (void)state;
    uint32_t libc = fixture_module(&f, "/lib/libc.so.6", 0);
    fixture_alloc(&f, fixture_node(&f, call(0, parse), libc, 0x1000), 3, 30, 0, 0);
    fixture_alloc(&f, fixture_node(&f, call(0, serve), libc, 0x1000), 4, 40, 0, 0);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    assert_int_equal(site("parse", 102)->m.v[METRIC_ALLOC_CALLS], 3);
    assert_int_equal(site("serve", 101)->m.v[METRIC_ALLOC_CALLS], 4);
    sites_release(&sites);
}

static void program_without_debug_information_is_not_one_layer(void **state)
{
    (void)state;
    uint32_t stripped = fixture_module(&f, "/nowhere/prog", PSHIM_MODULE_EXE);
    uint32_t library = fixture_module(&f, "/nowhere/libfoo.so", 0);
    for (unsigned i = 0; i < 2; i++)
        fixture_alloc(&f, fixture_node(&f, fixture_node(&f, 0, library, i), stripped, 0x500), 1, 1,
                      0, 0);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    assert_int_equal(sites.count, 1);
    assert_non_null(site("prog+0x500", 0));
    sites_release(&sites);
}

static void standard_library_headers_are_never_the_site(void **state)
{
    (void)state;
    fixture_alloc(&f, call(call(call(0, entry), serve), allocate), 3, 30, 0, 0);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    assert_non_null(site("serve", 101));
    sites_release(&sites);
}

static void sites_leave_cpu_time_out_and_are_sorted(void **state)
{
    (void)state;
    uint32_t small = call(call(0, entry), parse), large = call(call(0, entry), recurse);
    fixture_alloc(&f, small, 9, 10, 0, 0);
    fixture_cpu(&f, small, 1);
    fixture_alloc(&f, large, 1, 90, 0, 0);
    fixture_cpu(&f, call(0, serve), 1);
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_BYTES);
    assert_int_equal(sites.count, 2);
    assert_int_equal(sites.sites[0].m.v[METRIC_ALLOC_BYTES], 90);
    assert_int_equal(sites.sites[1].m.v[METRIC_CPU_NS], 0);
    sites_release(&sites);
}

static void sites_have_the_histograms_of_all_their_stacks(void **state)
{
    (void)state;
    uint32_t a = call(call(0, entry), parse), b = call(call(0, serve), parse);
    uint32_t other = call(call(0, entry), recurse);
    fixture_alloc(&f, a, 2, 20, 0, 0);
    fixture_alloc(&f, other, 9, 90, 0, 0);
    fixture_alloc(&f, b, 3, 48, 0, 0);
    fixture_asked(fixture_histogram(&f, a), 10, 2);
    fixture_asked(fixture_histogram(&f, b), 16, 3);
    fixture_asked(fixture_histogram(&f, 0), 8, 5); /* of stacks without room: no site's */
    loaded(NULL);
    sites_build(&sites, &m, frames, METRIC_ALLOC_CALLS);
    struct model_histogram *all = sites_histograms(&sites, &m);
    assert_int_equal(sites.count, 2);
    assert_int_equal(sites.sites[0].m.v[METRIC_ALLOC_CALLS], 9);
    assert_int_equal(all[0].asked_count, 0);
    assert_int_equal(all[1].asked_count, 5);
    assert_int_equal(all[1].size_count, 2);
    free(all);
    sites_release(&sites);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leaf_is_flat_and_every_caller_is_cum),
        TEST(recursion_counts_once_in_cum),
        TEST(profilers_own_frames_are_hidden_and_its_time_is_shown),
        TEST(what_could_not_be_walked_has_a_name_in_brackets),
        TEST(module_that_is_gone_or_changed_gives_offsets_and_says_why),
        TEST(focus_keeps_only_stacks_through_a_match),
        TEST(ignore_drops_stacks_through_a_match),
        TEST(hide_gives_the_cost_to_the_caller),
        TEST(rows_by_file_and_by_module_add_up),
        TEST(entry_frames_are_those_that_all_from_their_root_runs_through),
        TEST(hot_path_ends_where_it_splits_into_many),
        TEST(hot_path_follows_the_most_until_it_stays),
        TEST(site_is_the_line_that_allocates),
        TEST(site_behind_an_allocation_layer_is_who_entered_it),
        TEST(layer_with_one_way_in_is_a_site_itself),
        TEST(what_starts_threads_and_programs_is_never_the_site),
        TEST(libc_that_allocates_is_a_layer_whatever_it_is_called_from),
        TEST(program_without_debug_information_is_not_one_layer),
        TEST(standard_library_headers_are_never_the_site),
        TEST(sites_leave_cpu_time_out_and_are_sorted),
        TEST(sites_have_the_histograms_of_all_their_stacks),
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
CODE(recurse)
#line 200 "layer.c"
CODE(xmalloc)
CODE(xstrdup)
#line 300 "/usr/include/c++/12/bits/new_allocator.h"
CODE(allocate)
/* clang-format on */
