#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "store/bench/keyspace.h"
#include "tests/unit/scarce.h"

enum { THREADS = 4, EACH = 50000 };

static void a_key_is_there_when_all_before_it_are(void **state)
{
    struct keyspace k;
    (void)state;
    assert_int_equal(keyspace_init(&k, 10, 1), 0);
    assert_int_equal(keyspace_count(&k), 10);
    for (uint64_t i = 10; i < 14; i++)
        assert_int_equal(keyspace_begin(&k), i);
    assert_int_equal(keyspace_count(&k), 10);
    keyspace_end(&k, 12);
    keyspace_end(&k, 11);
    assert_int_equal(keyspace_count(&k), 10);
    keyspace_end(&k, 10);
    assert_int_equal(keyspace_count(&k), 13);
    keyspace_end(&k, 13);
    assert_int_equal(keyspace_count(&k), 14);
    keyspace_release(&k);
}

static void one_that_never_ends_holds_up_what_is_known_not_what_is_made(void **state)
{
    struct keyspace k;
    (void)state;
    assert_int_equal(keyspace_init(&k, 0, 1), 0);
    uint64_t first = keyspace_begin(&k);
    for (uint64_t i = 1; i < 2 * KEYSPACE_WINDOW; i++)
        keyspace_end(&k, keyspace_begin(&k));
    assert_int_equal(keyspace_count(&k), 0);
    keyspace_end(&k, first);
    assert_int_equal(keyspace_count(&k), KEYSPACE_WINDOW); /* all that could be remembered */
    keyspace_release(&k);
}

static void *insert_many(void *keyspace)
{
    struct keyspace *k = keyspace;
    for (int i = 0; i < EACH; i++) {
        uint64_t number = keyspace_begin(k);
        keyspace_end(k, number);
        if (keyspace_count(k) > __atomic_load_n(&k->next, __ATOMIC_RELAXED))
            return k; /* more than there can be */
    }
    return NULL;
}

static void inserts_of_many_threads_are_all_there_in_the_end(void **state)
{
    struct keyspace k;
    pthread_t threads[THREADS];
    (void)state;
    assert_int_equal(keyspace_init(&k, 7, 1), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, insert_many, &k), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(keyspace_count(&k), 7 + THREADS * EACH);
    keyspace_release(&k);
}

static void without_inserts_it_takes_no_memory(void **state)
{
    struct keyspace k;
    (void)state;
    assert_int_equal(keyspace_init(&k, 5, 0), 0);
    assert_null(k.done);
    keyspace_release(&k);
    if (!SCARCE)
        skip();
    scarce_left = 0;
    assert_int_equal(keyspace_init(&k, 5, 1), -1);
    scarce_left = -1;
    keyspace_release(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_there_when_all_before_it_are),
        cmocka_unit_test(one_that_never_ends_holds_up_what_is_known_not_what_is_made),
        cmocka_unit_test(inserts_of_many_threads_are_all_there_in_the_end),
        cmocka_unit_test(without_inserts_it_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
