#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "store/wal_queue.h"

enum { OTHERS = 6, ROUNDS = 20000 };

static struct wal_queue queue;

struct joiner {
    struct wal_record record;
    pthread_t thread;
    int returned; /* 1 = it leads, 2 = released */
};

static void *join_queue(void *argument)
{
    struct joiner *j = argument;
    __atomic_store_n(&j->returned, wal_queue_join(&queue, &j->record) ? 1 : 2, __ATOMIC_RELEASE);
    return NULL;
}

/* Returns when it stands in the queue; asleep, if wanted. */
static void joiner_start(struct joiner *j, bool asleep)
{
    struct wal_record *before = __atomic_load_n(&queue.newest, __ATOMIC_ACQUIRE);
    memset(j, 0, sizeof *j);
    int began = j->record.state;
    assert_int_equal(pthread_create(&j->thread, NULL, join_queue, j), 0);
    while (__atomic_load_n(&queue.newest, __ATOMIC_ACQUIRE) == before)
        sched_yield();
    while (asleep && __atomic_load_n(&j->record.state, __ATOMIC_ACQUIRE) == began)
        sched_yield();
}

static int returned(const struct joiner *j)
{
    return __atomic_load_n(&j->returned, __ATOMIC_ACQUIRE);
}

static void who_finds_nobody_leads_and_leaves_nobody(void **state)
{
    struct wal_record mine;
    (void)state;
    wal_queue_init(&queue);
    for (int i = 0; i < 3; i++) {
        assert_true(wal_queue_join(&queue, &mine));
        assert_ptr_equal(wal_queue_close(&queue, &mine), &mine);
        assert_null(wal_queue_leave(&queue, &mine));
    }
}

/* Those who came before the group is closed are in it, in their order; the next one leads those
 * who came later. */
static void groups_are_in_the_order_of_arrival(bool slow)
{
    struct wal_record mine;
    struct joiner others[OTHERS];
    wal_queue_init(&queue);
    queue.alone = false; /* spinning too, whatever the machine is */
    wal_queue_slow(&queue, slow);
    assert_true(wal_queue_join(&queue, &mine));
    for (int i = 0; i < 3; i++)
        joiner_start(&others[i], slow);
    struct wal_record *last = wal_queue_close(&queue, &mine), *r = &mine;
    assert_ptr_equal(last, &others[2].record);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(r = r->next, &others[i].record);
    for (int i = 3; i < OTHERS; i++)
        joiner_start(&others[i], slow);
    assert_ptr_equal(wal_queue_leave(&queue, last), &others[3].record);
    if (slow)
        assert_true(wal_queue_sleeps(&others[3].record));
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal(returned(&others[i]), 0);
    for (int i = 0; i < 3; i++) {
        others[i].record.error = -i;
        wal_queue_release(&others[i].record);
        pthread_join(others[i].thread, NULL);
        assert_int_equal(returned(&others[i]), 2);
        assert_int_equal(others[i].record.error, -i);
    }
    wal_queue_lead(&others[3].record);
    pthread_join(others[3].thread, NULL);
    assert_int_equal(returned(&others[3]), 1);
    last = wal_queue_close(&queue, &others[3].record);
    assert_ptr_equal(last, &others[5].record);
    assert_null(wal_queue_leave(&queue, last));
    for (int i = 4; i < OTHERS; i++) {
        wal_queue_release(&others[i].record);
        pthread_join(others[i].thread, NULL);
        assert_int_equal(returned(&others[i]), 2);
    }
}

static void who_spins_is_told(void **state)
{
    (void)state;
    groups_are_in_the_order_of_arrival(false);
}

static void who_sleeps_is_told(void **state)
{
    (void)state;
    groups_are_in_the_order_of_arrival(true);
}

/* ---- many ---- */

static struct {
    int leading, wrong;
    unsigned turns;        /* no lock: a leader's alone */
    unsigned seen[OTHERS]; /* of each thread, the last of its records that was in a group */
} many;

struct numbered {
    struct wal_record record; /* first: the queue hands it back */
    unsigned thread, number;
};

/* In threads: cmocka's assertions are the main thread's. */
static void wrong(bool it_is)
{
    __atomic_fetch_add(&many.wrong, it_is, __ATOMIC_RELAXED);
}

static void *join_often(void *argument)
{
    unsigned thread = (unsigned)(uintptr_t)argument;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        struct numbered mine = {.thread = thread, .number = i};
        if (!wal_queue_join(&queue, &mine.record)) {
            wrong(mine.record.error != (int)i);
            continue;
        }
        wrong(__atomic_exchange_n(&many.leading, 1, __ATOMIC_RELAXED));
        struct wal_record *last = wal_queue_close(&queue, &mine.record), *r, *next;
        wal_queue_slow(&queue, many.turns++ % 64 < 8);
        for (r = &mine.record;; r = r->next) {
            const struct numbered *n = (const struct numbered *)r;
            wrong(n->number != ++many.seen[n->thread]);
            if (r == last)
                break;
        }
        __atomic_store_n(&many.leading, 0, __ATOMIC_RELAXED);
        struct wal_record *leads = wal_queue_leave(&queue, last);
        for (r = &mine.record; r; r = next) {
            next = r == last ? NULL : r->next;
            r->error = (int)((struct numbered *)r)->number;
            if (r != &mine.record)
                wal_queue_release(r);
        }
        if (leads)
            wal_queue_lead(leads);
    }
    return NULL;
}

static void of_many_one_leads_at_a_time_and_none_is_forgotten(void **state)
{
    pthread_t threads[OTHERS];
    (void)state;
    wal_queue_init(&queue);
    for (uintptr_t i = 0; i < OTHERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, join_often, (void *)i), 0);
    for (int i = 0; i < OTHERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal(many.seen[i], ROUNDS);
    assert_null(queue.newest);
    assert_int_equal(many.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_finds_nobody_leads_and_leaves_nobody),
        cmocka_unit_test(who_spins_is_told),
        cmocka_unit_test(who_sleeps_is_told),
        cmocka_unit_test(of_many_one_leads_at_a_time_and_none_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
