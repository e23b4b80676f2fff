#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim/lock_clock.h"
#include "shim/locks.h"
#include "shim/nodes.h"

enum { threads = 4, shared_locks = 1500 }; /* there is room for 1 984 */
static uint32_t found[threads][shared_locks];
static pthread_barrier_t start;
static char path[PATH_MAX];
static uint32_t spare;

static int profile_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    int os_error;
    (void)state;
    snprintf(path, sizeof path, "%s/shim-locks-%d.pshim", tmp ? tmp : "/tmp", (int)getpid());
    spare = 0;
    if (profile_create(path, 4 << 20, &shim.profile, &os_error) != PROFILE_OK)
        return -1;
    return nodes_init() == 0 ? locks_init() : -1;
}

static int profile_remove(void **state)
{
    (void)state;
    profile_close(&shim.profile);
    return unlink(path);
}

static const void *mutex(uint64_t i)
{
    return (const void *)(uintptr_t)(0x7f0000000000u + i * 40);
}

static uint64_t lost(void)
{
    return pshim_load(&shim.profile.header->losses[PSHIM_LOSS_lock_table_full]);
}

static void lock_is_known_from_where_it_was_first_taken(void **state)
{
    (void)state;
    uint32_t a = locks_get(mutex(1), PSHIM_LOCK_MUTEX, 11, &spare),
             b = locks_get(mutex(2), PSHIM_LOCK_MUTEX, 12, &spare);
    assert_int_not_equal(a, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(locks_get(mutex(1), PSHIM_LOCK_MUTEX, 99, &spare), a);
    const struct pshim_lock *lock = locks_record(a);
    assert_int_equal(lock->address, (uintptr_t)mutex(1));
    assert_int_equal(lock->site_node, 11);
    assert_int_equal(lock->initialised, 0);
    assert_int_equal(lock->kind, PSHIM_LOCK_MUTEX);
}

static void lock_made_again_at_an_address_is_a_new_one(void **state)
{
    (void)state;
    locks_made(mutex(1), PSHIM_LOCK_MUTEX, 5, &spare);
    uint32_t a = locks_get(mutex(1), PSHIM_LOCK_MUTEX, 99, &spare);
    assert_int_equal(locks_record(a)->site_node, 5);
    assert_int_equal(locks_record(a)->initialised, 1);
    locks_destroyed(mutex(1));
    assert_false(lock_is_alive(locks_record(a)));
    uint32_t b = locks_get(mutex(1), PSHIM_LOCK_MUTEX, 6, &spare);
    assert_int_not_equal(a, b);
    assert_true(lock_is_alive(locks_record(b)));
    locks_made(mutex(1), PSHIM_LOCK_MUTEX, 7, &spare); /* not destroyed before */
    assert_false(lock_is_alive(locks_record(b)));
    uint32_t c = locks_get(mutex(1), PSHIM_LOCK_MUTEX, 8, &spare);
    assert_int_equal(locks_record(c)->site_node, 7);
    locks_destroyed(mutex(77)); /* never seen */
    assert_int_equal(locks_get(mutex(1), PSHIM_LOCK_MUTEX, 8, &spare), c);
}

static void locks_come_and_go_at_other_addresses_and_the_rest_stays(void **state)
{
    (void)state;
    uint32_t kept[8];
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_LOCK);
    for (uint64_t i = 0; i < 8; i++)
        kept[i] = locks_get(mutex(i), PSHIM_LOCK_MUTEX, 1, &spare);
    for (uint64_t i = 8; r->used < r->capacity; i++) {
        assert_int_not_equal(locks_get(mutex(i), PSHIM_LOCK_MUTEX, (uint32_t)i, &spare), 0);
        locks_destroyed(mutex(i));
    }
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(locks_get(mutex(i), PSHIM_LOCK_MUTEX, 1, &spare), kept[i]);
}

static void lock_that_a_place_makes_again_takes_the_record_of_the_one_it_destroyed(void **state)
{
    (void)state;
    locks_made(mutex(1), PSHIM_LOCK_COND, 5, &spare);
    uint32_t first = locks_get(mutex(1), PSHIM_LOCK_COND, 99, &spare);
    locks_destroyed(mutex(1));
    assert_int_not_equal(locks_get(mutex(1), PSHIM_LOCK_COND, 5, &spare), first); /* not made */
    locks_made(mutex(2), PSHIM_LOCK_MUTEX, 5, &spare);                            /* other kind */
    assert_int_not_equal(locks_get(mutex(2), PSHIM_LOCK_MUTEX, 5, &spare), first);
    locks_made(mutex(3), PSHIM_LOCK_COND, 6, &spare); /* other place */
    assert_int_not_equal(locks_get(mutex(3), PSHIM_LOCK_COND, 6, &spare), first);
    const struct pshim_lock *lock = locks_record(first);
    assert_false(lock_is_at(lock, mutex(1)));
    locks_made(mutex(4), PSHIM_LOCK_COND, 5, &spare);
    assert_int_equal(locks_get(mutex(4), PSHIM_LOCK_COND, 99, &spare), first);
    assert_true(lock_is_at(lock, mutex(4)));
    assert_false(lock_is_at(lock, mutex(1)));
    assert_int_equal(lock->again, 1);
    assert_int_equal(lock->owner, 0);
    assert_int_not_equal(locks_get(mutex(1), PSHIM_LOCK_COND, 5, &spare), first);
}

/* As many at a time as there is room for, each of the places with a few, at ever new addresses. */
static void any_number_of_brief_locks_needs_the_room_of_those_alive(void **state)
{
    (void)state;
    enum { places = 200, each = 5, rounds = 50 };
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_LOCK);
    for (uint64_t round = 0, next = 0; round < rounds; round++, next += places * each) {
        for (uint64_t i = 0; i < places * each; i++)
            locks_made(mutex(next + i), PSHIM_LOCK_COND, (uint32_t)(i % places + 1), &spare);
        for (uint64_t i = 0; i < places * each; i++) {
            uint32_t index = locks_get(mutex(next + i), PSHIM_LOCK_COND, 99999, &spare);
            assert_int_equal(locks_record(index)->site_node, i % places + 1);
            locks_destroyed(mutex(next + i));
        }
    }
    assert_int_equal(lost(), 0);
    assert_true(r->used < places * each + places); /* lists are few and looked into for some only */
}

static void *make_and_destroy(void *arg)
{
    uint64_t own = (uint64_t)(uintptr_t)arg;
    uint32_t own_spare = 0;
    pthread_barrier_wait(&start);
    for (uint64_t i = 0; i < 100000; i++) {
        const void *lock = mutex(own * 1000000 + i % 777);
        locks_made(lock, PSHIM_LOCK_COND, 5, &own_spare);
        uint32_t index = locks_get(lock, PSHIM_LOCK_COND, 99, &own_spare);
        if (!lock_is_at(locks_record(index), lock) || locks_record(index)->site_node != 5)
            return &start; /* something */
        locks_destroyed(lock);
    }
    return NULL;
}

static void threads_that_make_locks_at_one_place_do_not_take_each_others(void **state)
{
    pthread_t t[threads];
    void *wrong;
    (void)state;
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_LOCK);
    pthread_barrier_init(&start, NULL, threads);
    for (uintptr_t i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&t[i], NULL, make_and_destroy, (void *)i), 0);
    for (int i = 0; i < threads; i++) {
        pthread_join(t[i], &wrong);
        assert_null(wrong);
    }
    assert_true(r->used < 100);
    uint64_t all = 0;
    for (uint32_t i = 1; i < r->used; i++)
        all += locks_record(i)->kind ? 1 + locks_record(i)->again : 0;
    assert_int_equal(all, threads * 100000);
}

static void locks_without_room_are_one_and_counted(void **state)
{
    (void)state;
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_LOCK);
    uint32_t first = locks_get(mutex(0), PSHIM_LOCK_MUTEX, 1, &spare);
    assert_int_equal(locks_record(0)->kind, PSHIM_LOCK_NONE);
    for (uint64_t i = 1; r->used < r->capacity; i++)
        assert_int_not_equal(locks_get(mutex(i), PSHIM_LOCK_MUTEX, 1, &spare), 0);
    assert_false(locks_have_room());
    assert_int_equal(lost(), 0);
    assert_int_equal(locks_get(mutex(1000000), PSHIM_LOCK_MUTEX, 1, &spare), 0);
    assert_int_equal(lost(), 1);
    assert_int_equal(locks_record(0)->kind, PSHIM_LOCK_MUTEX);
    assert_int_equal(locks_get(mutex(0), PSHIM_LOCK_MUTEX, 1, &spare), first);
    /* The old one is over, one from elsewhere has no room, one from the same place has. */
    locks_made(mutex(0), PSHIM_LOCK_MUTEX, 2, &spare);
    assert_int_equal(locks_get(mutex(0), PSHIM_LOCK_MUTEX, 2, &spare), 0);
    assert_int_equal(locks_get(mutex(0), PSHIM_LOCK_MUTEX, 1, &spare), first);
}

static void *meet_all(void *arg)
{
    uint32_t *mine = arg, own_spare = 0;
    pthread_barrier_wait(&start);
    for (uint64_t i = 0; i < shared_locks; i++)
        mine[i] = locks_get(mutex(i), PSHIM_LOCK_MUTEX, 1, &own_spare);
    return NULL;
}

static void threads_that_meet_a_lock_at_once_agree(void **state)
{
    pthread_t t[threads];
    (void)state;
    pthread_barrier_init(&start, NULL, threads);
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&t[i], NULL, meet_all, found[i]), 0);
    for (int i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(lost(), 0);
    for (int i = 1; i < threads; i++)
        for (int k = 0; k < shared_locks; k++)
            assert_int_equal(found[i][k], found[0][k]);
}

static void clock_of_the_header_is_the_time(void **state)
{
    (void)state;
    struct pshim_header *h = shim.profile.header;
    h->locks_mode = PSHIM_ON;
    lock_clock_init();
    bool tsc = lock_clock_is_tsc;
    for (int i = 0; i < 2; i++) {
        uint64_t begin_ns = shim_now_ns(), begin = lock_clock();
        usleep(20000);
        uint64_t end = lock_clock(), end_ns = shim_now_ns();
        lock_clock_note();
        double unit = (double)(h->clock_last_ns - h->clock_first_ns) /
                      (double)(h->clock_last_units - h->clock_first_units);
        double ns = (double)(end - begin) * unit;
        assert_true(ns > 0.9 * 20e6 && ns <= 1.01 * (double)(end_ns - begin_ns));
        lock_clock_is_tsc = false; /* then by the kernel's clock: a unit is 1 ns */
        h->clock_first_units = h->clock_first_ns = shim_now_ns();
    }
    lock_clock_is_tsc = tsc;
    assert_int_equal(lock_clock_since(10, 7), 0);
    assert_int_equal(lock_clock_since(7, 10), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        TEST(lock_is_known_from_where_it_was_first_taken),
        TEST(lock_made_again_at_an_address_is_a_new_one),
        TEST(locks_come_and_go_at_other_addresses_and_the_rest_stays),
        TEST(lock_that_a_place_makes_again_takes_the_record_of_the_one_it_destroyed),
        TEST(any_number_of_brief_locks_needs_the_room_of_those_alive),
        TEST(threads_that_make_locks_at_one_place_do_not_take_each_others),
        TEST(locks_without_room_are_one_and_counted),
        TEST(threads_that_meet_a_lock_at_once_agree),
        TEST(clock_of_the_header_is_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
