#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <math.h>

#include "analyzer/top.h"
#include "analyzer/top_plain.h"
#include "analyzer/top_text.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model before, now;
static struct top_change c;
static bool has_before;

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "top");
    fixture_open(&f, path, 1 << 20);
    assert_int_equal(reader_open(&r, path), 0);
    has_before = false;
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    reader_close(&r);
    fixture_close(&f);
    return unlink(path);
}

static void first_reading(void)
{
    assert_int_equal(model_load(&before, &r), 0);
    has_before = true;
}

static void second_reading(double seconds)
{
    assert_int_equal(model_load(&now, &r), 0);
    top_change_build(&c, has_before ? &before : NULL, &now, seconds);
}

static void released(void)
{
    top_change_release(&c);
    model_release(&now);
    if (has_before)
        model_release(&before);
}

static uint32_t node(uint64_t offset)
{
    return fixture_node(&f, 0, PSHIM_MODULE_ANON, offset);
}

static void a_change_is_what_the_later_reading_has_more(void **state)
{
    (void)state;
    uint32_t leaf = node(1), quiet = node(2);
    struct pshim_account *a = fixture_alloc(&f, leaf, 10, 1000, 4, 400);
    struct pshim_account *cpu = fixture_cpu(&f, leaf, 7);
    fixture_alloc(&f, quiet, 5, 50, 0, 0);
    fixture_progress(&f, "op", 100);
    fixture_thread(&f, 1, "main", 1000, 0);
    f.h->losses[PSHIM_LOSS_disk_full] = 3;
    first_reading();
    a->counter[PSHIM_ALLOC_CALLS] = 16;
    a->counter[PSHIM_ALLOC_BYTES] = 1900;
    a->counter[PSHIM_ALLOC_FREE_CALLS] = 5;
    a->counter[PSHIM_ALLOC_FREE_BYTES] = 500;
    cpu->counter[PSHIM_CPU_TICKS] = 9;
    f.h->losses[PSHIM_LOSS_disk_full] = 5;
    fixture_alloc(&f, node(3), 1, 10, 0, 0); /* a stack that was not there before */
    second_reading(0.5);
    const int64_t *v = c.m.totals.v;
    assert_int_equal(c.m.sample_count, 2); /* what rested is not there */
    assert_int_equal(v[METRIC_ALLOC_CALLS], 7);
    assert_int_equal(v[METRIC_ALLOC_BYTES], 910);
    assert_int_equal(v[METRIC_FREE_CALLS], 1);
    assert_int_equal(v[METRIC_LIVE_BYTES], 810);
    assert_int_equal(v[METRIC_LIVE_BLOCKS], 6);
    assert_int_equal(v[METRIC_CPU_NS], 2 * FIXTURE_TICK_NS);
    assert_int_equal(v[METRIC_COST_NS], v[METRIC_CPU_NS]);
    assert_int_equal(c.ticks, 2);
    assert_int_equal(c.m.losses[PSHIM_LOSS_disk_full], 2);
    assert_int_equal(model_ops(&c.m), 0); /* none in the interval, yet there is such a thing */
    assert_int_equal(c.m.progress_count, 1);
    assert_false(model_has(&c.m, METRIC_PEAK_BYTES));
    assert_true(top_rate(&c, 7) == 14);
    released();
}

static void nothing_before_is_the_time_since_the_start(void **state)
{
    (void)state;
    fixture_alloc(&f, node(1), 10, 1000, 4, 400);
    fixture_progress(&f, "op", 100);
    second_reading(10);
    assert_int_equal(c.m.totals.v[METRIC_ALLOC_CALLS], 10);
    assert_int_equal(model_ops(&c.m), 100);
    assert_true(top_rate(&c, 100) == 10);
    released();
}

static void counters_that_went_back_count_as_no_change(void **state)
{
    (void)state;
    struct pshim_account *a = fixture_alloc(&f, node(1), 10, 1000, 4, 400);
    struct pshim_account *taken =
        fixture_taken(&f, node(2), fixture_lock(&f, 64, 0, false), 9, 8, 7000, 6000);
    fixture_progress(&f, "op", 100);
    first_reading();
    a->counter[PSHIM_ALLOC_CALLS] = 2;
    a->counter[PSHIM_ALLOC_BYTES] = UINT64_MAX / 2 + 5000;
    taken->counter[PSHIM_LOCK_WAIT] = 1;
    taken->counter[PSHIM_LOCK_ACQUISITIONS] = 3;
    fixture_thread(&f, 1, "main", 1000, 0);
    f.h->losses[0] = 0;
    second_reading(1);
    assert_int_equal(c.m.totals.v[METRIC_ALLOC_CALLS], 0);
    assert_int_equal(c.m.totals.v[METRIC_ALLOC_BYTES], 0);
    assert_int_equal(c.m.totals.v[METRIC_LOCK_WAIT_NS], 0);
    assert_int_equal(c.m.lock_count, 0);
    released();
}

static void an_interval_of_no_length_has_no_rates(void **state)
{
    (void)state;
    fixture_progress(&f, "op", 100);
    for (int i = 0; i < 2; i++) {
        second_reading(i ? 0 : -1);
        assert_true(isnan(top_rate(&c, 5)));
        released();
    }
}

static void a_threads_end_takes_back_from_the_functions_below_its_start(void **state)
{
    (void)state;
    uint32_t start = node(1);
    struct pshim_account *cpu = fixture_cpu(&f, fixture_node(&f, start, PSHIM_MODULE_ANON, 2), 10);
    struct pshim_account *unsampled =
        fixture_cpu(&f, fixture_special(&f, start, PSHIM_SPECIAL_UNSAMPLED), 0);
    first_reading();
    cpu->counter[PSHIM_CPU_TICKS] = 14;
    unsampled->counter[PSHIM_CPU_EXTRA_NS] = (uint64_t)-4000000;
    second_reading(1);
    assert_int_equal(c.m.totals.v[METRIC_CPU_NS], 4 * FIXTURE_TICK_NS - 4000000);
    for (size_t i = 0; i < c.m.sample_count; i++)
        assert_true(c.m.samples[i].m.v[METRIC_CPU_NS] >= 0);
    released();
}

static void locks_are_those_of_the_interval_most_waited_for_first(void **state)
{
    (void)state;
    uint32_t leaf = node(1);
    fixture_lock(&f, 0, 0, false); /* those that found no room */
    uint32_t a = fixture_lock(&f, 64, leaf, true), b = fixture_lock(&f, 128, leaf, true);
    uint32_t idle = fixture_lock(&f, 256, node(9), true);
    struct pshim_account *of_a = fixture_taken(&f, node(2), a, 100, 50, 9000000, 100);
    struct pshim_account *of_b = fixture_taken(&f, node(3), b, 10, 1, 1000, 100);
    fixture_taken(&f, node(4), idle, 10, 1, 1000, 100);
    first_reading();
    of_a->counter[PSHIM_LOCK_ACQUISITIONS] += 5;
    of_b->counter[PSHIM_LOCK_ACQUISITIONS] += 3;
    of_b->counter[PSHIM_LOCK_CONTENTIONS] += 2;
    of_b->counter[PSHIM_LOCK_WAIT] += 700;
    of_b->counter[PSHIM_LOCK_HOLD] += 40;
    second_reading(1);
    assert_int_equal(c.m.lock_count, 2);
    assert_int_equal(c.m.locks[0].record, b);
    assert_int_equal(c.m.locks[0].counts.wait_ns, 700);
    assert_int_equal(c.m.locks[0].counts.contentions, 2);
    assert_int_equal(c.m.locks[0].counts.hold_ns, 40);
    assert_int_equal(c.m.locks[1].counts.acquisitions, 5);
    assert_int_equal(c.m.totals.v[METRIC_COST_NS], 700);
    struct frames *frames = frames_new(&r, NULL);
    struct top_lock rows[4];
    assert_int_equal(top_locks(&c, frames, rows, 4), 1); /* both were made at one place */
    assert_int_equal(rows[0].locks, 2);
    assert_int_equal(rows[0].counts.acquisitions, 8);
    assert_int_equal(top_locks(&c, frames, rows, 0), 0);
    frames_free(frames);
    released();
}

static void an_order_that_was_not_measured_is_none(void **state)
{
    (void)state;
    second_reading(1);
    assert_int_equal(top_metric(&now, TOP_SORT_CUM), METRIC_COST_NS);
    assert_int_equal(top_metric(&now, TOP_SORT_LOCK), METRIC_COUNT);
    assert_int_equal(top_sort_next(&now, TOP_SORT_CUM), TOP_SORT_FLAT);
    assert_int_equal(top_sort_next(&now, TOP_SORT_FLAT), TOP_SORT_ALLOCS);
    assert_int_equal(top_sort_next(&now, TOP_SORT_ALLOCS), TOP_SORT_CUM);
    released();
    f.h->cpu_hz = 0;
    second_reading(1);
    assert_int_equal(top_metric(&now, TOP_SORT_CUM), METRIC_ALLOC_CALLS);
    released();
    f.h->alloc_mode = PSHIM_ALLOC_OFF;
    second_reading(1);
    struct rank rank;
    struct frames *frames = frames_new(&r, NULL);
    top_rank_build(&rank, &c, frames, TOP_SORT_CUM);
    assert_int_equal(rank.count, 0);
    assert_int_equal(top_sort_next(&now, TOP_SORT_CUM), TOP_SORT_CUM);
    rank_release(&rank);
    frames_free(frames);
    released();
}

static void frames_follow_a_profile_that_grows(void **state)
{
    (void)state;
    const struct frame *stack[FRAMES_STACK_MAX];
    uint32_t first = node(1);
    struct frames *frames = frames_new(&r, NULL);
    assert_int_equal(frames_stack(frames, first, stack), 1);
    uint32_t module = fixture_module(&f, "/nowhere/libnew.so", 0);
    uint32_t last = 0;
    for (int i = 0; i < 100; i++)
        last = fixture_node(&f, 0, module, 16);
    assert_int_equal(frames_stack(frames, last, stack), 1);
    assert_string_equal(frames_function(frames, stack[0]->function)->name, "libnew.so+0x10");
    frames_free(frames);
}

/* The lines, without their stamps. */
static void printed(char *to, size_t size, struct top_output *o)
{
    FILE *out = fmemopen(to, size, "w");
    top_plain_title(out, &now, 1700000000123456789u);
    top_plain(out, o, &c, 1700000000123456789u);
    top_plain_end(out, &now, 1700000000123456789u);
    fclose(out);
}

static void lines_are_stamped_tagged_and_no_wider_than_a_screen(void **state)
{
    (void)state;
    char text[16384];
    uint32_t lock = fixture_lock(&f, 0, 0, false);
    fixture_argv(&f, "store_bench\0--threads=4\0\033[2J", 3);
    fixture_taken(&f, node(1), lock, 100, 50, 250000000, 5000000000);
    fixture_alloc(&f, node(1), 3000000, 300000000, 10, 1000);
    fixture_cpu(&f, node(1), 400);
    fixture_progress(&f, "op", 3000000);
    fixture_progress(&f, "a point whose name is longer than its column", 5);
    f.h->losses[PSHIM_LOSS_account_table_full] = 12;
    second_reading(10);
    struct top_output o = {.frames = frames_new(&r, NULL), .limit = 3};
    printed(text, sizeof text, &o);
    static const char *const said[] = {
        "2023-11-14T22:13:20.123Z WATCH pid 4127  store_bench --threads=4 \\x1b[2J\n",
        "Z RUN   ops 3000000       300 k/s  cpu  0.20  profiler  0.00  ended\n",
        "Z POINT a point whose nam...           5    0.50/s\n",
        "Z HEAP  allocs   300 k/s    28.6 MiB/s  frees       1/s\n",
        "Z LIVE   286.1 MiB in 2999990 blocks (+286.1 MiB)  peak 286.1 MiB\n",
        "Z LOCKS waited   25.0 ms/s  contended       5/s  taken      10/s\n",
        "Z LOST  12 more, account_table_full: ",
        "Z TOP   by cost, with what is called: 2.25s, 400 CPU ticks\n",
        "Z FUNC    flat%    cum%  allocs/s  function\n",
        "Z FUNC    88.9%  100.0%     300 k  [code in no module]\n",
        "Z FUNC    11.1%   11.1%         -  pthread_mutex_lock\n",
        "Z LOCK    wait/s  contended/s  taken/s   held  lock\n",
        "Z END   pid 4127  exit 0 after 10.00s\n",
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(text, said[i]))
            fail_msg("no \"%s\" in:\n%s", said[i], text);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 100);
    frames_free(o.frames);
    released();
}

static void what_was_not_measured_has_no_line(void **state)
{
    (void)state;
    char text[8192];
    f.h->alloc_hidden = 1;
    f.h->cpu_hz = 0;
    f.h->end = PSHIM_END_EXEC;
    second_reading(0);
    struct top_output o = {.frames = frames_new(&r, NULL), .limit = 3};
    printed(text, sizeof text, &o);
    static const char *const unsaid[] = {"HEAP", "LIVE", "LOCK", "TOP",
                                         "FUNC", "cpu",  "ops",  "LOST"};
    for (size_t i = 0; i < sizeof unsaid / sizeof *unsaid; i++)
        if (strstr(text, unsaid[i]))
            fail_msg("\"%s\" in:\n%s", unsaid[i], text);
    assert_non_null(strstr(text, "ended by exec after 10.00s: it runs another program now\n"));
    frames_free(o.frames);
    released();
}

static void a_document_is_one_line(void **state)
{
    (void)state;
    static char text[65536];
    fixture_alloc(&f, node(1), 10, 1000, 4, 400);
    fixture_taken(&f, node(1), fixture_lock(&f, 0, 0, false), 100, 50, 250000000, 5000000000);
    second_reading(0);
    struct top_output o = {.frames = frames_new(&r, NULL), .limit = 3};
    FILE *out = fmemopen(text, sizeof text, "w");
    top_json(out, &o, &c, 1700000000000000000u);
    fclose(out);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "\"schema\": \"perfshim.top/1\""));
    assert_non_null(strstr(text, "\"interval_s\": null"));
    assert_non_null(strstr(text, "\"contentions\": 50, \"wait_ns\": 250000000"));
    frames_free(o.frames);
    released();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_what_the_later_reading_has_more),
        TEST(nothing_before_is_the_time_since_the_start),
        TEST(counters_that_went_back_count_as_no_change),
        TEST(an_interval_of_no_length_has_no_rates),
        TEST(a_threads_end_takes_back_from_the_functions_below_its_start),
        TEST(locks_are_those_of_the_interval_most_waited_for_first),
        TEST(an_order_that_was_not_measured_is_none),
        TEST(frames_follow_a_profile_that_grows),
        TEST(lines_are_stamped_tagged_and_no_wider_than_a_screen),
        TEST(what_was_not_measured_has_no_line),
        TEST(a_document_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
