#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "analyzer/model.h"
#include "analyzer/process.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "model");
    fixture_open(&f, path, 1 << 20);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    fixture_close(&f);
    return unlink(path);
}

static void loaded(void)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
}

static void released(void)
{
    model_release(&m);
    reader_close(&r);
}

/* The file is refused, and the message tells its name and `said`. */
static void refused(const char *said)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), -1);
    assert_non_null(strstr(r.error, path));
    assert_non_null(strstr(r.error, "damaged"));
    if (!strstr(r.error, said))
        fail_msg("\"%s\" does not say \"%s\"", r.error, said);
    reader_close(&r);
}

static void accounts_of_one_stack_add_up_over_recorders(void **state)
{
    (void)state;
    uint32_t leaf =
        fixture_node(&f, fixture_node(&f, 0, PSHIM_MODULE_ANON, 1), PSHIM_MODULE_ANON, 2);
    struct pshim_account *a = fixture_alloc(&f, leaf, 10, 1000, 4, 400);
    a->counter[PSHIM_ALLOC_TEMPORARY] = 3;
    fixture_alloc(&f, leaf, 0, 0, 5, 500)->recorder = 2; /* freed by another thread */
    fixture_cpu(&f, leaf, 7)->counter[PSHIM_CPU_EXTRA_NS] = 11;
    fixture_cpu(&f, leaf, 1)->counter[PSHIM_CPU_EXTRA_NS] = (uint64_t)-1;
    loaded();
    assert_int_equal(m.sample_count, 1);
    const int64_t *v = m.samples[0].m.v;
    assert_int_equal(m.samples[0].node, leaf);
    assert_true(m.samples[0].alloc && m.samples[0].cpu);
    assert_int_equal(v[METRIC_ALLOC_CALLS], 10);
    assert_int_equal(v[METRIC_FREE_CALLS], 9);
    assert_int_equal(v[METRIC_LIVE_BLOCKS], 1);
    assert_int_equal(v[METRIC_LIVE_BYTES], 100);
    assert_int_equal(v[METRIC_TEMPORARY_CALLS], 3);
    assert_int_equal(v[METRIC_CPU_NS], 8 * FIXTURE_TICK_NS + 10);
    assert_int_equal(v[METRIC_COST_NS], v[METRIC_CPU_NS]);
    assert_int_equal(m.totals.v[METRIC_ALLOC_BYTES], 1000);
    assert_int_equal(m.cpu_ticks, 8);
    released();
}

static void peak_is_what_was_saved_in_its_epoch_else_what_is_live_now(void **state)
{
    (void)state;
    f.h->peak_epoch = 5;
    f.h->peak_bytes = 1300;
    uint32_t touched = fixture_node(&f, 0, PSHIM_MODULE_ANON, 1);
    uint32_t untouched = fixture_node(&f, 0, PSHIM_MODULE_ANON, 2);
    struct pshim_account *a = fixture_alloc(&f, touched, 20, 2000, 20, 2000);
    a->counter[PSHIM_ALLOC_PEAK_EPOCH] = 5;
    a->counter[PSHIM_ALLOC_PEAK_SAVED] = 900;
    a = fixture_alloc(&f, untouched, 5, 500, 1, 100);
    a->counter[PSHIM_ALLOC_PEAK_EPOCH] = 4;
    a->counter[PSHIM_ALLOC_PEAK_SAVED] = 77;
    loaded();
    assert_int_equal(m.samples[0].m.v[METRIC_PEAK_BYTES], 900);
    assert_int_equal(m.samples[1].m.v[METRIC_PEAK_BYTES], 400);
    assert_int_equal(m.totals.v[METRIC_PEAK_BYTES], 1300);
    released();
}

static void peak_is_never_below_what_is_live_at_the_end(void **state)
{
    (void)state;
    f.h->peak_bytes = 10;
    fixture_alloc(&f, fixture_node(&f, 0, PSHIM_MODULE_ANON, 1), 1, 64, 0, 0);
    loaded();
    assert_int_equal(m.totals.v[METRIC_PEAK_BYTES], 64);
    released();
}

static void what_was_switched_off_is_not_measured(void **state)
{
    (void)state;
    loaded();
    assert_true(model_has(&m, METRIC_ALLOC_CALLS) && model_has(&m, METRIC_CPU_NS));
    assert_false(model_has(&m, METRIC_LOCK_WAIT_NS));
    released();
    f.h->alloc_mode = PSHIM_ALLOC_OFF;
    f.h->cpu_hz = 0;
    loaded();
    assert_false(model_has(&m, METRIC_ALLOC_CALLS) || model_has(&m, METRIC_COST_NS));
    released();
    f.h->alloc_mode = PSHIM_ALLOC_EXACT;
    f.h->alloc_hidden = 1;
    loaded();
    assert_false(model_has(&m, METRIC_LIVE_BYTES));
    released();
}

static void progress_points_of_one_name_are_one_and_the_largest_is_first(void **state)
{
    (void)state;
    fixture_progress(&f, "batch", 10);
    fixture_progress(&f, "op", 1000);
    fixture_progress(&f, "batch", 5);
    loaded();
    assert_int_equal(m.progress_count, 2);
    assert_string_equal(m.progress[0].name, "op");
    assert_int_equal(model_ops(&m), 1000);
    assert_string_equal(m.progress[1].name, "batch");
    assert_int_equal(m.progress[1].count, 15);
    released();
}

static void threads_have_wall_and_cpu_time_and_merged_ones_count(void **state)
{
    (void)state;
    fixture_thread(&f, 1, "main", 10000000000u, 3000000000u);
    struct pshim_thread *t = fixture_thread(&f, 2, "worker", 4000000000u, 0);
    t->ticks = 100;
    t->merged = 7;
    t = fixture_thread(&f, 3, "sixteen-letters-", 0, 0);
    t->end_monotonic_ns = 0; /* it lives: until the process's end */
    t->state = PSHIM_THREAD_RUNNING;
    loaded();
    assert_int_equal(m.threads_kept, 3);
    assert_int_equal(m.thread_count, 10);
    assert_int_equal(m.threads[1].cpu_ns, 100 * FIXTURE_TICK_NS);
    assert_int_equal(m.thread_wall_ns, 24000000000);
    assert_string_equal(m.threads[2].name, "sixteen-letters-");
    assert_false(m.threads[2].ended);
    released();
}

static void arguments_come_back_whole(void **state)
{
    (void)state;
    fixture_argv(&f, "store_bench\0--pool=off\0two words", 3);
    loaded();
    assert_int_equal(m.argc, 3);
    assert_string_equal(m.argv[0], "store_bench");
    assert_string_equal(m.argv[2], "two words");
    assert_string_equal(m.program, "store_bench");
    released();
    f.h->argc = 1u << 30; /* more than there can be */
    loaded();
    assert_int_equal(m.argc, 0);
    released();
    f.h->argc = 9; /* more than there are: what follows is a hole of the string table */
    loaded();
    assert_in_range(m.argc, 3, 9);
    released();
    f.h->argv = UINT32_MAX;
    loaded();
    assert_int_equal(m.argc, 0);
    released();
}

static void process_without_an_end_runs_or_was_killed(void **state)
{
    (void)state;
    uint64_t ticks;
    fixture_thread(&f, 1, "main", 2500000000u, 1);
    f.h->end = PSHIM_END_RUNNING;
    f.h->end_monotonic_ns = 0;
    f.h->pid = (uint32_t)getpid();
    assert_int_equal(process_start_ticks(f.h->pid, &ticks), 0);
    f.h->start_ticks = ticks;
    loaded();
    assert_int_equal(m.end, PSHIM_END_RUNNING);
    assert_false(m.status_known);
    released();
    f.h->start_ticks = ticks + 1; /* the pid is another process's now */
    loaded();
    assert_int_equal(m.end, PSHIM_END_SIGNAL);
    assert_false(m.status_known);
    assert_int_equal(m.wall_ns, 2500000000); /* its last sign of life */
    released();
    f.h->end = PSHIM_END_SIGNAL; /* `record` saw it end */
    f.h->status = 9;
    loaded();
    assert_true(m.status_known);
    assert_int_equal(m.status, 9);
    released();
}

static void losses_notes_and_the_reason_for_an_end_are_told(void **state)
{
    (void)state;
    f.h->losses[PSHIM_LOSS_disk_full] = 3;
    f.h->notes[0] = fixture_string(&f, "PERFSHIM_CPU_HZ=fast: not understood");
    f.h->notes[2] = fixture_string(&f, "second");
    f.h->off_reason = PSHIM_OFF_INTERNAL;
    loaded();
    assert_int_equal(m.losses[PSHIM_LOSS_disk_full], 3);
    assert_string_equal(model_loss_name(PSHIM_LOSS_disk_full), "disk_full");
    assert_non_null(strstr(model_loss_text(PSHIM_LOSS_disk_full), "disk"));
    assert_string_equal(model_note(&m, 0), "PERFSHIM_CPU_HZ=fast: not understood");
    assert_string_equal(model_note(&m, 1), "second");
    assert_null(model_note(&m, 2));
    assert_string_equal(model_off_reason(m.header), "an internal check failed");
    released();
    f.h->off_reason = 99;
    loaded();
    assert_non_null(strstr(model_off_reason(m.header), "later version"));
    released();
}

static void records_that_are_not_there_yet_are_skipped(void **state)
{
    (void)state;
    fixture_allot(&f, PSHIM_REGION_ACCOUNT);
    fixture_allot(&f, PSHIM_REGION_THREAD);
    fixture_allot(&f, PSHIM_REGION_PROGRESS);
    fixture_account(&f, 12345, 1, 77); /* a kind of a later version is left alone */
    profile_region(&f.profile, PSHIM_REGION_ACCOUNT)->used = UINT64_MAX;
    assert_int_equal(reader_open(&r, path), 0);
    assert_null(reader_account(&r, 0));
    assert_null(reader_thread(&r, 0));
    assert_null(reader_progress(&r, 0));
    assert_null(reader_node(&r, 0));
    assert_null(reader_module(&r, 99999));
    reader_close(&r);
}

static void account_of_a_node_that_is_not_there_is_damage(void **state)
{
    (void)state;
    fixture_alloc(&f, 4711, 1, 1, 0, 0);
    refused("account 0 refers to node 4711 of 1");
}

static void account_of_a_progress_point_that_is_not_there_is_damage(void **state)
{
    (void)state;
    fixture_account(&f, 3, 1, PSHIM_KIND_PROGRESS);
    refused("progress point 3 of 0");
}

static void node_with_a_missing_parent_or_module_is_damage(void **state)
{
    (void)state;
    uint32_t leaf = fixture_node(&f, 999, PSHIM_MODULE_ANON, 1);
    fixture_cpu(&f, leaf, 1);
    refused("node 1 has parent 999 of 2");
    struct pshim_node *n = profile_record(&f.profile, PSHIM_REGION_NODE, leaf);
    *n = (struct pshim_node){0, 500, 1};
    refused("node 1 is in module 500 of 2");
}

static void stacks_that_run_in_a_circle_are_damage(void **state)
{
    (void)state;
    uint32_t a = fixture_node(&f, 2, PSHIM_MODULE_ANON, 1);
    fixture_node(&f, a, PSHIM_MODULE_ANON, 2);
    fixture_cpu(&f, a, 1);
    refused("does not end");
}

static void deepest_stack_the_library_writes_is_fine(void **state)
{
    (void)state;
    uint32_t at = fixture_node(&f, 0, PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_TRUNCATED);
    for (int i = 0; i < 257; i++)
        at = fixture_node(&f, at, PSHIM_MODULE_ANON, 100u + (unsigned)i);
    fixture_cpu(&f, at, 1);
    uint32_t nodes[READER_DEPTH_MAX];
    loaded();
    assert_int_equal(reader_stack(&r, at, nodes), 258);
    assert_int_equal(nodes[0], at);
    released();
}

static void wild_counters_never_overflow_into_undefined_behaviour(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        uint32_t node = fixture_node(&f, 0, PSHIM_MODULE_ANON, 1);
        struct pshim_account *a =
            fixture_account(&f, node, 1, i ? PSHIM_KIND_ALLOC : PSHIM_KIND_CPU);
        memset(a->counter, i == 1 ? 0x7f : 0xff, sizeof a->counter);
    }
    struct pshim_thread *t = fixture_thread(&f, 1, "x", 0, 0);
    t->start_monotonic_ns = UINT64_MAX;
    t->end_monotonic_ns = INT64_MAX;
    t->merged = UINT64_MAX;
    loaded();
    assert_int_equal(m.sample_count, 3);
    released();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accounts_of_one_stack_add_up_over_recorders),
        TEST(peak_is_what_was_saved_in_its_epoch_else_what_is_live_now),
        TEST(peak_is_never_below_what_is_live_at_the_end),
        TEST(what_was_switched_off_is_not_measured),
        TEST(progress_points_of_one_name_are_one_and_the_largest_is_first),
        TEST(threads_have_wall_and_cpu_time_and_merged_ones_count),
        TEST(arguments_come_back_whole),
        TEST(process_without_an_end_runs_or_was_killed),
        TEST(losses_notes_and_the_reason_for_an_end_are_told),
        TEST(records_that_are_not_there_yet_are_skipped),
        TEST(account_of_a_node_that_is_not_there_is_damage),
        TEST(account_of_a_progress_point_that_is_not_there_is_damage),
        TEST(node_with_a_missing_parent_or_module_is_damage),
        TEST(stacks_that_run_in_a_circle_are_damage),
        TEST(deepest_stack_the_library_writes_is_fine),
        TEST(wild_counters_never_overflow_into_undefined_behaviour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
