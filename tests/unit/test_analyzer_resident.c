#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "analyzer/findings.h"
#include "analyzer/resident.h"
#include "tests/unit/profile_fixture.h"

#define MIB ((int64_t)1 << 20)

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;

/* Nothing but the base is explained, so that a limit can be met exactly. */
static struct resident_evidence bare(int64_t anon)
{
    return (struct resident_evidence){.known = true, .rss_bytes = anon, .anon_bytes = anon};
}

static void each_part_explains_its_bytes(void **state)
{
    (void)state;
    struct resident_evidence e = bare(1000 * MIB);
    assert_int_equal(resident_explained(&e), RESIDENT_BASE);
    e.live_bytes = 10 * MIB;
    e.live_blocks = 1000;
    e.mapped_bytes = 20 * MIB;
    e.reserved_bytes = 40 * MIB;
    e.threads = 3;
    assert_int_equal(resident_explained(&e),
                     RESIDENT_BASE + 70 * MIB + 1000 * RESIDENT_BLOCK + 3 * RESIDENT_THREAD);
    assert_int_equal(resident_over(&e), e.anon_bytes - resident_explained(&e));
}

static void no_more_is_explained_than_there_is(void **state)
{
    (void)state;
    struct resident_evidence e = bare(MIB);
    e.reserved_bytes = INT64_MAX;
    e.mapped_bytes = INT64_MAX;
    assert_int_equal(resident_explained(&e), MIB);
    assert_int_equal(resident_over(&e), 0);
}

static void sixteen_mebibytes_over_are_a_finding_and_a_byte_less_is_none(void **state)
{
    (void)state;
    struct resident_evidence e = bare(RESIDENT_BASE + RESIDENT_OVER_LEAST);
    assert_true(resident_judge(&e));
    e.anon_bytes--;
    assert_false(resident_judge(&e));
}

static void half_of_it_over_is_a_finding_and_a_byte_less_is_none(void **state)
{
    (void)state;
    struct resident_evidence e = bare(200 * MIB);
    e.live_bytes = 100 * MIB - RESIDENT_BASE;
    assert_true(resident_judge(&e));
    e.live_bytes++;
    assert_false(resident_judge(&e));
}

static void what_is_not_known_is_no_finding(void **state)
{
    (void)state;
    struct resident_evidence e = bare(1000 * MIB);
    assert_true(resident_judge(&e));
    e.known = false;
    assert_false(resident_judge(&e));
}

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "resident");
    fixture_open(&f, path, 32 << 20);
    f.h->maps_mode = PSHIM_ON;
    f.h->end_rss_bytes = 110 * MIB;
    f.h->end_anon_bytes = 100 * MIB;
    f.h->max_rss_bytes = 200 * MIB;
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

/* At a part of the ten seconds, as live as that. */
static void live_at(unsigned percent, int64_t live, int64_t most)
{
    struct pshim_moment *at = fixture_moment(&f, percent * (uint64_t)100000000);
    *at = (struct pshim_moment){.touched = 1, .allocs = 1, .live_max = (uint64_t)most};
    at->live_bytes = (uint64_t)live;
}

static struct resident_evidence loaded(void)
{
    struct resident_evidence e;
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
    resident_evidence_of(&e, &m);
    return e;
}

static void live_is_the_most_of_the_last_fifth(void **state)
{
    (void)state;
    live_at(10, 5 * MIB, 90 * MIB);
    live_at(90, 3 * MIB, 7 * MIB);
    struct resident_evidence e = loaded();
    assert_true(e.known);
    assert_int_equal(e.live_bytes, 7 * MIB);
    assert_int_equal(e.anon_bytes, 100 * MIB);
    assert_true(resident_judge(&e));
}

static void what_is_given_back_at_the_end_says_nothing(void **state)
{
    (void)state;
    live_at(10, 90 * MIB, 90 * MIB);
    live_at(95, 0, 90 * MIB);
    struct resident_evidence e = loaded();
    assert_int_equal(e.live_bytes, 90 * MIB);
    assert_false(resident_judge(&e));
}

static void unrecorded_time_leaves_it_unknown(void **state)
{
    (void)state;
    live_at(10, 5 * MIB, 5 * MIB);
    fixture_moment(&f, 2000000000)->recording = PSHIM_MOMENT_OFF | PSHIM_MOMENT_PART;
    fixture_moment(&f, 2000000000)->touched = 1;
    assert_false(loaded().known);
}

static void a_profile_without_a_timeline_leaves_it_unknown(void **state)
{
    (void)state;
    assert_false(loaded().known);
}

static void an_earlier_writer_leaves_it_unknown(void **state)
{
    (void)state;
    live_at(10, 5 * MIB, 5 * MIB);
    f.h->maps_mode = PSHIM_OFF;
    assert_false(loaded().known);
}

static void it_is_told_without_cpu_ticks_too(void **state)
{
    struct findings findings;
    (void)state;
    live_at(10, 5 * MIB, 5 * MIB);
    loaded();
    struct frames *frames = frames_new(&r, &(struct selection){0});
    findings_build(&findings, &m, frames);
    assert_int_equal(findings.state, FINDINGS_FEW_TICKS);
    assert_int_equal(findings.worth, 1);
    assert_int_equal(findings.items[0].kind, FINDING_RSS_OVER_LIVE);
    assert_int_equal(findings.items[0].rank, 1);
    assert_int_equal(findings.items[0].over_bytes, 95 * MIB - RESIDENT_BASE);
    findings_release(&findings);
    frames_free(frames);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_explains_its_bytes),
        cmocka_unit_test(no_more_is_explained_than_there_is),
        cmocka_unit_test(sixteen_mebibytes_over_are_a_finding_and_a_byte_less_is_none),
        cmocka_unit_test(half_of_it_over_is_a_finding_and_a_byte_less_is_none),
        cmocka_unit_test(what_is_not_known_is_no_finding),
        TEST(live_is_the_most_of_the_last_fifth),
        TEST(what_is_given_back_at_the_end_says_nothing),
        TEST(unrecorded_time_leaves_it_unknown),
        TEST(a_profile_without_a_timeline_leaves_it_unknown),
        TEST(an_earlier_writer_leaves_it_unknown),
        TEST(it_is_told_without_cpu_ticks_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
