#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <math.h>

#include "analyzer/advisor.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;
static struct frames *frames;
static struct advisor a;
static uint32_t module;

/* What stands in the stacks: different code, or they would be one function. */
#define CODE(name, n)                                                                              \
    __attribute__((noinline)) static void name(void)                                               \
    {                                                                                              \
        __asm__ volatile("" ::"r"(n));                                                             \
    }
CODE(copy, 1)
CODE(entry, 2)
CODE(rare, 3)

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "advisor");
    fixture_open(&f, path, 1 << 20);
    module = fixture_own_module(&f);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    advisor_release(&a);
    frames_free(frames);
    model_release(&m);
    reader_close(&r);
    fixture_close(&f);
    return unlink(path);
}

/* `calls` blocks of 64 bytes, all freed, `cross` by another thread; in malloc and free 50 ns each.
 */
static void allocates(void (*function)(void), uint64_t calls, uint64_t cross)
{
    uint32_t node = fixture_call(&f, 0, module, function);
    fixture_alloc(&f, node, calls, 64 * calls, calls, 64 * calls);
    struct pshim_account *site = fixture_site(&f, node);
    site->counter[PSHIM_SITE_CROSS_FREES] = cross;
    site->counter[PSHIM_SITE_ALLOC_TIME] = 30 * calls;
    site->counter[PSHIM_SITE_FREE_TIME] = 20 * calls;
    site->counter[PSHIM_SITE_TIMED] = calls / 16;
    struct pshim_histogram *h = fixture_histogram(&f, node);
    fixture_asked(h, 64, (uint32_t)calls);
    fixture_lived(h, 3000, (uint32_t)calls);
}

static void built(const struct selection *selection)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), 0);
    frames = frames_new(&r, selection);
    advisor_build(&a, &m, frames);
}

static const char *name_of(size_t i)
{
    return frames_function(frames, a.items[i].site->frame->function)->name;
}

static void worthy_sites_come_first_by_what_they_save(void **state)
{
    (void)state;
    allocates(rare, 10, 0);
    allocates(copy, 100000, 0);
    allocates(entry, 200000, 100000);
    fixture_progress(&f, "op", 100000);
    built(NULL);
    assert_true(a.known);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.worth, 2);
    assert_string_equal(name_of(0), "entry");
    assert_string_equal(name_of(1), "copy");
    assert_string_equal(name_of(2), "rare");
    assert_int_equal(a.items[0].pooling.verdict, POOLING_SHARED);
    assert_int_equal(a.items[1].pooling.verdict, POOLING_THREAD);
    assert_true(a.items[0].histogram->size[0] == 64);
    assert_float_equal(a.saved_calls, 299998, 1e-6); /* but one slab each */
    assert_float_equal(a.saved_ns,
                       199999 * (50 - POOLING_SHARED_NS) + 99999 * (50 - POOLING_THREAD_NS), 1);
}

static void words_tell_the_change_and_who_frees(void **state)
{
    (void)state;
    char words[ADVISOR_WORDS_BYTES];
    allocates(copy, 100000, 0);
    fixture_progress(&f, "op", 50000);
    built(NULL);
    assert_string_equal(advisor_words(&a, &m, words),
                        "predicted -2.00 allocs/op, -88 ns/op; none is freed by another thread");
}

static void words_without_operations_are_of_the_whole_run(void **state)
{
    (void)state;
    char words[ADVISOR_WORDS_BYTES];
    allocates(entry, 100000, 50000);
    built(NULL);
    assert_string_equal(advisor_words(&a, &m, words),
                        "predicted -100 k allocs, -3.80 ms; 50% are freed by another thread");
}

static void time_that_was_not_measured_is_not_predicted(void **state)
{
    (void)state;
    char words[ADVISOR_WORDS_BYTES];
    uint32_t node = fixture_call(&f, 0, module, copy);
    fixture_alloc(&f, node, 100000, 6400000, 100000, 6400000);
    built(NULL);
    assert_int_equal(a.worth, 1);
    assert_true(isnan(a.saved_ns));
    assert_string_equal(advisor_words(&a, &m, words),
                        "predicted -100 k allocs; none is freed by another thread");
}

static void sampled_allocations_are_not_judged(void **state)
{
    (void)state;
    allocates(copy, 100000, 0);
    f.h->alloc_mode = PSHIM_ALLOC_SAMPLED;
    f.h->alloc_sample_bytes = 524288;
    built(NULL);
    assert_false(a.known);
    assert_int_equal(a.count, 0);
}

static void only_selected_stacks_are_judged(void **state)
{
    (void)state;
    struct selection selection;
    char why[160];
    const char *words[SELECT_RULES] = {[SELECT_IGNORE] = "^copy$"};
    assert_int_equal(selection_init(&selection, words, why), 0);
    allocates(copy, 100000, 0);
    allocates(entry, 200000, 0);
    built(&selection);
    assert_int_equal(a.count, 1);
    assert_string_equal(name_of(0), "entry");
    selection_release(&selection);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(worthy_sites_come_first_by_what_they_save),
        TEST(words_tell_the_change_and_who_frees),
        TEST(words_without_operations_are_of_the_whole_run),
        TEST(time_that_was_not_measured_is_not_predicted),
        TEST(sampled_allocations_are_not_judged),
        TEST(only_selected_stacks_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
