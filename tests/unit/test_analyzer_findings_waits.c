#include <math.h>

#include "tests/unit/findings_fixture.h"

/* A wait for I/O: `calls` of `call` at a stack. Times in ns. */
static void waited(uint32_t stack, uint32_t id, uint64_t calls, uint64_t bytes, uint64_t ns)
{
    struct pshim_account *a = fixture_account(
        &f, fixture_special(&f, stack, PSHIM_SPECIAL_CALL + id), 1, PSHIM_KIND_WAIT);
    a->counter[PSHIM_WAIT_CALLS] = calls;
    a->counter[PSHIM_WAIT_BYTES] = bytes;
    a->counter[PSHIM_WAIT_TIME] = ns;
    f.h->io_mode = PSHIM_ON;
}

static struct pshim_lock *lock_record(uint32_t lock)
{
    return profile_record(&f.profile, PSHIM_REGION_LOCK, lock);
}

/* A lock that is held for 1 ms, of which half can be moved, with so many ticks in giving it back.
 */
static const struct finding *movable(unsigned unlock_ticks)
{
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    fixture_thread(&f, 1, "a", 5000000000u, 1000000000);
    fixture_thread(&f, 2, "b", 5000000000u, 1000000000);
    fixture_taken(&f, at, lock, 1000, 400, 1000000000, 1000000000);
    fixture_blame(&f, at, lock, at, 400, 800000000);
    fixture_held(&f, call(at, format), lock, 100);
    fixture_held(&f, at, lock, 100);
    fixture_cpu(&f, call(0, find), 200);
    if (unlock_ticks)
        fixture_cpu(&f, libc_call(at, "pthread_mutex_unlock"), unlock_ticks);
    fixture_progress(&f, "op", 1000);
    built(NULL);
    return finding(FINDING_HELD_TOO_LONG);
}

static void putting_to_sleep_and_waking_go_with_the_waits(void **state)
{
    (void)state;
    const double left = 0.25, free_pairs = 1000 * 50;
    const struct finding *held = movable(20);
    assert_float_equal(held->predicted_ns,
                       -600e6 - (1 - left) * (20.0 * FIXTURE_TICK_NS - free_pairs), 1);
}

static void work_moved_out_of_a_lock_has_a_prediction(void **state)
{
    (void)state;
    /* Outside of it 1 ms; two threads: a quarter of the wait that holders answer for is left. */
    const struct finding *held = movable(0);
    assert_float_equal(held->predicted_ns, -600e6, 1);
    assert_string_equal(held->prediction, "predicted cost 3.00 ms/op -> 2.40 ms/op");
    assert_true(isnan(finding(FINDING_FOCUS_FIRST)->predicted_ns));
}

/* Of a lock under which `signal` and `broadcast` ticks of a hundred wake others: what is said. */
static const struct finding *waking(unsigned signal, unsigned broadcast)
{
    uint32_t at = call(call(0, worker), get), group = call(at, format);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    fixture_taken(&f, at, lock, 1000, 400, 1000000000, 1000000000);
    fixture_blame(&f, at, lock, at, 400, 800000000);
    fixture_held(&f, libc_call(group, "pthread_cond_signal"), lock, signal);
    fixture_held(&f, libc_call(call(at, find), "pthread_cond_broadcast"), lock, broadcast);
    fixture_held(&f, call(at, worker), lock, 100 - signal - broadcast);
    fixture_cpu(&f, call(0, find), 200);
    built(NULL);
    return finding(FINDING_HELD_TOO_LONG);
}

static void what_wakes_others_under_a_lock_is_to_do_so_after_the_unlock(void **state)
{
    (void)state;
    const struct finding *held = waking(30, 20);
    assert_int_equal(strncmp(held->advice, "signal after the unlock", 23), 0);
    assert_true(
        is_evidence(held, "50% of the CPU time under it wakes other threads; most at format"));
    assert_string_equal(frames_function(frames, held->work->function)->name, "format");
    assert_true(held->predicted_ns < 0);
}

static void work_with_less_of_waking_is_to_be_moved_as_any_other(void **state)
{
    (void)state;
    const struct finding *held = waking(30, 19);
    assert_int_equal(strncmp(held->advice, "if that work needs only a copy", 30), 0);
    assert_true(is_evidence(held, "51% of the CPU time under it is in worker"));
}

static void allocations_under_a_lock_are_told_with_their_site(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get), list = call(at, format);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    struct pshim_account *a = fixture_taken(&f, at, lock, 1000, 400, 3000000000u, 5000000000u);
    a->counter[PSHIM_LOCK_HELD_ALLOCS] = 24000;
    fixture_blame(&f, at, lock, at, 400, 3000000000u);
    fixture_alloc(&f, list, 24000, 24000 * 32, 24000, 24000 * 32);
    fixture_held(&f, libc_call(list, "malloc"), lock, 150);
    fixture_held(&f, libc_call(list, "free"), lock, 50);
    fixture_held(&f, libc_call(call(at, find), "malloc"), lock, 40);
    fixture_held(&f, list, lock, 60);
    fixture_held(&f, at, lock, 100);
    built(NULL);
    const struct finding *under = finding(FINDING_ALLOC_UNDER_LOCK);
    assert_string_equal(under->title, "focus first: allocations under a lock");
    assert_true(is_evidence(
        under,
        "24.00 allocations each time it is held, 60% of the CPU time under it; most at format"));
    assert_string_equal(where(under), "get");
    assert_string_equal(frames_function(frames, under->work->function)->name, "format");
    assert_true(under->predicted_ns < 0);
}

static void convoy_is_told_by_what_nobody_answers_for(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    lock_record(lock)->owner = 1;
    lock_record(lock)->owner_changes = 107000;
    fixture_taken(&f, at, lock, 1000000, 5000, 1000000000, 50000000);
    fixture_blame(&f, at, lock, at, 5000, 100000000);
    fixture_cpu(&f, call(at, format), 800);
    built(NULL);
    const struct finding *convoy = finding(FINDING_CONVOY);
    assert_string_equal(convoy->lock_short, "mutex of get");
    assert_true(is_evidence(convoy, "nobody has it for 90% of the wait"));
    assert_true(is_evidence(convoy, "10.7% of the times another thread takes it"));
    assert_non_null(strstr(convoy->advice, "PTHREAD_MUTEX_ADAPTIVE_NP"));
}

static void calls_with_brief_holds_are_taken_too_often(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    lock_record(lock)->owner = 1;
    lock_record(lock)->owner_changes = 400000;
    fixture_taken(&f, at, lock, 1000000, 4, 10000000, 50000000);
    fixture_cpu(&f, libc_call(at, "pthread_mutex_lock"), 400);
    fixture_cpu(&f, call(at, format), 600);
    built(NULL);
    const struct finding *often = finding(FINDING_TAKEN_TOO_OFTEN);
    assert_string_equal(often->title, "focus first: taken too often");
    assert_true(is_evidence(often, "100% of it is CPU time in the calls"));
    assert_true(is_evidence(often, "2.00 us of CPU time each; 40.0% of the times another thread"));
    assert_int_equal(strncmp(often->advice, "split it", 8), 0);
}

static void cpu_time_of_other_calls_is_not_a_locks(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    lock_record(lock)->owner = 1;
    fixture_taken(&f, at, lock, 1000000, 0, 0, 50000000);
    fixture_cpu(&f, libc_call(at, "pthread_rwlock_unlock"), 200);
    fixture_cpu(&f, libc_call(at, "sendmsg"), 500);
    fixture_cpu(&f, libc_call(at, "epoll_wait"), 100);
    fixture_cpu(&f, call(at, format), 200);
    built(NULL);
    assert_float_equal(finding(FINDING_TAKEN_TOO_OFTEN)->share, 0.2, 1e-9);
    assert_float_equal(finding(FINDING_FOCUS_FIRST)->share, 0.6, 1e-9);
    assert_string_equal(where(finding(FINDING_FOCUS_FIRST)), "get");
}

static void syncing_is_one_finding_with_what_is_written_for_each(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get), other = call(call(0, worker), find);
    waited(call(at, format), PSHIM_CALL_FDATASYNC, 900, 0, 1800000000);
    waited(other, PSHIM_CALL_FSYNC, 100, 0, 200000000);
    waited(at, PSHIM_CALL_PWRITE, 1500, 500000, 10000000);
    waited(other, PSHIM_CALL_READ, 10, 1 << 30, 10000000);                 /* not written */
    waited(call(call(0, find), get), PSHIM_CALL_PWRITE, 9999, 1 << 30, 0); /* not synced */
    fixture_cpu(&f, at, 396);
    built(NULL);
    const struct finding *often = finding(FINDING_SYNC_OFTEN);
    assert_int_equal(often->cost_ns, 2000000000);
    assert_float_equal(often->share, 0.5, 1e-9);
    assert_string_equal(where(often), "format");
    assert_true(is_evidence(often, "1.00 k calls of fdatasync and its kind, 2.00 ms each"));
    assert_true(is_evidence(often, "1.5 writes and 500 B for each, most of it by get"));
    assert_string_equal(often->prediction,
                        "with 19 times as many writes for each it would be 5% of the cost");
    assert_int_equal(often->evidence_count, 2); /* one thread: nobody waits for it */
}

static void thread_that_syncs_for_others_syncs_all_that_is_written(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get), other = call(call(0, format), find);
    waited(at, PSHIM_CALL_PWRITE, 3000, 3000, 0);
    waited(other, PSHIM_CALL_FSYNC, 1000, 0, 1000000000);
    fixture_cpu(&f, at, 100);
    built(NULL);
    assert_true(
        is_evidence(finding(FINDING_SYNC_OFTEN), "3.0 writes and 3 B for each, most of it"));
}

static void those_who_wait_for_a_syncing_one_can_share_it(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    fixture_taken(&f, at, lock, 1000, 900, 4000000000u, 2000000000u);
    waited(at, PSHIM_CALL_FSYNC, 1000, 0, 2000000000);
    waited(at, PSHIM_CALL_WRITE, 1000, 100000, 0);
    uint32_t held = fixture_special(&f, at, PSHIM_SPECIAL_CALL + PSHIM_CALL_FSYNC);
    struct pshim_account *a = fixture_account(
        &f, fixture_special(&f, held, PSHIM_SPECIAL_LOCK + lock), 1, PSHIM_KIND_HELD_WAIT);
    a->counter[PSHIM_WAIT_CALLS] = 1000;
    a->counter[PSHIM_WAIT_TIME] = 2000000000;
    fixture_cpu(&f, at, 100);
    built(NULL);
    assert_float_equal(finding(FINDING_SYNC_UNDER_LOCK)->share, 4 / 6.5, 1e-9);
    const struct finding *often = finding(FINDING_SYNC_OFTEN);
    assert_true(is_evidence(often, "3.0 threads at a time sync, or wait for one that does"));
    assert_non_null(strstr(often->advice, "one thread syncs for all"));
}

static void large_writes_for_each_sync_are_the_disks_rate(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    waited(at, PSHIM_CALL_FSYNC, 10, 0, 1000000000);
    waited(at, PSHIM_CALL_WRITE, 10, 10u << 20, 0);
    fixture_cpu(&f, at, 800);
    built(NULL);
    assert_string_equal(finding(FINDING_OPTIMISE)->title, "optimise: fsync wait");
}

static void more_threads_than_cpus_are_told_beside_the_cost(void **state)
{
    (void)state;
    char advice[FINDINGS_ADVICE_BYTES];
    for (unsigned i = 0; i < 6; i++)
        fixture_waits(fixture_thread(&f, i + 1, "w", 10000000000u, 3000000000u), 0, 0, 7000000000u);
    fixture_cpu(&f, call(call(0, worker), get), 3600);
    built(NULL);
    const struct finding *many = finding(FINDING_OVERSUBSCRIPTION);
    assert_int_equal(many->ready_ns, 42000000000);
    assert_float_equal(many->ready_share, 0.7, 1e-9);
    assert_int_equal(many->enough_threads, 2);
    assert_int_equal(many->cost_ns, 0);
    assert_true(is_evidence(many, "6 threads computed on 2 CPUs, busy for 90%"));
    assert_true(is_evidence(many, "42.00s ready to run, without a CPU: 4.2 threads at a time"));
    assert_string_equal(
        findings_advice(many, advice),
        "run fewer: 2 threads would keep busy what CPUs there are; more only take turns");
}

static void without_the_kernels_delays_no_thread_is_too_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        fixture_thread(&f, i + 1, "w", 10000000000u, 3000000000u);
    fixture_cpu(&f, call(call(0, worker), get), 3600);
    built(NULL);
    for (size_t i = 0; i < findings.count; i++)
        assert_int_not_equal(findings.items[i].kind, FINDING_OVERSUBSCRIPTION);
}

int main(void)
{
#define EACH(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        EACH(work_moved_out_of_a_lock_has_a_prediction),
        EACH(putting_to_sleep_and_waking_go_with_the_waits),
        EACH(what_wakes_others_under_a_lock_is_to_do_so_after_the_unlock),
        EACH(work_with_less_of_waking_is_to_be_moved_as_any_other),
        EACH(allocations_under_a_lock_are_told_with_their_site),
        EACH(convoy_is_told_by_what_nobody_answers_for),
        EACH(calls_with_brief_holds_are_taken_too_often),
        EACH(cpu_time_of_other_calls_is_not_a_locks),
        EACH(syncing_is_one_finding_with_what_is_written_for_each),
        EACH(those_who_wait_for_a_syncing_one_can_share_it),
        EACH(thread_that_syncs_for_others_syncs_all_that_is_written),
        EACH(large_writes_for_each_sync_are_the_disks_rate),
        EACH(more_threads_than_cpus_are_told_beside_the_cost),
        EACH(without_the_kernels_delays_no_thread_is_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
