#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "analyzer/lock_waiters.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "lock_waiters");
    fixture_open(&f, path, 1 << 20); /* 10 s */
    f.h->locks_mode = PSHIM_ON;
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    model_release(&m);
    reader_close(&r);
    fixture_close(&f);
    return unlink(path);
}

/* It waits since that many ms before the end. */
static void waits(uint32_t tid, enum pshim_wait kind, uint64_t ms)
{
    struct pshim_thread *t = fixture_thread(&f, tid, "w", 0, 1000);
    t->end_monotonic_ns = 0;
    t->state = PSHIM_THREAD_RUNNING;
    t->waiting = (FIXTURE_START + (10000 - ms) * 1000000u) & ~UINT64_C(3);
    t->waiting |= (uint64_t)kind;
}

static const char *note(char *to)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
    return lock_waiters_note(&m, to);
}

static void who_waits_for_a_lock_at_the_end_is_told(void **state)
{
    (void)state;
    char text[LOCK_WAITERS_NOTE_BYTES];
    waits(1, PSHIM_WAIT_LOCK, 9000);
    waits(2, PSHIM_WAIT_LOCK, 5000);
    waits(3, PSHIM_WAIT_IDLE, 9000);
    assert_non_null(note(text));
    assert_non_null(strstr(text, "2 threads waited for a lock, for 7.00s each: "));
    assert_int_equal(m.ledger.v[LEDGER_LOCK] / 1000, 14000000);
}

static void brief_waits_and_those_for_work_are_everyday(void **state)
{
    (void)state;
    char text[LOCK_WAITERS_NOTE_BYTES];
    waits(1, PSHIM_WAIT_LOCK, 1500);
    waits(2, PSHIM_WAIT_LOCK, 490);
    waits(3, PSHIM_WAIT_IDLE, 9000);
    waits(4, PSHIM_WAIT_IO, 9000);
    assert_null(note(text));
}

int main(void)
{
#define EACH(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        EACH(who_waits_for_a_lock_at_the_end_is_told),
        EACH(brief_waits_and_those_for_work_are_everyday),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
