#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "shim/held.h"
#include "shim/histograms.h"
#include "shim/lock_times.h"
#include "shim/marks.h"
#include "tests/unit/shim_profile.h"

static struct pshim_account account; /* of a lock, taken at one place */

/* The node of a lock's record, or of anything else. */
static uint32_t node_new(uint32_t module, uint64_t offset)
{
    uint32_t id;
    assert_int_equal(profile_allot(&shim.profile, PSHIM_REGION_NODE, 1, &id), PROFILE_OK);
    struct pshim_node *n = profile_record(&shim.profile, PSHIM_REGION_NODE, id);
    *n = (struct pshim_node){.module = module, .offset = offset};
    return id;
}

static int profile_make(void **state)
{
    (void)state;
    if (shim_profile_open(1 << 20) != 0)
        return -1;
    histograms_init();
    node_new(PSHIM_MODULE_SPECIAL, 0); /* 0 is no node */
    account = (struct pshim_account){.kind = PSHIM_KIND_LOCK};
    account.node = node_new(PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_LOCK + 1);
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    return shim_profile_close();
}

static const struct pshim_histogram *histogram(uint32_t node)
{
    return histograms_have(node) ? histograms_get(node) : NULL;
}

static uint64_t losses(void)
{
    return pshim_load(&shim.profile.header->losses[PSHIM_LOSS_histogram_table_full]);
}

static void waits_and_holds_of_a_site_stand_apart(void **state)
{
    (void)state;
    lock_times_waited(&account, 5 << PSHIM_LOCK_TIME_SHIFT);
    lock_times_waited(&account, 0);
    lock_times_held(&account, 9 << PSHIM_LOCK_TIME_SHIFT, 64);
    const struct pshim_histogram *h = histogram(account.node);
    assert_non_null(h);
    assert_int_equal(h->waited[pshim_bucket(5)], 1);
    assert_int_equal(h->waited[0], 1);
    assert_int_equal(h->waited_count, 2);
    assert_int_equal(h->held[pshim_bucket(9)], 64);
    assert_int_equal(h->held_count, 64);
    assert_int_equal(h->size_count, 0);
}

static void account_of_many_sites_has_none(void **state)
{
    (void)state;
    account.node = 0;
    lock_times_waited(&account, 100);
    account.node = node_new(PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_LOCK); /* locks without a record */
    lock_times_held(&account, 100, 1);
    account.node = node_new(3, 0x1234); /* a caller: it may allocate, too */
    lock_times_held(&account, 100, 1);
    assert_int_equal(profile_count(&shim.profile, PSHIM_REGION_HISTOGRAM), 1);
    assert_int_equal(losses(), 0);
}

/* With 1 MiB the file has room for some hundred histograms. */
static void half_of_the_table_is_left_to_sizes(void **state)
{
    (void)state;
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_HISTOGRAM);
    uint32_t half = (uint32_t)(r->capacity / 2), last = 0;
    for (uint32_t i = 1; i < half; i++) {
        last = account.node = node_new(PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_LOCK + 1 + i);
        lock_times_held(&account, i, 1);
    }
    assert_int_equal(losses(), 0);
    account.node = node_new(PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_LOCK + 2 + half);
    lock_times_held(&account, 1, 1);
    assert_int_equal(losses(), 1);
    assert_null(histogram(account.node));
    assert_int_equal(histograms_get(0)->held_count, 0); /* record 0 is of sizes alone */
    uint32_t site = node_new(3, 1);
    assert_int_equal(histograms_get(site)->node, site);
    account.node = last; /* what has one goes on */
    lock_times_held(&account, 1, 1);
    assert_int_equal(histogram(last)->held_count, 2);
    assert_int_equal(losses(), 1);
}

/* As lock_taken() counts. Returns the sum of the weights of `n` acquisitions, the first at `from`.
 */
static uint64_t taken(struct lock_book *b, uint64_t n, uint64_t *kept)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        account.counter[PSHIM_LOCK_ACQUISITIONS]++;
        if (--b->until_mark < 0) {
            sum += lock_times_reached(b);
            ++*kept;
        }
    }
    return sum;
}

static void first_64_holds_are_kept_and_then_one_in_64(void **state)
{
    struct lock_book book = {.account = &account};
    uint64_t kept = 0;
    (void)state;
    book.until_mark = lock_times_until(0, account.node);
    assert_int_equal(taken(&book, 64, &kept), 64);
    assert_int_equal(kept, 64);
    assert_int_equal(taken(&book, 6400, &kept), 6400); /* whole strata: exact */
    assert_int_equal(kept, 164);
    /* A book that begins anew goes on where the count is. */
    book.until_mark = lock_times_until(account.counter[PSHIM_LOCK_ACQUISITIONS], account.node);
    assert_int_equal(taken(&book, 640, &kept), 640);
}

static void without_a_book_the_count_is_asked(void **state)
{
    uint64_t sum = 0, kept = 0;
    (void)state;
    for (unsigned i = 0; i < 64 + 6400; i++) {
        account.counter[PSHIM_LOCK_ACQUISITIONS]++;
        uint32_t weight = lock_times_weight(&account);
        assert_true(weight == 0 || weight == (i < 64 ? 1 : 64));
        sum += weight;
        kept += weight != 0;
    }
    assert_int_equal(sum, 64 + 6400);
    assert_int_equal(kept, 164);
}

static void countdown_fits_its_byte(void **state)
{
    int most = 0;
    (void)state;
    for (uint32_t node = 1; node < 50; node++)
        for (uint64_t calls = 0; calls < 5000; calls++) {
            int until = lock_times_until(calls, node);
            assert_true(until >= 0);
            assert_int_equal(calls + (uint64_t)until, marks_next(calls, node));
            most = until > most ? until : most;
        }
    assert_in_range(most, 64, 126);
}

static void weight_of_a_hold_leaves_its_depth(void **state)
{
    struct held_lock h = {.depth = 1};
    (void)state;
    assert_int_equal(held_weight(&h), 0);
    held_weigh(&h, 64);
    assert_int_not_equal(h.depth, 1);
    h.depth++;
    assert_int_equal(held_depth(&h), 2);
    assert_int_equal(held_weight(&h), 64);
}

enum { threads = 4, rounds = 20000 };
static void *held_run(void *arg)
{
    for (uint64_t i = 0; i < rounds; i++) {
        lock_times_held(&account, i, 1);
        lock_times_waited(&account, i);
    }
    return arg;
}

static void threads_lose_nothing(void **state)
{
    pthread_t t[threads];
    uint64_t sum = 0;
    (void)state;
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&t[i], NULL, held_run, NULL), 0);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    const struct pshim_histogram *h = histogram(account.node);
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++)
        sum += h->held[i] + h->waited[i];
    assert_int_equal(sum, 2 * threads * rounds);
    assert_int_equal(h->held_count, threads * rounds);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        TEST(waits_and_holds_of_a_site_stand_apart),
        TEST(account_of_many_sites_has_none),
        TEST(half_of_the_table_is_left_to_sizes),
        TEST(first_64_holds_are_kept_and_then_one_in_64),
        TEST(without_a_book_the_count_is_asked),
        TEST(countdown_fits_its_byte),
        TEST(weight_of_a_hold_leaves_its_depth),
        TEST(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
