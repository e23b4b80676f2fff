#include "tests/unit/findings_fixture.h"

CODE(malloc_like, 5)

static void each_part_of_the_cost_is_in_one_finding(void **state)
{
    (void)state;
    uint32_t top = call(0, worker), at = call(top, get);
    fixture_cpu(&f, at, 400);
    fixture_cpu(&f, libc_call(at, "snprintf"), 100);
    fixture_cpu(&f, call(at, format), 150);
    fixture_cpu(&f, libc_call(call(at, format), "malloc"), 120);
    fixture_cpu(&f, libc_call(libc_call(at, "snprintf"), "malloc"), 30);
    fixture_cpu(&f, libc_call(at, "memcpy"), 140);
    fixture_cpu(&f, libc_call(libc_call(call(at, format), "snprintf"), "memcpy"), 60);
    built(NULL);
    assert_int_equal(findings.count, 4);
    double sum = 0;
    for (size_t i = 0; i < findings.count; i++) {
        assert_int_equal(findings.items[i].rank, i + 1);
        sum += findings.items[i].share;
    }
    assert_float_equal(sum, 1, 1e-6);
    assert_float_equal(finding(FINDING_FOCUS_FIRST)->share, 0.5, 1e-6);
    assert_string_equal(where(finding(FINDING_FOCUS_FIRST)), "get");
    assert_float_equal(finding(FINDING_OPTIMISE)->share, 0.21, 1e-6);
    assert_string_equal(where(finding(FINDING_OPTIMISE)), "format");
    assert_float_equal(finding(FINDING_REDUCE_ALLOCATIONS)->share, 0.15, 1e-6);
    assert_float_equal(finding(FINDING_NOT_WORTH_IT)->share, 0.14, 1e-6);
    assert_string_equal(finding(FINDING_NOT_WORTH_IT)->evidence[0], "memcpy");
    assert_int_equal(findings.worth, 3);
}

static void a_name_of_the_program_is_no_evidence(void **state)
{
    (void)state;
    uint32_t top = call(0, worker);
    fixture_cpu(&f, call(call(top, get), malloc_like), 200);
    fixture_cpu(&f, call(top, find), 800);
    built(NULL);
    assert_int_equal(finding(FINDING_OPTIMISE)->cost_ns, 200 * FIXTURE_TICK_NS);
    assert_string_equal(where(finding(FINDING_OPTIMISE)), "malloc_like");
}

static void work_under_a_lock_is_named_with_lock_and_site(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    fixture_taken(&f, at, lock, 1000, 400, 3000000000u, 5000000000u);
    fixture_held(&f, call(at, format), lock, 300);
    fixture_held(&f, call(at, find), lock, 50);
    fixture_held(&f, at, lock, 50);
    built(NULL);
    const struct finding *held = finding(FINDING_HELD_TOO_LONG);
    assert_int_equal(held->rank, 1);
    assert_int_equal(held->cost_ns, 3000000000);
    assert_float_equal(held->share, 0.6, 1e-6);
    assert_float_equal(held->max_gain, 2.5, 1e-6);
    assert_int_equal(strncmp(held->lock, "mutex of get", 12), 0);
    assert_string_equal(where(held), "get");
    assert_string_equal(frames_function(frames, held->work->function)->name, "format");
    assert_true(is_evidence(held, "taken 1.00 k times, 400 (40.0%) had to wait, 7.50 ms each"));
    assert_true(is_evidence(held, "held 5.00 ms each, 50% of the run"));
    assert_true(is_evidence(held, "75% of the CPU time under it is in format"));
}

static void waiting_without_such_work_is_contention(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    fixture_taken(&f, at, lock, 1000, 400, 1000000000, 5000000000u);
    fixture_held(&f, at, lock, 800);
    built(NULL);
    assert_float_equal(finding(FINDING_CHECK_CONTENTION)->share, 0.2, 1e-6);
    assert_string_equal(where(finding(FINDING_CHECK_CONTENTION)), "get");
    assert_null(finding(FINDING_CHECK_CONTENTION)->work);
}

static void a_function_that_asks_in_vain_spins_for_the_lock(void **state)
{
    (void)state;
    uint32_t top = call(0, worker), at = call(top, find);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    fixture_taken(&f, at, lock, 10, 5000, 0, 0);
    fixture_cpu(&f, at, 250);
    fixture_cpu(&f, call(top, format), 750);
    built(NULL);
    const struct finding *spin = finding(FINDING_CHECK_CONTENTION);
    assert_float_equal(spin->share, 0.25, 1e-6);
    assert_string_equal(where(spin), "find");
    assert_true(is_evidence(spin, "it spins"));
    assert_non_null(strstr(spin->advice, "instead of spinning"));
    assert_int_equal(findings.count, 2);
}

static void waiting_for_a_holder_that_was_stopped_is_told(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    struct pshim_account *a = fixture_taken(&f, at, lock, 1000000, 10, 1000000000, 100000000);
    a->counter[PSHIM_LOCK_HOLD_MAX] = 90000000;
    fixture_held(&f, call(at, format), lock, 800);
    built(NULL);
    const struct finding *wait = finding(FINDING_CHECK_CONTENTION);
    assert_true(is_evidence(wait, "the longest hold 90.0 ms"));
    assert_non_null(strstr(wait->advice, "no more busy threads than CPUs"));
}

static void waits_alone_say_nothing_of_locks_taken(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    fixture_taken(&f, at, fixture_lock(&f, 0x1000, at, true), 199, 200, 2000000000, 0);
    fixture_cpu(&f, call(at, format), 600);
    fixture_cpu(&f, at, 50); /* one wait in vain is no spinning */
    f.h->locks_mode = PSHIM_WAIT;
    built(NULL);
    const struct finding *wait = &findings.items[1];
    assert_string_equal(wait->title, "focus first: lock wait");
    assert_string_equal(wait->evidence[0], "200 waits, 10.0 ms each");
    assert_int_equal(wait->cost_ns, 2000000000);
    assert_int_equal(wait->evidence_count, 1);
}

static void the_calls_cost_is_told_as_that(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    fixture_taken(&f, at, fixture_lock(&f, 0x1000, at, true), 1000, 4, 10000000, 50000000);
    fixture_cpu(&f, libc_call(at, "pthread_mutex_unlock"), 150);
    fixture_cpu(&f, call(at, format), 850);
    built(NULL);
    const struct finding *calls = &findings.items[1];
    assert_string_equal(calls->title, "optimise: locking");
    assert_true(is_evidence(calls, "99% of it is CPU time in the calls"));
    assert_string_equal(calls->advice,
                        "hardly anybody waits, but the calls cost: take it less often");
}

static void scatter_is_told_of_the_part_that_scatters(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    fixture_cpu(&f, call(at, format), 100);
    built(NULL);
    assert_float_equal(findings.scatter, 0.1, 1e-9);
    findings_release(&findings);
    frames_free(frames);
    model_release(&m);
    reader_close(&r);
    fixture_taken(&f, at, fixture_lock(&f, 0x1000, at, true), 199, 200, 500000000, 0);
    built(NULL);
    assert_float_equal(findings.scatter, 0.05, 1e-9);
}

static void locks_of_one_name_are_one_finding(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    for (unsigned i = 0; i < 16; i++) {
        uint32_t lock = fixture_lock(&f, 0x1000 + 64 * i, at, true);
        fixture_taken(&f, at, lock, 100, 10, 100000000, 200000000);
    }
    fixture_cpu(&f, call(at, format), 680);
    built(NULL);
    assert_int_equal(findings.worth, 2);
    assert_int_equal(findings.items[1].cost_ns, 1600000000);
    assert_true(is_evidence(&findings.items[1], "16 locks: taken 1.60 k times"));
}

static void advice_on_allocations_follows_their_lives(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    fixture_alloc(&f, at, 1000, 64000, 1000, 64000)->counter[PSHIM_ALLOC_TEMPORARY] = 900;
    fixture_cpu(&f, libc_call(at, "malloc"), 100);
    fixture_cpu(&f, call(at, format), 900);
    built(NULL);
    const struct finding *reduce = finding(FINDING_REDUCE_ALLOCATIONS);
    assert_string_equal(where(reduce), "get");
    assert_true(is_evidence(reduce, "90% of these are temporary"));
    assert_non_null(strstr(reduce->advice, "use it again"));
}

static void what_stays_is_to_be_allocated_at_once(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    fixture_alloc(&f, at, 1000, 64000, 100, 6400);
    fixture_cpu(&f, libc_call(at, "malloc"), 100);
    fixture_cpu(&f, call(at, format), 900);
    built(NULL);
    assert_non_null(strstr(finding(FINDING_REDUCE_ALLOCATIONS)->advice, "allocate many at once"));
}

static void pools_are_the_advice_with_what_they_save(void **state)
{
    (void)state;
    char advice[FINDINGS_ADVICE_BYTES];
    uint32_t at = call(call(0, worker), get);
    fixture_alloc(&f, at, 100000, 6400000, 100000, 6400000);
    fixture_cpu(&f, libc_call(at, "malloc"), 100);
    fixture_cpu(&f, call(at, format), 900);
    fixture_progress(&f, "op", 100000);
    built(NULL);
    assert_string_equal(findings_advice(finding(FINDING_REDUCE_ALLOCATIONS), advice),
                        "pool them: predicted -1.00 allocs/op; none is freed by another thread");
}

static void buffer_is_the_advice_for_temporary_blocks(void **state)
{
    (void)state;
    char advice[FINDINGS_ADVICE_BYTES];
    uint32_t at = call(call(0, worker), get);
    fixture_alloc(&f, at, 100000, 6400000, 100000, 6400000)->counter[PSHIM_ALLOC_TEMPORARY] =
        100000;
    fixture_cpu(&f, libc_call(at, "malloc"), 100);
    fixture_cpu(&f, call(at, format), 900);
    built(NULL);
    findings_advice(finding(FINDING_REDUCE_ALLOCATIONS), advice);
    assert_non_null(strstr(advice, "keep one buffer and use it again"));
    assert_non_null(strstr(advice, ": predicted -100 k allocs"));
}

static void shares_of_selected_stacks_are_of_the_whole(void **state)
{
    (void)state;
    struct selection selection;
    char why[160];
    const char *words[SELECT_RULES] = {[SELECT_FOCUS] = "^find$"};
    assert_int_equal(selection_init(&selection, words, why), 0);
    uint32_t top = call(0, worker);
    fixture_cpu(&f, call(top, find), 250);
    fixture_cpu(&f, call(top, format), 750);
    built(&selection);
    assert_int_equal(findings.count, 1);
    assert_float_equal(findings.items[0].share, 0.25, 1e-6);
    selection_release(&selection);
}

static void few_ticks_make_no_findings(void **state)
{
    (void)state;
    fixture_cpu(&f, call(call(0, worker), get), 49);
    built(NULL);
    assert_int_equal(findings.state, FINDINGS_FEW_TICKS);
    assert_int_equal(findings.count, 0);
}

static void but_a_run_that_waited_has_them(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, at, true);
    fixture_taken(&f, at, lock, 1000, 400, 3000000000u, 5000000000u);
    fixture_cpu(&f, at, 10);
    built(NULL);
    assert_int_equal(findings.state, FINDINGS_MADE);
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.items[0].kind, FINDING_FOCUS_FIRST);
}

static void without_cpu_time_there_are_none(void **state)
{
    (void)state;
    fixture_alloc(&f, call(call(0, worker), get), 1000, 64000, 1000, 64000);
    f.h->cpu_hz = 0;
    built(NULL);
    assert_int_equal(findings.state, FINDINGS_NO_TIME);
}

static void what_is_wrong_comes_first_and_needs_no_time(void **state)
{
    (void)state;
    uint32_t bad = call(call(0, worker), get), worse = call(call(0, worker), format);
    fixture_alloc(&f, bad, 50, 800, 50, 800);
    fixture_alloc(&f, worse, 1000, 64000, 1000, 64000);
    fixture_cpu(&f, call(0, find), 900);
    struct pshim_account *a = fixture_site(&f, bad);
    fixture_site(&f, worse)->counter[PSHIM_SITE_OVERRUNS] = 20;
    a->counter[PSHIM_SITE_OVERRUNS] = 1;
    built(NULL);
    assert_int_equal(findings.items[0].kind, FINDING_OVERRUN);
    assert_int_equal(findings.items[0].rank, 1);
    assert_string_equal(where(&findings.items[0]), "format");
    assert_true(is_evidence(&findings.items[0], "20 of the 1"));
    assert_true(is_evidence(&findings.items[0], "1 more site"));
    assert_string_equal(where(finding(FINDING_FOCUS_FIRST)), "find");
    assert_int_equal(findings.worth, 2);
    findings_release(&findings);
    frames_free(frames);
    model_release(&m);
    reader_close(&r);
    f.h->cpu_hz = 0;
    built(NULL);
    assert_int_equal(findings.state, FINDINGS_NO_TIME);
    assert_int_equal(findings.count, 1);
}

static void no_overrun_is_no_finding_and_one_is(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), get);
    fixture_alloc(&f, at, 50, 800, 50, 800);
    struct pshim_account *a = fixture_site(&f, at);
    a->counter[PSHIM_SITE_CROSS_FREES] = 7;
    built(NULL);
    assert_int_equal(findings.count, 0);
    findings_release(&findings);
    frames_free(frames);
    model_release(&m);
    reader_close(&r);
    a->counter[PSHIM_SITE_OVERRUNS] = FINDING_OVERRUNS_LEAST;
    built(NULL);
    assert_int_equal(findings.count, 1);
    assert_string_equal(where(finding(FINDING_OVERRUN)), "get");
}

int main(void)
{
#define EACH(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        EACH(each_part_of_the_cost_is_in_one_finding),
        EACH(a_name_of_the_program_is_no_evidence),
        EACH(work_under_a_lock_is_named_with_lock_and_site),
        EACH(waiting_without_such_work_is_contention),
        EACH(a_function_that_asks_in_vain_spins_for_the_lock),
        EACH(waiting_for_a_holder_that_was_stopped_is_told),
        EACH(waits_alone_say_nothing_of_locks_taken),
        EACH(the_calls_cost_is_told_as_that),
        EACH(scatter_is_told_of_the_part_that_scatters),
        EACH(locks_of_one_name_are_one_finding),
        EACH(advice_on_allocations_follows_their_lives),
        EACH(pools_are_the_advice_with_what_they_save),
        EACH(buffer_is_the_advice_for_temporary_blocks),
        EACH(what_stays_is_to_be_allocated_at_once),
        EACH(shares_of_selected_stacks_are_of_the_whole),
        EACH(few_ticks_make_no_findings),
        EACH(but_a_run_that_waited_has_them),
        EACH(without_cpu_time_there_are_none),
        EACH(what_is_wrong_comes_first_and_needs_no_time),
        EACH(no_overrun_is_no_finding_and_one_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
