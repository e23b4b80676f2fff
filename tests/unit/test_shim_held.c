#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "shim/held.h"
#include "shim/lock_site.h"

static struct held h;

static const void *mutex(unsigned i)
{
    return (const void *)(uintptr_t)(0x1000 + i * 40);
}

static int empty(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    return 0;
}

static void take(unsigned i)
{
    struct held_lock *l = held_push(&h);
    if (l)
        *l = (struct held_lock){.address = mutex(i), .lock = i, .depth = 1};
}

static void locks_given_back_in_any_order_leave_the_others(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 4; i++)
        take(i);
    held_remove(&h, held_find(&h, mutex(2)));
    assert_null(held_find(&h, mutex(2)));
    assert_int_equal(h.count, 3);
    for (unsigned i = 1; i <= 4; i++)
        if (i != 2)
            assert_int_equal(held_find(&h, mutex(i))->lock, i);
    assert_int_equal(held_last(&h)->lock, 4);
    held_remove(&h, held_find(&h, mutex(4)));
    assert_int_equal(held_last(&h)->lock, 3);
    held_remove(&h, held_find(&h, mutex(1)));
    held_remove(&h, held_find(&h, mutex(3)));
    assert_null(held_last(&h));
    assert_int_equal(h.count, 0);
}

static void lock_that_is_being_given_back_is_not_held_any_more(void **state)
{
    (void)state;
    take(1);
    take(2);
    h.leaving = mutex(2);
    assert_int_equal(held_last(&h)->lock, 1);
    h.leaving = mutex(1);
    assert_int_equal(held_last(&h)->lock, 2);
    held_remove(&h, held_find(&h, mutex(2)));
    assert_null(held_last(&h));
    held_clear(&h);
    assert_null(h.leaving);
}

static void more_than_there_is_room_for_is_known_when_given_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < held_max + 3; i++)
        take(i);
    assert_int_equal(h.count, held_max);
    assert_int_equal(h.overflow, 3);
    for (unsigned i = held_max; i < held_max + 3; i++) {
        assert_null(held_find(&h, mutex(i)));
        assert_true(held_overflow_left(&h));
    }
    assert_false(held_overflow_left(&h));
    held_remove(&h, held_find(&h, mutex(0)));
    assert_int_equal(h.count, held_max - 1);
    take(99);
    assert_int_equal(held_last(&h)->lock, 99);
    assert_int_equal(h.overflow, 0);
}

/* A stack of 40 words with three callers' return addresses. */
static uintptr_t stack[40];
static const uintptr_t pcs[] = {0x100, 0x200, 0x300, 0x400};

static struct lock_site site_here(void)
{
    struct lock_site s = {.caller = {0x101, stack}};
    memset(stack, 0, sizeof stack);
    stack[3] = pcs[1] + 1;
    stack[10] = pcs[2] + 1;
    stack[30] = pcs[3] + 1;
    lock_site_locate(&s, pcs, 4, stack + 40);
    return s;
}

static void place_is_known_again_by_its_callers(void **state)
{
    (void)state;
    struct lock_site s = site_here();
    struct lock_caller here = {0x101, stack}, other_pc = {0x102, stack}, other = {0x101, stack + 1};
    assert_int_equal(s.callers, 3);
    assert_true(lock_site_is(&s, here));
    assert_false(lock_site_is(&s, other_pc));
    assert_false(lock_site_is(&s, other));
    stack[20] = 77; /* a variable of a caller */
    assert_true(lock_site_is(&s, here));
    for (unsigned i = 0; i < 3; i++) { /* the same wrapper, called from elsewhere at any level */
        s = site_here();
        stack[s.at[i]] += 16;
        assert_false(lock_site_is(&s, here));
    }
    s = site_here(); /* two callers that changed places */
    stack[3] = pcs[2] + 1;
    stack[10] = pcs[1] + 1;
    assert_false(lock_site_is(&s, here));
}

static void callers_are_looked_for_on_the_stack_only(void **state)
{
    (void)state;
    struct lock_site s = site_here();
    lock_site_locate(&s, pcs, 4, stack + 30); /* the third stands behind its end */
    assert_int_equal(s.callers, 2);
    lock_site_locate(&s, pcs, 4, stack);
    assert_int_equal(s.callers, 0);
    lock_site_locate(&s, pcs, 1, stack + 40); /* no callers further out */
    assert_int_equal(s.callers, 0);
}

static void everything_falls_into_the_tables(void **state)
{
    struct lock_site sites[lock_sites];
    struct lock_book books[lock_books];
    bool site_used[lock_sites] = {false}, book_used[lock_books] = {false};
    unsigned used = 0;
    (void)state;
    for (unsigned i = 0; i < 4096; i++) {
        struct lock_site *s = lock_site_slot(sites, (struct lock_caller){i * 5, stack});
        struct lock_book *b = lock_book_slot(books, mutex(i), i % 7);
        assert_true(s >= sites && s < sites + lock_sites && b >= books && b < books + lock_books);
        used += !site_used[s - sites] + !book_used[b - books];
        site_used[s - sites] = book_used[b - books] = true;
    }
    assert_int_equal(used, lock_sites + lock_books);
}

static void book_is_of_one_lock_at_one_stack_by_one_call(void **state)
{
    struct pshim_account account = {.recorder = 3};
    struct lock_book b = {
        .address = mutex(1), .account = &account, .stack = 9, .call = PSHIM_CALL_MUTEX_LOCK};
    (void)state;
    assert_true(lock_book_is(&b, mutex(1), 9, PSHIM_CALL_MUTEX_LOCK, 3));
    assert_false(lock_book_is(&b, mutex(2), 9, PSHIM_CALL_MUTEX_LOCK, 3));
    assert_false(lock_book_is(&b, mutex(1), 8, PSHIM_CALL_MUTEX_LOCK, 3));
    assert_false(lock_book_is(&b, mutex(1), 9, PSHIM_CALL_MUTEX_TRYLOCK, 3));
    assert_false(lock_book_is(&b, mutex(1), 9, PSHIM_CALL_MUTEX_LOCK, 4)); /* another recorder */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(locks_given_back_in_any_order_leave_the_others, empty),
        cmocka_unit_test_setup(lock_that_is_being_given_back_is_not_held_any_more, empty),
        cmocka_unit_test_setup(more_than_there_is_room_for_is_known_when_given_back, empty),
        cmocka_unit_test(place_is_known_again_by_its_callers),
        cmocka_unit_test(callers_are_looked_for_on_the_stack_only),
        cmocka_unit_test(everything_falls_into_the_tables),
        cmocka_unit_test(book_is_of_one_lock_at_one_stack_by_one_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
